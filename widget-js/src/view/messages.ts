// The list of messages: one row for each, kept by its id, so that a row that moves is the same row.

import { agent, progress } from '../state/conversation.ts';
import type { ChatState, Entry, Progress } from '../state/conversation.ts';
import type { Strings } from '../strings/en.ts';
import type { MessageId, RejectCode } from '../wire/frames.ts';
import { el, icon, say } from './dom.ts';

const TICK = 'M5 12.5l4.5 4.5L19 7.5';
const TICKS = 'M1.5 12.5L6 17l9.5-9.5M11 16l1 1 9.5-9.5';
const CLOCK = 'M12 7v5l3 2M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18z';
const LINK = /https?:\/\/[^\s<>"']+[^\s<>"'.,;:!?)\]]/g;

/** As near to the end as this counts as being there. */
const END_PX = 60;

interface Row {
  readonly element: HTMLElement;
  readonly who: HTMLElement;
  readonly bubble: HTMLElement;
  readonly meta: HTMLElement;
  /** What the meta line was made of. */
  face: string;
}

export class Messages {
  readonly element: HTMLElement;
  readonly #earlier: HTMLButtonElement;
  readonly #greeting = el('div', { class: 'greeting', dir: 'auto' });
  readonly #rows = new Map<MessageId, Row>();
  readonly #strings: Strings;
  readonly #retry: (message: MessageId) => void;
  #locale: string;
  /** Whether the newest is in sight; then it stays so, whatever grows or shrinks around it. */
  #at_end = true;

  constructor(strings: Strings, locale: string, on: { earlier: () => void; retry: (message: MessageId) => void }) {
    this.#strings = strings;
    this.#locale = locale;
    this.#retry = on.retry;
    this.#earlier = el('button', { type: 'button', class: 'small', hidden: true }, strings.earlier);
    this.element = el(
      'div',
      { class: 'log', role: 'log', 'aria-live': 'polite', 'aria-label': strings.messages, tabindex: '0' },
      this.#earlier,
      this.#greeting,
    );
    this.#earlier.addEventListener('click', on.earlier);
    new ResizeObserver(() => {
      if (this.#at_end) this.to_end();
    }).observe(this.element);
    this.element.addEventListener('scroll', () => {
      const { scrollHeight, scrollTop, clientHeight } = this.element;
      this.#at_end = scrollHeight - scrollTop - clientHeight < END_PX;
      if (this.element.scrollTop < 40 && !this.#earlier.hidden) on.earlier();
    });
  }

  update(state: ChatState, greeting: string): void {
    const log = this.element;
    const from_end = log.scrollHeight - log.scrollTop;
    const last_before = log.lastElementChild;
    const oldest_before = this.#greeting.nextElementSibling;

    this.#earlier.hidden = !state.more;
    this.#greeting.hidden = state.more;
    say(this.#greeting, greeting);
    const gone = new Set(this.#rows.keys());
    let before: Element = this.#greeting;
    state.entries.forEach((entry, place) => {
      gone.delete(entry.message);
      const row = this.#row(state, entry);
      this.#refresh(row, state, entry, state.entries[place - 1], state.entries[place + 1]);
      if (before.nextElementSibling !== row.element) before.after(row.element);
      before = row.element;
    });
    for (const message of gone) {
      this.#rows.get(message)?.element.remove();
      this.#rows.delete(message);
    }

    const grew = log.lastElementChild !== last_before;
    const own = grew && state.entries.at(-1)?.author.kind === 'visitor';
    if (this.#at_end || own) this.to_end();
    // Earlier ones came in above: what was being read stays where it is.
    else if (this.#greeting.nextElementSibling !== oldest_before) log.scrollTop = log.scrollHeight - from_end;
  }

  to_end(): void {
    this.#at_end = true;
    this.element.scrollTop = this.element.scrollHeight;
  }

  #row(state: ChatState, entry: Entry): Row {
    const known = this.#rows.get(entry.message);
    if (known) return known;
    const who = el('span', { class: 'who' });
    const bubble = el('div', { class: 'bubble', dir: 'auto' });
    const meta = el('div', { class: 'meta' });
    const element = entry.body.kind === 'text'
      ? el('div', { class: 'row' }, who, bubble, meta)
      : el('div', { class: 'event' }, this.#event(state, entry));
    element.dataset['message'] = entry.message;
    const row = { element, who, bubble, meta, face: '' };
    this.#rows.set(entry.message, row);
    return row;
  }

  #event(state: ChatState, { body }: Entry): string {
    const { event_assigned, event_requeued, event_transferred, event_closed, event_reopened, event_unknown, someone } = this.#strings;
    if (body.kind !== 'event') return event_unknown;
    const name = agent(state, body.agent)?.name ?? someone;
    switch (body.event) {
      case 'assigned': return event_assigned(name);
      case 'requeued': return event_requeued;
      case 'transferred': return event_transferred(name);
      case 'closed': return event_closed;
      case 'reopened': return event_reopened;
      default: return event_unknown;
    }
  }

  #refresh(row: Row, state: ChatState, entry: Entry, former: Entry | undefined, next: Entry | undefined): void {
    if (entry.body.kind !== 'text') {
      say(row.element, this.#event(state, entry));
      return;
    }
    const mine = entry.author.kind === 'visitor';
    const first = former?.body.kind !== 'text' || key(former) !== key(entry);
    const last = next?.body.kind !== 'text' || key(next) !== key(entry);
    const name = this.#name(state, entry);
    const came = progress(state, entry);
    // An earlier message that came as far as the one below it need not say so again.
    const same = mine && next !== undefined && !last && progress(state, next) === came;
    const shows = mine ? came === 'failed' || !same : last;
    row.element.className = `row${mine ? ' mine' : ''}${first ? ' first' : ''}${came === 'failed' && mine ? ' failed' : ''}`;
    // Own words need no name on the screen; who cannot see the sides hears it.
    row.who.className = mine || !first ? 'hidden' : 'who';
    say(row.who, `${name}${mine || !first ? ': ' : ''}`);
    // Other words only where the server hid something of one's own.
    if (row.bubble.textContent !== entry.body.text) row.bubble.replaceChildren(...linked(entry.body.text));
    const face = shows ? `${came} ${entry.at} ${entry.failed ?? ''} ${state.line === 'online'}` : '';
    if (face === row.face) return;
    row.face = face;
    row.meta.replaceChildren(...(shows ? this.#meta(state, entry, mine, came) : []));
  }

  #name(state: ChatState, { author }: Entry): string {
    const { you, bot, someone } = this.#strings;
    if (author.kind === 'visitor') return you;
    return author.kind === 'bot' ? bot : (agent(state, author.agent)?.name ?? someone);
  }

  #meta(state: ChatState, entry: Entry, mine: boolean, came: Progress): (Node | string)[] {
    const { sending, waiting_for_line, sent, delivered, seen, failed, retry } = this.#strings;
    const time = el('time', { datetime: new Date(entry.at).toISOString() }, this.#time(entry.at));
    if (!mine) return [time];
    if (came === 'failed') {
      const again = el('button', { type: 'button', class: 'small' }, retry);
      again.addEventListener('click', () => this.#retry(entry.message));
      return [failed(reason(this.#strings, entry.failed)), again];
    }
    const words = { sending: state.line === 'online' ? sending : waiting_for_line, sent, delivered, seen }[came];
    const drawing = icon({ sending: CLOCK, sent: TICK, delivered: TICKS, seen: TICKS }[came]);
    if (came === 'seen') drawing.classList.add('is-seen');
    return [time, ' · ', el('span', {}, words), drawing];
  }

  #time(at: number): string {
    const date = new Date(at);
    const today = date.toDateString() === new Date().toDateString();
    const style: Intl.DateTimeFormatOptions = today ? { timeStyle: 'short' } : { dateStyle: 'medium', timeStyle: 'short' };
    try {
      return new Intl.DateTimeFormat(this.#locale, style).format(date);
    } catch {
      this.#locale = 'en';
      return new Intl.DateTimeFormat('en', style).format(date);
    }
  }
}

/** Why something was refused, in words. */
export function reason({ reasons }: Strings, code: RejectCode | undefined): string {
  return (code && reasons[code]) ?? reasons.other;
}

function key({ author }: Entry): string {
  return `${author.kind} ${author.agent ?? ''}`;
}

/** The text, with addresses of the web as links. */
function linked(text: string): (Node | string)[] {
  const parts: (Node | string)[] = [];
  let from = 0;
  for (const match of text.matchAll(LINK)) {
    const [address] = match;
    parts.push(text.slice(from, match.index), el('a', { href: address, target: '_blank', rel: 'noopener noreferrer nofollow' }, address));
    from = match.index + address.length;
  }
  return [...parts, text.slice(from)];
}
