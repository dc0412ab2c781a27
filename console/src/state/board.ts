// What the agent's board shows: conversations, colleagues, offers, and who is writing.
//
// Pure: (board, input) -> board. Not here: the messages themselves (thread.ts), the socket, the
// clock.

import { mark, sameAuthor } from '../../../protocol/ts/src/state/marks.ts';
import type {
  AgentCard,
  AgentId,
  Author,
  ConversationCard,
  ConversationId,
  ServerFrame,
  TagId,
} from '../../../protocol/ts/src/wire/frames.ts';
import { TYPING_MS } from '../../../protocol/ts/src/wire/frames.ts';
import { isLoaded } from './thread.ts';
import type { Thread } from './thread.ts';

/** A conversation for this agent, until the deadline. */
export interface Offer {
  readonly conversation: ConversationId;
  /** On the server's clock. */
  readonly deadline: number;
  /** When it came, on the same clock. */
  readonly came: number;
  readonly transfer_from: AgentId | null;
  /**
   * The visitor's newest words as they came with it: what a colleague said, aloud or in a note, is
   * nothing the visitor asks.
   */
  readonly words: string | null;
}

export interface Typist {
  readonly author: Author;
  /** On the server's clock. */
  readonly until: number;
}

/**
 * A card; the last message is a note where a note was heard since the card came, which itself tells
 * what is for everyone.
 */
export type Card = ConversationCard & { readonly note?: boolean };

export interface Board {
  /** Whether the snapshot has come. */
  readonly loaded: boolean;
  readonly cards: ReadonlyMap<ConversationId, Card>;
  readonly agents: ReadonlyMap<AgentId, AgentCard>;
  readonly offers: ReadonlyMap<ConversationId, Offer>;
  readonly typing: ReadonlyMap<ConversationId, readonly Typist[]>;
  /** Transfers that came to nothing, until the conversation goes on: who did not take them. */
  readonly untaken: ReadonlyMap<ConversationId, AgentId>;
  /** What of the board has not come yet, as the server counted when its newest part came. */
  readonly beyond: {
    readonly next: string;
    readonly live: number;
    readonly waiting: number;
  } | null;
}

export const EMPTY_BOARD: Board = {
  loaded: false,
  cards: new Map(),
  agents: new Map(),
  offers: new Map(),
  typing: new Map(),
  untaken: new Map(),
  beyond: null,
};

export type BoardInput =
  | { readonly kind: 'frame'; readonly frame: ServerFrame; readonly now: number }
  /** A conversation that REST showed. */
  | { readonly kind: 'card'; readonly card: ConversationCard }
  /** This agent's own receipt, before the server has heard of it. */
  | {
      readonly kind: 'own-receipt';
      readonly conversation: ConversationId;
      readonly agent: AgentId;
      readonly seq: number;
    }
  | { readonly kind: 'own-card'; readonly card: AgentCard }
  /**
   * This agent takes a transfer back, before the server has heard of it: then nobody refused it.
   */
  | { readonly kind: 'withdrawn'; readonly conversation: ConversationId }
  | {
      readonly kind: 'tags';
      readonly conversation: ConversationId;
      readonly tags: readonly TagId[];
    }
  | { readonly kind: 'tick'; readonly now: number };

const PREVIEW_CHARS_MAX = 140;

export function reduceBoard(board: Board, input: BoardInput): Board {
  switch (input.kind) {
    case 'frame':
      return heard(board, input.frame, input.now);
    case 'card':
      return withCard(board, input.card);
    case 'own-card':
      return withAgent(board, input.card);
    case 'withdrawn':
      return changed(board, input.conversation, ({ offered_to: _, ...card }) => card);
    case 'tags':
      return changed(board, input.conversation, (card) => ({ ...card, tags: input.tags }));
    case 'own-receipt':
      return marked(
        board,
        input.conversation,
        { kind: 'agent', agent: input.agent },
        'seen',
        input.seq,
      );
    case 'tick':
      return ticked(board, input.now);
  }
}

