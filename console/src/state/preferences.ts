// What this browser remembers for this agent: nothing about visitors, only how they like the
// console.

import { computed, effect, signal } from '@preact/signals';

function remembered<T extends string>(key: string, allowed: readonly T[], otherwise: T): T {
  try {
    const value = localStorage.getItem(key);
    return allowed.find((one) => one === value) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value);
  } catch {
    // Storage is full or forbidden: the choice holds for this page.
  }
}

export type Theme = 'system' | 'light' | 'dark';
export const theme = signal<Theme>(
  remembered('livehelp.theme', ['system', 'light', 'dark'], 'system'),
);
export const soundOn = signal<'on' | 'off'>(remembered('livehelp.sound', ['on', 'off'], 'on'));
export const sendWith = signal<'enter' | 'ctrl-enter'>(
  remembered('livehelp.send', ['enter', 'ctrl-enter'], 'enter'),
);
const contextPane = signal<'open' | 'closed'>(
  remembered('livehelp.context', ['open', 'closed'], 'open'),
);

/**
 * Where there is no room for three columns, the context lies over the thread, and only when asked
 * for.
 */
const narrow = signal(false);
const contextOver = signal(false);

export const contextOpen = computed(() =>
  narrow.value ? contextOver.value : contextPane.value === 'open',
);

export function toggleContext(): void {
  if (narrow.value) contextOver.value = !contextOver.value;
  else contextPane.value = contextPane.value === 'open' ? 'closed' : 'open';
}

/** Another conversation is on the screen: what lay over the last one goes. */
export function uncoverThread(): void {
  contextOver.value = false;
}

export const singleKeys = signal<'on' | 'off'>(remembered('livehelp.keys', ['on', 'off'], 'on'));

export function startPreferences(): void {
  const query = window.matchMedia('(max-width: 1120px)');
  narrow.value = query.matches;
  query.addEventListener('change', () => {
    narrow.value = query.matches;
  });
  effect(() => {
    remember('livehelp.theme', theme.value);
    document.documentElement.dataset['theme'] = theme.value;
  });
  effect(() => remember('livehelp.sound', soundOn.value));
  effect(() => remember('livehelp.send', sendWith.value));
  effect(() => remember('livehelp.context', contextPane.value));
  effect(() => remember('livehelp.keys', singleKeys.value));
}
