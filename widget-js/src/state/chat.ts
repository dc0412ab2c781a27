// One visitor's chat in this browser: ties the connection, the tabs, the store and the state
// together.
//
// Lives here: who does what when a tab leads or follows, and what is said again after a break. Not
// here: how the state changes (`conversation.ts`), how it looks (`view/`).

import { newestEntry } from '../../../protocol/ts/src/state/transcript.ts';
import type { FrameSchema } from '../../../protocol/ts/src/wire/codec.ts';
import {
  CLIENT_CLOSE,
  CLIENT_DELIVERED,
  CLIENT_HISTORY,
  CLIENT_OPEN,
  CLIENT_PAGE,
  CLIENT_REOPEN,
  CLIENT_SEEN,
  CLIENT_SEND,
  CLIENT_TYPING,
  ANSWER_BYTES_MAX,
  CLOSE_NOT_AUTHENTICATED,
  CLOSE_ORIGIN_NOT_ALLOWED,
  SERVER_ACK,
  SERVER_AVAILABILITY,
  SERVER_CONVERSATION,
  SERVER_DELIVERED,
  SERVER_FORGET,
  SERVER_HISTORY,
  SERVER_MESSAGE,
  SERVER_QUEUE,
  SERVER_SEEN,
  SERVER_TYPING,
  SERVER_VOID,
  TYPING_MS,
} from '../../../protocol/ts/src/wire/frames.ts';
import type {
  ClientHello,
  ConversationId,
  FormAnswer,
  MessageId,
  PageView,
  RejectCode,
  ServerFrame,
  ServerWelcome,
} from '../../../protocol/ts/src/wire/frames.ts';
import { conversationId, messageId } from '../../../protocol/ts/src/wire/ids.ts';
import { Socket } from '../../../protocol/ts/src/wire/socket.ts';
import type { Answer, ConnectionState } from '../../../protocol/ts/src/wire/socket.ts';
import { isRetryable, verdict } from '../../../protocol/ts/src/wire/verdict.ts';
import { initial, newest, reduce, unread } from './conversation.ts';
import type { ChatState, Entry, Input } from './conversation.ts';
import { fetchSite, notAllowed, now, unreachable } from './site.ts';
import type { SiteConfig } from './site.ts';
import type { SavedOpen, SavedSend, Store } from './store.ts';
import { Tabs } from './tabs.ts';

const HEARS = [
  SERVER_ACK,
  SERVER_MESSAGE,
  SERVER_TYPING,
  SERVER_VOID,
  SERVER_DELIVERED,
  SERVER_SEEN,
  SERVER_AVAILABILITY,
  SERVER_QUEUE,
  SERVER_CONVERSATION,
  SERVER_FORGET,
  SERVER_HISTORY,
] as readonly FrameSchema<ServerFrame>[];

/** So many attempts in a row without ever a connection: something keeps it away. */
const BLOCKED_AFTER = 2;
const HISTORY_PAGE = 50;
/** A retryable refusal that names no time. */
const RETRY_MS = 2_000;
/** A leader that has not answered for so long is frozen or gone. */
const LEADER_MS = 3_000;
/** An old number in the title is gone after so long. */
const RENUMBER_MS = 1_000;
/** What the server takes of an address. */
const URL_BYTES_MAX = 2_048;

/** What tabs tell each other. */
type Note =
  /** From whoever it happened to, to all. */
  | { kind: 'input'; input: Input }
  /** From a tab that came, to the leader; and the answer. */
  | { kind: 'join' }
  | { kind: 'state'; state: ChatState }
  /** From a follower, for the leader to do. */
  | { kind: 'unsent'; item: SavedOpen | SavedSend }
  | { kind: 'act'; act: Act }
  /** To all, from the page's part of the widget: the visitor wants to be forgotten here. */
  | { kind: 'wipe' };

