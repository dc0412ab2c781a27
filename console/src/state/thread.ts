// One conversation as this agent's screen has it.
//
// Pure: (thread, input) -> thread. Lives here: what a console knows of a conversation beyond its
// transcript. Not here: the rules of a transcript (the shared `transcript.ts`), the socket, the
// clock, the composer.

import {
  acknowledge,
  discard,
  expire,
  hear,
  newestEntry,
  NOTHING,
  refuse,
  write,
} from '../../../protocol/ts/src/state/transcript.ts';
import type { Entry as AnyEntry, Transcript } from '../../../protocol/ts/src/state/transcript.ts';
import type {
  AgentId,
  Message,
  MessageId,
  ServerFrame,
} from '../../../protocol/ts/src/wire/frames.ts';
import type { Unsent } from './outbox.ts';

/** One that is refused says why in words. */
export type Entry = AnyEntry<string>;

export interface Thread extends Transcript<string> {
  /** Whether the server says that there is no such conversation for this agent. */
  readonly absent: boolean;
}

export const EMPTY_THREAD: Thread = { ...NOTHING, absent: false };

export type ThreadInput =
  /** `before`: the page was asked for as the one before this seq. */
  | { readonly kind: 'frame'; readonly frame: ServerFrame; readonly before?: number }
  | { readonly kind: 'stored'; readonly message: Message }
  | { readonly kind: 'absent'; readonly absent: boolean }
  /** Written by this agent, or to be tried again. */
  | { readonly kind: 'written'; readonly unsent: Unsent; readonly agent: AgentId }
  | { readonly kind: 'refused'; readonly message: MessageId; readonly words: string }
  | { readonly kind: 'discarded'; readonly message: MessageId }
  | { readonly kind: 'expired'; readonly today: number };

export function reduceThread(thread: Thread, input: ThreadInput): Thread {
  switch (input.kind) {
    case 'frame':
      return hear(
        input.frame.kind === 'history' ? there(thread) : thread,
        input.frame,
        input.before,
      );
    case 'stored':
      return acknowledge(thread, input.message);
    case 'absent':
      return thread.absent === input.absent ? thread : { ...thread, absent: input.absent };
    case 'written': {
      const { message, text, visibility, at } = input.unsent;
      const author = { kind: 'agent', agent: input.agent } as const;
      return write(thread, { message, author, at, body: { kind: 'text', text }, visibility });
    }
    case 'refused':
      return refuse(thread, input.message, input.words);
    case 'discarded':
      return discard(thread, input.message);
    case 'expired':
      return expire(thread, input.today);
  }
}

function there(thread: Thread): Thread {
  return thread.absent ? { ...thread, absent: false } : thread;
}

/** Whether at least one page has come. */
export function isLoaded(thread: Thread): boolean {
  return thread.edge !== undefined;
}

/** Those that have a seq, and those that have none yet. */
export function halves({
  entries,
}: Thread): readonly [sequenced: readonly Entry[], unsequenced: readonly Entry[]] {
  const at = entries.findIndex(({ seq }) => seq === 0);
  return at === -1 ? [entries, []] : [entries.slice(0, at), entries.slice(at)];
}

/** The newest seq on the screen; 0 before the first. */
export function newestSeq(thread: Thread): number {
  return newestEntry(thread)?.seq ?? 0;
}

export function isNote({ visibility }: Pick<Message, 'visibility'>): boolean {
  return visibility === 'agents';
}
