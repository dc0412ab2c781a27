// What stands in the composers: for each conversation a reply and a note, and which of the two is being written.
//
// Pure: (composers, input) -> composers. Not here: the socket, the storage (outbox.ts), the field itself.

import type { ConversationId, Visibility } from '../../../widget-js/src/wire/frames.ts';

export interface Composer {
  /** What the agent chose or began to write; null: neither yet. */
  readonly mode: Visibility | null;
  readonly reply: string;
  /** Stays in this window: a draft on the wire has no kind, and another window would take it for a reply. */
  readonly note: string;
  /** Whether the reply changed here and the server has not said that it knows. */
  readonly untold: boolean;
}

export type Composers = ReadonlyMap<ConversationId, Composer>;

export const EMPTY_COMPOSER: Composer = { mode: null, reply: '', note: '', untold: false };

export type ComposerInput =
  | { readonly kind: 'chosen'; readonly mode: Visibility }
  | { readonly kind: 'written'; readonly mode: Visibility; readonly text: string }
  | { readonly kind: 'sent'; readonly mode: Visibility }
  /** The server's draft: from another window, or as it was kept. */
  | { readonly kind: 'heard'; readonly text: string }
  /** The server has this text now. */
  | { readonly kind: 'told'; readonly text: string }
  | { readonly kind: 'erased' };

export function reduceComposers(composers: Composers, id: ConversationId, input: ComposerInput): Composers {
  const before = composers.get(id) ?? EMPTY_COMPOSER;
  const after = reduceComposer(before, input);
  if (after === before) return composers;
  const next = new Map(composers);
  if (isEmpty(after)) next.delete(id);
  else next.set(id, after);
  return next;
}

function isEmpty({ mode, reply, note, untold }: Composer): boolean {
  return mode === null && reply === '' && note === '' && !untold;
}

function reduceComposer(composer: Composer, input: ComposerInput): Composer {
  switch (input.kind) {
    case 'chosen':
      return composer.mode === input.mode ? composer : { ...composer, mode: input.mode };
    case 'written':
      // Whoever writes has chosen: no change of the conversation turns a note into a reply afterwards.
      return withText({ ...composer, mode: input.mode }, input.mode, input.text);
    case 'sent':
      return withText(composer, input.mode, '');
    case 'heard':
      return composer.untold || composer.reply === input.text ? composer : { ...composer, reply: input.text };
    case 'told':
      return composer.untold && composer.reply === input.text ? { ...composer, untold: false } : composer;
    case 'erased':
      return EMPTY_COMPOSER;
  }
}

function withText(composer: Composer, mode: Visibility, text: string): Composer {
  return mode === 'agents' ? { ...composer, note: text } : { ...composer, reply: text, untold: true };
}

/** What is being written; where no reply is allowed, a note. */
export function modeOf(composer: Composer, barred: boolean): Visibility {
  return barred ? 'agents' : (composer.mode ?? 'everyone');
}

export function textOf(composer: Composer, mode: Visibility): string {
  return mode === 'agents' ? composer.note : composer.reply;
}
