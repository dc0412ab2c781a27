// What was written and is not stored yet, and what stands in the composers, kept over a reload in this
// tab's own storage, and gone with the tab: nothing that was said stays on the machine.

import type { ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { EMPTY_COMPOSER } from './composer.ts';
import type { Composer, Composers } from './composer.ts';
import { me } from './session.ts';
import type { Pending, Thread } from './thread.ts';

const OUTBOX = 'livehelp.outbox';
const COMPOSERS = 'livehelp.composers';

interface Kept<T> {
  readonly agent: string;
  readonly conversations: readonly (readonly [ConversationId, T])[];
}

function keep<T>(key: string, conversations: Kept<T>['conversations']): void {
  const agent = me.peek();
  if (agent === null) return;
  try {
    if (conversations.length === 0) sessionStorage.removeItem(key);
    else sessionStorage.setItem(key, JSON.stringify({ agent, conversations } satisfies Kept<T>));
  } catch {
    // Full or forbidden: it is still in memory, and only a reload would lose it.
  }
}

/** What this agent left; another agent's is thrown away. */
function read<T>(key: string): ReadonlyMap<ConversationId, T> {
  try {
    const kept = JSON.parse(sessionStorage.getItem(key) ?? 'null') as Kept<T> | null;
    if (kept !== null && kept.agent === me.peek()) return new Map(kept.conversations);
    sessionStorage.removeItem(key);
  } catch {
    // Not ours to read.
  }
  return new Map();
}

export function keepOutbox(threads: ReadonlyMap<ConversationId, Thread>): void {
  keep(OUTBOX, [...threads].filter(([, thread]) => thread.pending.length > 0).map(([id, thread]) => [id, thread.pending] as const));
}

export function readOutbox(): ReadonlyMap<ConversationId, readonly Pending[]> {
  return read<readonly Pending[]>(OUTBOX);
}

export function keepComposers(composers: Composers): void {
  keep(COMPOSERS, [...composers]);
}

export function readComposers(): Composers {
  // The cursor is in none of them any more.
  return new Map([...read<Composer>(COMPOSERS)].map(([id, composer]) => [id, { ...EMPTY_COMPOSER, ...composer, held: null }]));
}

export function forgetOutbox(): void {
  try {
    sessionStorage.removeItem(OUTBOX);
    sessionStorage.removeItem(COMPOSERS);
  } catch {
    // Storage is forbidden, so there is nothing in it.
  }
}
