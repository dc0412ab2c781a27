// What a visitor sees of their conversation, as a pure function of what happened.
//
// Lives here: the state, every input that changes it, and what can be read off it. Not here: the
// rules of a transcript (the shared `transcript.ts`), sockets, storage, tabs (`chat.ts`), the
// screen (`view/`). Every input may come twice, and from another tab.

import { mark } from '../../../protocol/ts/src/state/marks.ts';
import {
  NOTHING,
  acknowledge,
  discard,
  expire,
  hear,
  newestEntry,
  refuse,
  write,
} from '../../../protocol/ts/src/state/transcript.ts';
import type { Entry as AnyEntry, Transcript } from '../../../protocol/ts/src/state/transcript.ts';
import { dayOf } from '../../../protocol/ts/src/wire/days.ts';
import type {
  AgentCard,
  AgentId,
  Author,
  ConversationCard,
  ConversationId,
  MessageId,
  RejectCode,
  ServerFrame,
  SiteAvailability,
} from '../../../protocol/ts/src/wire/frames.ts';
import { TYPING_MS } from '../../../protocol/ts/src/wire/frames.ts';

export type Entry = AnyEntry<RejectCode>;

/** How the connection stands; `line` is its name in what tabs of other releases hear as well. */
export type Line = 'idle' | 'connecting' | 'online' | 'waiting' | 'stopped';

export interface ChatState extends Transcript<RejectCode> {
  line: Line;
  /** The connection broke and is not back yet, whatever attempt is under way. */
  lost: boolean;
  /** There never was one, after some attempts: something keeps it away. */
  blocked: boolean;
  availability: SiteAvailability;
  conversation?: ConversationId | undefined;
  card?: ConversationCard | undefined;
  /** Who writes, and until when that holds. */
  typing?: { agent: AgentId | undefined; until: number } | undefined;
  queue?: { position: number; wait_ms: number | undefined } | undefined;
  /** How far the visitor has read. */
  seen: number;
  /** Why the conversation could not be begun. */
  refused?: RejectCode | undefined;
}

export type Input =
  | { kind: 'line'; line: Line; blocked?: boolean }
  | { kind: 'availability'; availability: SiteAvailability }
  /** A conversation is the visitor's: a new one, or the one from before the reload. */
  | { kind: 'began'; conversation: ConversationId }
  /** Written, and not yet on the server. */
  | { kind: 'written'; message: MessageId; text: string; at: number }
  /**
   * Stored, with what was kept of its words; the tab that hears of it may have missed that it was
   * written.
   */
  | {
      kind: 'acked';
      conversation: ConversationId;
      message: MessageId;
      seq: number;
      at: number;
      expires: number | null;
      text: string;
    }
  | { kind: 'failed'; message: MessageId; why: RejectCode }
  | { kind: 'discarded'; message: MessageId }
  | { kind: 'refused'; why: RejectCode }
  | { kind: 'frame'; frame: ServerFrame; now: number }
  | { kind: 'read'; seq: number }
  | { kind: 'time'; now: number }
  /**
   * No conversation any more: it is gone, or the visitor begins anew; `all`: what could not be sent
   * goes as well.
   */
  | { kind: 'ended'; all?: boolean };

export function initial(availability: SiteAvailability): ChatState {
  return { line: 'idle', lost: false, blocked: false, availability, ...NOTHING, seen: 0 };
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
      return {
        ...state,
        line,
        lost,
        blocked,
        typing: line === 'online' ? state.typing : undefined,
      };
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
      return refuse(state, input.message, input.why);
    case 'discarded':
      return discard(state, input.message);
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
        ...emptied(state),
        entries: state.entries.filter(({ failed }) => failed && !input.all),
      };
    default:
      // Of a tab of a later release.
      return state;
  }
}

/**
 * What was only for a while is over: the typing indicator, and a message on the first day on which
 * it can no longer be read.
 */
function later(state: ChatState, now: number): ChatState {
  const over = state.typing !== undefined && state.typing.until <= now;
  return expire(over ? { ...state, typing: undefined } : state, dayOf(now));
}

