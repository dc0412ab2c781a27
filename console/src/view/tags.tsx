// The labels that agents put on conversations.

import { useState } from 'preact/hooks';
import { tags as catalogTags } from '../state/catalog.ts';
import { tell } from '../state/notices.ts';
import { t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { Tag } from '../wire/rest.ts';
import { ask, askAll } from '../wire/rest.ts';
import { useDraft } from './drafts.ts';
import { ActButton, Dialog, Empty, heedBlank, Icon, LoadedView, SettingsPage, useLoaded, useSubmit, Words } from './parts.tsx';

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
        <input aria-label={t.tags.name} placeholder={t.tags.name} required maxLength={50} value={name} onInput={(event) => draft.set(heedBlank(event.currentTarget))} />
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
                  <button type="button" class="button quiet" aria-label={`${t.remove}: ${tag.name}`} onClick={() => setRemoving(tag)}>
                    {t.remove}
                  </button>
                </li>
              ))}
            </ul>
          )
        }
      </LoadedView>
      {removing === null ? null : (
        <Dialog title={t.remove} onClose={() => setRemoving(null)}>
          <p>
            <Words of={named(t.tags.removeAsk, removing.name)} />
          </p>
          <div class="row end">
            <button type="button" class="button" onClick={() => setRemoving(null)}>
              {t.cancel}
            </button>
            <ActButton
              class="button danger"
              act={async () => {
                await ask<null>('DELETE', `/v1/tags/${encodeURIComponent(removing.tag_id)}`);
                tell(t.tags.removed);
                setRemoving(null);
                again();
              }}
            >
              {t.remove}
            </ActButton>
          </div>
        </Dialog>
      )}
    </SettingsPage>
  );
}
