// The store: what this console knows of the agent's work, and its one connection to the server.
//
// Lives here: signals for the view, the objects that do one part each, and how they are tied
// together. Not here: what the agent does (acts.ts), how a board or a thread changes (board.ts,
// thread.ts, both pure), how a connection is kept (the wire's socket), how anything looks.

import { batch, computed, signal } from '@preact/signals';
import { dayOf } from '../../../protocol/ts/src/wire/days.ts';
import * as wire from '../../../protocol/ts/src/wire/frames.ts';
import type {
  ConversationId,
  Message,
  MessageId,
  ResumePoint,
  ServerFrame,
  Visibility,
} from '../../../protocol/ts/src/wire/frames.ts';
import { messageId } from '../../../protocol/ts/src/wire/ids.ts';
import { Socket } from '../../../protocol/ts/src/wire/socket.ts';
import type { Answer, ConnectionState } from '../../../protocol/ts/src/wire/socket.ts';
import { newestEntry } from '../../../protocol/ts/src/state/transcript.ts';
import { rejectSentence, t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import { EMPTY_BOARD, followed, isAgent, isMine, reduceBoard, unreadCount } from './board.ts';
import type { Board, BoardInput, Offer } from './board.ts';
import { serverNow, setServerTime } from './clock.ts';
import { Closings } from './closings.ts';
import { Composing } from './composing.ts';
import { Follower } from './follower.ts';
import { composerCalled, hasKeys, isStepping, restKeys, STEPPING } from './keyboard.ts';
import { forgetStored } from './tab_storage.ts';
import { News } from './news.ts';
import { dismissAll, tell } from './notices.ts';
import { Outbox } from './outbox.ts';
import type { Unsent } from './outbox.ts';
import { me, sessionIsOver } from './session.ts';
import { play } from './sound.ts';
import { EMPTY_THREAD, newestSeq, reduceThread } from './thread.ts';
import type { Thread, ThreadInput } from './thread.ts';
import { visitorName } from './visitor.ts';

export const connection = signal<ConnectionState>({ kind: 'idle' });
export const board = signal<Board>(EMPTY_BOARD);
export const threads = signal<ReadonlyMap<ConversationId, Thread>>(new Map());
/** The conversation on the screen. */
export const opened = signal<ConversationId | null>(null);
export const textCharsMax = signal(wire.TEXT_CHARS_MAX);

/** This agent's own card. */
export const ownCard = computed(() => {
  const id = me.value;
  return id === null ? undefined : board.value.agents.get(id);
});

/** The oldest first: it is the one that is shown, and the one that a key accepts. */
export const offers = computed(() =>
  [...board.value.offers.values()].sort((a, b) => a.came - b.came || a.deadline - b.deadline),
);

/** What waits for this agent: offers, and their conversations with something unread. */
export const attention = computed(() => {
  let count = board.value.offers.size;
  for (const card of board.value.cards.values())
    if (isMine(card, me.value) && unreadOf(card) > 0) count += 1;
  return count;
});

/** What the visitor of an offer said last, where that is known. */
export function visitorWords(offer: Offer): string | null {
  const entries = threads.value.get(offer.conversation)?.entries ?? [];
  for (let at = entries.length - 1; at >= 0; at -= 1) {
    const entry = entries[at];
    if (entry?.author.kind === 'visitor' && entry.body.kind === 'text') return entry.body.text;
  }
  return offer.words;
}

/** What this agent has not read of a conversation. */
export function unreadOf(card: wire.ConversationCard): number {
  return unreadCount(card, me.value, threads.value.get(card.conversation));
}

const OFFER_SOUND_EVERY_MS = 8_000;
/**
 * The board comes in parts; so many live cards are enough to work with, and the first parts have
 * what is most urgent.
 */
const BOARD_CARDS_MAX = 2_000;

let socket: Socket | null = null;
let offerSoundAt = 0;

/** The socket, while it is online. */
const online = (): Socket | null => (connection.value.kind === 'online' ? socket : null);

const composing = new Composing(online);
export const { composers } = composing;

const outbox = new Outbox({
  line: online,
  written: (id, unsent) => {
    const agent = me.value;
    if (agent !== null) toThread(id, { kind: 'written', unsent, agent });
  },
  stored,
  refused: (id, message, words) => toThread(id, { kind: 'refused', message, words }),
  answered: takeIn,
});

const follower = new Follower({
  line: online,
  wanted,
  resume: resumeFrom,
  beyond: () => {
    const { beyond, cards } = board.value;
    if (beyond === null) return null;
    let live = 0;
    for (const { state } of cards.values()) if (state !== 'closed') live += 1;
    return live < BOARD_CARDS_MAX ? beyond.next : null;
  },
  edge: (id) => {
    const thread = threads.value.get(id);
    return opened.value === id && thread?.more === true ? (thread.edge ?? null) : null;
  },
  heard: takeAnswer,
  absent: (id, absent) => toThread(id, { kind: 'absent', absent }),
  refused: (reject) => tell(rejectSentence(reject.code, reject.words), 'bad'),
  dropped: (watched) => {
    if ([...threads.value.keys()].every((id) => watched.has(id))) return;
    threads.value = new Map([...threads.value].filter(([id]) => watched.has(id)));
  },
});

export const closings = new Closings({
  close: (id) => void act((live) => live.ask(wire.CLIENT_CLOSE, { conversation: id })),
  undone: (id) => {
    if (opened.value === id) writeOn();
  },
});

export const news = new News(() => void chooseAvailability('available'));

/** Opens the connection for the agent who is signed in. */
export function startStore(): void {
  stopStore();
  composing.restore();
  outbox.restore();
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  socket = new Socket({
    url: `${scheme}://${location.host}/v1/socket`,
    hears: wire.SERVER_FRAMES,
    hello: () => ({
      role: 'agent',
      client: 'console/0.1.0',
      locale: navigator.language,
      resume: [],
    }),
    onWelcome: welcomed,
    onFrame: arrived,
    onState: (state) => {
      connection.value = state;
      // No session, or one that ended.
      if (state.kind === 'stopped' && state.code === wire.CLOSE_NOT_AUTHENTICATED) sessionIsOver();
    },
    onRefused: (reject) => tell(rejectSentence(reject.code, reject.words), 'bad'),
  });
  socket.start();
}

/** A page that is hidden now gets no picture for what came before. */
export function watchHiding(): void {
  document.addEventListener('visibilitychange', takeIn);
}

/** Closes the connection and forgets all that came over it. */
export function stopStore(): void {
  socket?.stop();
  socket = null;
  pending = [];
  for (const id of closings.all) closings.keepOpen(id);
  for (const part of [follower, outbox, news]) part.stop();
  batch(() => {
    composing.stop();
    connection.value = { kind: 'idle' };
    board.value = EMPTY_BOARD;
    threads.value = new Map();
  });
}

/**
 * Nobody is signed in any more. Whoever signed out themselves takes what was unsent along: the next
 * agent on this machine must not find it. A session that merely ended leaves it for the same agent,
 * who comes back.
 */
export function clearStore(signedOut: boolean): void {
  stopStore();
  if (signedOut) forgetStored();
  dismissAll();
  opened.value = null;
}

/** After the server said to stop, at the agent's wish. */
export function reconnect(): void {
  if (connection.value.kind === 'waiting') socket?.probe();
  else socket?.start();
}

/** Once a second. */
export function tickStore(at: number): void {
  toBoard({ kind: 'tick', now: at });
  follower.watchBeyond();
  if (board.value.offers.size > 0 && at - offerSoundAt >= OFFER_SOUND_EVERY_MS) {
    offerSoundAt = at;
    play('offer');
  }
  const today = dayOf(at);
  for (const id of threads.value.keys()) toThread(id, { kind: 'expired', today });
}

// What comes in

export function toBoard(input: BoardInput): void {
  const before = board.value;
  const after = reduceBoard(before, input);
  board.value = after;
  news.tellChanges(before, after);
  for (const id of closings.all) {
    const [was, is] = [before.cards.get(id), after.cards.get(id)];
    // It has ended otherwise, or is another's: what was meant of it then is not meant of what it is
    // now.
    if (is === undefined || is.state === 'closed' || is.assignee !== was?.assignee)
      closings.keepOpen(id);
  }
}

function toThread(id: ConversationId, input: ThreadInput): void {
  const before = threads.value.get(id) ?? EMPTY_THREAD;
  const after = reduceThread(before, input);
  if (after !== before) threads.value = new Map(threads.value).set(id, after);
}

function welcomed(welcome: wire.ServerWelcome): void {
  takeIn();
  setServerTime(welcome.now);
  textCharsMax.value = welcome.limits.text_chars_max;
  if (welcome.agent !== undefined) toBoard({ kind: 'own-card', card: welcome.agent });
  // Before the board, which brings the drafts as the server has them.
  composing.resume();
  follower.begin();
  outbox.resume();
}

/** What this agent hears live. */
function wanted(): ReadonlySet<ConversationId> {
  const ids = followed(board.value, me.value);
  if (opened.value !== null) ids.add(opened.value);
  for (const id of threads.value.keys()) if (outbox.has(id)) ids.add(id);
  return ids;
}

/** Where a conversation goes on; from here on there is a thread of it. */
function resumeFrom(id: ConversationId): ResumePoint {
  const thread = threads.value.get(id);
  if (thread === undefined) threads.value = new Map(threads.value).set(id, EMPTY_THREAD);
  const last = newestEntry(thread ?? EMPTY_THREAD);
  return last === undefined
    ? { conversation: id, seq: 0 }
    : { conversation: id, seq: last.seq, message: last.message, at: last.at };
}

/** Frames that came and are not on the board yet. */
let pending: ServerFrame[] = [];

/**
 * Frames that nobody asked for wait for the next picture: however many come, the screen is made
 * anew once.
 */
function arrived(frame: ServerFrame): void {
  pending.push(frame);
  // A page that nobody sees has no pictures, and its timers may be a minute late.
  if (document.hidden) takeIn();
  else if (pending.length === 1) requestAnimationFrame(takeIn);
}

function takeIn(): void {
  const frames = pending;
  pending = [];
  if (frames.length > 0) takeAll(frames);
}

/**
 * An answer comes after all that the server sent before it. `before`: what a page was asked for.
 */
function takeAnswer(frame: ServerFrame, before?: number): void {
  const frames = [...pending, frame];
  pending = [];
  takeAll(frames, before);
}

/** `before` is about the last of them, the only one that was asked for. */
function takeAll(frames: readonly ServerFrame[], before?: number): void {
  batch(() => {
    for (const frame of frames) take(frame, frame === frames.at(-1) ? before : undefined);
    if (frames.some(({ kind }) => MOVES.has(kind))) follower.follow();
  });
}

/** After these there may be others to follow. */
const MOVES: ReadonlySet<string> = new Set(['board', 'conversation', 'offer', 'offer-over']);

function take(frame: ServerFrame, before?: number): void {
  const at = serverNow();
  // Before the board knows of it, so that a new offer is told from a renewed one.
  if (frame.kind === 'offer' && !board.value.offers.has(frame.conversation)) {
    offerSoundAt = at;
    play('offer');
    news.offered(frame.conversation);
    if (threads.value.get(frame.conversation)?.absent === true) follower.unmiss(frame.conversation);
  }
  const stood = standing();
  toBoard({ kind: 'frame', frame, now: at });
  if (standing() !== stood) restKeys();
  switch (frame.kind) {
    case 'history':
      toThread(
        frame.conversation,
        before === undefined ? { kind: 'frame', frame } : { kind: 'frame', frame, before },
      );
      break;
    case 'message':
      messageCame(frame);
      break;
    case 'void':
      toThread(frame.conversation, { kind: 'frame', frame });
      break;
    case 'forget':
      forgetCame(frame);
      break;
    case 'draft':
      composing.draftCame(frame.conversation, frame.text);
      break;
    case 'reject':
      tell(rejectSentence(frame.code, frame.words), 'bad');
      break;
    default:
      break;
  }
}

/** Who has the conversation on the screen, and how it stands: what a key would do to it. */
function standing(): string {
  const card = opened.value === null ? undefined : board.value.cards.get(opened.value);
  return card === undefined ? '' : `${card.state} ${card.assignee ?? ''}`;
}

function messageCame(frame: wire.ServerMessage): void {
  const id = frame.conversation;
  // Without a page of its history a thread would begin in the middle.
  if (threads.value.has(id)) toThread(id, { kind: 'frame', frame });
  const card = board.value.cards.get(id);
  // Nobody is cut off in the middle of a sentence.
  if (frame.author.kind === 'visitor' && closings.keepOpen(id))
    tell(named(t.thread.closingOff, visitorName(card)));
  if (card === undefined || !isMine(card, me.value) || isAgent(frame.author, me.value)) return;
  socket?.say(wire.CLIENT_DELIVERED, { conversation: id, seq: frame.seq });
  if (
    frame.author.kind === 'visitor' &&
    (opened.value !== id || document.hidden || !document.hasFocus())
  )
    play('message');
}

function forgetCame(frame: wire.ServerForget): void {
  outbox.drop(frame.conversation, frame.messages);
  toThread(frame.conversation, { kind: 'frame', frame });
  if (frame.messages === undefined) {
    composing.compose(frame.conversation, { kind: 'erased' });
    if (opened.value === frame.conversation) tell(t.thread.forgotten);
  }
}

/** The server sends one's own message back to nobody: its ack says what became of it. */
function stored(id: ConversationId, unsent: Unsent, ack: wire.ServerAck): void {
  const agent = me.value;
  if (agent === null) return;
  const at = ack.at ?? serverNow();
  const message: Message = {
    seq: ack.seq ?? 0,
    message: unsent.message,
    author: { kind: 'agent', agent },
    at,
    body: ack.body ?? { kind: 'text', text: unsent.text },
    expires: ack.expires ?? null,
    visibility: unsent.visibility,
  };
  batch(() => {
    toThread(id, { kind: 'stored', message });
    toBoard({ kind: 'frame', frame: { kind: 'message', conversation: id, ...message }, now: at });
    noteOwnReceipt(id, message.seq);
  });
}

// What goes out

/**
 * Asks; a refusal becomes a sentence on the screen, and so does it that nobody heard. Whether it
 * was granted.
 */
export async function act(question: (live: Socket) => Promise<Answer>): Promise<boolean> {
  const live = online();
  if (live === null) {
    tell(t.connection.notNow, 'bad');
    return false;
  }
  const answer = await question(live);
  if (answer.kind === 'lost') return false;
  takeAnswer(answer);
  return answer.kind !== 'reject';
}

/** Shows a conversation: from here on its messages come by themselves. */
export function openConversation(id: ConversationId | null): void {
  const before = opened.peek();
  if (before === id) return;
  opened.value = id;
  if (id !== null) restKeys(isStepping(id) ? STEPPING : []);
  if (before !== null) composing.sayTyping(before, false);
  follower.follow();
}

/** Fetches the page before the earliest message; without a connection, when there is one again. */
export function loadEarlier(id: ConversationId): Promise<void> {
  return follower.loadEarlier(id);
}

/** Says something: it is on the screen at once, and stored when the server says so. */
export function send(id: ConversationId, text: string, visibility: Visibility): void {
  const at = serverNow();
  const seenSeq = newestSeq(threads.value.get(id) ?? EMPTY_THREAD);
  batch(() => {
    composing.compose(id, { kind: 'sent', mode: visibility });
    composing.sent(id);
    outbox.write(id, {
      message: messageId(at),
      text,
      visibility,
      seen_seq: seenSeq,
      at,
      refused: null,
    });
  });
}

export function retry(id: ConversationId, message: MessageId): void {
  outbox.retry(id, message);
}

export function discard(id: ConversationId, message: MessageId): void {
  outbox.drop(id, [message]);
  toThread(id, { kind: 'discarded', message });
}

function noteOwnReceipt(id: ConversationId, seq: number): void {
  const agent = me.value;
  if (agent !== null) toBoard({ kind: 'own-receipt', conversation: id, agent, seq });
}

/**
 * Everything up to the newest message was on this agent's screen. Only its assignee's eyes count.
 */
export function markSeen(id: ConversationId): void {
  const card = board.value.cards.get(id);
  const seq = newestSeq(threads.value.get(id) ?? EMPTY_THREAD);
  if (card === undefined || !isMine(card, me.value) || seq === 0) return;
  const own = card.marks.find(({ author }) => isAgent(author, me.value));
  if (own !== undefined && own.seen >= seq) return;
  if (socket?.say(wire.CLIENT_SEEN, { conversation: id, seq }) === true) noteOwnReceipt(id, seq);
}

/** The agent changed the composer's text. */
export function typed(id: ConversationId, text: string, mode: Visibility): void {
  closings.keepOpen(id);
  composing.typed(id, text, mode);
}

/** Goes on with what stands in the composer, of whichever kind it is. */
export function writeBehind(id: ConversationId, letters: string): void {
  closings.keepOpen(id);
  composing.typedBehind(id, letters);
}

/** The agent chose what the composer makes. */
export function chooseMode(id: ConversationId, mode: Visibility): void {
  composing.compose(id, { kind: 'chosen', mode });
  if (mode === 'agents') composing.sayTyping(id, false);
}

/** The cursor came into the field, or left it. */
export function enterComposer(id: ConversationId, barred: boolean): void {
  composing.compose(id, { kind: 'entered', barred });
}

export function leaveComposer(id: ConversationId): void {
  composing.compose(id, { kind: 'left' });
}

/** Before it is taken, at the agent's press: what they type from here on is for the visitor. */
export function composeReply(id: ConversationId): void {
  composing.compose(id, { kind: 'taken' });
}

/**
 * The cursor goes back to where one writes, in one's own conversation; on a touch screen it comes
 * when it is asked for.
 */
export function writeOn(): void {
  const id = opened.value;
  const card = id === null ? undefined : board.value.cards.get(id);
  if (card !== undefined && isMine(card, me.value) && hasKeys()) composerCalled.value = id;
}

export async function chooseAvailability(
  availability: wire.Availability,
  capacity?: number,
): Promise<boolean> {
  const granted = await act((live) =>
    live.ask(
      wire.CLIENT_AVAILABILITY,
      capacity === undefined ? { availability } : { availability, capacity },
    ),
  );
  if (granted && ownCard.value !== undefined) {
    const { availability_cause: _, ...own } = ownCard.value;
    toBoard({
      kind: 'own-card',
      card: { ...own, availability, ...(capacity === undefined ? {} : { capacity }) },
    });
  }
  return granted;
}

/** A conversation that came by REST and is not on the board. */
export function showCard(card: wire.ConversationCard): void {
  if (!board.value.cards.has(card.conversation)) toBoard({ kind: 'card', card });
}
