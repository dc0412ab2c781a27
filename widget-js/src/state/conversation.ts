// What a visitor sees of their conversation, as a pure function of what happened.
//
// Lives here: the state, every input that changes it, and what can be read off it. Not here: sockets,
// storage, tabs (`chat.ts`), the screen (`view/`). Every input may come twice, and from another tab.

import type {
  AgentCard, AgentId, Author, Body, ConversationCard, ConversationId, Message, MessageId, RejectCode, ServerFrame, ServerHistory, SiteAvailability,
} from '../../../protocol/ts/src/wire/frames.ts';
import { TYPING_MS } from '../../../protocol/ts/src/wire/frames.ts';

/** One thing said, in its place or on its way to one. */
export interface Entry {
  message: MessageId;
  /** 0 until the server gave it a place. */
  seq: number;
  author: Author;
  at: number;
  body: Body;
  expires: number | null;
  /** Why it will not go out by itself. */
  failed?: RejectCode;
}

export type Line = 'idle' | 'connecting' | 'online' | 'waiting' | 'stopped';

export interface ChatState {
  line: Line;
  /** The line broke and is not back yet, whatever attempt is under way. */
  lost: boolean;
  /** There never was one, after some attempts: something keeps it away. */
  blocked: boolean;
  availability: SiteAvailability;
  conversation: ConversationId | undefined;
  card: ConversationCard | undefined;
  /** By place; those without one at the end, in the order of their making. */
  entries: readonly Entry[];
  /** Whether the server has earlier ones. */
  more: boolean;
  /** Who writes, and until when that holds. */
  typing: { agent: AgentId | undefined; until: number } | undefined;
  queue: { position: number; wait_ms: number | undefined } | undefined;
  /** How far the visitor has read. */
  seen: number;
  /** Why the conversation could not be begun. */
  refused: RejectCode | undefined;
}

export type Input =
  | { kind: 'line'; line: Line; blocked?: boolean }
  | { kind: 'availability'; availability: SiteAvailability }
  /** A conversation is the visitor's: a new one, or the one from before the reload. */
  | { kind: 'began'; conversation: ConversationId }
  /** Written, and not yet on the server. */
  | { kind: 'written'; message: MessageId; text: string; at: number }
  /** Stored, with what was kept of its words; the tab that hears of it may have missed that it was written. */
  | { kind: 'acked'; conversation: ConversationId; message: MessageId; seq: number; at: number; expires: number | null; text: string }
  | { kind: 'failed'; message: MessageId; why: RejectCode }
  | { kind: 'discarded'; message: MessageId }
  | { kind: 'refused'; why: RejectCode }
  | { kind: 'frame'; frame: ServerFrame; now: number }
  | { kind: 'read'; seq: number }
  | { kind: 'time'; now: number }
  /** No conversation any more: it is gone, or the visitor begins anew; `all`: what could not be sent goes as well. */
  | { kind: 'ended'; all?: boolean };

export function initial(availability: SiteAvailability): ChatState {
  return {
    line: 'idle', lost: false, blocked: false, availability, conversation: undefined, card: undefined, entries: [], more: false,
    typing: undefined, queue: undefined, seen: 0, refused: undefined,
  };
}

/** What is left where there is no conversation. */
function emptied({ availability, line, lost, blocked }: ChatState): ChatState {
  return { ...initial(availability), line, lost, blocked };
}

export function reduce(state: ChatState, input: Input): ChatState {
  switch (input.kind) {
    case 'line': {
      const { line, blocked = false } = input;
      const lost = line === 'waiting' || (line === 'connecting' && state.lost);
      return { ...state, line, lost, blocked, typing: line === 'online' ? state.typing : undefined };
    }
    case 'availability':
      return { ...state, availability: input.availability };
    case 'began':
      if (state.conversation === input.conversation) return state;
      return { ...emptied(state), conversation: input.conversation };
    case 'written':
      return written(state, input);
    case 'acked':
      return acked(state, input);
    case 'failed':
      return each(state, input.message, (entry) => ({ ...entry, failed: input.why }));
    case 'discarded':
      return { ...state, entries: state.entries.filter((entry) => entry.message !== input.message || entry.seq > 0) };
    case 'refused':
      return { ...state, refused: input.why };
    case 'frame':
      return frame(state, input.frame, input.now);
    case 'read':
      return input.seq > state.seen ? { ...state, seen: input.seq } : state;
    case 'time':
      return later(state, input.now);
    case 'ended':
      return {
        ...emptied(state), entries: input.all ? [] : state.entries.filter((entry) => entry.failed),
      };
    default:
      // Of a tab of a later release.
      return state;
  }
}

