// The open chat: head, banner, messages, form and composer. It shows a state and says what the visitor
// wants; it decides nothing.

import { agent, waits } from '../state/conversation.ts';
import type { ChatState } from '../state/conversation.ts';
import type { Asked, SiteConfig } from '../state/site.ts';
import * as strings from '../strings/en.ts';
import { TEXT_CHARS_MAX } from '../wire/frames.ts';
import type { FormAnswer, MessageId } from '../wire/frames.ts';
import { button, el, icon, say, set } from './dom.ts';
import { Messages, reason } from './messages.ts';
import type { MessagesEvents } from './messages.ts';

const CROSS = 'M6 6l12 12M18 6L6 18';
const DOOR = 'M9 21H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h4M16 17l5-5-5-5M21 12H9';
const PLANE = 'M4 12l16-8-6 16-3-7z';

/** While someone writes, that he does is said again this often; it holds for longer. */
const TYPING_AGAIN_MS = 3_000;
/** Without a key for so long, he has stopped. */
const TYPING_STOP_MS = 5_000;

export interface PanelEvents extends Omit<MessagesEvents, 'retry'> {
  close: () => void;
  /** False: it could not be kept, so it stays in the composer. */
  send: (text: string, form: FormAnswer[]) => boolean;
  typing: (typing: boolean) => void;
  retry: (message: MessageId, form: FormAnswer[]) => boolean;
  /** What stands in the composer, at every key. */
  draft: (text: string) => void;
  end: () => void;
  anew: () => void;
}

export class Panel {
  readonly element: HTMLElement;
  #site: SiteConfig;
  readonly #on: PanelEvents;
  readonly #messages: Messages;
  readonly #face = el('span', { class: 'face', 'aria-hidden': 'true' });
  readonly #title = el('h2', { class: 'title', id: 'title' });
  readonly #dot = el('span', { class: 'dot', 'aria-hidden': 'true' });
  readonly #under_words = el('span');
  readonly #banner_words = el('p', { role: 'status' });
  readonly #banner_acts = el('div');
  readonly #banner = el('div', { class: 'banner' }, this.#banner_words, this.#banner_acts);
  readonly #typing_words = el('span', { role: 'status' });
  readonly #dots = el('span', { class: 'dots', 'aria-hidden': 'true', hidden: true }, el('i'), el('i'), el('i'));
  readonly #fields = el('div', { class: 'fields' });
  readonly #form: HTMLFormElement;
  readonly #text: HTMLTextAreaElement;
  readonly #notice = el('p', { class: 'notice' });
  readonly #end: HTMLButtonElement;
  readonly #inputs = new Map<string, HTMLInputElement>();
  #state: ChatState;
  #asks_end = false;
  #full = false;
  #banner_face = '';
  #typed_at = 0;
  #stopped: ReturnType<typeof setTimeout> | undefined;

