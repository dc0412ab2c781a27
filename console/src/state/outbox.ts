// What this agent wrote and the server has not answered, and how it goes out.
//
// Lives here: the order in which it is sent, the tries, and its copy in this tab's own storage,
// which outlives a reload and ends with the tab: nothing that was said stays on the machine. Not
// here: the socket, the thread on the screen; whoever makes an outbox ties it to them.

import type {
  ConversationId,
  MessageId,
  ServerAck,
  Visibility,
} from '../../../protocol/ts/src/wire/frames.ts';
import { CLIENT_SEND } from '../../../protocol/ts/src/wire/frames.ts';
import { isRetryable } from '../../../protocol/ts/src/wire/verdict.ts';
import type { Socket } from '../../../protocol/ts/src/wire/socket.ts';
import { rejectSentence } from '../strings/en.ts';
import { restored, save, STORED_OUTBOX } from './tab_storage.ts';

/** A message without an answer. The names of its fields are those in the storage. */
export interface Unsent {
  readonly message: MessageId;
  readonly text: string;
  readonly visibility: Visibility;
  /** The newest seq at the first try; the same on every resend. */
  readonly seen_seq: number;
  readonly at: number;
  /** Null while it is on its way; otherwise why it was refused. */
  readonly refused: string | null;
}

/** What an outbox needs, and whom it tells. */
export interface OutboxTies {
  /** The socket, while it is online. */
  readonly line: () => Socket | null;
  /** It is on its way, for the first time or again. */
  readonly written: (id: ConversationId, unsent: Unsent) => void;
  readonly stored: (id: ConversationId, unsent: Unsent, ack: ServerAck) => void;
  readonly refused: (id: ConversationId, message: MessageId, words: string) => void;
  /** An answer came: what the server said before it is to be heard first. */
  readonly answered: () => void;
}

const RETRY_MS_MIN = 1_000;

export class Outbox {
  readonly #ties: OutboxTies;
  /** In the order in which they were written. */
  #unsent: ReadonlyMap<ConversationId, readonly Unsent[]> = new Map();
  readonly #sending = new Set<ConversationId>();

  constructor(ties: OutboxTies) {
    this.#ties = ties;
  }

  /** Whether anything of this conversation has no answer. */
  has(id: ConversationId): boolean {
    return this.#unsent.has(id);
  }

  /** Takes up what the same agent left before a reload. */
  restore(): void {
    this.#unsent = restored<readonly Unsent[]>(STORED_OUTBOX);
    for (const [id, all] of this.#unsent) {
      for (const one of all) {
        this.#ties.written(id, one);
        if (one.refused !== null) this.#ties.refused(id, one.message, one.refused);
      }
    }
  }

  /** Forgets what is in memory; what is in the storage waits for the same agent. */
  stop(): void {
    this.#unsent = new Map();
    this.#sending.clear();
  }

  /** There is a connection again: whatever has no answer is sent again. */
  resume(): void {
    this.#sending.clear();
    for (const id of this.#unsent.keys()) this.#send(id);
  }

  write(id: ConversationId, unsent: Unsent): void {
    this.#set(id, [...this.#of(id), unsent]);
    this.#ties.written(id, unsent);
    this.#send(id);
  }

  retry(id: ConversationId, message: MessageId): void {
    const one = this.#withRefusal(id, message, null);
    if (one !== undefined) this.#ties.written(id, one);
    this.#send(id);
  }

  /** These are not to be sent any more; without a list, none of the conversation. */
  drop(id: ConversationId, messages?: readonly MessageId[]): void {
    this.#set(
      id,
      this.#of(id).filter(({ message }) => messages?.includes(message) === false),
    );
  }

  #of(id: ConversationId): readonly Unsent[] {
    return this.#unsent.get(id) ?? [];
  }

  #set(id: ConversationId, unsent: readonly Unsent[]): void {
    const next = new Map(this.#unsent);
    if (unsent.length === 0) next.delete(id);
    else next.set(id, unsent);
    this.#unsent = next;
    save(STORED_OUTBOX, [...next]);
  }

  #withRefusal(id: ConversationId, message: MessageId, refused: string | null): Unsent | undefined {
    const all = this.#of(id).map((one) => (one.message === message ? { ...one, refused } : one));
    this.#set(id, all);
    return all.find((one) => one.message === message);
  }

  /** Sends one after the other, so that a refusal of one never lets the next overtake it. */
  #send(id: ConversationId): void {
    const socket = this.#ties.line();
    const first = this.#of(id).find(({ refused }) => refused === null);
    if (socket === null || first === undefined || this.#sending.has(id)) return;
    this.#sending.add(id);
    void this.#ask(id, first, socket);
  }

  async #ask(id: ConversationId, unsent: Unsent, socket: Socket): Promise<void> {
    const { message, text, visibility, seen_seq } = unsent;
    const body = { kind: 'text', text } as const;
    const answer = await socket.ask(CLIENT_SEND, {
      conversation: id,
      message,
      seen_seq,
      body,
      visibility,
    });
    // A broken connection, or another: the next welcome begins again.
    if (answer.kind === 'lost' || socket !== this.#ties.line()) return;
    this.#sending.delete(id);
    this.#ties.answered();
    if (answer.kind === 'ack') {
      // It may have been erased or dropped meanwhile.
      const waits = this.#of(id).some((one) => one.message === message);
      this.drop(id, [message]);
      if (waits) this.#ties.stored(id, unsent, answer);
      this.#send(id);
    } else if (answer.kind === 'reject' && isRetryable(answer.code)) {
      this.#sending.add(id);
      setTimeout(
        () => {
          this.#sending.delete(id);
          this.#send(id);
        },
        Math.max(RETRY_MS_MIN, answer.retry_after_ms ?? 0),
      );
    } else if (answer.kind === 'reject') {
      const words = rejectSentence(answer.code, answer.words);
      this.#withRefusal(id, message, words);
      this.#ties.refused(id, message, words);
      this.#send(id);
    }
  }
}
