// The agent's desk: the one line to the server, what came over it, and what he does with it.
//
// Lives here: signals for the view, and the acts that answer with a sentence when they are refused.
// Not here: how a board or a thread changes (board.ts, thread.ts, both pure), how a line is kept
// (the wire's socket), how anything looks.

import { batch, computed, signal } from '@preact/signals';
import * as wire from '../../../protocol/ts/src/wire/frames.ts';
import type {
  AgentId,
  Availability,
  ConversationId,
  MessageId,
  ServerFrame,
  Visibility,
} from '../../../protocol/ts/src/wire/frames.ts';
import { message_id } from '../../../protocol/ts/src/wire/ids.ts';
import { Socket } from '../../../protocol/ts/src/wire/socket.ts';
import { is_blank } from '../../../protocol/ts/src/wire/visible.ts';
import type { Answer, LineState } from '../../../protocol/ts/src/wire/socket.ts';
import { rejectSentence, t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import { EMPTY_BOARD, followed, isAgent, isMine, missedOffers, reduceBoard, refusedTransfers, unreadCount } from './board.ts';
import type { Board, BoardInput, Offer } from './board.ts';
import { dayOf, serverNow, setServerTime } from './clock.ts';
import { EMPTY_COMPOSER, modeOf, reduceComposers, textOf } from './composer.ts';
import type { ComposerInput, Composers } from './composer.ts';
import { composerCalled, hasKeys, isStepping, restKeys, STEPPING } from './hands.ts';
import { dismiss, dismissAll, leaveNotice, propose, tell } from './notices.ts';
import { forgetOutbox, keepComposers, keepOutbox, readComposers, readOutbox } from './outbox.ts';
import { me, sessionIsOver } from './session.ts';
import { play } from './sound.ts';
import { EMPTY_THREAD, entryOf, newestSeq, reduceThread, lastEntry } from './thread.ts';
import type { Pending, Thread, ThreadInput } from './thread.ts';
import { visitorName } from './visitor.ts';

export const line = signal<LineState>({ kind: 'idle' });
export const board = signal<Board>(EMPTY_BOARD);
export const threads = signal<ReadonlyMap<ConversationId, Thread>>(new Map());
export const composers = signal<Composers>(new Map());
/** The conversation on the screen. */
export const opened = signal<ConversationId | null>(null);
export const textCharsMax = signal(wire.TEXT_CHARS_MAX);

/** This agent's own card. */
export const ownCard = computed(() => {
  const id = me.value;
  return id === null ? undefined : board.value.agents.get(id);
});

/** The oldest first: it is the one that is shown, and the one that a key accepts. */
export const offers = computed(() => [...board.value.offers.values()].sort((a, b) => a.came - b.came || a.deadline - b.deadline));

/** What waits for this agent: offers, and his conversations with something unread. */
export const attention = computed(() => {
  let count = board.value.offers.size;
  for (const card of board.value.cards.values()) if (isMine(card, me.value) && unreadOf(card) > 0) count += 1;
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

const HISTORY_PAGE = 50;
const DRAFT_AFTER_MS = 600;
/** A mark of typing holds six seconds; it is renewed before that. */
const TYPING_EVERY_MS = 3_000;
const OFFER_SOUND_EVERY_MS = 8_000;
const RETRY_MS_MIN = 1_000;
/** A frame of the agent's other window does not overwrite what he is typing right here. */
const DRAFT_HANDS_OFF_MS = 3_000;
/** So long a closing can be taken back. */
const UNDO_MS = 5_000;
/** The longest rest between two tries to watch something. */
const REST_MS_MAX = 30_000;

type Watched = 'board' | ConversationId;

let socket: Socket | null = null;
const watched = new Set<ConversationId>();
const sending = new Set<ConversationId>();
/** Offers that were declined here: they are over at this agent's wish, however late. */
const declined = new Set<ConversationId>();
/** What could not be watched for now: how often in vain, and when it is asked again. */
const tries = new Map<Watched, number>();
const resting = new Map<Watched, ReturnType<typeof setTimeout>>();
/** The notice that says why the agent is away. */
let away: number | null = null;
/** Offers that ran out here, what the conversation was then, and the notice that says so. */
const missed = new Map<ConversationId, { readonly notice: number; readonly was: wire.ConversationCard }>();
/** Conversations that are closed in a moment, if nothing speaks against it, and the notice that says so. */
const closing = new Map<ConversationId, { readonly timer: ReturnType<typeof setTimeout>; readonly notice: number }>();
const paging = new Set<ConversationId>();
/** Whose earlier messages were asked for while nobody heard it. */
const unpaged = new Set<ConversationId>();
const draftTimers = new Map<ConversationId, ReturnType<typeof setTimeout>>();
const typedAt = new Map<ConversationId, number>();
const typingSaidAt = new Map<ConversationId, number>();
let offerSoundAt = 0;

/** Opens the line for the agent who is signed in. */
export function startDesk(): void {
  stopDesk();
  restoreOutbox();
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  socket = new Socket({
    url: `${scheme}://${location.host}/v1/socket`,
    hears: wire.SERVER_FRAMES,
    hello: () => ({ role: 'agent', client: 'console/0.1.0', locale: navigator.language, resume: [] }),
    on_welcome: welcomed,
    on_frame: arrived,
    on_state: (state) => {
      line.value = state;
      // 4001: no session, or one that ended.
      if (state.kind === 'stopped' && state.code === 4001) sessionIsOver();
    },
    on_refused: (reject) => tell(rejectSentence(reject.code, reject.words), 'bad'),
  });
  socket.start();
}

/** A page that is hidden now gets no picture for what came before. */
export function watchHiding(): void {
  document.addEventListener('visibilitychange', takeIn);
}

/** Closes the line and forgets all that came over it. */
export function stopDesk(): void {
  socket?.stop();
  socket = null;
  pile = [];
  for (const timer of draftTimers.values()) clearTimeout(timer);
  for (const id of closing.keys()) keepOpen(id);
  away = null;
  restNoMore();
  for (const set of [watched, sending, paging, unpaged, declined]) set.clear();
  for (const map of [draftTimers, typedAt, typingSaidAt, missed]) map.clear();
  batch(() => {
    line.value = { kind: 'idle' };
    board.value = EMPTY_BOARD;
    threads.value = new Map();
    composers.value = new Map();
  });
}

/**
 * Nobody is signed in any more. Whoever signed out himself takes what was unsent along: the next agent on this machine must not
 * find it. A session that merely ended leaves it for the same agent, who comes back.
 */
export function leaveDesk(signedOut: boolean): void {
  stopDesk();
  if (signedOut) forgetOutbox();
  dismissAll();
  opened.value = null;
}

/** After the server said to stop, at the agent's wish. */
export function reconnect(): void {
  if (line.value.kind === 'waiting') socket?.probe();
  else socket?.start();
}

/** Once a second. */
export function tickDesk(at: number): void {
  toBoard({ kind: 'tick', now: at });
  watchBeyond();
  if (board.value.offers.size > 0 && at - offerSoundAt >= OFFER_SOUND_EVERY_MS) {
    offerSoundAt = at;
    play('offer');
  }
  const today = dayOf(at);
  for (const id of threads.value.keys()) toThread(id, { kind: 'expired', today });
}

// What comes in

function toBoard(input: BoardInput): void {
  const before = board.value;
  board.value = reduceBoard(before, input);
  tellChanges(before, board.value);
}

/** What came to nothing is told to whom it concerns. */
function tellChanges(before: Board, after: Board): void {
  for (const card of missedOffers(before, after, serverNow(), me.value)) {
    if (declined.has(card.conversation)) continue;
    const notice = leaveNotice(named(t.offer.missed, visitorName(card)), card.conversation);
    missed.set(card.conversation, { notice, was: card });
  }
  for (const [id, { notice, was }] of missed) {
    if (!isSettled(was, after)) continue;
    missed.delete(id);
    dismiss(notice);
  }
  for (const id of closing.keys()) {
    const [was, is] = [before.cards.get(id), after.cards.get(id)];
    // It has ended otherwise, or is another's: what was meant of it then is not meant of what it is now.
    if (is === undefined || is.state === 'closed' || is.assignee !== was?.assignee) keepOpen(id);
  }
  tellAway(after);
  for (const { card, by } of refusedTransfers(before, after, me.value)) {
    tell(named(t.transfer.untaken, after.agents.get(by)?.name ?? t.anAgent, visitorName(card)), 'bad');
  }
}

/** Why nothing is offered any more, where the agent did not choose it, and the way back; until they choose. */
function tellAway(now: Board): void {
  const own = me.value === null ? undefined : now.agents.get(me.value);
  const sent = own?.availability === 'away' && own.availability_cause === 'missed-offers';
  if (sent && away === null) {
    away = leaveNotice(t.availability.sentAway, null, { words: t.availability.again, run: () => void chooseAvailability('available') });
  } else if (!sent && away !== null) {
    dismiss(away);
    away = null;
  }
}

/** Whether a conversation that was missed needs nobody any more: it was taken, closed, answered or erased, or is offered here anew. */
function isSettled(was: wire.ConversationCard, now: Board): boolean {
  const card = now.cards.get(was.conversation);
  if (card === undefined || card.state === 'closed' || now.offers.has(was.conversation)) return true;
  const taken = card.assignee !== undefined && (card.assignee !== was.assignee || (was.state !== 'active' && card.state === 'active'));
  const answered = card.seq_last > was.seq_last && card.last_author?.kind === 'agent';
  return taken || answered;
}

function toThread(id: ConversationId, input: ThreadInput): void {
  const before = threads.value.get(id) ?? EMPTY_THREAD;
  const after = reduceThread(before, input);
  if (after === before) return;
  const next = new Map(threads.value);
  next.set(id, after);
  threads.value = next;
  if (after.pending !== before.pending) keepOutbox(threads.value);
}

function welcomed(welcome: wire.ServerWelcome): void {
  takeIn();
  setServerTime(welcome.now);
  textCharsMax.value = welcome.limits.text_chars_max;
  sending.clear();
  paging.clear();
  const own = welcome.agent;
  if (own !== undefined) toBoard({ kind: 'own-card', card: own });
  watched.clear();
  // Before the board, which brings the drafts as the server has them.
  for (const id of composers.value.keys()) mirror(id);
  restNoMore();
  void watchBoard();
  // What was on the screen before goes on at once; the snapshot then says what else to follow.
  follow();
  for (const id of threads.value.keys()) pump(id);
}

/** What came and is not on the board yet. */
let pile: ServerFrame[] = [];

/** Frames that nobody asked for wait for the next picture: however many come, the screen is made anew once. */
function arrived(frame: ServerFrame): void {
  pile.push(frame);
  // A page that nobody sees has no pictures, and its timers may be a minute late.
  if (document.hidden) takeIn();
  else if (pile.length === 1) requestAnimationFrame(takeIn);
}

function takeIn(): void {
  const frames = pile;
  pile = [];
  if (frames.length > 0) hearAll(frames);
}

/** An answer comes after all that was said before it. */
function heard(frame: ServerFrame): void {
  const frames = [...pile, frame];
  pile = [];
  hearAll(frames);
}

function hearAll(frames: readonly ServerFrame[]): void {
  batch(() => {
    for (const frame of frames) hear(frame);
    if (frames.some(({ kind }) => MOVES.has(kind))) follow();
  });
}

/** After these there may be others to follow. */
const MOVES: ReadonlySet<string> = new Set(['board', 'conversation', 'offer', 'offer-over']);

function hear(frame: ServerFrame): void {
  const at = serverNow();
  // Before the board knows of it, so that a new offer is told from a renewed one.
  if (frame.kind === 'offer' && !board.value.offers.has(frame.conversation)) {
    offerSoundAt = at;
    play('offer');
    declined.delete(frame.conversation);
    if (threads.value.get(frame.conversation)?.absent === true) unmiss(frame.conversation);
  }
  const stood = standing();
  toBoard({ kind: 'frame', frame, now: at });
  if (standing() !== stood) restKeys();
  switch (frame.kind) {
    case 'history':
      toThread(frame.conversation, { kind: 'page', reset: frame.reset, more: frame.more, messages: frame.messages });
      break;
    case 'message':
      said(frame);
      break;
    case 'void':
      toThread(frame.conversation, { kind: 'void', seq: frame.seq, message: frame.message });
      break;
    case 'forget':
      forgotten(frame);
      break;
    case 'draft':
      if (at - (typedAt.get(frame.conversation) ?? 0) > DRAFT_HANDS_OFF_MS) compose(frame.conversation, { kind: 'heard', text: frame.text });
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

function said(frame: wire.ServerMessage): void {
  const id = frame.conversation;
  // Without a page of its history a thread would begin in the middle.
  if (threads.value.has(id)) {
    toThread(id, { kind: 'said', entry: entryOf(frame) });
  }
  const card = board.value.cards.get(id);
  // Nobody is cut off in the middle of a sentence.
  if (frame.author.kind === 'visitor' && keepOpen(id)) tell(named(t.thread.closingOff, visitorName(card)));
  if (card === undefined || !isMine(card, me.value) || isAgent(frame.author, me.value)) return;
  socket?.say(wire.CLIENT_DELIVERED, { conversation: id, seq: frame.seq });
  if (frame.author.kind === 'visitor' && (opened.value !== id || document.hidden || !document.hasFocus())) play('message');
}

function forgotten(frame: wire.ServerForget): void {
  toThread(frame.conversation, { kind: 'forget', messages: frame.messages ?? null });
  if (frame.messages === undefined) {
    compose(frame.conversation, { kind: 'erased' });
    if (opened.value === frame.conversation) tell(t.thread.forgotten);
  }
}

// What goes out

/** Asks; a refusal becomes a sentence on the screen. Whether it was granted. */
async function asked(question: (line: Socket) => Promise<Answer>): Promise<boolean> {
  if (socket === null) return false;
  const answer = await question(socket);
  if (answer.kind === 'lost') return false;
  heard(answer);
  return answer.kind !== 'reject';
}

/** As {@link asked}, where the agent must learn that nobody heard him. */
async function act(question: (line: Socket) => Promise<Answer>): Promise<boolean> {
  if (socket === null || line.value.kind !== 'online') {
    tell(t.line.notNow, 'bad');
    return false;
  }
  return asked(question);
}

async function watch(id: ConversationId): Promise<void> {
  watched.add(id);
  const thread = threads.value.get(id) ?? EMPTY_THREAD;
  if (!threads.value.has(id)) threads.value = new Map(threads.value).set(id, thread);
  const last = lastEntry(thread);
  const resume =
    last === undefined ? { conversation: id, seq: 0 } : { conversation: id, seq: last.seq, message: last.message, at: last.at };
  const answer = await askToWatch(id, { topic: 'conversation', conversation: id, resume });
  if (answer === 'later') watched.delete(id);
  // It stays among the watched: nobody asks for it again at the next change of the board.
  if (answer === 'absent') toThread(id, { kind: 'absent', absent: true });
  // Not before: what was there may have come anew.
  if (answer === 'granted' && unpaged.delete(id) && opened.value === id) void loadEarlier(id);
}

/** It is there for this agent now, whatever it was before: it may be asked for again. */
function unmiss(id: ConversationId): void {
  watched.delete(id);
  toThread(id, { kind: 'absent', absent: false });
}

/** The board comes in parts; so many live cards are enough to work with, and the first parts have what is most urgent. */
const BOARD_CARDS_MAX = 2_000;
/** Whether the newest part came, and the next may be asked for. */
let boardCame = false;

async function watchBoard(after?: string): Promise<void> {
  boardCame = false;
  const answer = await askToWatch('board', after === undefined ? { topic: 'board' } : { topic: 'board', after });
  if (answer !== 'granted') return;
  boardCame = true;
  watchBeyond();
}

/** Asks for the next part, where there is one and room for it: at first, and when others have ended. */
function watchBeyond(): void {
  const { beyond, cards } = board.value;
  if (beyond === null || !boardCame) return;
  let live = 0;
  for (const { state } of cards.values()) if (state !== 'closed') live += 1;
  if (live < BOARD_CARDS_MAX) void watchBoard(beyond.next);
}

/** Asks to watch; what is refused for now is asked again after a rest that grows. */
async function askToWatch(what: Watched, fields: Omit<wire.ClientWatch, 'kind' | 'request'>): Promise<'granted' | 'absent' | 'later'> {
  const asker = socket;
  if (asker === null) return 'later';
  const answer = await asker.ask(wire.CLIENT_WATCH, fields);
  // The next welcome begins again.
  if (asker !== socket || answer.kind === 'lost') return 'later';
  if (answer.kind !== 'reject') {
    tries.delete(what);
    heard(answer);
    return 'granted';
  }
  // A limit is a matter of what else is watched; any other refusal for good would only be repeated.
  const absent = answer.code !== 'limit-reached' && !wire.RETRYABLE.includes(answer.code);
  const before = tries.get(what) ?? 0;
  // Said once: the tries that follow are in vain for the same reason. A thread that is not there says so itself.
  if (absent ? what === 'board' : before === 0) tell(rejectSentence(answer.code, answer.words), 'bad');
  if (absent) return 'absent';
  tries.set(what, before + 1);
  rest(what, Math.max(answer.retry_after_ms ?? 0, Math.min(REST_MS_MAX, RETRY_MS_MIN * 2 ** before)));
  return 'later';
}

function rest(what: Watched, ms: number): void {
  clearTimeout(resting.get(what));
  const again = (): void => {
    resting.delete(what);
    if (what === 'board') void watchBoard();
    else follow();
  };
  resting.set(what, setTimeout(again, ms));
}

function restNoMore(): void {
  for (const timer of resting.values()) clearTimeout(timer);
  resting.clear();
  tries.clear();
}

/** Watches what this agent should hear live, and nothing else. */
function follow(): void {
  if (line.value.kind !== 'online') return;
  const wanted = followed(board.value, me.value);
  if (opened.value !== null) wanted.add(opened.value);
  for (const [id, thread] of threads.value) if (thread.pending.length > 0) wanted.add(id);
  for (const id of wanted) if (!watched.has(id) && !resting.has(id)) void watch(id);
  for (const id of watched) {
    if (wanted.has(id)) continue;
    watched.delete(id);
    void socket?.ask(wire.CLIENT_UNWATCH, { topic: 'conversation', conversation: id });
  }
  if ([...threads.value.keys()].some((id) => !wanted.has(id))) {
    threads.value = new Map([...threads.value].filter(([id]) => wanted.has(id)));
  }
}

/** Shows a conversation: from here on its messages come by themselves. */
export function openConversation(id: ConversationId | null): void {
  const before = opened.peek();
  if (before === id) return;
  opened.value = id;
  if (id !== null) restKeys(isStepping(id) ? STEPPING : []);
  if (before !== null) sayTyping(before, false);
  follow();
}

/** Fetches the page before the earliest message; without a line, when there is one again. */
export async function loadEarlier(id: ConversationId): Promise<void> {
  const first = threads.value.get(id)?.entries[0];
  if (first === undefined || paging.has(id) || socket === null) return;
  paging.add(id);
  const answer = await socket.ask(wire.CLIENT_HISTORY, { conversation: id, before: first.seq, limit: HISTORY_PAGE });
  takeIn();
  if (answer.kind === 'history') {
    toThread(id, { kind: 'page', reset: answer.reset, more: answer.more, messages: answer.messages, earlier: true });
  } else if (answer.kind === 'lost') unpaged.add(id);
  else heard(answer);
  paging.delete(id);
}

/** Says something: it is on the screen at once, and stored when the server says so. */
export function send(id: ConversationId, text: string, visibility: Visibility): void {
  const at = serverNow();
  const pending: Pending = {
    message: message_id(at),
    text,
    visibility,
    seen_seq: newestSeq(threads.value.get(id) ?? EMPTY_THREAD),
    at,
    refused: null,
  };
  batch(() => {
    toThread(id, { kind: 'written', pending });
    compose(id, { kind: 'sent', mode: visibility });
  });
  mirror(id);
  typingSaidAt.delete(id);
  pump(id);
}

/** Sends what is written, one after the other, so that a refusal of one never lets the next overtake it. */
function pump(id: ConversationId): void {
  if (socket === null || line.value.kind !== 'online' || sending.has(id)) return;
  const first = threads.value.get(id)?.pending.find((one) => one.refused === null);
  if (first === undefined) return;
  sending.add(id);
  const { message, text, visibility, seen_seq } = first;
  const asker = socket;
  void asker
    .ask(wire.CLIENT_SEND, { conversation: id, message, seen_seq, body: { kind: 'text', text }, visibility })
    .then((answer) => {
      // A broken line: the next welcome begins again.
      if (asker !== socket || answer.kind === 'lost') return;
      sending.delete(id);
      const author = me.value;
      takeIn();
      if (answer.kind === 'ack' && author !== null) {
        stored(id, first, answer, author);
        pump(id);
      } else if (answer.kind === 'reject' && wire.RETRYABLE.includes(answer.code)) {
        sending.add(id);
        setTimeout(() => {
          sending.delete(id);
          pump(id);
        }, Math.max(RETRY_MS_MIN, answer.retry_after_ms ?? 0));
      } else if (answer.kind === 'reject') {
        toThread(id, { kind: 'refused', message, words: rejectSentence(answer.code, answer.words) });
        pump(id);
      }
    });
}

/** The server sends one's own message back to nobody: its ack says what became of it. */
function stored(id: ConversationId, pending: Pending, ack: wire.ServerAck, author: AgentId): void {
  const at = ack.at ?? serverNow();
  const frame: wire.ServerMessage = {
    kind: 'message',
    conversation: id,
    seq: ack.seq ?? 0,
    message: pending.message,
    author: { kind: 'agent', agent: author },
    at,
    body: ack.body ?? { kind: 'text', text: pending.text },
    expires: ack.expires ?? null,
    visibility: pending.visibility,
  };
  batch(() => {
    // What is not waiting any more came with a page, or was erased meanwhile.
    const waits = threads.value.get(id)?.pending.some((one) => one.message === pending.message);
    if (waits === true) toThread(id, { kind: 'said', entry: entryOf(frame) });
    toBoard({ kind: 'frame', frame, now: at });
    markOwn(id, frame.seq);
  });
}

export function retry(id: ConversationId, message: MessageId): void {
  toThread(id, { kind: 'retried', message });
  pump(id);
}

export function discard(id: ConversationId, message: MessageId): void {
  toThread(id, { kind: 'discarded', message });
}

function markOwn(id: ConversationId, seq: number): void {
  const agent = me.value;
  if (agent !== null) toBoard({ kind: 'own-mark', conversation: id, agent, seq });
}

/** Everything up to the newest message was on this agent's screen. Only its assignee's eyes count. */
export function markSeen(id: ConversationId): void {
  const card = board.value.cards.get(id);
  const seq = newestSeq(threads.value.get(id) ?? EMPTY_THREAD);
  if (card === undefined || !isMine(card, me.value) || seq === 0) return;
  const own = card.marks.find((mark) => isAgent(mark.author, me.value));
  if (own !== undefined && own.seen >= seq) return;
  if (socket?.say(wire.CLIENT_SEEN, { conversation: id, seq }) === true) markOwn(id, seq);
}

/** The composer's text changed under the agent's hands. */
export function typed(id: ConversationId, text: string, mode: Visibility): void {
  compose(id, { kind: 'written', mode, text });
  keepOpen(id);
  if (mode === 'everyone') {
    typedAt.set(id, serverNow());
    clearTimeout(draftTimers.get(id));
    draftTimers.set(
      id,
      setTimeout(() => mirror(id), DRAFT_AFTER_MS),
    );
  }
  // A note is written behind the visitor's back: he is not told that anyone writes.
  sayTyping(id, mode === 'everyone' && !is_blank(text));
}

/** The agent chose what the composer makes. */
export function chooseMode(id: ConversationId, mode: Visibility): void {
  compose(id, { kind: 'chosen', mode });
  if (mode === 'agents') sayTyping(id, false);
}

/** The cursor came into the field, or left it. */
export function enterComposer(id: ConversationId, barred: boolean): void {
  compose(id, { kind: 'entered', barred });
}

export function leaveComposer(id: ConversationId): void {
  compose(id, { kind: 'left' });
}

/** Before it is taken, at the agent's press: what they type from here on is for the visitor. */
export function composeReply(id: ConversationId): void {
  compose(id, { kind: 'taken' });
}

/** Goes on with what stands in the composer, of whichever kind it is. */
export function writeBehind(id: ConversationId, letters: string): void {
  const composer = composers.value.get(id) ?? EMPTY_COMPOSER;
  const mode = modeOf(composer, false);
  typed(id, textOf(composer, mode) + letters, mode);
}

function compose(id: ConversationId, input: ComposerInput): void {
  const next = reduceComposers(composers.value, id, input);
  if (next === composers.value) return;
  composers.value = next;
  keepComposers(next);
}

/** Tells the server how a reply stands now; what it did not hear it is told at the next welcome. */
function mirror(id: ConversationId): void {
  clearTimeout(draftTimers.get(id));
  draftTimers.delete(id);
  const composer = composers.value.get(id);
  if (socket === null || line.value.kind !== 'online' || composer?.untold !== true) return;
  const asker = socket;
  const text = composer.reply;
  void asker.ask(wire.CLIENT_DRAFT, { conversation: id, text }).then((answer) => {
    if (asker === socket && answer.kind === 'ack') compose(id, { kind: 'told', text });
  });
}

function sayTyping(id: ConversationId, typing: boolean): void {
  const said = typingSaidAt.get(id);
  const at = serverNow();
  if (typing ? said !== undefined && at - said < TYPING_EVERY_MS : said === undefined) return;
  if (typing) typingSaidAt.set(id, at);
  else typingSaidAt.delete(id);
  socket?.say(wire.CLIENT_TYPING, { conversation: id, typing });
}

export function accept(conversation: ConversationId): Promise<boolean> {
  return act((line) => line.ask(wire.CLIENT_ACCEPT, { conversation }));
}

export function decline(conversation: ConversationId): Promise<boolean> {
  declined.add(conversation);
  return act((line) => line.ask(wire.CLIENT_DECLINE, { conversation }));
}

export function assign(conversation: ConversationId): Promise<boolean> {
  return act((line) => line.ask(wire.CLIENT_ASSIGN, { conversation }));
}

/** From a colleague, by whoever leads; `gone` where another has it by now. */
export function takeOver(conversation: ConversationId, from: AgentId): Promise<boolean> {
  keepOpen(conversation);
  return act((line) => line.ask(wire.CLIENT_TAKE_OVER, { conversation, from }));
}

/** Takes back a transfer that nobody has answered. */
export async function withdraw(conversation: ConversationId): Promise<boolean> {
  const before = board.value.cards.get(conversation);
  toBoard({ kind: 'withdrawn', conversation });
  const granted = await act((line) => line.ask(wire.CLIENT_WITHDRAW, { conversation }));
  // It stands as it stood, unless a newer card has come.
  if (!granted && before !== undefined) toBoard({ kind: 'card', card: before });
  return granted;
}

export function transfer(conversation: ConversationId, agent: AgentId): Promise<boolean> {
  keepOpen(conversation);
  return act((line) => line.ask(wire.CLIENT_TRANSFER, { conversation, agent }));
}

/**
 * Closes it in a moment, so that what was pressed by mistake is undone before anybody hears of it: a visitor who was told of the end
 * cannot be untold, and a slot that was freed is taken. Where the page goes away meanwhile, it stays open.
 */
export function closeSoon(id: ConversationId): void {
  if (closing.has(id)) return;
  const words = named(t.thread.closing, visitorName(board.value.cards.get(id)));
  const notice = propose(words, { words: t.undo, run: () => void undoClosing(id) });
  const timer = setTimeout(() => {
    keepOpen(id);
    void act((line) => line.ask(wire.CLIENT_CLOSE, { conversation: id }));
  }, UNDO_MS);
  closing.set(id, { timer, notice });
}

/** Takes a closing back; whether there was one. */
export function keepOpen(id: ConversationId): boolean {
  const one = closing.get(id);
  if (one === undefined) return false;
  clearTimeout(one.timer);
  dismiss(one.notice);
  return closing.delete(id);
}

/** At the agent's wish: they go on with it, where it is on the screen. */
function undoClosing(id: ConversationId): boolean {
  const undone = keepOpen(id);
  if (undone && opened.value === id) writeOn();
  return undone;
}

/** Takes back what was closed last, wherever one is; whether there was anything. */
export function undoNewest(): boolean {
  const newest = [...closing.keys()].at(-1);
  return newest !== undefined && undoClosing(newest);
}

/** The cursor goes back to where one writes, in one's own conversation; on a touch screen it comes when it is asked for. */
export function writeOn(): void {
  const id = opened.value;
  const card = id === null ? undefined : board.value.cards.get(id);
  if (card !== undefined && isMine(card, me.value) && hasKeys()) composerCalled.value = id;
}

export function reopen(conversation: ConversationId): Promise<boolean> {
  keepOpen(conversation);
  return act((line) => line.ask(wire.CLIENT_REOPEN, { conversation }));
}

export async function chooseAvailability(availability: Availability, capacity?: number): Promise<boolean> {
  const granted = await act((line) =>
    line.ask(wire.CLIENT_AVAILABILITY, capacity === undefined ? { availability } : { availability, capacity }),
  );
  if (granted && ownCard.value !== undefined) {
    const { availability_cause: _, ...own } = ownCard.value;
    toBoard({ kind: 'own-card', card: { ...own, availability, ...(capacity === undefined ? {} : { capacity }) } });
  }
  return granted;
}

// What survives a reload

function restoreOutbox(): void {
  composers.value = readComposers();
  const kept = readOutbox();
  if (kept.size === 0) return;
  const next = new Map(threads.value);
  for (const [id, pending] of kept) next.set(id, { ...EMPTY_THREAD, pending });
  threads.value = next;
}

/** Labels that REST has taken. */
export function setTags(conversation: ConversationId, tags: readonly wire.TagId[]): void {
  toBoard({ kind: 'tags', conversation, tags });
}

/** A conversation that came by REST and is not on the board. */
export function showCard(card: wire.ConversationCard): void {
  if (!board.value.cards.has(card.conversation)) toBoard({ kind: 'card', card });
}

