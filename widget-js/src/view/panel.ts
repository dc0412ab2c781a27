// The open chat: head, banner, messages, form and composer. It shows a state and says what the visitor
// wants; it decides nothing.

import { agent } from '../state/conversation.ts';
import type { ChatState } from '../state/conversation.ts';
import type { Asked, SiteConfig } from '../state/site.ts';
import type { Strings } from '../strings/en.ts';
import { TEXT_CHARS_MAX } from '../wire/frames.ts';
import type { FormAnswer, MessageId } from '../wire/frames.ts';
import { el, icon, say, set } from './dom.ts';
import { Messages, reason } from './messages.ts';

const CROSS = 'M6 6l12 12M18 6L6 18';
const DOOR = 'M9 21H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h4M16 17l5-5-5-5M21 12H9';
const PLANE = 'M4 12l16-8-6 16-3-7z';

/** While someone writes, that he does is said again this often; it holds for longer. */
const TYPING_AGAIN_MS = 3_000;
/** Without a key for so long, he has stopped. */
const TYPING_STOP_MS = 5_000;

export interface PanelEvents {
  close: () => void;
  /** False: it could not be kept, so it stays in the composer. */
  send: (text: string, form: FormAnswer[]) => boolean;
  typing: (typing: boolean) => void;
  earlier: () => void;
  retry: (message: MessageId) => void;
  end: () => void;
  anew: () => void;
}

export class Panel {
  readonly element: HTMLElement;
  readonly #site: SiteConfig;
  readonly #strings: Strings;
  readonly #on: PanelEvents;
  readonly #messages: Messages;
  readonly #face = el('span', { class: 'face', 'aria-hidden': 'true' });
  readonly #title = el('h2', { class: 'title', id: 'title' });
  readonly #dot = el('span', { class: 'dot', 'aria-hidden': 'true' });
  readonly #under_words = el('span');
  readonly #banner_words = el('p', { role: 'status' });
  readonly #banner_acts = el('div');
  readonly #banner = el('div', { class: 'banner', hidden: true }, this.#banner_words, this.#banner_acts);
  readonly #typing_words = el('span', { role: 'status' });
  readonly #dots = el('span', { class: 'dots', 'aria-hidden': 'true', hidden: true }, el('i'), el('i'), el('i'));
  readonly #fields = el('div', { class: 'fields' });
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

