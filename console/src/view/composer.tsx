// Where an agent writes: a reply to the visitor, or a note for his colleagues in another colour.

import { useLayoutEffect, useRef } from 'preact/hooks';
import type { ConversationCard, ConversationId } from '../../../widget-js/src/wire/frames.ts';
import { isMine } from '../state/board.ts';
import { drafts, send, textCharsMax, typed } from '../state/desk.ts';
import { sendWith } from '../state/preferences.ts';
import { me } from '../state/session.ts';
import { t } from '../strings/en.ts';
import { agentName } from './names.ts';
import { Icon } from './parts.tsx';
import { composing } from './thread.tsx';

/** The rest is shown from here on. */
const CHARS_LEFT_SHOWN = 300;

/** Only who has a conversation speaks to its visitor; a note is open to every agent. */
function whyBarred(card: ConversationCard): string {
  if (card.state === 'closed') return t.composer.closed;
  return card.assignee === undefined ? t.composer.waiting : t.composer.another(agentName(card.assignee, card));
}

export function Composer({ id, card }: { id: ConversationId; card: ConversationCard | undefined }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const barred = card === undefined || isMine(card, me.value) ? null : whyBarred(card);
  const note = composing.value === 'agents' || barred !== null;
  const text = drafts.value.get(id) ?? '';
  const left = textCharsMax.value - [...text].length;
  const ready = text.trim() !== '' && left >= 0 && card !== undefined;

  // The field is as high as its text, up to a bound in the style sheet.
  useLayoutEffect(() => {
    const element = field.current;
    if (element === null) return;
    element.style.height = 'auto';
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);

  const submit = (): void => {
    if (!ready) return;
    send(id, text.trim(), note ? 'agents' : 'everyone');
    field.current?.focus();
  };

  const keyed = (event: KeyboardEvent): void => {
    // Enter that ends a composition of an input method is not ours.
    if (event.key === 'Escape') field.current?.blur();
    if (event.key !== 'Enter' || event.isComposing) return;
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
      {barred === null ? null : <p class="composer-hint">{barred}</p>}
      <div class="composer-box">
        <textarea
          id="composer"
          ref={field}
          rows={2}
          dir="auto"
          aria-label={t.composer.text}
          placeholder={note ? t.composer.notePlaceholder : t.composer.replyPlaceholder}
          value={text}
          onInput={(event) => typed(id, event.currentTarget.value, note ? 'agents' : 'everyone')}
          onKeyDown={keyed}
        />
        <div class="composer-foot">
          <div class="segments" role="radiogroup" aria-label={t.composer.mode}>
            {(['everyone', 'agents'] as const).map((mode) => (
              <label key={mode} class={mode === 'agents' ? 'segment segment-note' : 'segment'}>
                <input
                  type="radio"
                  name="composing"
                  checked={note === (mode === 'agents')}
                  disabled={barred !== null && mode === 'everyone'}
                  onChange={() => {
                    composing.value = mode;
                    field.current?.focus();
                  }}
                />
                {mode === 'agents' ? <Icon name="lock" size={13} /> : null}
                {mode === 'agents' ? t.composer.note : t.composer.reply}
              </label>
            ))}
          </div>
          <span class={`composer-left ${left < 0 ? 'bad-words' : left > CHARS_LEFT_SHOWN ? 'spare' : ''}`} role={left < 0 ? 'alert' : undefined}>
            {left <= CHARS_LEFT_SHOWN ? t.composer.left(left) : sendWith.value === 'enter' ? t.composer.hintEnter : t.composer.hintCtrl}
          </span>
          <button type="submit" class={note ? 'button note-button' : 'button primary'} disabled={!ready}>
            <Icon name={note ? 'lock' : 'send'} size={15} />
            {note ? t.composer.addNote : t.composer.send}
          </button>
        </div>
      </div>
    </form>
  );
}