/** Day 0 of `expires`. */
const DAY_0 = Date.UTC(2020, 0, 1);

/** What was only for a while is over: a mark of typing, and a message on the first day on which it can no longer be read. */
function later(state: ChatState, now: number): ChatState {
  const today = Math.floor((now - DAY_0) / 86_400_000);
  const gone = ({ expires }: Entry): boolean => expires !== null && expires <= today;
  const over = state.typing !== undefined && state.typing.until <= now;
  if (!over && !state.entries.some(gone)) return state;
  return { ...state, typing: over ? undefined : state.typing, entries: state.entries.filter((entry) => !gone(entry)) };
}

function frame(state: ChatState, frame: ServerFrame, now: number): ChatState {
  if (frame.kind === 'availability') return { ...state, availability: frame.availability };
  if (frame.kind === 'conversation') return took_card(state, frame.card);
  if (!('conversation' in frame) || frame.conversation !== state.conversation) return state;
  switch (frame.kind) {
    case 'message': {
      const next = place(state, [frame]);
      const ends = state.typing !== undefined && frame.author.agent === state.typing.agent;
      return ends ? { ...next, typing: undefined } : next;
    }
    case 'history':
      return took_page(state, frame);
    case 'void':
      return voided(state, frame.message, frame.seq);
    case 'forget':
      return forgot(state, frame.messages);
    case 'typing':
      if (frame.author.kind === 'visitor') return state;
      return { ...state, typing: frame.typing ? { agent: frame.author.agent, until: now + TYPING_MS } : undefined };
    case 'delivered':
    case 'seen':
      return took_mark(state, frame.author, frame.seq, frame.kind);
    case 'queue':
      // Where nobody is there, `availability` says when somebody comes.
      return {
        ...state, availability: frame.unserved ? 'unavailable' : state.availability,
        queue: { position: frame.position, wait_ms: frame.wait_ms },
      };
    default:
      return state;
  }
}

function written(state: ChatState, input: Extract<Input, { kind: 'written' }>): ChatState {
  const known = state.entries.find((entry) => entry.message === input.message);
  if (known) {
    return known.failed ? each(state, input.message, ({ failed: _, ...entry }) => entry) : state;
  }
  const entry: Entry = {
    message: input.message, seq: 0, author: { kind: 'visitor' }, at: input.at,
    body: { kind: 'text', text: input.text }, expires: null,
  };
  return { ...state, refused: undefined, entries: [...state.entries, entry] };
}

function acked(state: ChatState, input: Extract<Input, { kind: 'acked' }>): ChatState {
  const { conversation, message, seq, at, expires, text } = input;
  if (conversation !== state.conversation) return state;
  if (state.entries.some((entry) => entry.message === message && entry.seq === seq)) return state;
  const oldest = state.entries.find((entry) => entry.seq > 0);
  // Before all that is here: an earlier page brings it, with what stands between.
  if (state.more && oldest && seq < oldest.seq) return reduce(state, { kind: 'discarded', message });
  return place(state, [{ message, seq, author: { kind: 'visitor' }, at, body: { kind: 'text', text }, expires }]);
}

function each(state: ChatState, message: MessageId, change: (entry: Entry) => Entry): ChatState {
  return { ...state, entries: state.entries.map((entry) => (entry.message === message ? change(entry) : entry)) };
}

/**
 * Puts messages where the server says they belong. One that is known at another place moves; one that
 * stood in a place that now belongs to another was never stored, and goes.
 */
function place(state: ChatState, messages: readonly (Message | Entry)[]): ChatState {
  const ids = new Set(messages.map((message) => message.message));
  const places = new Set(messages.map((message) => message.seq));
  const kept = state.entries.filter((entry) => !ids.has(entry.message) && (entry.seq === 0 || !places.has(entry.seq)));
  const placed = [...kept.filter((entry) => entry.seq > 0), ...messages.map(entry_of)];
  placed.sort((one, other) => one.seq - other.seq);
  return { ...state, entries: [...placed, ...kept.filter((entry) => entry.seq === 0)] };
}

