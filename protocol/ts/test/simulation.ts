// A server and one client of it, both small: what a client may ever be told, in the order in which
// it may be told it.
//
// Lives here: sequence numbers, crashes, voids, moves, erasures, pages, a connection that breaks
// and reorders. Not here: what must hold (`transcript.test.ts`). Every choice is one number, so
// that a run can be repeated and made shorter.

import {
  NOTHING,
  acknowledge,
  expire,
  hear,
  newestEntry,
  refuse,
  write,
} from '../src/state/transcript.ts';
import type { Transcript } from '../src/state/transcript.ts';
import type { AgentId, Message, MessageId, ServerFrame } from '../src/wire/frames.ts';

const CONVERSATION = `cnv_${'1'.repeat(32)}` as const;
const AGENT: AgentId = `agt_${'a'.repeat(32)}`;
const PAGE = 5;
/** What was missed beyond this comes as a reset. */
const RESUME_MAX = 12;

/** What the server sends; an answer says what was asked. */
type Sent =
  | { readonly kind: 'frame'; readonly frame: ServerFrame; readonly before?: number }
  | { readonly kind: 'ack'; readonly message: Message }
  | { readonly kind: 'later'; readonly id: MessageId }
  | { readonly kind: 'refused'; readonly id: MessageId };

interface Sequenced extends Message {
  stored: boolean;
  readonly own: boolean;
}

export const idOf = (number: number): MessageId => `msg_${number.toString(16).padStart(32, '0')}`;

export class Simulation {
  transcript: Transcript = NOTHING;
  today = 0;
  /** What the client wrote, and what it heard an ack of. */
  readonly written = new Set<MessageId>();
  readonly acked = new Set<MessageId>();
  #made = 0;
  #clock = 0;
  #next = 1;
  #sequenced: Sequenced[] = [];
  /** What is on its way to the client; undefined without a line. */
  #connection: Sent[] | undefined;
  /** The client may not have heard that something is gone. */
  #missed = false;

  /** What the server would show: by seq. */
  get visible(): readonly Message[] {
    return this.#sequenced.filter(({ expires }) => expires === null || expires > this.today);
  }

  /** One thing happens; the number says which, and to whom. */
  step(number: number): void {
    const which = number % ACTS.length;
    const chance = Math.floor(number / ACTS.length);
    ACTS[which]?.(this, chance);
  }

