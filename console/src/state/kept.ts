// What outlives a reload in this tab's own storage, and is one agent's: another's is thrown away.

import type { ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { me } from './session.ts';

export const KEPT_OUTBOX = 'livehelp.outbox';
export const KEPT_COMPOSERS = 'livehelp.composers';

interface Kept<T> {
  readonly agent: string;
  readonly conversations: readonly (readonly [ConversationId, T])[];
}

export function keep<T>(key: string, conversations: Kept<T>['conversations']): void {
  const agent = me.peek();
  if (agent === null) return;
  try {
    if (conversations.length === 0) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify({ agent, conversations } satisfies Kept<T>));
  } catch {
    // Full or forbidden: it is still in memory, and only a reload would lose it.
  }
}

export function kept<T>(key: string): ReadonlyMap<ConversationId, T> {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? 'null') as Kept<T> | null;
    if (kept !== null && kept.agent === me.peek()) return new Map(kept.conversations);
    sessionStorage.removeItem(key);
  } catch {
    // Not ours to read.
  }
  return new Map();
}

export function forgetKept(): void {
  try {
    for (const key of [KEPT_OUTBOX, KEPT_COMPOSERS]) sessionStorage.removeItem(key);
  } catch {
    // Storage is forbidden, so there is nothing in it.
  }
}