function frame(state: ChatState, frame: ServerFrame, now: number): ChatState {
  if (frame.kind === 'availability') return { ...state, availability: frame.availability };
  if (frame.kind === 'conversation') return tookCard(state, frame.card);
  if (!('conversation' in frame) || frame.conversation !== state.conversation) return state;
  // A page that was asked for is the one before all that is here; one that comes by itself is not.
  const next = hear(state, frame, 'request' in frame && frame.request ? state.edge : undefined);
  switch (frame.kind) {
    case 'message':
      return frame.author.agent === state.typing?.agent ? { ...next, typing: undefined } : next;
    case 'forget':
      return frame.messages ? next : emptied(state);
    case 'typing':
      if (frame.author.kind === 'visitor') return state;
      return {
        ...state,
        typing: frame.typing ? { agent: frame.author.agent, until: now + TYPING_MS } : undefined,
      };
    case 'delivered':
    case 'seen':
      return tookReceipt(state, frame.author, frame.seq, frame.kind);
    case 'queue':
      // Where nobody is there, `availability` says when somebody comes.
      return {
        ...state,
        availability: frame.unserved ? 'unavailable' : state.availability,
        queue: { position: frame.position, wait_ms: frame.wait_ms },
      };
    default:
      return next;
  }
}

function written(
  state: ChatState,
  { kind: _, text, ...rest }: Extract<Input, { kind: 'written' }>,
): ChatState {
  return write(state, { ...rest, author: { kind: 'visitor' }, body: { kind: 'text', text } });
}

function acked(state: ChatState, input: Extract<Input, { kind: 'acked' }>): ChatState {
  const { kind: _, conversation, text, ...rest } = input;
  if (conversation !== state.conversation) return state;
  return acknowledge(state, { ...rest, author: { kind: 'visitor' }, body: { kind: 'text', text } });
}

function tookCard(state: ChatState, card: ConversationCard): ChatState {
  if (card.conversation !== state.conversation || (state.card && card.version < state.card.version))
    return state;
  const waits = card.state === 'queued' || card.state === 'offered';
  const position = card.position ?? state.queue?.position;
  const mine = card.marks.find(({ author }) => author.kind === 'visitor');
  return {
    ...state,
    card,
    seen: Math.max(state.seen, mine?.seen ?? 0),
    queue:
      waits && position !== undefined ? { position, wait_ms: state.queue?.wait_ms } : undefined,
    typing: card.state === 'active' ? state.typing : undefined,
    refused: undefined,
  };
}

function tookReceipt(
  state: ChatState,
  author: Author,
  seq: number,
  which: 'delivered' | 'seen',
): ChatState {
  if (author.kind === 'visitor')
    return which === 'seen' && seq > state.seen ? { ...state, seen: seq } : state;
  const { card } = state;
  return card
    ? { ...state, card: { ...card, marks: mark(card.marks, author, which, seq) } }
    : state;
}

/** How far a message of the visitor has come. */
export type Progress = 'sending' | 'failed' | 'sent' | 'delivered' | 'seen';

export function progress(state: ChatState, entry: Entry): Progress {
  if (entry.failed) return 'failed';
  if (entry.seq === 0) return 'sending';
  const others = (state.card?.marks ?? []).filter(({ author }) => author.kind !== 'visitor');
  if (others.some(({ seen }) => seen >= entry.seq)) return 'seen';
  return others.some(({ delivered }) => delivered >= entry.seq) ? 'delivered' : 'sent';
}

/** The newest seq of anything here; 0 where nothing has one. */
export function newest(state: ChatState): number {
  return newestEntry(state)?.seq ?? 0;
}

/** What others said and the visitor has not had on their screen. */
export function unread(state: ChatState): number {
  return state.entries.filter(
    ({ seq, author, body }) =>
      seq > state.seen && body.kind === 'text' && author.kind !== 'visitor',
  ).length;
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
export function isNext({ card, availability, queue }: ChatState): boolean {
  return card?.state === 'queued' && availability !== 'unavailable' && queue?.position === 1;
}