function heard(board: Board, frame: ServerFrame, now: number): Board {
  switch (frame.kind) {
    case 'board': {
      const beyond =
        frame.next === undefined
          ? null
          : { next: frame.next, live: frame.live ?? 0, waiting: frame.waiting ?? 0 };
      if (frame.after !== undefined)
        return frame.conversations.reduce(withCard, { ...board, beyond });
      const cards = new Map<ConversationId, ConversationCard>();
      // What is over is not in the snapshot, but a screen may still show it.
      for (const [id, card] of board.cards) if (card.state === 'closed') cards.set(id, card);
      // The snapshot is the truth, whatever version was here: a server that crashed may count one
      // again.
      for (const card of frame.conversations) cards.set(card.conversation, card);
      const agents = new Map(frame.agents.map((card) => [card.agent, card]));
      const offers = new Map(
        [...board.offers].filter(([id, offer]) => offer.deadline > now && cards.has(id)),
      );
      return {
        ...board,
        loaded: true,
        beyond,
        cards,
        agents,
        offers,
        typing: new Map(),
        untaken: untakenAfter(board, frame.conversations),
      };
    }
    case 'conversation': {
      const next = { ...withCard(board, frame.card), untaken: untakenAfter(board, [frame.card]) };
      const offer = next.offers.get(frame.card.conversation);
      // A transfer is offered while the giver still has it; any other offer ends with the state.
      const over =
        offer !== undefined &&
        (frame.card.state === 'closed' ||
          frame.card.state === 'queued' ||
          frame.card.state === 'snoozed');
      return over ? withoutOffer(next, frame.card.conversation) : next;
    }
    case 'agent':
      return withAgent(board, frame.card);
    case 'offer': {
      const next = withCard(board, frame.card);
      const known = next.offers.get(frame.conversation);
      const offers = new Map(next.offers);
      offers.set(frame.conversation, {
        conversation: frame.conversation,
        deadline: frame.deadline,
        // A connection that came back brings it again.
        came: known?.deadline === frame.deadline ? known.came : now,
        transfer_from: frame.transfer_from ?? null,
        words: frame.card.last_author?.kind === 'visitor' ? (frame.card.preview ?? null) : null,
      });
      return { ...next, offers };
    }
    case 'offer-over':
      return withoutOffer(board, frame.conversation);
    case 'presence':
      return changed(board, frame.conversation, (card) => {
        const visitor = frame.visitor ?? card.visitor;
        return visitor === undefined
          ? card
          : { ...card, visitor: { ...card.visitor, ...visitor, presence: frame.presence } };
      });
    case 'message': {
      const next = changed(board, frame.conversation, (card) => {
        if (frame.seq < card.seq_last) return card;
        const spoken =
          frame.body.kind === 'text'
            ? {
                preview: clip(frame.body.text),
                last_author: frame.author,
                note: frame.visibility === 'agents',
              }
            : {};
        return { ...card, seq_last: frame.seq, last_message_at: frame.at, ...spoken };
      });
      return withTyping(
        frame.author.kind === 'agent' ? goneOn(next, frame.conversation) : next,
        frame.conversation,
        frame.author,
        null,
      );
    }
    case 'typing':
      return withTyping(
        board,
        frame.conversation,
        frame.author,
        frame.typing ? now + TYPING_MS : null,
      );
    case 'delivered':
      return marked(board, frame.conversation, frame.author, 'delivered', frame.seq);
    case 'seen':
      return marked(board, frame.conversation, frame.author, 'seen', frame.seq);
    case 'forget': {
      if (frame.messages !== undefined) {
        return changed(board, frame.conversation, ({ preview: _, ...card }) => card);
      }
      const cards = new Map(board.cards);
      cards.delete(frame.conversation);
      return goneOn(withoutOffer({ ...board, cards }, frame.conversation), frame.conversation);
    }
    default:
      return board;
  }
}

function clip(text: string): string {
  return text.length > PREVIEW_CHARS_MAX ? `${text.slice(0, PREVIEW_CHARS_MAX)}…` : text;
}

/** The newer of two cards; receipts never go back. */
function newer(known: ConversationCard | undefined, card: ConversationCard): ConversationCard {
  if (known === undefined) return card;
  if (card.version < known.version) return known;
  const marks = known.marks.reduce(
    (marks, { author, delivered, seen }) =>
      mark(mark(marks, author, 'delivered', delivered), author, 'seen', seen),
    card.marks,
  );
  // An event message has no preview: then the words before it stay the last ones.
  const spoken =
    card.preview === undefined && known.preview !== undefined
      ? {
          preview: known.preview,
          ...(known.last_author === undefined ? {} : { last_author: known.last_author }),
        }
      : {};
  return { ...card, ...spoken, marks, seq_last: Math.max(card.seq_last, known.seq_last) };
}

