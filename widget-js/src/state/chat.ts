// One visitor's chat in this browser: ties the line, the tabs, the store and the state together.
//
// Lives here: who does what when a tab leads or follows, and what is said again after a break. Not
// here: how the state changes (`conversation.ts`), how it looks (`view/`).

import type { FrameSchema } from '../wire/codec.ts';
import {
  CLIENT_CLOSE, CLIENT_DELIVERED, CLIENT_HISTORY, CLIENT_OPEN, CLIENT_PAGE, CLIENT_REOPEN, CLIENT_SEEN, CLIENT_SEND,
  CLIENT_TYPING, SERVER_ACK, SERVER_AVAILABILITY, SERVER_CONVERSATION, SERVER_DELIVERED, SERVER_FORGET, SERVER_HISTORY,
  SERVER_MESSAGE, SERVER_QUEUE, SERVER_SEEN, SERVER_TYPING, SERVER_VOID, TYPING_MS,
} from '../wire/frames.ts';
import type {
  ClientHello, ConversationId, FormAnswer, MessageId, PageView, RejectCode, ServerFrame, ServerReject, ServerWelcome,
} from '../wire/frames.ts';
import { conversation_id, message_id } from '../wire/ids.ts';
import { Socket } from '../wire/socket.ts';
import type { LineState } from '../wire/socket.ts';
import { initial, newest, reduce, unread } from './conversation.ts';
import type { ChatState, Input } from './conversation.ts';
import type { SiteConfig } from './site.ts';
import type { SavedOpen, SavedSend, Store } from './store.ts';
import { Tabs } from './tabs.ts';

const HEARS = [
  SERVER_ACK, SERVER_MESSAGE, SERVER_TYPING, SERVER_VOID, SERVER_DELIVERED, SERVER_SEEN, SERVER_AVAILABILITY,
  SERVER_QUEUE, SERVER_CONVERSATION, SERVER_FORGET, SERVER_HISTORY,
] as readonly FrameSchema<ServerFrame>[];

const NOT_AUTHENTICATED = 4001;
const HISTORY_PAGE = 50;
/** A retryable refusal that names no time. */
const RETRY_MS = 2_000;

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
  /** To all: the visitor wants to be forgotten here. */
  | { kind: 'wipe' };

/** What only the leader can do, because it holds the line. */
export type Act =
  | { kind: 'typing'; typing: boolean }
  | { kind: 'seen'; seq: number }
  | { kind: 'earlier' }
  | { kind: 'end' }
  | { kind: 'probe' };

export class Chat {
  readonly #site: SiteConfig;
  readonly #store: Store;
  readonly #tabs: Tabs<Note>;
  readonly #socket: Socket;
  readonly #changed: (state: ChatState) => void;
  #state: ChatState;
  /** What was said on this line and is not answered yet. */
  readonly #opening = new Set<ConversationId>();
  #sending: MessageId | undefined;
  /** The answers of this page's visitor, for another try where the first was refused. */
  #form: FormAnswer[] = [];
  #token: string | undefined;
  #asked_earlier = false;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #typing_end: ReturnType<typeof setTimeout> | undefined;
  #delivered = 0;
  /** The server's clock before this machine's. */
  #ahead_ms = 0;
  #hourly: ReturnType<typeof setInterval> | undefined;

