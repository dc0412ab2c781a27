// The open chat: head, banner, messages, form and composer. It shows a state and says what the
// visitor wants; it decides nothing.

import { agent, waits } from '../state/conversation.ts';
import type { ChatState } from '../state/conversation.ts';
import type { Asked, SiteConfig } from '../state/site.ts';
import * as strings from '../strings/en.ts';
import { TEXT_CHARS_MAX } from '../../../protocol/ts/src/wire/frames.ts';
import type { FormAnswer, MessageId } from '../../../protocol/ts/src/wire/frames.ts';
import { LINK_ATTRIBUTES } from '../../../protocol/ts/src/wire/links.ts';
import { isBlank } from '../../../protocol/ts/src/wire/visible.ts';
import { button, el, fill, icon, isolated, put, say, set } from './dom.ts';
import { Messages, nameOf, reason } from './messages.ts';
import type { MessagesEvents } from './messages.ts';

const CROSS = 'M6 6l12 12M18 6L6 18';
const DOOR = 'M9 21H5a2 2 0 0 1-2-2V5a2 2 0 0 1 2-2h4M16 17l5-5-5-5M21 12H9';
const PLANE = 'M4 12l16-8-6 16-3-7z';

/** While someone writes, that is said again this often; it holds for longer. */
const TYPING_AGAIN_MS = 3_000;
/** Without a key for so long, they have stopped. */
const TYPING_STOP_MS = 5_000;
const ANSWER_CHARS_MAX = 200;

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
  readonly #underWords = el('span');
  readonly #bannerWords = el('p', { role: 'status' });
  readonly #bannerActs = el('div');
  readonly #banner = el('div', { class: 'banner' }, this.#bannerWords, this.#bannerActs);
  readonly #typingWords = el('span', { role: 'status' });
  readonly #dots = el(
    'span',
    { class: 'dots', 'aria-hidden': 'true', hidden: true },
    el('i'),
    el('i'),
    el('i'),
  );
  readonly #fields = el('div', { class: 'fields' });
  readonly #go: HTMLButtonElement;
  readonly #text: HTMLTextAreaElement;
  readonly #notice = el('p', { class: 'notice' });
  readonly #end: HTMLButtonElement;
  readonly #inputs = new Map<string, HTMLInputElement>();
  #state: ChatState;
  #asksEnd = false;
  #full = false;
  #bannerFace = '';
  /** By the page's own clock, which nobody sets. */
  #typedAt = -Infinity;
  #stopped: ReturnType<typeof setTimeout> | undefined;

  constructor(site: SiteConfig, locale: string, state: ChatState, on: PanelEvents) {
    this.#site = site;
    this.#on = on;
    this.#state = state;
    this.#messages = new Messages(locale, {
      ...on,
      // What the conversation failed for may stand in the form.
      retry: (message) => {
        if (this.#answered()) this.#kept(on.retry(message, this.#answers()));
      },
    });
    this.#end = button(strings.end, () => this.#askEnd(true), icon(DOOR));
    this.#text = el('textarea', {
      rows: '1',
      'aria-label': strings.message,
      placeholder: strings.placeholder,
      dir: 'auto',
    });
    this.#go = button(strings.send, () => this.#submit(), icon(PLANE));
    this.#go.className = 'go';
    this.element = el(
      'section',
      { class: 'panel', role: 'dialog', 'aria-labelledby': 'title' },
      el(
        'div',
        { class: 'head' },
        this.#face,
        el(
          'div',
          { class: 'names' },
          this.#title,
          el('p', { class: 'under' }, this.#dot, this.#underWords),
        ),
        this.#end,
        button(strings.close, on.close, icon(CROSS)),
      ),
      this.#banner,
      this.#messages.element,
      this.#messages.newer,
      el('div', { class: 'typing' }, this.#dots, this.#typingWords),
      // No form: a sandbox may allow scripts and not forms.
      el(
        'div',
        { class: 'foot' },
        this.#fields,
        el('div', { class: 'write' }, this.#text, this.#go),
        this.#notice,
      ),
    );
    this.#fill();
    this.#text.oninput = () => this.#typed();
    this.update(state);
  }

  /** Puts the cursor where the visitor will want to write. */
  focus(): void {
    const first = this.#fields.hidden
      ? undefined
      : [...this.#inputs.values()].find((input) => input.value === '');
    (first ?? this.#text).focus();
  }

  /** On a small screen the panel is all there is; then nothing behind it may be reached. */
  set modal(modal: boolean) {
    set(this.element, { 'aria-modal': modal && 'true' });
  }

  shown(): void {
    this.#grow();
    this.#messages.toEnd();
  }

  /** Whether the newest message is in sight. */
  get atEnd(): boolean {
    return this.#messages.atEnd;
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
    this.#keepCursor(() => {
      this.#fill();
      this.#draw(this.#state);
    });
  }

  /** Nothing that was written here is left. */
  reset(): void {
    for (const input of this.#inputs.values()) input.value = '';
    this.draft = '';
    this.#stopTyping();
  }

  update(state: ChatState): void {
    this.#keepCursor(() => this.#draw(state));
  }

  /** Where what has the cursor goes, the composer has it next, and not the page. */
  #keepCursor(act: () => void): void {
    const had = this.element.matches(':focus-within');
    act();
    const { activeElement } = this.element.getRootNode() as ShadowRoot;
    if (had && !activeElement?.getClientRects().length) this.#text.focus();
  }

  #draw(state: ChatState): void {
    this.#state = state;
    const { card, availability } = state;
    const helper = card?.state === 'active' ? agent(state, card.assignee) : undefined;
    const title = helper?.name ?? this.#site.texts.title ?? (this.#site.name || strings.title);
    say(this.#title, isolated(title));
    say(this.#face, [...title.trim()][0]?.toUpperCase() ?? '');
    // Without a connection nobody is with the visitor, and nobody knows who is there.
    const ended = state.line === 'stopped';
    const away = ended || state.lost || (helper !== undefined && state.line !== 'online');
    say(
      this.#underWords,
      ended
        ? ''
        : away
          ? strings.waitingForConnection
          : helper
            ? strings.withAgent
            : strings.availability[availability],
    );
    this.#dot.className = `dot ${away ? '' : helper ? 'available' : availability}`;
    this.#text.readOnly = this.#go.disabled = ended;
    this.#end.hidden = !card || card.state === 'closed' || state.line !== 'online';
    if (this.#end.hidden) this.#asksEnd = false;

    this.#messages.update(state, this.#greeting());
    const writer = state.typing && nameOf(state, state.typing.agent);
    this.#dots.hidden = writer === undefined;
    say(this.#typingWords, writer === undefined ? '' : strings.isTyping(writer));

    if (!waits(state)) this.#full = false;
    // Nor is anything asked for that nobody would get.
    const begins = this.#begins() && !ended;
    this.#fields.hidden = !begins || this.#inputs.size === 0;
    for (const input of this.#inputs.values()) input.disabled = !begins;
    this.#notice.hidden = !begins || !this.#site.notice;
    this.#showBanner();
  }

  #greeting(): string {
    const { greeting, offline } = this.#site.texts;
    const away =
      this.#state.availability === 'unavailable' && this.#state.conversation === undefined;
    return away ? (offline ?? strings.offline) : (greeting ?? strings.greeting);
  }

  /** Whether the next words begin a conversation, or one that was refused once more. */
  #begins(): boolean {
    return this.#state.conversation === undefined || this.#state.refused !== undefined;
  }

  #answers(): FormAnswer[] {
    if (!this.#begins()) return [];
    return [...this.#inputs].flatMap(([field, { value }]) =>
      isBlank(value) ? [] : [{ field, answer: value.trim() }],
    );
  }

  /** Whether the form can be taken as it is; what cannot is pointed out. */
  #answered(): boolean {
    return [...this.#inputs.values()].every((input) => {
      if (isBlank(input.value)) input.value = '';
      const { length } = [...input.value];
      input.setCustomValidity(
        length > ANSWER_CHARS_MAX ? strings.tooLong(length, ANSWER_CHARS_MAX) : '',
      );
      return input.reportValidity();
    });
  }

  /** What the site asks for and says before a conversation. */
  #fill(): void {
    const { form, notice } = this.#site;
    fill(this.#fields);
    this.#ask('name', form.name, strings.name, 'text');
    this.#ask('email', form.email, strings.email, 'email');
    fill(this.#notice, notice?.text ?? '');
    if (notice && /^https?:\/\//.test(notice.url)) {
      put(
        this.#notice,
        ' ',
        el('a', { ...LINK_ATTRIBUTES, dir: false, href: notice.url }, strings.privacy),
      );
    }
  }

  #ask(name: string, asked: Asked, words: string, type: string): void {
    const former = this.#inputs.get(name)?.value ?? '';
    this.#inputs.delete(name);
    if (asked === 'hidden') return;
    const input = el('input', {
      type,
      name,
      // In quotes, for the build shortens members of this name.
      'required': asked === 'required',
      autocomplete: name,
      dir: type === 'email' ? 'ltr' : 'auto',
    });
    input.value = former;
    const optional = asked === 'optional' ? [el('small', {}, ` (${strings.optional})`)] : [];
    put(this.#fields, el('label', {}, el('span', {}, words, ...optional), input));
    this.#inputs.set(name, input);
  }

  #submit(): void {
    if (this.#go.disabled || !this.#answered()) return;
    const text = this.#text.value.trim();
    if (isBlank(text) || this.#excess()) {
      this.#text.focus();
      return;
    }
    const kept = this.#on.send(text, this.#answers());
    if (kept) {
      this.draft = '';
      this.#on.draft('');
      this.#stopTyping();
    }
    this.#kept(kept);
    this.#text.focus();
  }

  /**
   * The length of what is too long to be sent; it stays as it is, for the visitor to shorten it.
   */
  #excess(): number {
    const text = this.#text.value.trim();
    const length = text.length > TEXT_CHARS_MAX ? [...text].length : 0;
    return length > TEXT_CHARS_MAX ? length : 0;
  }

  #kept(kept: boolean): void {
    this.#full = !kept;
    this.#showBanner();
  }

  #typed(): void {
    this.#grow();
    this.#showBanner();
    this.#on.draft(this.#text.value);
    if (isBlank(this.#text.value)) {
      this.#stopTyping();
      return;
    }
    if (performance.now() - this.#typedAt >= TYPING_AGAIN_MS) {
      this.#typedAt = performance.now();
      this.#on.typing(true);
    }
    clearTimeout(this.#stopped);
    this.#stopped = setTimeout(() => this.#stopTyping(), TYPING_STOP_MS);
  }

  #stopTyping(): void {
    clearTimeout(this.#stopped);
    if (this.#typedAt < 0) return;
    this.#typedAt = -Infinity;
    this.#on.typing(false);
  }

  #grow(): void {
    // Heights set by script are not inline style in the eyes of a content security policy.
    this.#text.style.blockSize = 'auto';
    this.#text.style.blockSize = `${this.#text.scrollHeight}px`;
  }

  #askEnd(asks: boolean): void {
    this.#asksEnd = asks;
    this.#showBanner();
    (asks ? this.#banner.querySelector('button') : this.#text)?.focus();
  }

  /** One line above the messages: the most pressing thing to know, and what to do about it. */
  #showBanner(): void {
    const { words, acts } = this.#pressing();
    const face = `${words} ${acts.map(([label]) => label).join(' ')}`;
    if (face === this.#bannerFace) return;
    this.#bannerFace = face;
    this.#banner.classList.toggle('quiet', words === '');
    say(this.#bannerWords, words);
    this.#bannerActs.hidden = acts.length === 0;
    fill(this.#bannerActs, ...acts.flatMap(([label, act]) => [button(label, act), ' ']));
  }

  #pressing(): { words: string; acts: [string, () => void][] } {
    const { line, lost, blocked, availability, card, queue, refused } = this.#state;
    const excess = this.#excess();
    const only = (words: string): { words: string; acts: [] } => ({ words, acts: [] });
    if (this.#asksEnd) {
      return {
        words: strings.endQuestion,
        acts: [
          [
            strings.endYes,
            () => {
              this.#askEnd(false);
              this.#on.end();
            },
          ],
          [strings.endNo, () => this.#askEnd(false)],
        ],
      };
    }
    if (excess) return only(strings.tooLong(excess, TEXT_CHARS_MAX));
    if (line === 'stopped') return only(strings.stopped);
    if (this.#full) return only(strings.full);
    if (lost) return only(blocked ? strings.blocked : strings.reconnecting);
    if (refused !== undefined)
      return { words: strings.refused(reason(refused)), acts: [[strings.anew, this.#on.anew]] };
    if (card?.state === 'closed')
      return { words: strings.closed, acts: [[strings.anew, this.#on.anew]] };
    // Nobody is there for whom they could be next.
    if (card?.state === 'queued' && availability === 'unavailable') return only(strings.left);
    if (card?.state === 'offered') return only(strings.offered);
    if (card?.state === 'queued' && queue) {
      const wait =
        queue.wait_ms === undefined
          ? ''
          : ` ${strings.queueWait(Math.ceil(queue.wait_ms / 60_000))}`;
      return only(strings.queue(queue.position) + wait);
    }
    return only('');
  }

  /** A key that is pressed in the chat; the page hears nothing of it. */
  key(event: KeyboardEvent): void {
    const { key, shiftKey } = event;
    const at = event.composedPath()[0];
    // Safari ends a composition before the key that ends it; only its old code tells.
    if (event.isComposing || event.keyCode === 229) return;
    if (key === 'Escape') {
      if (this.#asksEnd) this.#askEnd(false);
      else this.#on.close();
    }
    if (key === 'Enter' && !shiftKey && (at === this.#text || at instanceof HTMLInputElement)) {
      event.preventDefault();
      this.#submit();
    }
    if (key !== 'Tab' || !this.element.hasAttribute('aria-modal')) return;
    const stops = [
      ...this.element.querySelectorAll<HTMLElement>('button, input, textarea, a, [tabindex]'),
    ].filter((stop) => stop.getClientRects().length > 0 && !stop.hasAttribute('disabled'));
    const [from, to] = shiftKey ? [stops[0], stops.at(-1)] : [stops.at(-1), stops[0]];
    if (at !== from) return;
    event.preventDefault();
    to?.focus();
  }
}