function withCard(board: Board, card: ConversationCard): Board {
  const known = board.cards.get(card.conversation);
  const next = newer(known, card);
  if (next === known) return board;
  const cards = new Map(board.cards);
  cards.set(card.conversation, next);
  return { ...board, cards };
}

function changed(
  board: Board,
  id: ConversationId,
  change: (card: ConversationCard) => ConversationCard,
): Board {
  const known = board.cards.get(id);
  if (known === undefined) return board;
  const next = change(known);
  if (next === known) return board;
  const cards = new Map(board.cards);
  cards.set(id, next);
  return { ...board, cards };
}

function withAgent(board: Board, card: AgentCard): Board {
  const agents = new Map(board.agents);
  // What is not there any more is as much news as what is: who chose has no cause for it.
  const { availability_cause: _, ...known } = agents.get(card.agent) ?? card;
  agents.set(card.agent, { ...known, ...card });
  return { ...board, agents };
}

function withoutOffer(board: Board, id: ConversationId): Board {
  if (!board.offers.has(id)) return board;
  const offers = new Map(board.offers);
  offers.delete(id);
  return { ...board, offers };
}

/** A transfer that ends with the conversation where it was came to nothing. */
function untakenAfter(board: Board, cards: readonly ConversationCard[]): Board['untaken'] {
  const next = new Map(board.untaken);
  let moved = false;
  for (const card of cards) {
    const known = board.cards.get(card.conversation);
    if (known === undefined || card.version < known.version) continue;
    const stays =
      card.state === 'active' &&
      card.assignee !== undefined &&
      card.assignee === known.assignee &&
      card.offered_to === undefined;
    if (!stays) moved = next.delete(card.conversation) || moved;
    else if (known.offered_to !== undefined) {
      next.set(card.conversation, known.offered_to);
      moved = true;
    }
  }
  return moved ? next : board.untaken;
}

/** Who has the conversation writes on: that nobody took it is no news any more. */
function goneOn(board: Board, id: ConversationId): Board {
  if (!board.untaken.has(id)) return board;
  const untaken = new Map(board.untaken);
  untaken.delete(id);
  return { ...board, untaken };
}

/** Clocks differ by about this much. */
const CLOCK_MS = 1_000;

/**
 * Offers that ran out between two boards; not those that were answered in time, here or in another
 * window, or taken back.
 */
export function missedOffers(
  before: Board,
  after: Board,
  now: number,
  me: AgentId | null,
): readonly ConversationCard[] {
  if (before.offers === after.offers) return [];
  return [...before.offers.values()]
    .filter((offer) => !after.offers.has(offer.conversation) && now >= offer.deadline - CLOCK_MS)
    .map((offer) => after.cards.get(offer.conversation))
    .filter((card) => card !== undefined)
    .filter((card) => card.state !== 'closed' && card.assignee !== me);
}

/** Own transfers that came to nothing between two boards. */
export function refusedTransfers(
  before: Board,
  after: Board,
  me: AgentId | null,
): readonly { readonly card: ConversationCard; readonly by: AgentId }[] {
  if (before.untaken === after.untaken) return [];
  const refused: { readonly card: ConversationCard; readonly by: AgentId }[] = [];
  for (const [id, by] of after.untaken) {
    const card = after.cards.get(id);
    if (before.untaken.get(id) !== by && card !== undefined && isMine(card, me))
      refused.push({ card, by });
  }
  return refused;
}

function marked(
  board: Board,
  id: ConversationId,
  author: Author,
  which: 'delivered' | 'seen',
  seq: number,
): Board {
  return changed(board, id, (card) => {
    const marks = mark(card.marks, author, which, seq);
    return marks === card.marks ? card : { ...card, marks };
  });
}

function withTyping(board: Board, id: ConversationId, author: Author, until: number | null): Board {
  const before = board.typing.get(id) ?? [];
  const others = before.filter((one) => !sameAuthor(one.author, author));
  if (until === null && others.length === before.length) return board;
  const typing = new Map(board.typing);
  const typists = until === null ? others : [...others, { author, until }];
  if (typists.length === 0) typing.delete(id);
  else typing.set(id, typists);
  return { ...board, typing };
}