  constructor(site: SiteConfig, strings: Strings, locale: string, state: ChatState, on: PanelEvents) {
    this.#site = site;
    this.#strings = strings;
    this.#on = on;
    this.#state = state;
    this.#messages = new Messages(strings, locale, on);
    this.#end = el('button', { type: 'button', 'aria-label': strings.end, title: strings.end, hidden: true }, icon(DOOR));
    const close = el('button', { type: 'button', 'aria-label': strings.close, title: strings.close }, icon(CROSS));
    this.#text = el('textarea', {
      rows: '1', maxlength: String(TEXT_CHARS_MAX), 'aria-label': strings.message, placeholder: strings.placeholder, dir: 'auto',
    });
    const go = icon(PLANE);
    go.classList.add('flip');
    const form = el(
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
        this.#end, close,
      ),
      this.#banner,
      this.#messages.element,
      el('div', { class: 'typing' }, this.#dots, this.#typing_words),
      form,
    );
    this.#ask('name', site.form.name, strings.name, 'text');
    this.#ask('email', site.form.email, strings.email, 'email');
    this.#write_notice();
    this.#end.addEventListener('click', () => this.#ask_end(true));
    close.addEventListener('click', on.close);
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#submit();
    });
    this.#text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      form.requestSubmit();
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
    this.#messages.to_end();
  }

  update(state: ChatState): void {
    this.#state = state;
    const { card, availability } = state;
    const { someone, with_agent } = this.#strings;
    const helper = card?.state === 'active' ? agent(state, card.assignee) : undefined;
    const title = helper?.name ?? this.#site.texts.title ?? (this.#site.name || this.#strings.title);
    say(this.#title, title);
    say(this.#face, [...title.trim()][0]?.toUpperCase() ?? '');
    say(this.#under_words, helper ? with_agent : this.#strings[availability]);
    this.#dot.className = `dot ${helper ? 'available' : availability}`;
    this.#end.hidden = !card || card.state === 'closed' || state.line !== 'online';
    if (this.#end.hidden) this.#asks_end = false;

    this.#messages.update(state, this.#greeting());
    const writer = state.typing && (agent(state, state.typing.agent)?.name ?? someone);
    this.#dots.hidden = writer === undefined;
    say(this.#typing_words, writer === undefined ? '' : this.#strings.is_typing(writer));

    const begins = state.conversation === undefined;
    this.#fields.hidden = !begins || this.#inputs.size === 0;
    for (const input of this.#inputs.values()) input.disabled = !begins;
    this.#notice.hidden = !begins || !this.#site.notice;
    this.#show_banner();
  }

  #greeting(): string {
    const { greeting, offline } = this.#site.texts;
    const away = this.#state.availability === 'unavailable' && this.#state.conversation === undefined;
    return away ? (offline ?? this.#strings.offline) : (greeting ?? this.#strings.greeting);
  }

  #ask(name: string, asked: Asked, words: string, type: string): void {
    if (asked === 'hidden') return;
    const input = el('input', {
      type, name, required: asked === 'required', autocomplete: name, maxlength: '200', dir: type === 'email' ? 'ltr' : 'auto',
    });
    const optional = asked === 'optional' ? [el('small', {}, ` (${this.#strings.optional})`)] : [];
    this.#fields.append(el('label', {}, el('span', {}, words, ...optional), input));
    this.#inputs.set(name, input);
  }

  #write_notice(): void {
    const notice = this.#site.notice;
    if (!notice) return;
    this.#notice.append(notice.text);
    if (/^https?:\/\//.test(notice.url)) {
      this.#notice.append(' ', el('a', { href: notice.url, target: '_blank', rel: 'noopener noreferrer' }, this.#strings.privacy));
    }
  }

  #submit(): void {
    const text = this.#text.value.trim();
    if (text === '') {
      this.#text.focus();
      return;
    }
    const form = this.#state.conversation === undefined
      ? [...this.#inputs].flatMap(([field, { value }]) => (value.trim() === '' ? [] : [{ field, answer: value.trim() }]))
      : [];
    this.#full = !this.#on.send(text, form);
    if (!this.#full) {
      this.#text.value = '';
      this.#grow();
      this.#stop_typing();
    }
    this.#show_banner();
    this.#text.focus();
  }

  #typed(): void {
    this.#grow();
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
    this.#banner.hidden = words === '';
    say(this.#banner_words, words);
    this.#banner_acts.hidden = acts.length === 0;
    this.#banner_acts.replaceChildren(...acts.flatMap(([label, act]) => {
      const button = el('button', { type: 'button', class: 'small' }, label);
      button.addEventListener('click', act);
      return [button, ' '];
    }));
  }

  #pressing(): { words: string; acts: [string, () => void][] } {
    const { line, lost, card, queue, refused } = this.#state;
    const strings = this.#strings;
    const only = (words: string): { words: string; acts: [] } => ({ words, acts: [] });
    if (this.#asks_end) {
      return {
        words: strings.end_question,
        acts: [[strings.end_yes, () => { this.#ask_end(false); this.#on.end(); }], [strings.end_no, () => this.#ask_end(false)]],
      };
    }
    if (this.#full) return only(strings.full);
    if (line === 'stopped') return only(strings.stopped);
    if (lost) return only(strings.reconnecting);
    if (refused !== undefined) return { words: strings.refused(reason(strings, refused)), acts: [[strings.anew, this.#on.anew]] };
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