/** What only the leader can do, because it holds the connection. */
export type Act =
  | { kind: 'typing'; typing: boolean }
  | { kind: 'seen'; seq: number }
  | { kind: 'earlier' }
  | { kind: 'end' }
  | { kind: 'page'; page: PageView }
  /** `again`: by the visitor's own act, and so even where the server said to stop. */
  | { kind: 'probe'; again: boolean };

/** What the screen hears. */
export interface ChatEvents {
  changed: (state: ChatState) => void;
  /** The site asks or says something else than before. */
  site: (site: SiteConfig) => void;
  /** Nothing of this visitor is left. */
  wiped: () => void;
}

export class Chat {
  readonly #origin: string;
  readonly #url: string;
  #site: SiteConfig;
  readonly #store: Store;
  readonly #tabs: Tabs<Note>;
  readonly #socket: Socket;
  readonly #on: ChatEvents;
  #state: ChatState;
  /** What was sent on this connection and is not answered yet. */
  readonly #opening = new Set<ConversationId>();
  #sending: MessageId | undefined;
  #token: string | undefined;
  /** Whether a token was stored when this tab last looked. */
  #stored: boolean;
  /** The card after a welcome is still to come. */
  #fresh = false;
  /** Attempts in vain; none counts once there was a connection. */
  #failures = 0;
  #unanswered: ReturnType<typeof setTimeout> | undefined;
  #askedEarlier = false;
  /** What was refused for a while: each kind of act, and under no name what is unsent. */
  readonly #retries = new Map<Act['kind'] | undefined, ReturnType<typeof setTimeout>>();
  #typingEnd: ReturnType<typeof setTimeout> | undefined;
  #delivered = 0;
  /** The server's clock before this page's own, which nobody sets. */
  #aheadMs = 0;
  #hourly: ReturnType<typeof setInterval> | undefined;