function ticked(board: Board, now: number): Board {
  let next = board;
  for (const [id, typists] of board.typing) {
    for (const { author, until } of typists)
      if (until <= now) next = withTyping(next, id, author, null);
  }
  for (const [id, offer] of board.offers)
    if (offer.deadline + OFFER_GRACE_MS <= now) next = withoutOffer(next, id);
  return next;
}

/**
 * After its deadline an offer waits so long for the server's word that it is over, and no longer.
 */
const OFFER_GRACE_MS = 3_000;

export function isAgent(author: Author | undefined, agent: AgentId | null): boolean {
  return (
    author !== undefined && agent !== null && author.kind === 'agent' && author.agent === agent
  );
}

/** How many messages of others this agent has not had on their screen. */
export function unreadCount(card: ConversationCard, me: AgentId | null, thread?: Thread): number {
  const seen = card.marks.find((one) => isAgent(one.author, me))?.seen ?? 0;
  if (thread !== undefined && isLoaded(thread)) {
    let count = 0;
    for (let at = thread.entries.length - 1; at >= 0; at -= 1) {
      const entry = thread.entries[at];
      if (entry === undefined || (entry.seq > 0 && entry.seq <= seen)) break;
      if (entry.body.kind === 'text' && !isAgent(entry.author, me)) count += 1;
    }
    return count;
  }
  // Without the messages at hand it is a difference of seqs, where the last word was another's.
  if (card.last_author === undefined || isAgent(card.last_author, me)) return 0;
  return Math.max(0, card.seq_last - seen);
}

/** How far the visitor has come. */
export function visitorMarks(card: ConversationCard | undefined): {
  delivered: number;
  seen: number;
} {
  const receipt = card?.marks.find((one) => one.author.kind === 'visitor');
  return { delivered: receipt?.delivered ?? 0, seen: receipt?.seen ?? 0 };
}

export type Tab = 'mine' | 'waiting' | 'all';

export function isWaiting(card: ConversationCard): boolean {
  return card.state === 'queued' || card.state === 'offered';
}

/**
 * How many of those who wait are followed live, so that one sees what they say before taking them.
 */
const FOLLOWED_WAITING_MAX = 40;
/** And how many conversations in all; a connection may be in 256 rooms. */
const FOLLOWED_MAX = 200;

/**
 * The conversations whose messages this agent wants as they are said: their own, those offered
 * to them, the first in the queue.
 */
export function followed(board: Board, me: AgentId | null): Set<ConversationId> {
  const ids = new Set<ConversationId>(board.offers.keys());
  for (const card of board.cards.values()) if (isMine(card, me)) ids.add(card.conversation);
  for (const card of listed(board, 'waiting', me).slice(0, FOLLOWED_WAITING_MAX))
    ids.add(card.conversation);
  return new Set([...ids].slice(0, FOLLOWED_MAX));
}

export function isMine(card: ConversationCard, me: AgentId | null): boolean {
  return card.assignee === me && card.state !== 'closed' && me !== null;
}

/** The conversations of a tab, in the order in which an agent should see to them. */
export function listed(board: Board, tab: Tab, me: AgentId | null): ConversationCard[] {
  const all = [...board.cards.values()];
  switch (tab) {
    case 'mine':
      return all.filter((card) => isMine(card, me)).sort(byNewest);
    case 'waiting':
      return all.filter(isWaiting).sort(byWaiting);
    case 'all':
      return all.filter((card) => card.state !== 'closed').sort(byNewest);
  }
}

function byNewest(a: ConversationCard, b: ConversationCard): number {
  return (
    (b.last_message_at ?? b.created_at) - (a.last_message_at ?? a.created_at) ||
    (a.conversation < b.conversation ? -1 : 1)
  );
}

/**
 * As the queue stands. A card's own position is that of the day it last changed: those ahead may
 * have gone since. Who was given back is as old as the oldest, and then their position, the first,
 * decides.
 */
function byWaiting(a: ConversationCard, b: ConversationCard): number {
  return (
    (a.waiting_since ?? a.created_at) - (b.waiting_since ?? b.created_at) ||
    (a.position ?? 0) - (b.position ?? 0) ||
    (a.conversation < b.conversation ? -1 : 1)
  );
}
