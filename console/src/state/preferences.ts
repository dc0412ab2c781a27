// What this browser remembers for this agent: nothing about visitors, only how he likes the console.

import { effect, signal } from '@preact/signals';

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
export const theme = signal<Theme>(remembered('livehelp.theme', ['system', 'light', 'dark'], 'system'));
export const soundOn = signal<'on' | 'off'>(remembered('livehelp.sound', ['on', 'off'], 'on'));
export const sendWith = signal<'enter' | 'ctrl-enter'>(remembered('livehelp.send', ['enter', 'ctrl-enter'], 'enter'));
export const contextPane = signal<'open' | 'closed'>(remembered('livehelp.context', ['open', 'closed'], 'open'));
export const singleKeys = signal<'on' | 'off'>(remembered('livehelp.keys', ['on', 'off'], 'on'));

export function startPreferences(): void {
  effect(() => {
    remember('livehelp.theme', theme.value);
    document.documentElement.dataset['theme'] = theme.value;
  });
  effect(() => remember('livehelp.sound', soundOn.value));
  effect(() => remember('livehelp.send', sendWith.value));
  effect(() => remember('livehelp.context', contextPane.value));
  effect(() => remember('livehelp.keys', singleKeys.value));
}
