// What was written and is not stored yet, kept over a reload in this tab's own storage, and gone
// with the tab: nothing that was said stays on the machine.

import type { ConversationId } from '../../../widget-js/src/wire/frames.ts';
import { me } from './session.ts';
import type { Pending, Thread } from './thread.ts';

const KEY = 'livehelp.outbox';

interface Kept {
  readonly agent: string;
  readonly conversations: readonly (readonly [ConversationId, readonly Pending[]])[];
}

export function keepOutbox(threads: ReadonlyMap<ConversationId, Thread>): void {
  const agent = me.value;
  if (agent === null) return;
  const conversations = [...threads]
    .filter(([, thread]) => thread.pending.length > 0)
    .map(([id, thread]) => [id, thread.pending] as const);
  try {
    if (conversations.length === 0) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify({ agent, conversations } satisfies Kept));
  } catch {
    // Full or forbidden: the messages are still in memory, and only a reload would lose them.
  }
}

/** What this agent left; another agent's is thrown away. */
export function readOutbox(): ReadonlyMap<ConversationId, readonly Pending[]> {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as Kept | null;
    if (kept !== null && kept.agent === me.value) return new Map(kept.conversations);
  } catch {
    // Not ours to read.
  }
  forgetOutbox();
  return new Map();
}

export function forgetOutbox(): void {
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Storage is forbidden, so there is nothing in it.
  }
}
