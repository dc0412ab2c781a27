// Conversations that are closed in a moment, so that what was pressed by mistake is undone before
// anybody hears of it: a visitor who was told of the end cannot be untold, and a slot that was
// freed is taken. Where the page goes away meanwhile, they stay open.

import type { ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import { dismiss, propose } from './notices.ts';

/** So long a closing can be taken back. */
const UNDO_MS = 5_000;

export interface ClosingsTies {
  readonly close: (id: ConversationId) => void;
  /** The agent took it back, and goes on with it. */
  readonly undone: (id: ConversationId) => void;
}

export class Closings {
  readonly #ties: ClosingsTies;
  /** Each with the notice that says so. */
  readonly #closing = new Map<
    ConversationId,
    { readonly timer: ReturnType<typeof setTimeout>; readonly notice: number }
  >();

  constructor(ties: ClosingsTies) {
    this.#ties = ties;
  }

  get all(): readonly ConversationId[] {
    return [...this.#closing.keys()];
  }

  closeSoon(id: ConversationId, visitor: string): void {
    if (this.#closing.has(id)) return;
    const notice = propose(named(t.thread.closing, visitor), {
      words: t.undo,
      run: () => void this.#undo(id),
    });
    const timer = setTimeout(() => {
      this.keepOpen(id);
      this.#ties.close(id);
    }, UNDO_MS);
    this.#closing.set(id, { timer, notice });
  }

  /** Takes a closing back; whether there was one. */
  keepOpen(id: ConversationId): boolean {
    const one = this.#closing.get(id);
    if (one === undefined) return false;
    clearTimeout(one.timer);
    dismiss(one.notice);
    return this.#closing.delete(id);
  }

  /** Takes back what was closed last, wherever one is; whether there was anything. */
  undoNewest(): boolean {
    const newest = this.all.at(-1);
    return newest !== undefined && this.#undo(newest);
  }

  #undo(id: ConversationId): boolean {
    const undone = this.keepOpen(id);
    if (undone) this.#ties.undone(id);
    return undone;
  }
}
