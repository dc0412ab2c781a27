// What stands in the composers: for each conversation a reply and a note, and which of the two is
// being written.
//
// Pure: (composers, input) -> composers. Not here: the socket, the storage (outbox.ts), the field
// itself.

import type { ConversationId, Visibility } from '../../../protocol/ts/src/wire/frames.ts';

export interface Composer {
  /** What the agent chose or began to write; null: neither yet. */
  readonly mode: Visibility | null;
  /**
   * What the field was when the cursor came into it: nothing but the agent's own choice changes it
   * while they are there.
   */
  readonly held: Visibility | null;
  /**
   * A note was half written when the conversation was taken: the agent is asked whether they mean
   * to go on with it.
   */
  readonly asks: boolean;
  readonly reply: string;
  /**
   * Stays in this window: a draft on the wire has no kind, and another window would take it for a
   * reply.
   */
  readonly note: string;
  /** Whether the reply changed here and the server has not said that it knows. */
  readonly untold: boolean;
}

export type Composers = ReadonlyMap<ConversationId, Composer>;

export const EMPTY_COMPOSER: Composer = {
  mode: null,
  held: null,
  asks: false,
  reply: '',
  note: '',
  untold: false,
};

export type ComposerInput =
  | { readonly kind: 'chosen'; readonly mode: Visibility }
  /** The cursor came into the field. */
  | { readonly kind: 'entered'; readonly barred: boolean }
  | { readonly kind: 'left' }
  /** This agent takes the conversation, to answer its visitor. */
  | { readonly kind: 'taken' }
  | { readonly kind: 'written'; readonly mode: Visibility; readonly text: string }
  | { readonly kind: 'sent'; readonly mode: Visibility }
  /** The server's draft: from another window, or as it was kept. */
  | { readonly kind: 'heard'; readonly text: string }
  /** The server has this text now. */
  | { readonly kind: 'told'; readonly text: string }
  | { readonly kind: 'erased' };

export function reduceComposers(
  composers: Composers,
  id: ConversationId,
  input: ComposerInput,
): Composers {
  const before = composers.get(id) ?? EMPTY_COMPOSER;
  const after = reduceComposer(before, input);
  if (after === before) return composers;
  const next = new Map(composers);
  if (isEmpty(after)) next.delete(id);
  else next.set(id, after);
  return next;
}

function isEmpty({ mode, held, reply, note, untold }: Composer): boolean {
  return mode === null && held === null && reply === '' && note === '' && !untold;
}

function reduceComposer(composer: Composer, input: ComposerInput): Composer {
  switch (input.kind) {
    case 'chosen':
      return {
        ...composer,
        mode: input.mode,
        held: composer.held === null ? null : input.mode,
        asks: false,
      };
    case 'entered':
      return { ...composer, held: modeOf(composer, input.barred) };
    case 'left':
      if (composer.held === null) return composer;
      return {
        ...composer,
        held: null,
        mode: textOf(composer, composer.held) === '' ? composer.mode : composer.held,
      };
    case 'taken':
      // Whoever takes it means to answer; a note that is half written stays one, and the view asks.
      return composer.note === ''
        ? { ...composer, mode: 'everyone', held: 'everyone' }
        : { ...composer, mode: 'agents', asks: true };
    case 'written':
      // Whoever writes has chosen: no change of the conversation turns a note into a reply
      // afterwards.
      return withText({ ...composer, mode: input.mode }, input.mode, input.text);
    case 'sent':
      return { ...withText(composer, input.mode, ''), asks: false };
    case 'heard':
      return composer.untold || composer.reply === input.text
        ? composer
        : { ...composer, reply: input.text };
    case 'told':
      return composer.untold && composer.reply === input.text
        ? { ...composer, untold: false }
        : composer;
    case 'erased':
      return EMPTY_COMPOSER;
  }
}

function withText(composer: Composer, mode: Visibility, text: string): Composer {
  return mode === 'agents'
    ? { ...composer, note: text }
    : { ...composer, reply: text, untold: true };
}

/**
 * What is being written. Where no reply is allowed, a note; but a reply that was begun is not torn
 * in two.
 */
export function modeOf(composer: Composer, barred: boolean): Visibility {
  if (composer.held !== null) return composer.held;
  if (!barred) return composer.mode ?? 'everyone';
  return composer.mode === 'everyone' && composer.reply !== '' ? 'everyone' : 'agents';
}

export function textOf(composer: Composer, mode: Visibility): string {
  return mode === 'agents' ? composer.note : composer.reply;
}
