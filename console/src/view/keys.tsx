// API keys: what may speak for the Organization, and with which rights.

import { useState } from 'preact/hooks';
import { tell } from '../state/notices.ts';
import { problemSentence, t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { ApiKey } from '../wire/rest.ts';
import { API_SCOPES, ask, askAll, CHARS_MAX } from '../wire/rest.ts';
import {
  Confirm,
  CopyBox,
  dateOf,
  Dialog,
  Empty,
  Icon,
  LoadedView,
  once,
  SettingsPage,
  TextField,
  useLoaded,
  useSubmit,
} from './parts.tsx';

interface NewKey extends ApiKey {
  /** The text of the key, in this one answer only. */
  text: string;
}

export function Keys() {
  const { state, again } = useLoaded('keys', () => askAll<ApiKey>('/v1/keys'));
  const [creating, setCreating] = useState(false);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  return (
    <SettingsPage
      title={t.keys.title}
      lead={t.keys.lead}
      action={
        <button type="button" class="button primary" onClick={once(() => setCreating(true))}>
          <Icon name="plus" size={16} /> {t.keys.create}
        </button>
      }
    >
      <LoadedView loaded={state} again={again}>
        {(keys) =>
          keys.length === 0 ? (
            <Empty title={t.keys.none} />
          ) : (
            <ul class="cards">
              {keys.map((key) => (
                <li key={key.key_id} class="card-row">
                  <span class="card-icon">
                    <Icon name="key" />
                  </span>
                  <span class="grow">
                    <strong>
                      <bdi>{key.name}</bdi>
                    </strong>
                    <small class="muted">
                      {[t.keys.made(dateOf(key.created_at)), key.scopes.join(', ')].join(' · ')}
                    </small>
                  </span>
                  <button type="button" class="button quiet" onClick={() => setRevoking(key)}>
                    {t.keys.revoke}
                  </button>
                </li>
              ))}
            </ul>
          )
        }
      </LoadedView>
      {creating ? (
        <CreateKey
          onClose={() => {
            setCreating(false);
            again();
          }}
        />
      ) : null}
      {revoking === null ? null : (
        <Confirm
          title={t.keys.revoke}
          asks={named(t.keys.revokeAsk, revoking.name)}
          act={async () => {
            await ask<null>('DELETE', `/v1/keys/${encodeURIComponent(revoking.key_id)}`);
            tell(t.keys.revoked);
            again();
          }}
          onClose={() => setRevoking(null)}
        />
      )}
    </SettingsPage>
  );
}

function CreateKey({ onClose }: { onClose: () => void }) {
  const [name, setName] = useState('');
  const [scopes, setScopes] = useState<readonly string[]>([]);
  const [made, setMade] = useState<NewKey | null>(null);
  const [copied, setCopied] = useState(false);
  const { busy, wrong, submit } = useSubmit(
    async () => {
      if (scopes.length === 0) throw new Error(t.keys.scopesNone);
      setMade(await ask<NewKey>('POST', '/v1/keys', { name: name.trim(), scopes }));
    },
    (problem) => (scopes.length === 0 ? t.keys.scopesNone : problemSentence(problem)),
  );
  const begun = name !== '' || scopes.length > 0;
  const unsaved = made === null ? (begun ? t.keys.create : null) : copied ? null : t.keys.secret;
  return (
    <Dialog
      title={made === null ? t.keys.create : t.keys.secret}
      onClose={onClose}
      unsaved={unsaved}
    >
      {made === null ? (
        <form onSubmit={submit}>
          <TextField
            label={t.keys.name}
            hint={t.keys.nameHint}
            max={CHARS_MAX.name}
            value={name}
            set={setName}
            also={{ required: true }}
          />
          <fieldset class="choices boxed">
            <legend>{t.keys.scopes}</legend>
            {API_SCOPES.map((scope) => (
              <label key={scope} class="choice">
                <input
                  type="checkbox"
                  checked={scopes.includes(scope)}
                  onChange={(event) =>
                    setScopes(
                      event.currentTarget.checked
                        ? [...scopes, scope]
                        : scopes.filter((one) => one !== scope),
                    )
                  }
                />
                <span class="mono">{scope}</span>
              </label>
            ))}
          </fieldset>
          <p class="form-error" role="alert">
            {wrong}
          </p>
          <div class="row end">
            <button type="button" class="button" onClick={onClose}>
              {t.cancel}
            </button>
            <button type="submit" class="button primary" aria-disabled={busy}>
              {t.keys.create}
            </button>
          </div>
        </form>
      ) : (
        <>
          <p>{t.keys.secretHint}</p>
          <CopyBox label={t.keys.secret} text={made.text} copied={() => setCopied(true)} />
        </>
      )}
    </Dialog>
  );
}
