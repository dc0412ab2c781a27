// Where an agent writes: a reply to the visitor, or a note for his colleagues in another colour.

import { useLayoutEffect, useRef } from 'preact/hooks';
import type { ConversationCard, ConversationId } from '../../../widget-js/src/wire/frames.ts';
import { isMine } from '../state/board.ts';
import { EMPTY_COMPOSER, modeOf, textOf } from '../state/composer.ts';
import { chooseMode, composers, send, textCharsMax, typed } from '../state/desk.ts';
import { sendWith } from '../state/preferences.ts';
import { me } from '../state/session.ts';
import { t } from '../strings/en.ts';
import { agentName } from './names.ts';
import { Icon } from './parts.tsx';

/** The rest is shown from here on. */
const CHARS_LEFT_SHOWN = 300;
/** The key code of whatever an input method made of a key. */
const COMPOSED = 229;

/** Only who has a conversation speaks to its visitor; a note is open to every agent. */
function whyBarred(card: ConversationCard): string {
  if (card.state === 'closed') return t.composer.closed;
  return card.assignee === undefined ? t.composer.waiting : t.composer.another(agentName(card.assignee, card));
}

export function Composer({ id, card }: { id: ConversationId; card: ConversationCard | undefined }) {
  const field = useRef<HTMLTextAreaElement>(null);
  const barred = card === undefined || isMine(card, me.value) ? null : whyBarred(card);
  const composer = composers.value.get(id) ?? EMPTY_COMPOSER;
  const mode = modeOf(composer, barred !== null);
  const note = mode === 'agents';
  const text = textOf(composer, mode);
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
    send(id, text.trim(), mode);
    field.current?.focus();
  };

  const keyed = (event: KeyboardEvent): void => {
    if (event.key === 'Escape') field.current?.blur();
    // Enter that ends a composition of an input method is not ours. Safari ends it first, and leaves only the key code to tell.
    if (event.key !== 'Enter' || event.isComposing || event.keyCode === COMPOSED) return;
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
          onInput={(event) => typed(id, event.currentTarget.value, mode)}
          // Whoever is about to write a note writes a note, also when a reply is allowed a moment later.
          onFocus={() => {
            if (barred !== null) chooseMode(id, 'agents');
          }}
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
                  disabled={barred !== null && one === 'everyone'}
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
