// The list of messages: one row for each, kept by its id, so that a row that moves is the same row.

import { agent, isNext, newest, progress, unread } from '../state/conversation.ts';
import type { ChatState, Entry, Progress } from '../state/conversation.ts';
import * as strings from '../strings/en.ts';
import type { AgentId, MessageId, RejectCode } from '../../../protocol/ts/src/wire/frames.ts';
import { LINK_ATTRIBUTES, pieces } from '../../../protocol/ts/src/wire/links.ts';
import { button, el, fill, icon, isolated, say, set } from './dom.ts';

const TICK = 'M5 12.5l4.5 4.5L19 7.5';
const TICKS = 'M1.5 12.5L6 17l9.5-9.5M11 16l1 1 9.5-9.5';
const CLOCK = 'M12 7v5l3 2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z';

/** As near to the end as this counts as being there. */
const END_PX = 60;

interface Row {
  readonly element: HTMLElement;
  readonly who: HTMLElement;
  readonly bubble: HTMLElement;
  readonly meta: HTMLElement;
  /**
   * What it was drawn from: of the same it would be drawn the same, and a long conversation has
   * thousands.
   */
  drawn: readonly unknown[];
  /** What the line below was made of. */
  face: string;
}

export interface MessagesEvents {
  earlier: () => void;
  retry: (message: MessageId) => void;
  discard: (message: MessageId) => void;
  /** The newest came in sight. */
  read: () => void;
}

export class Messages {
  readonly element: HTMLElement;
  /** The way down to what came while something earlier was being read. */
  readonly newer: HTMLElement;
  readonly #earlier: HTMLButtonElement;
  readonly #greeting = el('div', { class: 'greeting', dir: 'auto' });
  readonly #rows = new Map<MessageId, Row>();
  readonly #on: MessagesEvents;
  readonly #locale: string;
  /** Whether the newest is in sight; then it stays so, whatever grows or shrinks around it. */
  #atEnd = true;
  /**
   * The height in which that was so: a scroll that is told of in another is one that the layout
   * made, and says nothing.
   */
  #room = 0;
  /** The seq of the newest that was shown: what comes above it is news. */
  #newest = 0;

