// What was said in one conversation, as a client has it: one reducer for every client.
//
// Lives here: the order of messages, duplicates, what has no sequence number yet, what lost it,
// pages and the edge of what is here. Not here: sockets, storage, receipts, the state of the
// conversation. Pure: every function takes a transcript and gives the next one; the same one where
// nothing changed. Each passes once over what is here, so a message costs as much as the transcript
// is long.

import type { Message, MessageId, ServerFrame, ServerHistory } from '../wire/frames.ts';

/** One message, with its sequence number or on its way to one. */
export interface Entry<Why = string> extends Omit<Message, 'seq'> {
  /** The sequence number that the server gave it; 0 until then. */
  readonly seq: number;
  /** It was written here, and the server has not answered yet: it is said again until it does. */
  readonly pending?: boolean | undefined;
  /** Why it will not go out by itself. */
  readonly failed?: Why | undefined;
}

export interface Transcript<Why = string> {
  /** By seq; those without one at the end, in the order of their making. */
  readonly entries: readonly Entry<Why>[];
  /**
   * From this seq on everything is here. What comes with a lower one waits for the page
   * that has it: shown alone, it would hide that something is missing between. Absent before the
   * first page.
   */
  readonly edge?: number | undefined;
  /** Whether the server has messages before the edge. */
  readonly more: boolean;
}

/** Before anything has come. */
export const NOTHING: Transcript<never> = { entries: [], more: false };

/** Takes a frame about the messages of this conversation. `before`: what the page was asked for. */
export function hear<T extends Transcript<unknown>>(
  transcript: T,
  frame: ServerFrame,
  before?: number,
): T {
  switch (frame.kind) {
    case 'message': {
      const { kind: _, conversation: __, ...message } = frame;
      return arrange(transcript, [message]);
    }
    case 'history':
      return takePage(transcript, frame, before);
    case 'void': {
      const { message, seq } = frame;
      return arrange(transcript, [], (entry) => entry.message === message && entry.seq === seq);
    }
    case 'forget':
      return forget(transcript, frame.messages);
    default:
      return transcript;
  }
}

/** Adds what was just written; what was refused before is on its way again. */
export function write<T extends Transcript<unknown>>(
  transcript: T,
  written: Omit<Message, 'seq' | 'expires'>,
): T {
  const { entries } = transcript;
  const known = entries.find((entry) => entry.message === written.message);
  if (known?.seq) return transcript;
  if (known) return change(transcript, written.message, { failed: undefined, pending: true });
  return {
    ...transcript,
    entries: [...entries, { ...written, seq: 0, expires: null, pending: true }],
  };
}

/** The server answered: it is stored, as what it kept of it. */
export function acknowledge<T extends Transcript<unknown>>(transcript: T, message: Message): T {
  return arrange(transcript, [{ ...message, pending: undefined }]);
}

/** The server refused it for good: it stands nowhere, and waits for whoever wrote it. */
export function refuse<T extends Transcript<Why>, Why>(
  transcript: T,
  message: MessageId,
  failed: Why,
): T {
  return change(transcript, message, { seq: 0, failed });
}

/** Drops what has no seq. */
export function discard<T extends Transcript<unknown>>(transcript: T, message: MessageId): T {
  return keep(transcript, (entry) => entry.message !== message || entry.seq > 0);
}

/** Drops what can no longer be read on this day. */
export function expire<T extends Transcript<unknown>>(transcript: T, today: number): T {
  return keep(transcript, (entry) => entry.expires === null || entry.expires > today);
}

/** The newest message that has a seq: what a client resumes from. */
export function newestEntry({ entries }: Transcript<unknown>): Entry<unknown> | undefined {
  return entries.findLast((entry) => entry.seq > 0);
}

/** Changes one message; it keeps its order among those without a seq. */
function change<T extends Transcript<unknown>>(
  transcript: T,
  message: MessageId,
  by: Partial<Entry<unknown>>,
): T {
  const change = (entry: Entry<unknown>): Entry<unknown> =>
    entry.message === message ? { ...entry, ...by } : entry;
  return { ...transcript, entries: inOrder(transcript.entries.map(change)) };
}

function keep<T extends Transcript<unknown>>(
  transcript: T,
  stays: (entry: Entry<unknown>) => boolean,
): T {
  const entries = transcript.entries.filter(stays);
  return entries.length === transcript.entries.length ? transcript : { ...transcript, entries };
}

/** Sorts in place. What is nearly in order, as here, costs one pass. */
function inOrder(entries: Entry<unknown>[]): Entry<unknown>[] {
  return entries.sort((one, other) => (one.seq || Infinity) - (other.seq || Infinity) || 0);
}

/**
 * Puts messages where the server says they belong. One that is known under another seq moves. What
 * stood under a seq that now belongs to another, and whatever else is `lost`, was never stored: it
 * loses its seq. One's own goes out again then; what others said is gone until they say it
 * again.
 */
function arrange<T extends Transcript<unknown>>(
  transcript: T,
  messages: readonly Entry<unknown>[],
  lost?: (entry: Entry<unknown>) => boolean,
): T {
  const { edge = 0, more } = transcript;
  const fresh = new Map(messages.map((one) => [one.message, one]));
  const seqs = new Set(messages.map((one) => one.seq));
  const entries: Entry<unknown>[] = [];
  const put = (entry: Entry<unknown>, leaves?: boolean): void => {
    const stays = entry.seq === 0 || !(leaves || (more && entry.seq < edge));
    if (stays || entry.pending) entries.push(stays ? entry : { ...entry, seq: 0 });
  };
  for (const entry of transcript.entries) {
    const message = fresh.get(entry.message);
    if (message) fresh.set(entry.message, { pending: entry.pending, ...message });
    else put(entry, seqs.has(entry.seq) || lost?.(entry));
  }
  fresh.forEach((entry) => put(entry));
  return { ...transcript, entries: inOrder(entries) };
}

function takePage<T extends Transcript<unknown>>(
  transcript: T,
  { messages, reset, more }: ServerHistory,
  before: number | undefined,
): T {
  // for others: begin
  // The answer to a question that was asked of another page: what stands between would be missing.
  if (before !== undefined && before !== transcript.edge) return transcript;
  // for others: end
  // A page that goes on behind what is here, after a resume, says nothing about what is before it.
  const goesOn =
    !reset && before === undefined && transcript.edge !== undefined && transcript.entries[0]?.seq;
  const edge = messages[0]?.seq ?? 0;
  return arrange(goesOn ? transcript : { ...transcript, edge, more }, messages, () => reset);
}

/** Erased: some messages, or all. */
function forget<T extends Transcript<unknown>>(
  transcript: T,
  messages: readonly MessageId[] | undefined,
): T {
  // for others: begin
  if (!messages) return { ...transcript, entries: [], edge: 0, more: false };
  // for others: end
  const gone = new Set(messages);
  return keep(transcript, (entry) => !gone.has(entry.message));
}