  constructor(
    origin: string,
    site: SiteConfig,
    store: Store,
    on: ChatEvents,
    socket?: typeof WebSocket,
  ) {
    this.#origin = origin;
    this.#site = site;
    this.#store = store;
    this.#state = initial(site.availability);
    this.#tabs = new Tabs<Note>(store.name, {
      onEnter: () => this.#entered(),
      onLead: () => this.#lead(),
      onExit: () => this.#exited(),
      onNote: (note) => this.#hearTab(note),
    });
    this.#url = `${origin.replace(/^http/, 'ws')}/v1/socket`;
    this.#socket = new Socket({
      url: this.#url,
      socket,
      hears: HEARS,
      hello: () => this.#hello(),
      onWelcome: (welcome) => this.#welcomed(welcome),
      onFrame: (frame) => this.#hear(frame),
      onState: (state) => this.#changed(state),
    });
    // A page that changes its address without being loaded, where the browser tells of it.
    const { navigation } = window as { navigation?: EventTarget };
    let { pathname } = location;
    navigation?.addEventListener('navigatesuccess', () => {
      if (pathname !== location.pathname) this.#tellPage();
      ({ pathname } = location);
    });
    const { conversation, token } = this.#store.session;
    this.#token = token;
    this.#stored = token !== undefined;
    // What was stored is not news: nobody hears of it before they have this object.
    this.#on = { ...on, changed: () => undefined };
    this.#restore(conversation);
    this.#on = on;
  }

  get state(): ChatState {
    return this.#state;
  }

  get joined(): boolean {
    return this.#tabs.joined;
  }

  /** The visitor acted: from now on there may be a connection, again where it was told to stop. */
  join(): void {
    this.#forgottenElsewhere();
    if (!this.#tabs.join()) this.look(true);
  }

  /** Is all well: the connection, or the tab that holds it? */
  look(again = false): void {
    if (this.joined && !this.#tabs.leads) this.#callLeader();
    this.do({ kind: 'probe', again });
  }

  /**
   * Says something; begins a conversation with the form's answers where there is none, and takes
   * along what failed before. False: too much is unsent.
   */
  send(text: string, form: FormAnswer[] = []): boolean {
    this.join();
    const conversation = this.#current() ?? this.#begin(form);
    return conversation !== undefined && this.#write(conversation, text);
  }

  /**
   * Tries a message again that was refused, with all others where it is the conversation that
   * failed.
   */
  retry(message: MessageId, form: FormAnswer[] = []): boolean {
    this.join();
    const conversation = this.#current();
    if (!conversation) return this.#begin(form) !== undefined;
    const entry = this.#state.entries.find((entry) => entry.message === message && entry.failed);
    return entry !== undefined && this.#writeAgain(conversation, entry);
  }

  /** Drops what failed. */
  discard(message: MessageId): void {
    this.#happen({ kind: 'discarded', message });
  }

  /**
   * Where new words go; nowhere yet where there is no conversation, or none that could be begun.
   */
  #current(): ConversationId | undefined {
    return this.#state.refused === undefined ? this.#state.conversation : undefined;
  }

  #write(conversation: ConversationId, text: string): boolean {
    const at = now();
    const before = [...this.#store.unsent(), ...this.#state.entries];
    const message = messageId(
      at,
      before.map((one) => ('message' in one ? one.message : '')),
    );
    const item: SavedSend = {
      kind: 'send',
      conversation,
      message,
      text,
      seen_seq: newest(this.#state),
      at,
    };
    if (!this.#store.put(item)) return false;
    this.#happen({ kind: 'written', message, text, at });
    this.#unsent(item);
    return true;
  }

  /** It is a new message to the server, which may have judged the former. */
  #writeAgain(conversation: ConversationId, { message, body }: Entry): boolean {
    // First out, so that there is room.
    this.#happen({ kind: 'discarded', message });
    return body.kind === 'text' && this.#write(conversation, body.text);
  }

  /** Something for the leader; done at once where this tab leads. */
  do(act: Act): void {
    if (!this.#tabs.leads) {
      this.#tabs.post({ kind: 'act', act });
      return;
    }
    const conversation = this.#state.conversation;
    if (act.kind === 'probe') this.#probe(act.again);
    if (!conversation) return;
    switch (act.kind) {
      case 'typing':
        if (this.#state.card) this.#socket.say(CLIENT_TYPING, { conversation, typing: act.typing });
        break;
      case 'seen':
        this.#socket.say(CLIENT_SEEN, { conversation, seq: act.seq });
        break;
      case 'earlier':
        void this.#earlier(conversation, act);
        break;
      case 'page':
        this.#socket.say(CLIENT_PAGE, { page: act.page });
        break;
      case 'end':
        void this.#socket
          .ask(CLIENT_CLOSE, { conversation })
          .then((answer) => this.#againLater(answer, act, conversation));
        break;
    }
  }

  /** What is here was on the screen. */
  read(): void {
    const seq = newest(this.#state);
    if (seq <= this.#state.seen) return;
    this.#happen({ kind: 'read', seq });
    this.do({ kind: 'seen', seq });
    this.#keepWhetherLive();
  }

  /** Leaves a closed conversation behind; the next words begin another. */
  beginAnew(): void {
    this.#keep({ live: false }, true);
    this.#happen({ kind: 'ended' });
  }

  /**
   * Forgets this visitor here. A new connection is a new visitor, and comes when they act again.
   */
  wipe(): void {
    this.#token = undefined;
    this.#store.clear();
    this.#opening.clear();
    this.#sending = undefined;
    this.#tabs.leave();
    this.#apply({ kind: 'ended', all: true });
    this.#on.wiped();
  }

  /** Forgets them where another tab did so unheard by this one, so that it writes nothing back. */
  #forgottenElsewhere(): boolean {
    const gone = this.#stored && this.#store.session.token === undefined;
    if (gone) this.wipe();
    return gone;
  }

  #begin(form: FormAnswer[]): ConversationId | undefined {
    const failed = this.#state.entries.filter((entry) => entry.failed);
    const conversation = conversationId(now());
    const open: SavedOpen = {
      kind: 'open',
      conversation,
      form,
      notice: this.#site.notice?.hash || undefined,
    };
    if (!this.#store.put(open)) return undefined;
    this.#happen({ kind: 'began', conversation });
    this.#keep({ conversation, live: true });
    this.#unsent(open);
    for (const entry of failed) this.#writeAgain(conversation, entry);
    return conversation;
  }

  /** Shows again what is stored: what is on its way in this conversation, and all that failed. */
  #restore(conversation: ConversationId | undefined): void {
    if (conversation) this.#apply({ kind: 'began', conversation });
    for (const item of this.#store.unsent()) {
      if (item.kind !== 'send' || (item.conversation !== conversation && !item.failed)) continue;
      const { message, text, at, failed } = item;
      this.#apply({ kind: 'written', message, text, at });
      if (failed) this.#apply({ kind: 'failed', message, why: failed });
    }
  }

  /** Writes the session down. Only the leader knows a newer token than the one that is stored. */
  #keep(change: { conversation?: ConversationId; live: boolean }, leave = false): void {
    if (this.#forgottenElsewhere()) return;
    const stored = this.#store.session;
    const token = this.#token ?? stored.token;
    const conversation = leave ? undefined : (change.conversation ?? stored.conversation);
    this.#store.session = { ...stored, token, conversation, live: change.live };
    this.#stored = token !== undefined;
  }

  /**
   * Whether the next page should go on with it: what is closed has something to show as long as it
   * was not read.
   */
  #live(): boolean {
    return this.#state.card?.state !== 'closed' || unread(this.#state) > 0;
  }

  #keepWhetherLive(): void {
    const live = this.#live();
    if (this.#tabs.leads && this.#state.conversation && this.#store.session.live !== live)
      this.#keep({ live });
  }

  /** Something happened here that every tab must know. */
  #happen(input: Input): void {
    this.#apply(input);
    this.#tabs.post({ kind: 'input', input });
  }

  #apply(input: Input): void {
    // Each tab's own storage, where there is none that they share.
    if (input.kind === 'acked' || input.kind === 'discarded')
      this.#store.remove({ kind: 'send', message: input.message });
    if (input.kind === 'failed') this.#store.fail(input.message, input.why);
    // It may have been refused for what this page knew of the site.
    if (input.kind === 'refused') void this.#askSite();
    const next = reduce(this.#state, input);
    if (next === this.#state) return;
    this.#state = next;
    this.#on.changed(next);
  }

  async #askSite(): Promise<void> {
    const answer = await fetchSite(this.#origin, this.#site.site_key);
    if (answer.kind !== 'site') return;
    this.#site = answer.site;
    this.#on.site(answer.site);
  }

  #lead(): void {
    if (this.#forgottenElsewhere()) return;
    // A tab that begins to lead takes on what another left unsaid.
    this.#opening.clear();
    this.#sending = undefined;
    const { token, conversation } = this.#store.session;
    this.#token = token ?? this.#token;
    if (!this.#state.conversation) this.#restore(conversation);
    this.#socket.start();
  }

  #entered(): void {
    this.#callLeader();
    this.#tellPage();
  }

  #tellPage(): void {
    const page = pageView();
    if (page) this.do({ kind: 'page', page });
  }

  #exited(): void {
    clearTimeout(this.#unanswered);
    this.#stored = this.#store.session.token !== undefined;
    this.#socket.stop();
  }

  /** Asks the leader for what there is; one that stays silent is none. */
  #callLeader(): void {
    this.#tabs.post({ kind: 'join' });
    clearTimeout(this.#unanswered);
    this.#unanswered = setTimeout(() => this.#tabs.seize(), LEADER_MS);
  }

  #probe(again: boolean): void {
    const { state } = this.#socket;
    if (state.kind === 'stopped' && (again || verdict(state.code) !== 'stop')) this.#socket.start();
    else this.#socket.probe();
  }

  #hearTab(note: Note): void {
    switch (note.kind) {
      case 'input':
        this.#apply(note.input);
        // Only a leader speaks of the connection: it is there, or another one is by now.
        if (note.input.kind === 'line') clearTimeout(this.#unanswered);
        if (note.input.kind === 'read') this.#keepWhetherLive();
        break;
      case 'state':
        clearTimeout(this.#unanswered);
        if (!this.#tabs.leads) {
          this.#state = note.state;
          // What this tab wrote while the answer was on its way is not in it.
          this.#restore(note.state.conversation);
          this.#on.changed(this.#state);
        }
        break;
      case 'join':
        if (this.#tabs.leads) this.#tabs.post({ kind: 'state', state: this.#state });
        break;
      case 'unsent':
        if (this.#tabs.leads) {
          this.#store.put(note.item);
          if (note.item.kind === 'open')
            this.#keep({ conversation: note.item.conversation, live: true });
          this.#flush();
        }
        break;
      case 'act':
        if (this.#tabs.leads) this.do(note.act);
        break;
      case 'wipe':
        this.wipe();
        break;
    }
  }

  #unsent(item: SavedOpen | SavedSend): void {
    if (this.#tabs.leads) this.#flush();
    else this.#tabs.post({ kind: 'unsent', item });
  }

  #hello(): Omit<ClientHello, 'kind' | 'request'> {
    const conversation = this.#state.conversation;
    const opened = conversation !== undefined && !this.#opens(conversation);
    const { seq = 0, message, at } = newestEntry(this.#state) ?? {};
    return {
      role: 'visitor',
      client: 'widget/0.1.0',
      locale: navigator.language,
      resume: opened ? [{ conversation, seq, message, at }] : [],
      site: this.#site.site_key,
      token: this.#token,
      signals: signals(),
    };
  }

  #opens(conversation: ConversationId): boolean {
    return this.#store
      .unsent()
      .some((item) => item.kind === 'open' && item.conversation === conversation);
  }

  #serverNow(): number {
    return performance.now() + this.#aheadMs;
  }

  #passTime(): void {
    this.#happen({ kind: 'time', now: this.#serverNow() });
  }

  #welcomed(welcome: ServerWelcome): void {
    this.#aheadMs = welcome.now - performance.now();
    this.#passTime();
    this.#hourly ??= setInterval(() => this.#passTime(), 3_600_000);
    this.#token = welcome.token ?? this.#token;
    const conversation = this.#state.conversation;
    // Nothing is written for a visitor who only looked.
    if (conversation) this.#keep({ conversation, live: this.#live() });
    if (conversation && !this.#opens(conversation) && !welcome.conversations.includes(conversation))
      this.#gone(conversation);
    if (welcome.site)
      this.#happen({ kind: 'availability', availability: welcome.site.availability });
    this.#opening.clear();
    this.#sending = undefined;
    this.#delivered = 0;
    this.#fresh = true;
    this.#tellPage();
    this.#flush();
  }

  /**
   * The conversation is not there any more, or is another's: what was to be said in it waits for
   * the visitor, or goes with it.
   */
  #gone(conversation: ConversationId, all = false): void {
    for (const item of this.#store.unsent()) {
      if (item.conversation !== conversation) continue;
      if (all || item.kind === 'open') this.#store.remove(item);
      else if (!item.failed)
        this.#happen({ kind: 'failed', message: item.message, why: 'not-found' });
    }
    this.#keep({ live: false }, true);
    this.#happen({ kind: 'ended', all });
  }

  #changed(state: ConnectionState): void {
    if (state.kind === 'online') this.#failures = Number.NEGATIVE_INFINITY;
    if (state.kind === 'waiting' && navigator.onLine && ++this.#failures === BLOCKED_AFTER)
      unreachable('WebSocket', this.#url);
    if (state.kind === 'stopped' && state.code === CLOSE_ORIGIN_NOT_ALLOWED) notAllowed();
    const input: Input = {
      kind: 'line',
      line: state.kind,
      blocked: this.#failures >= BLOCKED_AFTER,
    };
    // That this tab lets go says nothing about the one that takes over.
    if (state.kind === 'idle') this.#apply(input);
    else this.#happen(input);
    if (
      state.kind === 'stopped' &&
      state.code === CLOSE_NOT_AUTHENTICATED &&
      this.#token !== undefined
    ) {
      // The token ended. Without one the server makes a new visitor, once.
      this.#token = undefined;
      this.#socket.start();
    }
  }

  #hear(frame: ServerFrame): void {
    if (
      frame.kind === 'forget' &&
      !frame.messages &&
      frame.conversation === this.#state.conversation
    ) {
      this.#gone(frame.conversation, true);
      return;
    }
    this.#happen({ kind: 'frame', frame, now: this.#serverNow() });
    if (frame.kind === 'typing') {
      clearTimeout(this.#typingEnd);
      this.#typingEnd = setTimeout(() => this.#passTime(), TYPING_MS + 50);
    }
    if (frame.kind === 'conversation' && frame.card.conversation === this.#state.conversation) {
      // Closed by whomever, it is what the visitor asked for; they may open it again.
      if (frame.card.state === 'closed') clearTimeout(this.#retries.get('end'));
      this.#keepWhetherLive();
      // What was read without a connection.
      const mine = frame.card.marks.find(({ author }) => author.kind === 'visitor');
      if (this.#fresh && this.#state.seen > (mine?.seen ?? 0))
        this.do({ kind: 'seen', seq: this.#state.seen });
      this.#fresh = false;
    }
    if (frame.kind === 'message' || frame.kind === 'history') {
      this.#sayDelivered();
      this.#keepWhetherLive();
    }
  }

  #sayDelivered(): void {
    const conversation = this.#state.conversation;
    const last = this.#state.entries.findLast(
      (entry) => entry.seq > 0 && entry.author.kind !== 'visitor',
    );
    if (!conversation || !last || last.seq <= this.#delivered) return;
    this.#delivered = last.seq;
    this.#socket.say(CLIENT_DELIVERED, { conversation, seq: last.seq });
  }

  async #earlier(conversation: ConversationId, act: Act): Promise<void> {
    const before = this.#state.edge;
    if (!before || this.#askedEarlier) return;
    this.#askedEarlier = true;
    const answer = await this.#socket.ask(CLIENT_HISTORY, {
      conversation,
      before,
      limit: HISTORY_PAGE,
    });
    this.#askedEarlier = false;
    if (answer.kind === 'history') {
      this.#happen({ kind: 'frame', frame: answer, now: this.#serverNow() });
    }
    this.#againLater(answer, act, conversation);
  }

  /**
   * Says what is unsent and not being said already. Conversations first; of the messages one at a
   * time, so that a refusal of one for a while cannot let the next one overtake it.
   */
  #flush(): void {
    if (this.#socket.state.kind !== 'online') return;
    for (const item of this.#store.unsent()) {
      if (item.kind === 'send') {
        if (item.failed) continue;
        if (!this.#sending) void this.#send(item);
        return;
      }
      if (this.#opening.has(item.conversation)) continue;
      this.#opening.add(item.conversation);
      void this.#open(item);
    }
  }

  async #open(item: SavedOpen): Promise<void> {
    const { conversation, form, notice } = item;
    const answer = await this.#socket.ask(CLIENT_OPEN, {
      conversation,
      form,
      notice,
      page: pageView(),
    });
    if (answer.kind === 'ack') this.#store.remove(item);
    else if (answer.kind === 'reject') {
      if (this.#againLater(answer)) this.#opening.delete(conversation);
      else this.#refused(item, answer.code);
    }
  }

  /** The conversation could not be begun, and with it nothing that was to be said in it. */
  #refused(item: SavedOpen, why: RejectCode): void {
    this.#store.remove(item);
    for (const sent of this.#store.unsent()) {
      if (sent.kind === 'send' && sent.conversation === item.conversation)
        this.#happen({ kind: 'failed', message: sent.message, why });
    }
    this.#happen({ kind: 'refused', why });
  }

  async #send(item: SavedSend): Promise<void> {
    const { conversation, message, text, seen_seq } = item;
    this.#sending = message;
    if (this.#state.card?.state === 'closed')
      void this.#socket.ask(CLIENT_REOPEN, { conversation });
    const answer = await this.#socket.ask(CLIENT_SEND, {
      conversation,
      message,
      seen_seq,
      body: { kind: 'text', text },
    });
    if (this.#sending !== message) return;
    if (answer.kind === 'ack') {
      const { seq = 0, at = item.at, expires = null, body } = answer;
      const kept = body?.kind === 'text' ? body.text : text;
      this.#happen({ kind: 'acked', conversation, message, seq, at, expires, text: kept });
    } else if (answer.kind === 'reject') {
      // Behind an `open` that is to be tried again there is no conversation yet: then this waits
      // with it.
      const waits = this.#againLater(answer) || this.#opens(conversation);
      this.#sending = undefined;
      if (waits) return;
      // Closed while this was under way: opening it again is what the visitor meant.
      const reopened =
        answer.code === 'closed' ? await this.#socket.ask(CLIENT_REOPEN, { conversation }) : answer;
      if (reopened.kind === 'lost' || this.#againLater(reopened)) return;
      if (reopened.kind === 'reject') this.#happen({ kind: 'failed', message, why: answer.code });
    }
    this.#sending = undefined;
    this.#flush();
  }

  /**
   * Whether the answer is a refusal for a while; what it refused is done again after it: the act,
   * as long as it is about the conversation that is here, or whatever is unsent.
   */
  #againLater(answer: Answer, act?: Act, conversation?: ConversationId): boolean {
    if (answer.kind !== 'reject' || !isRetryable(answer.code)) return false;
    const again = (): void => {
      if (!act) this.#flush();
      else if (conversation === this.#state.conversation) this.do(act);
    };
    clearTimeout(this.#retries.get(act?.kind));
    this.#retries.set(act?.kind, setTimeout(again, answer.retry_after_ms ?? RETRY_MS));
    return true;
  }
}

/** Bit 0: Global Privacy Control; bit 1: Do Not Track. */
function signals(): number {
  const gpc =
    (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl === true ? 1 : 0;
  return gpc | (navigator.doNotTrack === '1' ? 2 : 0);
}

/**
 * A number of ours in the title: by the sign behind it, which is not seen, it is known wherever it
 * stands, and none of the page's is one.
 */
const NUMBER = /\(\d+\) \u2063/g;
/** The one that belongs there now. */
let number = '';
let watched: MutationObserver | undefined;
let renumbering: ReturnType<typeof setTimeout> | undefined;

/** The page's own title, with whatever numbers the page has in it. */
export function pageTitle(): string {
  return document.title.replace(NUMBER, '');
}

/** Puts the number of unread messages before the page's own title. */
export function numberTitle(count: number): void {
  number = count > 0 ? `(${count}) \u2063` : '';
  document.title = number + pageTitle();
  // A page whose title blinks puts back what it kept, with a number that was read since. After a
  // while, lest two do nothing else.
  watched ??= new MutationObserver(() => (renumbering ??= setTimeout(renumber, RENUMBER_MS)));
  watched.observe(document.head, { childList: true, characterData: true, subtree: true });
}

function renumber(): void {
  renumbering = undefined;
  if (document.title.match(NUMBER)?.some((one) => one !== number))
    document.title = number + pageTitle();
}

/**
 * The page without its query; nothing at all where the visitor asked not to be followed, or where
 * no site is.
 */
function pageView(): PageView | undefined {
  const { origin, pathname } = location;
  if (signals() !== 0 || !origin.startsWith('http')) return undefined;
  // The bounds are in bytes, and a unit of a text takes three at most.
  return {
    url: (origin + pathname).slice(0, URL_BYTES_MAX),
    title: pageTitle().slice(0, ANSWER_BYTES_MAX / 3),
  };
}
