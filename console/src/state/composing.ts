// What this agent writes before it is sent: kept over a reload, mirrored to their other windows by
// the server, and told to the visitor as typing.
//
// Lives here: the composers of this tab and their timers. Not here: how a composer changes
// (`composer.ts`), the socket, the field itself.

import { signal } from '@preact/signals';
import * as wire from '../../../protocol/ts/src/wire/frames.ts';
import type { ConversationId, Visibility } from '../../../protocol/ts/src/wire/frames.ts';
import type { Socket } from '../../../protocol/ts/src/wire/socket.ts';
import { isBlank } from '../../../protocol/ts/src/wire/visible.ts';
import { serverNow } from './clock.ts';
import { EMPTY_COMPOSER, modeOf, reduceComposers, textOf } from './composer.ts';
import type { Composer, ComposerInput, Composers } from './composer.ts';
import { restored, save, STORED_COMPOSERS } from './tab_storage.ts';

const DRAFT_AFTER_MS = 600;
/** The typing indicator holds six seconds; it is renewed before that. */
const TYPING_EVERY_MS = 3_000;
/** A frame of the agent's other window does not overwrite what they type right here. */
const OWN_TEXT_MS = 3_000;

export class Composing {
  readonly composers = signal<Composers>(new Map());
  /** The socket, while it is online. */
  readonly #online: () => Socket | null;
  readonly #draftTimers = new Map<ConversationId, ReturnType<typeof setTimeout>>();
  readonly #typedAt = new Map<ConversationId, number>();
  readonly #typingSaidAt = new Map<ConversationId, number>();

  constructor(online: () => Socket | null) {
    this.#online = online;
  }

  /** Takes up what the same agent left before a reload; the cursor is in none of them any more. */
  restore(): void {
    const left = [...restored<Composer>(STORED_COMPOSERS)];
    this.composers.value = new Map(
      left.map(([id, composer]) => [id, { ...EMPTY_COMPOSER, ...composer, held: null }]),
    );
  }

  stop(): void {
    for (const timer of this.#draftTimers.values()) clearTimeout(timer);
    for (const map of [this.#draftTimers, this.#typedAt, this.#typingSaidAt]) map.clear();
    this.composers.value = new Map();
  }

  compose(id: ConversationId, input: ComposerInput): void {
    const next = reduceComposers(this.composers.value, id, input);
    if (next === this.composers.value) return;
    this.composers.value = next;
    save(STORED_COMPOSERS, [...next]);
  }

  /** The agent changed the text. */
  typed(id: ConversationId, text: string, mode: Visibility): void {
    this.compose(id, { kind: 'written', mode, text });
    if (mode === 'everyone') {
      this.#typedAt.set(id, serverNow());
      clearTimeout(this.#draftTimers.get(id));
      this.#draftTimers.set(
        id,
        setTimeout(() => this.mirror(id), DRAFT_AFTER_MS),
      );
    }
    // A note is written behind the visitor's back: they are not told that anyone writes.
    this.sayTyping(id, mode === 'everyone' && !isBlank(text));
  }

  /** It goes on with what stands there, of whichever kind it is. */
  typedBehind(id: ConversationId, letters: string): void {
    const composer = this.composers.value.get(id) ?? EMPTY_COMPOSER;
    const mode = modeOf(composer, false);
    this.typed(id, textOf(composer, mode) + letters, mode);
  }

  /** The message says all that there is to say. */
  sent(id: ConversationId): void {
    this.mirror(id);
    this.#typingSaidAt.delete(id);
  }

  /** Another window has this text, or the server kept it. */
  draftCame(id: ConversationId, text: string): void {
    if (serverNow() - (this.#typedAt.get(id) ?? 0) > OWN_TEXT_MS)
      this.compose(id, { kind: 'heard', text });
  }

  /**
   * There is a connection again, and the board is still to come, which brings the drafts as the
   * server has them.
   */
  resume(): void {
    for (const id of this.composers.value.keys()) this.mirror(id);
  }

  /**
   * Tells the server how a reply stands now; what it did not hear it is told at the next welcome.
   */
  mirror(id: ConversationId): void {
    clearTimeout(this.#draftTimers.get(id));
    this.#draftTimers.delete(id);
    const socket = this.#online();
    const composer = this.composers.value.get(id);
    if (socket === null || composer?.untold !== true) return;
    const text = composer.reply;
    void socket.ask(wire.CLIENT_DRAFT, { conversation: id, text }).then((answer) => {
      if (socket === this.#online() && answer.kind === 'ack')
        this.compose(id, { kind: 'told', text });
    });
  }

  sayTyping(id: ConversationId, typing: boolean): void {
    const saidAt = this.#typingSaidAt.get(id);
    const at = serverNow();
    if (typing ? saidAt !== undefined && at - saidAt < TYPING_EVERY_MS : saidAt === undefined)
      return;
    if (typing) this.#typingSaidAt.set(id, at);
    else this.#typingSaidAt.delete(id);
    this.#online()?.say(wire.CLIENT_TYPING, { conversation: id, typing });
  }
}