  constructor(locale: string, on: MessagesEvents) {
    try {
      this.#locale = new Intl.Locale(locale).baseName;
    } catch {
      // A page may name a language in a way that is none.
      this.#locale = 'en';
    }
    this.#on = on;
    this.#earlier = button(strings.earlier, on.earlier);
    this.element = el(
      'div',
      {
        class: 'log',
        role: 'log',
        'aria-live': 'polite',
        'aria-label': strings.messages,
        tabindex: '0',
      },
      this.#earlier,
      this.#greeting,
    );
    this.newer = el(
      'div',
      { class: 'newer', hidden: true },
      button(strings.newer, () => {
        this.toEnd();
        this.element.focus();
      }),
    );
    new ResizeObserver(() => {
      this.#room = this.element.clientHeight;
      if (this.#atEnd) this.toEnd();
    }).observe(this.element);
    this.element.onscroll = () => {
      const { scrollHeight, scrollTop, clientHeight } = this.element;
      if (clientHeight !== this.#room) return;
      this.#atEnd = scrollHeight - scrollTop - clientHeight < END_PX;
      if (this.#atEnd) on.read();
      if (scrollTop < 40 && !this.#earlier.hidden) on.earlier();
    };
  }

  get atEnd(): boolean {
    return this.#atEnd;
  }

  update(state: ChatState, greeting: string): void {
    const log = this.element;
    const fromEnd = log.scrollHeight - log.scrollTop;
    const lastBefore = log.lastElementChild;
    const oldestBefore = this.#greeting.nextElementSibling;

    this.#earlier.hidden = !state.more;
    // Nobody would hear it.
    this.#earlier.disabled = state.line !== 'online';
    this.#greeting.hidden = state.more;
    say(this.#greeting, greeting);
    const gone = new Set(this.#rows.keys());
    let before: Element = this.#greeting;
    state.entries.forEach((entry, index) => {
      gone.delete(entry.message);
      const row = this.#row(entry);
      this.#refresh(row, state, entry, state.entries[index - 1], state.entries[index + 1]);
      if (before.nextSibling !== row.element) log.insertBefore(row.element, before.nextSibling);
      before = row.element;
    });
    for (const message of gone) {
      this.#rows.get(message)?.element.remove();
      this.#rows.delete(message);
    }

    const grew = log.lastElementChild !== lastBefore;
    const own = grew && state.entries.at(-1)?.author.kind === 'visitor';
    if (this.#atEnd || own) this.toEnd();
    // Earlier ones came in above: what was being read stays where it is.
    else if (this.#greeting.nextElementSibling !== oldestBefore)
      log.scrollTop = log.scrollHeight - fromEnd;
    this.#newest = newest(state);
    this.newer.hidden = this.#atEnd || unread(state) === 0;
  }

  toEnd(): void {
    this.#atEnd = true;
    this.element.scrollTop = this.element.scrollHeight;
  }

  #row(entry: Entry): Row {
    const known = this.#rows.get(entry.message);
    if (known) return known;
    const who = el('span', { class: 'who' });
    const bubble = el('div', { class: 'bubble', dir: 'auto' });
    const meta = el('div', { class: 'meta', 'aria-live': 'off' });
    const element =
      entry.body.kind === 'text'
        ? el('div', { class: 'row' }, who, bubble, meta)
        : el('div', { class: 'event' });
    // Read out is what others say now; not one's own words, and not what was there before.
    const news = entry.author.kind !== 'visitor' && this.#newest > 0 && entry.seq > this.#newest;
    set(element, { 'aria-live': !news && 'off' });
    const row = { element, who, bubble, meta, drawn: [], face: '' };
    this.#rows.set(entry.message, row);
    return row;
  }

  #event(state: ChatState, entry: Entry): string {
    const { body } = entry;
    const [event, about] = body.kind === 'event' ? [body.event, body.agent] : ['unknown' as const];
    const last = state.entries.findLast(({ body }) => body.kind !== 'text') === entry;
    return strings.events[event](nameOf(state, about), last && isNext(state));
  }

  #refresh(
    row: Row,
    state: ChatState,
    entry: Entry,
    former: Entry | undefined,
    next: Entry | undefined,
  ): void {
    const came = progress(state, entry);
    const nextCame = next && progress(state, next);
    const drawn = [
      entry,
      former,
      next,
      came,
      nextCame,
      state.line,
      state.card?.agents,
      isNext(state),
    ];
    if (drawn.every((part, index) => part === row.drawn[index])) return;
    row.drawn = drawn;
    if (entry.body.kind !== 'text') {
      say(row.element, this.#event(state, entry));
      return;
    }
    const mine = entry.author.kind === 'visitor';
    const first = former?.body.kind !== 'text' || key(former) !== key(entry);
    const last = next?.body.kind !== 'text' || key(next) !== key(entry);
    const name = this.#name(state, entry);
    // An earlier message that came as far as the one below it need not say so again.
    const same = mine && !last && nextCame === came;
    const shows = mine ? came === 'failed' || !same : last;
    row.element.className = `row${mine ? ' mine' : ''}${first ? ' first' : ''}${came === 'failed' && mine ? ' failed' : ''}`;
    // Own words need no name on the screen; who cannot see the sides hears it.
    row.who.className = mine || !first ? 'hidden' : 'who';
    say(row.who, `${name}${mine || !first ? ': ' : ''}`);
    // Other words only where the server hid something of one's own.
    if (row.bubble.textContent !== entry.body.text) fill(row.bubble, ...linked(entry.body.text));
    const face = shows ? `${came} ${entry.at} ${entry.failed ?? ''} ${state.line}` : '';
    if (face === row.face) return;
    row.face = face;
    set(row.meta, { 'aria-live': came === 'failed' ? 'polite' : 'off' });
    fill(row.meta, ...(shows ? this.#meta(state, entry, mine, came) : []));
  }

  #name(state: ChatState, { author }: Entry): string {
    if (author.kind === 'visitor') return strings.you;
    return author.kind === 'bot' ? strings.bot : nameOf(state, author.agent);
  }

  #meta(state: ChatState, entry: Entry, mine: boolean, came: Progress): (Node | string)[] {
    const time = el('time', { datetime: new Date(entry.at).toISOString() }, this.#time(entry.at));
    if (!mine) return [time];
    if (came === 'failed') {
      const acts = (
        [
          [strings.retry, this.#on.retry],
          [strings.discard, this.#on.discard],
        ] as const
      ).map(([label, act]) => button(label, () => act(entry.message)));
      return [strings.failed(reason(entry.failed)), ...acts];
    }
    const away =
      state.line === 'stopped' ? strings.failed(strings.stopped) : strings.waitingForConnection;
    const words = came === 'sending' && state.line !== 'online' ? away : strings.progress[came];
    const drawing = icon({ sending: CLOCK, sent: TICK, delivered: TICKS, seen: TICKS }[came]);
    if (came === 'seen') drawing.classList.add('is-seen');
    return [time, ' · ', el('span', {}, words), drawing];
  }

  #time(at: number): string {
    const date = new Date(at);
    const today = date.toDateString() === new Date().toDateString();
    const style: Intl.DateTimeFormatOptions = today
      ? { timeStyle: 'short' }
      : { dateStyle: 'medium', timeStyle: 'short' };
    return date.toLocaleString(this.#locale, style);
  }
}

/** Why something was refused, in words. */
export function reason(code: RejectCode | undefined): string {
  return (code && strings.reasons[code]) ?? strings.reasons.other;
}

/** What an agent is called in a sentence. */
export function nameOf(state: ChatState, id: AgentId | undefined): string {
  return isolated(agent(state, id)?.name ?? strings.someone);
}

function key({ author }: Entry): string {
  return `${author.kind} ${author.agent ?? ''}`;
}

/** The text, with addresses of the web as links. */
function linked(text: string): (Node | string)[] {
  return pieces(text).map(({ text, href }) =>
    href ? el('a', { ...LINK_ATTRIBUTES, href }, text) : text,
  );
}
