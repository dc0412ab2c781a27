// The labels that agents put on conversations.

import { useState } from 'preact/hooks';
import { tell } from '../state/notices.ts';
import { createTag, loadTags, removeTag } from '../state/settings.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { Tag } from '../wire/rest.ts';
import { CHARS_MAX } from '../wire/rest.ts';
import { useDraft } from './drafts.ts';
import { Confirm, Icon, TextField, useLoaded, useSubmit } from './parts.tsx';
import { Cards, SettingsPage } from './settings.tsx';

export function Tags() {
  const { state, again } = useLoaded('tags', loadTags);
  const draft = useDraft('tags/new', t.tags.create, '');
  const name = draft.value;
  const [removing, setRemoving] = useState<Tag | null>(null);

  const { busy, wrong, submit } = useSubmit(async () => {
    await createTag(name);
    draft.saved(name);
    again();
  });

  return (
    <SettingsPage title={t.tags.title} lead={t.tags.lead}>
      <form class="inline-form" onSubmit={submit}>
        <TextField
          label={t.tags.name}
          bare
          max={CHARS_MAX.tag}
          value={name}
          set={draft.set}
          also={{ placeholder: t.tags.name, required: true }}
        />
        <button type="submit" class="button primary" aria-disabled={busy}>
          <Icon name="plus" size={16} /> {t.tags.create}
        </button>
      </form>
      {wrong === null ? null : (
        <p class="form-error" role="alert">
          {wrong}
        </p>
      )}
      <Cards loaded={state} again={again} none={t.tags.none} id={(tag) => tag.tag_id}>
        {(tag) => (
          <>
            <span class="grow">
              <bdi class="tag">{tag.name}</bdi>
            </span>
            <button
              type="button"
              class="button quiet"
              aria-label={`${t.remove}: ${tag.name}`}
              onClick={() => setRemoving(tag)}
            >
              {t.remove}
            </button>
          </>
        )}
      </Cards>
      {removing === null ? null : (
        <Confirm
          title={t.remove}
          asks={named(t.tags.removeAsk, removing.name)}
          act={async () => {
            await removeTag(removing);
            tell(t.tags.removed);
            again();
          }}
          onClose={() => setRemoving(null)}
        />
      )}
    </SettingsPage>
  );
}