function entry_of({ message, seq, author, at, body, expires }: Message | Entry): Entry {
  return { message, seq, author, at, body, expires };
}

function took_page(state: ChatState, { request, messages, reset, more }: ServerHistory): ChatState {
  // What a reset page does not have is no longer there, or an earlier page brings it again.
  const base = reset ? { ...state, entries: state.entries.filter((entry) => entry.seq === 0) } : state;
  const oldest = base.entries.find((entry) => entry.seq > 0);
  const first = messages[0];
  // After a resume, with nothing new or with something, it says nothing about earlier ones; asked for, it does.
  const leads = !oldest || (first ? first.seq <= oldest.seq : request !== 0);
  return { ...place(base, messages), more: leads ? more : state.more };
}

function voided(state: ChatState, message: MessageId, seq: number): ChatState {
  const entry = state.entries.find((entry) => entry.message === message && entry.seq === seq);
  if (!entry) return state;
  const others = state.entries.filter((other) => other !== entry);
  // One's own waits for its next try; what others said is gone until they say it again.
  return { ...state, entries: entry.author.kind === 'visitor' ? [...others, { ...entry, seq: 0 }] : others };
}

function forgot(state: ChatState, messages: readonly MessageId[] | undefined): ChatState {
  if (!messages) return emptied(state);
  return { ...state, entries: state.entries.filter((entry) => !messages.includes(entry.message)) };
}

function took_card(state: ChatState, card: ConversationCard): ChatState {
  if (card.conversation !== state.conversation || (state.card && card.version < state.card.version)) return state;
  const waits = card.state === 'queued' || card.state === 'offered';
  const position = card.position ?? state.queue?.position;
  const mine = card.marks.find((mark) => mark.author.kind === 'visitor');
  return {
    ...state,
    card,
    seen: Math.max(state.seen, mine?.seen ?? 0),
    queue: waits && position !== undefined ? { position, wait_ms: state.queue?.wait_ms } : undefined,
    typing: card.state === 'active' ? state.typing : undefined,
    refused: undefined,
  };
}

function took_mark(state: ChatState, author: Author, seq: number, mark: 'delivered' | 'seen'): ChatState {
  if (author.kind === 'visitor') return mark === 'seen' && seq > state.seen ? { ...state, seen: seq } : state;
  if (!state.card) return state;
  const same = (one: Author): boolean => one.kind === author.kind && one.agent === author.agent;
  const former = state.card.marks.find((one) => same(one.author)) ?? { author, delivered: 0, seen: 0 };
  const next = { ...former, [mark]: Math.max(former[mark], seq) };
  const marks = [...state.card.marks.filter((one) => !same(one.author)), next];
  return { ...state, card: { ...state.card, marks } };
}

/** How far a message of the visitor has come. */
export type Progress = 'sending' | 'failed' | 'sent' | 'delivered' | 'seen';

export function progress(state: ChatState, entry: Entry): Progress {
  if (entry.failed) return 'failed';
  if (entry.seq === 0) return 'sending';
  const others = (state.card?.marks ?? []).filter((mark) => mark.author.kind !== 'visitor');
  if (others.some((mark) => mark.seen >= entry.seq)) return 'seen';
  return others.some((mark) => mark.delivered >= entry.seq) ? 'delivered' : 'sent';
}

/** The newest place of anything here; 0 where nothing has one. */
export function newest(state: ChatState): number {
  return state.entries.findLast((entry) => entry.seq > 0)?.seq ?? 0;
}

/** What others said and the visitor has not had on their screen. */
export function unread(state: ChatState): number {
  return state.entries.filter(({ seq, author, body }) =>
    seq > state.seen && body.kind === 'text' && (author.kind === 'agent' || author.kind === 'bot')).length;
}

/** Whether anything is on its way. */
export function waits(state: ChatState): boolean {
  return state.entries.some((entry) => entry.seq === 0 && !entry.failed);
}

/** The agent with this id, as far as the visitor knows them. */
export function agent(state: ChatState, id: AgentId | undefined): AgentCard | undefined {
  return state.card?.agents.find((agent) => agent.agent === id);
}

/** Whether somebody is there to answer them next. */
export function is_next({ card, availability, queue }: ChatState): boolean {
  return card?.state === 'queued' && availability !== 'unavailable' && queue?.position === 1;
}
