// One conversation as this agent's screen has it: what was said in order of place, and what he has
// said that the server has not yet stored.
//
// Pure: (thread, input) -> thread. Not here: the socket, the clock, the composer.

import type { Author, Body, Message, MessageId, Visibility } from '../../../protocol/ts/src/wire/frames.ts';

/** A message in its place. */
export interface Entry {
  readonly seq: number;
  readonly message: MessageId;
  readonly author: Author;
  readonly at: number;
  readonly body: Body;
  /** The first day on which it can no longer be read, counted from 2020-01-01; null: no end is set. */
  readonly expires: number | null;
  readonly visibility: Visibility;
}

/** What was written here and is not stored yet. */
export interface Pending {
  readonly message: MessageId;
  readonly text: string;
  readonly visibility: Visibility;
  /** The newest place at the first try; the same on every resend. */
  readonly seen_seq: number;
  readonly at: number;
  /** Null while it is on its way; otherwise why it was refused. */
  readonly refused: string | null;
}

export interface Thread {
  /** In order of `seq`. */
  readonly entries: readonly Entry[];
  /** In the order in which they were written. */
  readonly pending: readonly Pending[];
  /** Whether there are earlier messages on the server. */
  readonly more: boolean;
  /** Whether at least one page has come. */
  readonly loaded: boolean;
  /** Whether the server says that there is no such conversation for this agent. */
  readonly absent: boolean;
}

export const EMPTY_THREAD: Thread = { entries: [], pending: [], more: false, loaded: false, absent: false };

export type ThreadInput =
  /** `earlier`: it was asked for as the page before all that is here. */
  | { readonly kind: 'page'; readonly reset: boolean; readonly more: boolean; readonly messages: readonly Message[]; readonly earlier?: boolean }
  | { readonly kind: 'said'; readonly entry: Entry }
  | { readonly kind: 'absent'; readonly absent: boolean }
  | { readonly kind: 'void'; readonly seq: number; readonly message: MessageId }
  | { readonly kind: 'forget'; readonly messages: readonly MessageId[] | null }
  | { readonly kind: 'written'; readonly pending: Pending }
  | { readonly kind: 'refused'; readonly message: MessageId; readonly words: string }
  | { readonly kind: 'retried'; readonly message: MessageId }
  | { readonly kind: 'discarded'; readonly message: MessageId }
  | { readonly kind: 'expired'; readonly today: number };

export function entryOf(message: Message): Entry {
  return {
    seq: message.seq,
    message: message.message,
    author: message.author,
    at: message.at,
    body: message.body,
    expires: message.expires ?? null,
    visibility: message.visibility ?? 'everyone',
  };
}

/** Puts entries in their places: an id that is known at another place moves, a place that is given anew changes hands. */
function placed(entries: readonly Entry[], fresh: readonly Entry[]): readonly Entry[] {
  if (fresh.length === 0) return entries;
  const ids = new Set(fresh.map((entry) => entry.message));
  const seqs = new Set(fresh.map((entry) => entry.seq));
  const kept = entries.filter((entry) => !ids.has(entry.message) && !seqs.has(entry.seq));
  const last = kept.at(-1);
  const first = fresh[0];
  const all = [...kept, ...fresh];
  // A new message nearly always goes to the end, and then nothing needs sorting.
  if (fresh.length === 1 && first !== undefined && (last === undefined || last.seq < first.seq)) return all;
  return all.sort((a, b) => a.seq - b.seq);
}

function withoutStored(pending: readonly Pending[], fresh: readonly Entry[]): readonly Pending[] {
  if (pending.length === 0) return pending;
  const ids = new Set(fresh.map((entry) => entry.message));
  return pending.some((one) => ids.has(one.message)) ? pending.filter((one) => !ids.has(one.message)) : pending;
}

export function reduceThread(thread: Thread, input: ThreadInput): Thread {
  switch (input.kind) {
    case 'page': {
      const fresh = input.messages.map(entryOf);
      const base = input.reset ? [] : thread.entries;
      const earliest = base[0];
      const first = fresh[0];
      // A page after what is here (a resume) says nothing about what came before all of it.
      const reachesBack = earliest === undefined || (first === undefined ? input.earlier === true : first.seq <= earliest.seq);
      return {
        entries: placed(base, fresh),
        pending: withoutStored(thread.pending, fresh),
        more: reachesBack ? input.more : thread.more,
        loaded: true,
        absent: false,
      };
    }
    case 'said': {
      const first = thread.entries[0];
      // Before all that is here: an earlier page brings it, with what stands between.
      const before = thread.more && first !== undefined && input.entry.seq < first.seq;
      return {
        ...thread,
        entries: before ? thread.entries : placed(thread.entries, [input.entry]),
        pending: withoutStored(thread.pending, [input.entry]),
      };
    }
    case 'absent':
      return thread.absent === input.absent ? thread : { ...thread, absent: input.absent };
    case 'void':
      return {
        ...thread,
        entries: thread.entries.filter((entry) => !(entry.seq === input.seq && entry.message === input.message)),
      };
    case 'forget': {
      if (input.messages === null) return { ...EMPTY_THREAD, loaded: true };
      const gone = new Set(input.messages);
      return { ...thread, entries: thread.entries.filter((entry) => !gone.has(entry.message)) };
    }
    case 'written':
      if (thread.pending.some((one) => one.message === input.pending.message)) return thread;
      return { ...thread, pending: [...thread.pending, input.pending] };
    case 'refused':
      return { ...thread, pending: marked(thread.pending, input.message, input.words) };
    case 'retried':
      return { ...thread, pending: marked(thread.pending, input.message, null) };
    case 'discarded':
      return { ...thread, pending: thread.pending.filter((one) => one.message !== input.message) };
    case 'expired': {
      const readable = (entry: Entry): boolean => entry.expires === null || entry.expires > input.today;
      return thread.entries.every(readable) ? thread : { ...thread, entries: thread.entries.filter(readable) };
    }
  }
}

function marked(pending: readonly Pending[], message: MessageId, refused: string | null): readonly Pending[] {
  return pending.map((one) => (one.message === message ? { ...one, refused } : one));
}

/** The last message that is here for certain, to resume from. */
export function lastEntry(thread: Thread): Entry | undefined {
  return thread.entries.at(-1);
}

/** The newest place on the screen; 0 before the first. */
export function newestSeq(thread: Thread): number {
  return thread.entries.at(-1)?.seq ?? 0;
}
