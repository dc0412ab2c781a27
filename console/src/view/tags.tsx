// The labels that agents put on conversations.

import { useState } from 'preact/hooks';
import { tags as catalogTags } from '../state/catalog.ts';
import { tell } from '../state/notices.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { Tag } from '../wire/rest.ts';
import { ask, askAll, CHARS_MAX } from '../wire/rest.ts';
import { useDraft } from './drafts.ts';
import {
  Confirm,
  Empty,
  Icon,
  LoadedView,
  SettingsPage,
  TextField,
  useLoaded,
  useSubmit,
} from './parts.tsx';

export function Tags() {
  const { state, again } = useLoaded('tags', async () => {
    const all = await askAll<Tag>('/v1/tags');
    catalogTags.value = all;
    return all;
  });
  const draft = useDraft('tags/new', t.tags.create, '');
  const name = draft.value;
  const [removing, setRemoving] = useState<Tag | null>(null);

  const { busy, wrong, submit } = useSubmit(async () => {
    await ask<Tag>('POST', '/v1/tags', { name: name.trim() });
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
      <LoadedView loaded={state} again={again}>
        {(tags) =>
          tags.length === 0 ? (
            <Empty title={t.tags.none} />
          ) : (
            <ul class="cards">
              {tags.map((tag) => (
                <li key={tag.tag_id} class="card-row">
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
                </li>
              ))}
            </ul>
          )
        }
      </LoadedView>
      {removing === null ? null : (
        <Confirm
          title={t.remove}
          asks={named(t.tags.removeAsk, removing.name)}
          act={async () => {
            await ask<null>('DELETE', `/v1/tags/${encodeURIComponent(removing.tag_id)}`);
            tell(t.tags.removed);
            again();
          }}
          onClose={() => setRemoving(null)}
        />
      )}
    </SettingsPage>
  );
}
