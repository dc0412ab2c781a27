// Where an agent writes: a reply to the visitor, or a note for their colleagues in another colour.

import { useLayoutEffect, useRef } from 'preact/hooks';
import type { ConversationCard, ConversationId } from '../../../protocol/ts/src/wire/frames.ts';
import { isBlank } from '../../../protocol/ts/src/wire/visible.ts';
import { isMine } from '../state/board.ts';
import { EMPTY_COMPOSER, modeOf, textOf } from '../state/composer.ts';
import {
  chooseMode,
  composers,
  enterComposer,
  leaveComposer,
  send,
  textCharsMax,
  typed,
} from '../state/store.ts';
import { composerCalled, hasKeys, isStepping, stepNoMore, wakeKeys } from '../state/keyboard.ts';
import { sendWith } from '../state/preferences.ts';
import { me } from '../state/session.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { Phrase } from '../strings/phrase.ts';
import { agentName } from './names.ts';
import { landInSight } from './focus.ts';
import { dialogs, Icon, Words } from './parts.tsx';
import { isField } from '../state/ahead.ts';
import { isComposed } from './shortcuts.ts';

/** The rest is shown from here on. */
const CHARS_LEFT_SHOWN = 300;
/** Only who has a conversation speaks to its visitor; a note is open to every agent. */
function whyBarred(card: ConversationCard): Phrase {
  if (card.state === 'closed') return t.composer.closed;
  return card.assignee === undefined
    ? t.composer.waiting
    : named(t.composer.another, agentName(card.assignee, card));
}

/**
 * Puts the cursor into the field when somebody has called for it, or when the agent's own
 * conversation is opened.
 */
function useCall(id: ConversationId, own: boolean | null, focus: () => void): void {
  const greeted = useRef(false);
  // While a dialog is open, nothing behind it can have the focus.
  const called = composerCalled.value === id && dialogs.value.length === 0;
  // Before the next key can come.
  useLayoutEffect(() => {
    if (called) {
      composerCalled.value = null;
      greeted.current = true;
      focus();
    } else if (own !== null && !greeted.current) {
      greeted.current = true;
      const busy =
        isField(document.activeElement) || document.querySelector('dialog[open]') !== null;
      if (own && !isStepping(id) && !busy && hasKeys()) focus();
    }
    landInSight();
    stepNoMore();
  }, [called, own === null]);
}

export function Composer({ id, card }: { id: ConversationId; card: ConversationCard | undefined }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const barred = card === undefined || isMine(card, me.value) ? null : whyBarred(card);
  const composer = composers.value.get(id) ?? EMPTY_COMPOSER;
  const mode = modeOf(composer, barred !== null);
  const note = mode === 'agents';
  const text = textOf(composer, mode);
  const left = textCharsMax.value - [...text].length;
  const stuck = barred !== null && !note;
  const ready = !isBlank(text) && left >= 0 && card !== undefined && !stuck;
  useCall(id, card === undefined ? null : isMine(card, me.value), () => field.current?.focus());

  // The field is as high as its text, up to a bound in the style sheet.
  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  useLayoutEffect(() => () => leaveComposer(id), []);
  const blurred = (): void => {
    // The window of another program takes the keys, but not the cursor's place.
    if (document.activeElement !== field.current) leaveComposer(id);
  };

  const submit = (): void => {
    if (!ready) return;
    send(id, text.trim(), mode);
    field.current?.focus();
  };

  const keyed = (event: KeyboardEvent): void => {
    // A key that belongs to a composition of an input method is not ours, whatever it is.
    if (isComposed(event)) return;
    if (event.key === 'Escape') {
      // To what was said, where arrow keys read on.
      document.querySelector<HTMLElement>('.messages')?.focus();
      wakeKeys();
    }
    if (event.key !== 'Enter') return;
    const ctrl = event.ctrlKey || event.metaKey;
    if (ctrl || (sendWith.value === 'enter' && !event.shiftKey)) {
      event.preventDefault();
      submit();
    }
  };

  return (
    <form
      class={note ? 'composer is-note' : 'composer'}
      onSubmit={(event) => {
        event.preventDefault();
        submit();
      }}
    >
      {barred === null ? null : (
        <p class="composer-hint" role="status">
          <Words of={barred} /> {stuck && text !== '' ? t.composer.kept : null}
        </p>
      )}
      {composer.asks && note ? (
        <p class="composer-hint asks" role="status">
          {t.composer.asks}
          <button
            type="button"
            class="link"
            onClick={() => {
              chooseMode(id, 'everyone');
              field.current?.focus();
            }}
          >
            {t.composer.replyInstead}
          </button>
        </p>
      ) : null}
      <div class="composer-box">
        <textarea
          id="composer"
          ref={field}
          rows={2}
          dir="auto"
          aria-label={t.composer.text}
          placeholder={note ? t.composer.notePlaceholder : t.composer.replyPlaceholder}
          value={text}
          onInput={(event) => typed(id, event.currentTarget.value, mode)}
          // What it is when the cursor comes in it stays, whatever becomes of the conversation
          // meanwhile.
          onFocus={() => enterComposer(id, barred !== null)}
          onBlur={blurred}
          onKeyDown={keyed}
        />
        <div class="composer-foot">
          <div class="segments" role="radiogroup" aria-label={t.composer.mode}>
            {(['everyone', 'agents'] as const).map((one) => (
              <label key={one} class={one === 'agents' ? 'segment segment-note' : 'segment'}>
                <input
                  type="radio"
                  name="composing"
                  checked={one === mode}
                  disabled={
                    barred !== null && one === 'everyone' && !stuck && composer.reply === ''
                  }
                  onChange={() => {
                    chooseMode(id, one);
                    field.current?.focus();
                  }}
                />
                {one === 'agents' ? <Icon name="lock" size={13} /> : null}
                {one === 'agents' ? t.composer.note : t.composer.reply}
              </label>
            ))}
          </div>
          <span
            class={`composer-left ${left < 0 ? 'bad-words' : left > CHARS_LEFT_SHOWN ? 'spare' : ''}`}
            role={left < 0 ? 'alert' : undefined}
          >
            {left <= CHARS_LEFT_SHOWN
              ? t.composer.left(left)
              : sendWith.value === 'enter'
                ? t.composer.hintEnter
                : t.composer.hintCtrl}
          </span>
          {/* A press that was meant for the visitor makes no note, nor the other way round. */}
          <button
            key={mode}
            type="submit"
            class={note ? 'button note-button' : 'button primary'}
            disabled={!ready}
          >
            <Icon name={note ? 'lock' : 'send'} size={15} />
            {note ? t.composer.addNote : t.composer.send}
          </button>
        </div>
      </div>
    </form>
  );
}