  /** All that is under way arrives, and all that is unsent is stored. */
  settle(): void {
    if (!this.#connection) this.connect();
    for (let pass = 0; pass < 3; pass++) {
      this.deliver(Infinity);
      this.store();
    }
    this.deliver(Infinity);
    this.pass(0);
  }

  says(chance: number): void {
    const expires = chance % 3 === 0 ? this.today + 1 + (chance % 5) : null;
    const said = this.#sequence(idOf(++this.#made), false, expires);
    this.#tell(said);
  }

  /** A number that the client may not see. */
  note(): void {
    this.#next += 1;
  }

  store(): void {
    for (const one of this.#sequenced) if (!one.stored) this.#stored(one);
  }

  /** What is not stored yet cannot be: it is taken back. */
  fails(): void {
    for (const { message, seq, own } of this.#unstored()) {
      this.#loses({ kind: 'void', conversation: CONVERSATION, seq, message });
      if (own) this.#send({ kind: 'later', id: message });
    }
    this.#sequenced = this.#sequenced.filter(({ stored }) => stored);
  }

  /** What is not stored is gone, and its numbers are given again. */
  crash(): void {
    this.disconnect();
    this.#missed ||= this.#unstored().length > 0;
    this.#sequenced = this.#sequenced.filter(({ stored }) => stored);
    this.#next = (this.#sequenced.at(-1)?.seq ?? 0) + 1;
  }

  /** Another's message gets another number. */
  move(chance: number): void {
    const others = this.#unstored().filter(({ own }) => !own);
    const one = others[chance % others.length];
    if (!one) return;
    this.#sequenced = this.#sequenced.filter((other) => other !== one);
    if (!this.#connection) this.#missed = true;
    this.#tell(this.#sequence(one.message, false, one.expires));
  }

  erase(chance: number): void {
    const others = this.#sequenced.filter(({ own, stored }) => !own && stored);
    const gone = others.slice(chance % 7, (chance % 7) + 1 + (chance % 3));
    if (gone.length === 0) return;
    this.#sequenced = this.#sequenced.filter((one) => !gone.includes(one));
    const messages = gone.map(({ message }) => message);
    this.#loses({ kind: 'forget', conversation: CONVERSATION, messages });
  }

  /** Days pass on both sides. */
  pass(days: number): void {
    this.today += days;
    this.transcript = expire(this.transcript, this.today);
  }

  writes(): void {
    const message = idOf(++this.#made);
    this.written.add(message);
    this.#writes(message);
  }

  /** What was refused is tried again. */
  tries(): void {
    const failed = this.transcript.entries.find((entry) => entry.failed !== undefined);
    if (failed) this.#writes(failed.message);
  }

  disconnect(): void {
    if (this.#connection?.some((sent) => sent.kind === 'frame' && isLoss(sent.frame)))
      this.#missed = true;
    this.#connection = undefined;
  }

  connect(): void {
    if (this.#connection) return;
    this.#connection = [];
    const { seq = 0, message, at } = newestEntry(this.transcript) ?? {};
    const all = this.visible;
    const here = all.some((one) => one.seq === seq && one.message === message && one.at === at);
    const after = all.filter((one) => one.seq > seq);
    if (seq > 0 && here && !this.#missed && after.length <= RESUME_MAX) {
      this.#page(false, false, after);
    } else this.reset(seq > 0);
    this.#missed = false;
    for (const entry of this.transcript.entries)
      if (entry.pending && !entry.failed) this.#hears(entry.message);
  }

  /** The newest page, whatever the client has. */
  reset(reset = true): void {
    const page = this.visible.slice(-PAGE);
    this.#page(reset, page.length < this.visible.length, page);
  }

  /** The client asks for the page before what it has. */
  earlier(): void {
    const { edge, more } = this.transcript;
    if (!more || edge === undefined || !this.#connection) return;
    const before = this.visible.filter(({ seq }) => seq < edge);
    const page = before.slice(-PAGE);
    this.#page(false, page.length < before.length, page, edge);
  }

  deliver(count: number): void {
    for (let left = Math.min(count, this.#connection?.length ?? 0); left > 0; left--) {
      const sent = this.#connection?.shift();
      if (sent) this.#takes(sent);
    }
  }

  /** Two that say nothing of one another arrive the other way round. */
  reorder(chance: number): void {
    const line = this.#connection ?? [];
    const at = chance % Math.max(1, line.length);
    const [one, other] = [line[at], line[at + 1]];
    if (one && other && isOne(one) && isOne(other)) {
      const [a, b] = [messageOf(one), messageOf(other)];
      if (a.message !== b.message && a.seq !== b.seq) line.splice(at, 2, other, one);
    }
  }

  /** One arrives twice. */
  double(chance: number): void {
    const line = this.#connection ?? [];
    const one = line[chance % Math.max(1, line.length)];
    if (one && isOne(one)) line.splice(chance % line.length, 0, one);
  }

  #unstored(): readonly Sequenced[] {
    return this.#sequenced.filter(({ stored }) => !stored);
  }

  #sequence(message: MessageId, own: boolean, expires: number | null): Sequenced {
    const seq = this.#next++;
    const author = own
      ? ({ kind: 'visitor' } as const)
      : ({ kind: 'agent', agent: AGENT } as const);
    const body = { kind: 'text', text: `${message} at ${seq}` } as const;
    const sequenced = {
      seq,
      message,
      author,
      at: ++this.#clock,
      body,
      expires,
      stored: false,
      own,
    };
    this.#sequenced = [...this.#sequenced, sequenced];
    return sequenced;
  }

  #stored(one: Sequenced): void {
    one.stored = true;
    if (one.own) this.#send({ kind: 'ack', message: plain(one) });
  }

  #tell(one: Sequenced): void {
    const frame = { kind: 'message', conversation: CONVERSATION, ...plain(one) } as const;
    this.#send({ kind: 'frame', frame });
  }

  #loses(frame: ServerFrame): void {
    if (!this.#connection) this.#missed = true;
    this.#send({ kind: 'frame', frame });
  }

  #page(reset: boolean, more: boolean, messages: readonly Message[], before?: number): void {
    const request = before === undefined ? 0 : 1;
    const page = messages.map(plain);
    const frame = {
      kind: 'history',
      request,
      conversation: CONVERSATION,
      reset,
      more,
      messages: page,
    } as const;
    this.#send(before === undefined ? { kind: 'frame', frame } : { kind: 'frame', frame, before });
  }

  #send(sent: Sent): void {
    this.#connection?.push(sent);
  }

  #writes(message: MessageId): void {
    const body = { kind: 'text', text: message } as const;
    const at = ++this.#clock;
    this.transcript = write(this.transcript, { message, author: { kind: 'visitor' }, at, body });
    if (this.#connection) this.#hears(message);
  }

  /** The server hears a message of the client, for the first time or again. */
  #hears(message: MessageId): void {
    const known = this.#sequenced.find((one) => one.message === message);
    if (known?.stored) this.#send({ kind: 'ack', message: plain(known) });
    else if (!known && ++this.#clock % 9 === 0) this.#send({ kind: 'refused', id: message });
    else if (!known) this.#sequence(message, true, null);
  }

  #takes(sent: Sent): void {
    switch (sent.kind) {
      case 'frame':
        this.transcript = hear(this.transcript, sent.frame, sent.before);
        break;
      case 'ack':
        this.transcript = acknowledge(this.transcript, sent.message);
        this.acked.add(sent.message.message);
        break;
      case 'refused':
        this.transcript = refuse(this.transcript, sent.id, 'invalid');
        break;
      case 'later':
        this.#hears(sent.id);
        break;
    }
  }
}

const ACTS: readonly ((run: Simulation, chance: number) => void)[] = [
  (run, chance) => run.says(chance),
  (run, chance) => run.says(chance),
  (run) => run.writes(),
  (run) => run.writes(),
  (run) => run.store(),
  (run, chance) => run.deliver(1 + (chance % 6)),
  (run, chance) => run.deliver(1 + (chance % 6)),
  (run) => run.connect(),
  (run) => run.connect(),
  (run) => run.disconnect(),
  (run) => run.earlier(),
  (run) => run.earlier(),
  (run) => run.reset(),
  (run) => run.note(),
  (run) => run.fails(),
  (run) => run.crash(),
  (run, chance) => run.move(chance),
  (run, chance) => run.erase(chance),
  (run, chance) => run.pass(chance % 2),
  (run) => run.tries(),
  (run, chance) => run.reorder(chance),
  (run, chance) => run.double(chance),
];

const plain = ({ seq, message, author, at, body, expires }: Message): Message => ({
  seq,
  message,
  author,
  at,
  body,
  expires,
});

/** Whether a client that never hears it may have what is not so. */
const isLoss = (frame: ServerFrame): boolean =>
  frame.kind === 'history' ? frame.reset : ['void', 'forget', 'message'].includes(frame.kind);

type One =
  | Extract<Sent, { kind: 'ack' }>
  | { readonly kind: 'frame'; readonly frame: Extract<ServerFrame, { kind: 'message' }> };

function isOne(sent: Sent): sent is One {
  return sent.kind === 'ack' || (sent.kind === 'frame' && sent.frame.kind === 'message');
}

function messageOf(sent: One): { readonly message: MessageId; readonly seq: number } {
  return sent.kind === 'ack' ? sent.message : sent.frame;
}
