// Where in the console one is: the part of the address after `#`.

import { signal } from '@preact/signals';
import type { ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { isUnsaved, leaveFirst } from './unsaved.ts';

export type Section = 'conversations' | 'sites' | 'agents' | 'keys' | 'tags' | 'account';

export type Route =
  | { readonly kind: 'conversations'; readonly conversation: string | null }
  | { readonly kind: 'invitation'; readonly token: string }
  | { readonly kind: 'password-reset'; readonly token: string }
  | { readonly kind: 'sites'; readonly site: string | null }
  | { readonly kind: 'agents' }
  | { readonly kind: 'keys' }
  | { readonly kind: 'tags' }
  | { readonly kind: 'account' };

export function parseRoute(hash: string): Route {
  const [first = '', second = ''] = hash
    .replace(/^#?\/?/, '')
    .split('/')
    .map(decoded);
  switch (first) {
    case 'invitations':
      return { kind: 'invitation', token: second };
    case 'password-resets':
      return { kind: 'password-reset', token: second };
    case 'sites':
      return { kind: 'sites', site: second === '' ? null : second };
    case 'agents':
    case 'keys':
    case 'tags':
    case 'account':
      return { kind: first };
    case 'conversations':
      return { kind: 'conversations', conversation: second === '' ? null : second };
    default:
      return { kind: 'conversations', conversation: null };
  }
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return '';
  }
}

export const route = signal<Route>({ kind: 'conversations', conversation: null });

export function go(path: string): void {
  location.hash = path;
}

/** Goes to a conversation, or to none. */
export function show(id: ConversationId | null): void {
  go(id === null ? '/' : `/conversations/${id}`);
}

/** The address that is gone to though something is unsaved: it is kept, and nobody is asked. */
let excused: string | null = null;

/** Goes where somebody waits; what is unsaved here is found again on coming back. */
export function goAtOnce(path: string): void {
  if (location.hash === `#${path}`) return;
  excused = `#${path}`;
  go(path);
}

/** Which page of this visit an entry of the browser's history is; null: a new one. */
function indexOf(state: unknown): number | null {
  const index: unknown =
    typeof state === 'object' && state !== null ? Reflect.get(state, 'index') : null;
  return typeof index === 'number' ? index : null;
}

/**
 * Whatever leads away, a link or the browser's own back and forward: it is asked about where
 * something is unsaved.
 */
export function startRouting(): void {
  let here = location.hash;
  let index = indexOf(history.state) ?? 0;
  /** One is on the way back to where one still is. */
  let returning = false;
  const arrive = (): void => {
    here = location.hash;
    history.replaceState({ index }, '');
    route.value = parseRoute(here);
  };
  window.addEventListener('hashchange', () => {
    if (returning) {
      returning = false;
      return;
    }
    if (location.hash === here) return;
    const to = indexOf(history.state) ?? index + 1;
    const by = to - index;
    if (location.hash === excused || !isUnsaved.value || by === 0) {
      index = to;
      arrive();
    } else {
      returning = true;
      history.go(-by);
      leaveFirst(() => history.go(by));
    }
    excused = null;
  });
  arrive();
}