  constructor(origin: string, site: SiteConfig, store: Store, changed: (state: ChatState) => void) {
    this.#site = site;
    // What was stored is not news: nobody hears of it before he has this object.
    this.#changed = () => undefined;
    this.#store = store;
    this.#state = initial(site.availability);
    this.#tabs = new Tabs<Note>(`livehelp ${origin} ${site.site_key}`, {
      on_lead: () => this.#lead(),
      on_resign: () => this.#socket.stop(),
      on_note: (note) => this.#hear_tab(note),
    });
    this.#socket = new Socket({
      url: `${origin.replace(/^http/, 'ws')}/v1/socket`,
      hears: HEARS,
      hello: () => this.#hello(),
      on_welcome: (welcome) => this.#welcomed(welcome),
      on_frame: (frame) => this.#hear(frame),
      on_state: (state) => this.#line(state),
    });
    const { conversation, token } = this.#store.session;
    this.#token = token;
    if (conversation) this.#restore(conversation);
    this.#changed = changed;
  }

  get state(): ChatState {
    return this.#state;
  }

  /** The visitor acted: from now on there may be a line. */
  join(): void {
    const new_here = this.#tabs.join();
    if (!this.#tabs.leads) {
      if (new_here) this.#tabs.post({ kind: 'join' });
      this.do({ kind: 'probe' });
    } else if (this.#socket.state.kind === 'stopped' || this.#socket.state.kind === 'idle') this.#socket.start();
  }

  /** Says something; begins a conversation with the form's answers where there is none. False: too much is unsent. */
  send(text: string, form: FormAnswer[] = []): boolean {
    this.join();
    const now = Date.now();
    const begun = this.#state.refused === undefined ? this.#state.conversation : undefined;
    const conversation = begun ?? this.#begin(now, form.length > 0 ? form : this.#form);
    if (!conversation) return false;
    const message = message_id(now);
    const item: SavedSend = { kind: 'send', conversation, message, text, seen_seq: newest(this.#state), at: now };
    if (!this.#store.put(item)) return false;
    this.#happen({ kind: 'written', message, text, at: now });
    this.#unsent(item);
    return true;
  }

  /** Tries a message again that was refused. It is a new one to the server, which may have judged the former. */
  retry(message: MessageId): boolean {
    const entry = this.#state.entries.find((entry) => entry.message === message && entry.failed !== undefined);
    if (!entry || entry.body.kind !== 'text') return false;
    const sent = this.send(entry.body.text);
    if (sent) this.#happen({ kind: 'discarded', message });
    return sent;
  }

  /** Something for the leader; done at once where this tab leads. */
  do(act: Act): void {
    if (!this.#tabs.leads) {
      this.#tabs.post({ kind: 'act', act });
      return;
    }
    const conversation = this.#state.conversation;
    if (act.kind === 'probe') this.#socket.probe();
    if (!conversation) return;
    switch (act.kind) {
      case 'typing':
        if (this.#state.card) this.#socket.say(CLIENT_TYPING, { conversation, typing: act.typing });
        break;
      case 'seen':
        this.#socket.say(CLIENT_SEEN, { conversation, seq: act.seq });
        break;
      case 'earlier':
        void this.#earlier(conversation);
        break;
      case 'end':
        void this.#socket.ask(CLIENT_CLOSE, { conversation });
        break;
    }
  }

  /** What is here was on the screen. */
  read(): void {
    const seq = newest(this.#state);
    if (seq <= this.#state.seen) return;
    this.#happen({ kind: 'read', seq });
    this.do({ kind: 'seen', seq });
    this.#keep_whether_live();
  }

  /** Leaves a closed conversation behind; the next words begin another. */
  begin_anew(): void {
    this.#keep({ live: false }, true);
    this.#happen({ kind: 'ended' });
  }

  /** Forgets this visitor in this browser, in all its tabs. */
  wipe(): void {
    this.#tabs.post({ kind: 'wipe' });
    this.#wipe();
  }

  #wipe(): void {
    this.#token = undefined;
    this.#store.clear();
    this.#opening.clear();
    this.#sending = undefined;
    // A new line is a new visitor, and there is none before he acts again.
    this.#tabs.leave();
    this.#apply({ kind: 'ended' });
  }

  #begin(now: number, form: FormAnswer[]): ConversationId | undefined {
    const conversation = conversation_id(now);
    const hash = this.#site.notice?.hash;
    const open: SavedOpen = { kind: 'open', conversation, form, ...(hash ? { notice: hash } : {}) };
    if (!this.#store.put(open)) return undefined;
    this.#form = form;
    this.#happen({ kind: 'began', conversation });
    this.#keep({ conversation, live: true });
    this.#unsent(open);
    return conversation;
  }

  #restore(conversation: ConversationId): void {
    this.#apply({ kind: 'began', conversation });
    for (const item of this.#store.unsent()) {
      if (item.kind === 'send' && item.conversation === conversation) {
        this.#apply({ kind: 'written', message: item.message, text: item.text, at: item.at });
      }
    }
  }

  /** Writes the session down. Only the leader knows a newer token than the one that is stored. */
  #keep(change: { conversation?: ConversationId; live: boolean }, leave = false): void {
    const { conversation, ...stored } = this.#store.session;
    const kept = change.conversation ?? conversation;
    this.#store.session = {
      ...stored,
      ...(this.#token === undefined ? {} : { token: this.#token }),
      ...(kept === undefined || leave ? {} : { conversation: kept }),
      live: change.live,
    };
  }

  /** Whether the next page should go on with it: what is closed has something to show as long as it was not read. */
  #live(): boolean {
    return this.#state.card?.state !== 'closed' || unread(this.#state) > 0;
  }

  #keep_whether_live(): void {
    const live = this.#live();
    if (this.#tabs.leads && this.#state.conversation && this.#store.session.live !== live) this.#keep({ live });
  }

  /** Something happened here that every tab must know. */
  #happen(input: Input): void {
    this.#apply(input);
    this.#tabs.post({ kind: 'input', input });
  }

  #apply(input: Input): void {
    const next = reduce(this.#state, input);
    if (next === this.#state) return;
    this.#state = next;
    this.#changed(next);
  }

  #lead(): void {
    this.#restore_unsent();
    this.#socket.start();
  }

  /** A tab that begins to lead takes on what another left unsaid. */
  #restore_unsent(): void {
    this.#opening.clear();
    this.#sending = undefined;
    const session = this.#store.session;
    this.#token = session.token ?? this.#token;
    if (!this.#state.conversation && session.conversation) this.#restore(session.conversation);
  }

  #hear_tab(note: Note): void {
    switch (note.kind) {
      case 'input':
        this.#apply(note.input);
        if (note.input.kind === 'read') this.#keep_whether_live();
        break;
      case 'state':
        if (!this.#tabs.leads) {
          this.#state = note.state;
          // What this tab wrote while the answer was on its way is not in it.
          if (note.state.conversation) this.#restore(note.state.conversation);
          this.#changed(this.#state);
        }
        break;
      case 'join':
        if (this.#tabs.leads) this.#tabs.post({ kind: 'state', state: this.#state });
        break;
      case 'unsent':
        if (this.#tabs.leads) {
          this.#store.put(note.item);
          if (note.item.kind === 'open') this.#keep({ conversation: note.item.conversation, live: true });
          this.#flush();
        }
        break;
      case 'act':
        if (this.#tabs.leads) this.do(note.act);
        break;
      case 'wipe':
        this.#wipe();
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
    const last = this.#state.entries.findLast((entry) => entry.seq > 0);
    const point = last ? { seq: last.seq, message: last.message, at: last.at } : { seq: 0 };
    return {
      role: 'visitor',
      client: 'widget/0.1.0',
      locale: navigator.language,
      resume: opened ? [{ conversation, ...point }] : [],
      site: this.#site.site_key,
      ...(this.#token === undefined ? {} : { token: this.#token }),
      signals: signals(),
    };
  }

  #opens(conversation: ConversationId): boolean {
    return this.#store.unsent().some((item) => item.kind === 'open' && item.conversation === conversation);
  }

  #pass_time(): void {
    this.#happen({ kind: 'time', now: Date.now() + this.#ahead_ms });
  }

  #welcomed(welcome: ServerWelcome): void {
    this.#ahead_ms = welcome.now - Date.now();
    this.#pass_time();
    this.#hourly ??= setInterval(() => this.#pass_time(), 3_600_000);
    this.#token = welcome.token ?? this.#token;
    const conversation = this.#state.conversation;
    // Nothing is written for a visitor who only looked.
    if (conversation) this.#keep({ conversation, live: this.#live() });
    if (conversation && !this.#opens(conversation) && !welcome.conversations.includes(conversation)) this.#gone(conversation);
    if (welcome.site) this.#happen({ kind: 'availability', availability: welcome.site.availability });
    this.#opening.clear();
    this.#sending = undefined;
    this.#asked_earlier = false;
    this.#delivered = 0;
    const page = page_view();
    if (page && this.#state.conversation) this.#socket.say(CLIENT_PAGE, { page });
    this.#flush();
  }

  /** The conversation is not there any more, or is another's: what was unsent in it cannot go anywhere. */
  #gone(conversation: ConversationId): void {
    for (const item of this.#store.unsent()) if (item.conversation === conversation) this.#store.remove(item);
    this.#keep({ live: false }, true);
    this.#happen({ kind: 'ended' });
  }

  #line(state: LineState): void {
    this.#happen({ kind: 'line', line: state.kind });
    if (state.kind === 'stopped' && state.code === NOT_AUTHENTICATED && this.#token !== undefined) {
      // The token ended. Without one the server makes a new visitor, once.
      this.#token = undefined;
        this.#socket.start();
    }
  }

  #hear(frame: ServerFrame): void {
    const now = Date.now() + this.#ahead_ms;
    if (frame.kind === 'forget' && !frame.messages && frame.conversation === this.#state.conversation) {
      this.#gone(frame.conversation);
      return;
    }
    this.#happen({ kind: 'frame', frame, now });
    if (frame.kind === 'typing') {
      clearTimeout(this.#typing_end);
      this.#typing_end = setTimeout(() => this.#pass_time(), TYPING_MS + 50);
    }
    if (frame.kind === 'conversation' && frame.card.conversation === this.#state.conversation) {
      this.#keep_whether_live();
    }
    if (frame.kind === 'message' || frame.kind === 'history') {
      this.#say_delivered();
      this.#keep_whether_live();
    }
  }

  #say_delivered(): void {
    const conversation = this.#state.conversation;
    const last = this.#state.entries.findLast((entry) => entry.seq > 0 && entry.author.kind !== 'visitor');
    if (!conversation || !last || last.seq <= this.#delivered) return;
    this.#delivered = last.seq;
    this.#socket.say(CLIENT_DELIVERED, { conversation, seq: last.seq });
  }

  async #earlier(conversation: ConversationId): Promise<void> {
    const before = this.#state.entries.find((entry) => entry.seq > 0)?.seq;
    if (before === undefined || this.#asked_earlier || !this.#state.more) return;
    this.#asked_earlier = true;
    const answer = await this.#socket.ask(CLIENT_HISTORY, { conversation, before, limit: HISTORY_PAGE });
    this.#asked_earlier = false;
    if (answer.kind === 'history') this.#happen({ kind: 'frame', frame: answer, now: Date.now() });
  }

  /**
   * Says what is unsent and not being said already. Conversations first; of the messages one at a time, so
   * that a refusal of one for a while cannot let the next one overtake it.
   */
  #flush(): void {
    if (this.#socket.state.kind !== 'online') return;
    for (const item of this.#store.unsent()) {
      if (item.kind === 'send') {
        if (this.#sending === undefined) void this.#send(item);
        return;
      }
      if (this.#opening.has(item.conversation)) continue;
      this.#opening.add(item.conversation);
      void this.#open(item);
    }
  }

  async #open(item: SavedOpen): Promise<void> {
    const { conversation, form, notice } = item;
    const page = page_view();
    const answer = await this.#socket.ask(CLIENT_OPEN, {
      conversation, form, ...(notice === undefined ? {} : { notice }), ...(page ? { page } : {}),
    });
    if (answer.kind === 'ack') this.#store.remove(item);
    else if (answer.kind === 'reject') {
      if (this.#again_later(answer)) this.#opening.delete(conversation);
      else this.#refused(item, answer.code);
    }
  }

  /** The conversation could not be begun, and with it nothing that was to be said in it. */
  #refused(item: SavedOpen, why: RejectCode): void {
    this.#store.remove(item);
    for (const sent of this.#store.unsent()) {
      if (sent.kind !== 'send' || sent.conversation !== item.conversation) continue;
      this.#store.remove(sent);
      this.#happen({ kind: 'failed', message: sent.message, why });
    }
    this.#happen({ kind: 'refused', why });
  }

  async #send(item: SavedSend): Promise<void> {
    const { conversation, message, text, seen_seq } = item;
    this.#sending = message;
    if (this.#state.card?.state === 'closed') void this.#socket.ask(CLIENT_REOPEN, { conversation });
    const answer = await this.#socket.ask(CLIENT_SEND, { conversation, message, seen_seq, body: { kind: 'text', text } });
    if (this.#sending !== message) return;
    if (answer.kind === 'ack') {
      this.#store.remove(item);
      const { seq = 0, at = item.at, expires = null, body } = answer;
      const kept = body?.kind === 'text' ? body.text : text;
      this.#happen({ kind: 'acked', conversation, message, seq, at, expires, text: kept });
    } else if (answer.kind === 'reject') {
      // Behind an `open` that is to be tried again there is no conversation yet: then this waits with it.
      const waits = this.#again_later(answer) || this.#opens(conversation);
      this.#sending = undefined;
      if (waits) return;
      // Closed while this was under way: opening it again is what the visitor meant.
      const reopened = answer.code === 'closed' && (await this.#socket.ask(CLIENT_REOPEN, { conversation })).kind === 'ack';
      if (!reopened) {
        this.#store.remove(item);
        this.#happen({ kind: 'failed', message, why: answer.code });
      }
    }
    this.#sending = undefined;
    this.#flush();
  }

  #again_later(reject: ServerReject): boolean {
    const retryable = ['too-fast', 'store-unavailable', 'overload'].includes(reject.code);
    if (!retryable) return false;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#flush(), reject.retry_after_ms ?? RETRY_MS);
    return true;
  }
}

/** Bit 0: Global Privacy Control; bit 1: Do Not Track. */
function signals(): number {
  const gpc = (navigator as { globalPrivacyControl?: boolean }).globalPrivacyControl === true ? 1 : 0;
  return gpc | (navigator.doNotTrack === '1' ? 2 : 0);
}

/** The page without its query; nothing at all where the visitor asked not to be followed. */
function page_view(): PageView | undefined {
  return signals() === 0 ? { url: location.origin + location.pathname, title: document.title } : undefined;
}
