// API keys: what may speak for the Organization, and with which rights.

import { useState } from 'preact/hooks';
import { tell } from '../state/notices.ts';
import { createKey, loadKeys, type NewKey, revokeKey } from '../state/settings.ts';
import { problemSentence, t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { ApiKey } from '../wire/rest.ts';
import { API_SCOPES, CHARS_MAX } from '../wire/rest.ts';
import {
  Confirm,
  CopyBox,
  dateOf,
  Dialog,
  Icon,
  TextField,
  useLoaded,
  useSubmit,
} from './parts.tsx';
import { Cards, FormEnd, SettingsPage } from './settings.tsx';

export function Keys() {
  const { state, again } = useLoaded('keys', loadKeys);
  const [revoking, setRevoking] = useState<ApiKey | null>(null);
  return (
    <SettingsPage
      title={t.keys.title}
      lead={t.keys.lead}
      create={{
        words: t.keys.create,
        dialog: (close) => (
          <CreateKey
            onClose={() => {
              close();
              again();
            }}
          />
        ),
      }}
    >
      <Cards loaded={state} again={again} none={t.keys.none} id={(key) => key.key_id}>
        {(key) => (
          <>
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
          </>
        )}
      </Cards>
      {revoking === null ? null : (
        <Confirm
          title={t.keys.revoke}
          asks={named(t.keys.revokeAsk, revoking.name)}
          act={async () => {
            await revokeKey(revoking);
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
      setMade(await createKey(name, scopes));
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
          <FormEnd words={t.keys.create} busy={busy} wrong={wrong} onClose={onClose} />
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
