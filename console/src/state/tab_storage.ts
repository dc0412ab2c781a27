// What outlives a reload in this tab's own storage, and is one agent's: another's is thrown away.

import type { ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { me } from './session.ts';

export const STORED_OUTBOX = 'livehelp.outbox';
export const STORED_COMPOSERS = 'livehelp.composers';

interface Stored<T> {
  readonly agent: string;
  readonly conversations: readonly (readonly [ConversationId, T])[];
}

export function save<T>(key: string, conversations: Stored<T>['conversations']): void {
  const agent = me.peek();
  if (agent === null) return;
  try {
    if (conversations.length === 0) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify({ agent, conversations } satisfies Stored<T>));
  } catch {
    // Full or forbidden: it is still in memory, and only a reload would lose it.
  }
}

export function restored<T>(key: string): ReadonlyMap<ConversationId, T> {
  try {
    const stored = JSON.parse(sessionStorage.getItem(key) ?? 'null') as Stored<T> | null;
    if (stored !== null && stored.agent === me.peek()) return new Map(stored.conversations);
    sessionStorage.removeItem(key);
  } catch {
    // Not ours to read.
  }
  return new Map();
}

export function forgetStored(): void {
  try {
    for (const key of [STORED_OUTBOX, STORED_COMPOSERS]) sessionStorage.removeItem(key);
  } catch {
    // Storage is forbidden, so there is nothing in it.
  }
}
