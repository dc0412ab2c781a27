// Where in the console one is: the part of the address after `#`.

import { signal } from '@preact/signals';

export type Section = 'conversations' | 'sites' | 'agents' | 'keys' | 'tags' | 'account';

export type Route =
  | { readonly kind: 'conversations'; readonly conversation: string | null }
  | { readonly kind: 'invitation'; readonly token: string }
  | { readonly kind: 'sites'; readonly site: string | null }
  | { readonly kind: 'agents' }
  | { readonly kind: 'keys' }
  | { readonly kind: 'tags' }
  | { readonly kind: 'account' };

export function parseRoute(hash: string): Route {
  const [first = '', second = ''] = hash.replace(/^#?\/?/, '').split('/').map(decoded);
  switch (first) {
    case 'invitations':
      return { kind: 'invitation', token: second };
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

export function startRouting(): void {
  const read = (): void => {
    route.value = parseRoute(location.hash);
  };
  window.addEventListener('hashchange', read);
  read();
}