  constructor(site: SiteConfig, locale: string, state: ChatState, on: PanelEvents) {
    this.#site = site;
    this.#on = on;
    this.#state = state;
    this.#messages = new Messages(locale, {
      ...on,
      // What the conversation failed for may stand in the form.
      retry: (message) => {
        if (this.#form.reportValidity()) this.#kept(on.retry(message, this.#answers()));
      },
    });
    this.#end = button(strings.end, () => this.#ask_end(true), icon(DOOR));
    this.#text = el('textarea', {
      rows: '1', maxlength: String(TEXT_CHARS_MAX), 'aria-label': strings.message, placeholder: strings.placeholder, dir: 'auto',
    });
    const go = icon(PLANE);
    go.classList.add('flip');
    this.#form = el(
      'form',
      { class: 'foot' },
      this.#fields,
      el('div', { class: 'write' }, this.#text, el('button', { class: 'go', 'aria-label': strings.send, title: strings.send }, go)),
      this.#notice,
    );
    this.element = el(
      'section',
      { class: 'panel', role: 'dialog', 'aria-labelledby': 'title' },
      el(
        'div', { class: 'head' }, this.#face,
        el('div', { class: 'names' }, this.#title, el('p', { class: 'under' }, this.#dot, this.#under_words)),
        this.#end, button(strings.close, on.close, icon(CROSS)),
      ),
      this.#banner,
      this.#messages.element,
      this.#messages.newer,
      el('div', { class: 'typing' }, this.#dots, this.#typing_words),
      this.#form,
    );
    this.#fill();
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener('keydown', (event) => {
      // Safari ends a composition before the key that ends it; only its old code tells.
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === 229) return;
      event.preventDefault();
      this.#form.requestSubmit();
    });
    this.#text.addEventListener('input', () => this.#typed());
    this.element.addEventListener('keydown', (event) => this.#key(event));
    this.update(state);
  }

  /** Puts the cursor where the visitor will want to write. */
  focus(): void {
    const first = this.#fields.hidden ? undefined : [...this.#inputs.values()].find((input) => input.value === '');
    (first ?? this.#text).focus();
  }

  /** On a small screen the panel is all there is; then nothing behind it may be reached. */
  set modal(modal: boolean) {
    set(this.element, { 'aria-modal': modal && 'true' });
  }

  shown(): void {
    this.#grow();
    this.#messages.to_end();
  }

  /** Whether the newest message is in sight. */
  get at_end(): boolean {
    return this.#messages.at_end;
  }

  /** What is half written. */
  get draft(): string {
    return this.#text.value;
  }

  set draft(text: string) {
    this.#text.value = text;
    this.#grow();
  }

  /** The site asks or says something else than before. */
  set site(site: SiteConfig) {
    this.#site = site;
    this.#fill();
    this.update(this.#state);
  }

  /** Nothing that was written here is left. */
  reset(): void {
    for (const input of this.#inputs.values()) input.value = '';
    this.draft = '';
    this.#stop_typing();
  }

  update(state: ChatState): void {
    this.#state = state;
    const { card, availability } = state;
    const helper = card?.state === 'active' ? agent(state, card.assignee) : undefined;
    const title = helper?.name ?? this.#site.texts.title ?? (this.#site.name || strings.title);
    say(this.#title, title);
    say(this.#face, [...title.trim()][0]?.toUpperCase() ?? '');
    say(this.#under_words, helper ? strings.with_agent : strings.availability[availability]);
    this.#dot.className = `dot ${helper ? 'available' : availability}`;
    this.#end.hidden = !card || card.state === 'closed' || state.line !== 'online';
    if (this.#end.hidden) this.#asks_end = false;

    this.#messages.update(state, this.#greeting());
    const writer = state.typing && (agent(state, state.typing.agent)?.name ?? strings.someone);
    this.#dots.hidden = writer === undefined;
    say(this.#typing_words, writer === undefined ? '' : strings.is_typing(writer));

    if (!waits(state)) this.#full = false;
    const begins = this.#begins();
    this.#fields.hidden = !begins || this.#inputs.size === 0;
    for (const input of this.#inputs.values()) input.disabled = !begins;
    this.#notice.hidden = !begins || !this.#site.notice;
    this.#show_banner();
  }

  #greeting(): string {
    const { greeting, offline } = this.#site.texts;
    const away = this.#state.availability === 'unavailable' && this.#state.conversation === undefined;
    return away ? (offline ?? strings.offline) : (greeting ?? strings.greeting);
  }

  /** Whether the next words begin a conversation, or one that was refused once more. */
  #begins(): boolean {
    return this.#state.conversation === undefined || this.#state.refused !== undefined;
  }

  #answers(): FormAnswer[] {
    if (!this.#begins()) return [];
    return [...this.#inputs].flatMap(([field, { value }]) => (value.trim() === '' ? [] : [{ field, answer: value.trim() }]));
  }

  /** What the site asks for and says before a conversation. */
  #fill(): void {
    const { form, notice } = this.#site;
    this.#fields.replaceChildren();
    this.#ask('name', form.name, strings.name, 'text');
    this.#ask('email', form.email, strings.email, 'email');
    this.#notice.replaceChildren(notice?.text ?? '');
    if (notice && /^https?:\/\//.test(notice.url)) {
      this.#notice.append(' ', el('a', { href: notice.url, target: '_blank', rel: 'noopener noreferrer' }, strings.privacy));
    }
  }

  #ask(name: string, asked: Asked, words: string, type: string): void {
    const former = this.#inputs.get(name)?.value ?? '';
    this.#inputs.delete(name);
    if (asked === 'hidden') return;
    const input = el('input', {
      type, name, required: asked === 'required', autocomplete: name, maxlength: '200', dir: type === 'email' ? 'ltr' : 'auto',
    });
    input.value = former;
    const optional = asked === 'optional' ? [el('small', {}, ` (${strings.optional})`)] : [];
    this.#fields.append(el('label', {}, el('span', {}, words, ...optional), input));
    this.#inputs.set(name, input);
  }

  #submit(): void {
    const text = this.#text.value.trim();
    if (text === '') {
      this.#text.focus();
      return;
    }
    const kept = this.#on.send(text, this.#answers());
    if (kept) {
      this.draft = '';
      this.#on.draft('');
      this.#stop_typing();
    }
    this.#kept(kept);
    this.#text.focus();
  }

  #kept(kept: boolean): void {
    this.#full = !kept;
    this.#show_banner();
  }

  #typed(): void {
    this.#grow();
    this.#on.draft(this.#text.value);
    const now = Date.now();
    if (this.#text.value.trim() === '') {
      this.#stop_typing();
      return;
    }
    if (now - this.#typed_at >= TYPING_AGAIN_MS) {
      this.#typed_at = now;
      this.#on.typing(true);
    }
    clearTimeout(this.#stopped);
    this.#stopped = setTimeout(() => this.#stop_typing(), TYPING_STOP_MS);
  }

  #stop_typing(): void {
    clearTimeout(this.#stopped);
    if (this.#typed_at === 0) return;
    this.#typed_at = 0;
    this.#on.typing(false);
  }

  #grow(): void {
    // Heights set by script are not inline style in the eyes of a content security policy.
    this.#text.style.blockSize = 'auto';
    this.#text.style.blockSize = `${this.#text.scrollHeight}px`;
  }

  #ask_end(asks: boolean): void {
    this.#asks_end = asks;
    this.#show_banner();
    (asks ? this.#banner.querySelector('button') : this.#text)?.focus();
  }

  /** One line above the messages: the most pressing thing to know, and what to do about it. */
  #show_banner(): void {
    const { words, acts } = this.#pressing();
    const face = `${words} ${acts.map(([label]) => label).join(' ')}`;
    if (face === this.#banner_face) return;
    this.#banner_face = face;
    this.#banner.classList.toggle('quiet', words === '');
    say(this.#banner_words, words);
    this.#banner_acts.hidden = acts.length === 0;
    this.#banner_acts.replaceChildren(...acts.flatMap(([label, act]) => [button(label, act), ' ']));
  }

  #pressing(): { words: string; acts: [string, () => void][] } {
    const { line, lost, card, queue, refused } = this.#state;
    const only = (words: string): { words: string; acts: [] } => ({ words, acts: [] });
    if (this.#asks_end) {
      return {
        words: strings.end_question,
        acts: [[strings.end_yes, () => { this.#ask_end(false); this.#on.end(); }], [strings.end_no, () => this.#ask_end(false)]],
      };
    }
    if (line === 'stopped') return only(strings.stopped);
    if (this.#full) return only(strings.full);
    if (lost) return only(strings.reconnecting);
    if (refused !== undefined) return { words: strings.refused(reason(refused)), acts: [[strings.anew, this.#on.anew]] };
    if (card?.state === 'closed') return { words: strings.closed, acts: [[strings.anew, this.#on.anew]] };
    if (card?.state === 'queued' && card.offline_message && this.#state.availability === 'unavailable') return only(strings.left);
    if (card?.state === 'offered') return only(strings.offered);
    if (card?.state === 'queued' && queue) {
      const wait = queue.wait_ms === undefined ? '' : ` ${strings.queue_wait(Math.ceil(queue.wait_ms / 60_000))}`;
      return only(strings.queue(queue.position) + wait);
    }
    return only('');
  }

  #key(event: KeyboardEvent): void {
    if (event.isComposing) return;
    if (event.key === 'Escape') {
      event.stopPropagation();
      if (this.#asks_end) this.#ask_end(false);
      else this.#on.close();
    }
    if (event.key !== 'Tab' || !this.element.hasAttribute('aria-modal')) return;
    const stops = [...this.element.querySelectorAll<HTMLElement>('button, input, textarea, a, [tabindex]')]
      .filter((stop) => stop.getClientRects().length > 0 && !stop.hasAttribute('disabled'));
    const root = this.element.getRootNode();
    const at = root instanceof ShadowRoot ? root.activeElement : null;
    const [from, to] = event.shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
    if (at !== from) return;
    event.preventDefault();
    to?.focus();
  }
}
