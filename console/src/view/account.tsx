// The agent's own account: name, password, where they are signed in, and how this browser behaves.

import type { Signal } from '@preact/signals';
import { useId } from 'preact/hooks';
import { tell } from '../state/notices.ts';
import { sendWith, singleKeys, soundOn, theme } from '../state/preferences.ts';
import { go } from '../state/route.ts';
import { endSession, granted, listSessions, signOut } from '../state/session.ts';
import { changePassword, rename } from '../state/settings.ts';
import { play, unlockSound } from '../state/sound.ts';
import { leaveAllFirst, SECRET } from '../state/unsaved.ts';
import { problemSentence, t } from '../strings/en.ts';
import type { Agent } from '../wire/rest.ts';
import { useDraft } from './drafts.ts';
import { NewPassword, PersonName, WhosePassword } from './login.tsx';
import { ActButton, Field, Icon, LoadedView, momentOf, useLoaded, useSubmit } from './parts.tsx';
import { FormEnd, Panel, SettingsPage } from './settings.tsx';

const NO_PASSWORDS = { current: '', next: '' };

/** Whoever signs in next begins at the beginning. */
function out(): void {
  signOut().then(
    () => go('/'),
    (problem: unknown) => tell(problemSentence(problem), 'bad'),
  );
}

export function Account() {
  return (
    <SettingsPage
      title={t.account.title}
      lead={t.account.lead}
      action={
        <ActButton class="button" act={() => Promise.resolve(leaveAllFirst(out))}>
          <Icon name="exit" size={16} /> {t.account.signOut}
        </ActButton>
      }
    >
      <Browser />
      <Profile />
      <Password />
      <Sessions />
    </SettingsPage>
  );
}

function Choice<T extends string>({
  label,
  value,
  choices,
}: {
  label: string;
  value: Signal<T>;
  choices: readonly (readonly [T, string])[];
}) {
  const id = useId();
  return (
    <div class="setting">
      <span id={id}>{label}</span>
      <div class="segments" role="radiogroup" aria-labelledby={id}>
        {choices.map(([one, words]) => (
          <label key={one} class="segment">
            <input
              type="radio"
              name={label}
              checked={value.value === one}
              onChange={() => {
                value.value = one;
              }}
            />
            {words}
          </label>
        ))}
      </div>
    </div>
  );
}

function Browser() {
  return (
    <Panel title={t.account.browser}>
      <Choice
        label={t.account.theme}
        value={theme}
        choices={[
          ['system', t.account.themes.system],
          ['light', t.account.themes.light],
          ['dark', t.account.themes.dark],
        ]}
      />
      <Choice
        label={t.account.sendWith}
        value={sendWith}
        choices={[
          ['enter', t.account.sendEnter],
          ['ctrl-enter', t.account.sendCtrl],
        ]}
      />
      <Choice
        label={t.account.keys}
        value={singleKeys}
        choices={[
          ['on', t.account.keysOn],
          ['off', t.account.keysOff],
        ]}
      />
      <Choice
        label={t.account.sound}
        value={soundOn}
        choices={[
          ['on', t.account.soundOn],
          ['off', t.account.soundOff],
        ]}
      />
      {soundOn.value === 'on' ? (
        <div class="row end">
          <ActButton class="button quiet" act={() => unlockSound().then(() => play('offer'))}>
            <Icon name="bell" size={16} /> {t.sound.test}
          </ActButton>
        </div>
      ) : null}
    </Panel>
  );
}

function Profile() {
  const agent = granted.value?.agent;
  return agent === undefined ? null : <Named agent={agent} />;
}

function Named({ agent }: { agent: Agent }) {
  const draft = useDraft('account/name', t.account.profile, agent.name);
  const name = draft.value;
  const { busy, wrong, submit } = useSubmit(async () => {
    // A second press of the same hand finds it saved.
    if (name.trim() !== agent.name) await rename(agent, name);
    draft.saved(name);
    tell(t.saved);
  });
  return (
    <Panel title={t.account.profile}>
      <form onSubmit={submit}>
        <PersonName label={t.account.name} value={name} set={draft.set} />
        <FormEnd words={t.save} busy={busy} wrong={wrong}>
          <span class="muted small grow">
            {agent.email} · {t.roles[agent.role]}
          </span>
        </FormEnd>
      </form>
    </Panel>
  );
}

function Password() {
  const agent = granted.value?.agent;
  // Half typed, it is asked about like all else; it is kept while the page is, and nowhere else.
  const draft = useDraft(`${SECRET}password`, t.account.password, NO_PASSWORDS);
  const { current, next } = draft.value;
  const { busy, wrong, submit } = useSubmit(async () => {
    if (agent === undefined) return;
    await changePassword(agent, current, next);
    draft.set(NO_PASSWORDS);
    tell(t.account.changed);
  });
  if (agent === undefined) return null;
  return (
    <Panel title={t.account.password}>
      <form onSubmit={submit}>
        <WhosePassword email={agent.email} />
        <Field label={t.account.current}>
          {(ids) => (
            <input
              {...ids}
              type="password"
              autocomplete="current-password"
              required
              value={current}
              onInput={(event) => draft.set({ current: event.currentTarget.value, next })}
            />
          )}
        </Field>
        <NewPassword
          label={t.account.next}
          value={next}
          set={(text) => draft.set({ current, next: text })}
        />
        <FormEnd words={t.account.change} busy={busy} wrong={wrong} />
      </form>
    </Panel>
  );
}

function Sessions() {
  const { state, again } = useLoaded('sessions', listSessions);
  return (
    <Panel title={t.account.sessions}>
      <LoadedView loaded={state} again={again}>
        {(sessions) => (
          <ul class="plain-list">
            {sessions.map((one) => {
              const here = one.current;
              return (
                <li key={one.session_id} class="card-row">
                  <span class="grow">
                    <strong>{one.client === '' ? t.account.unnamed : one.client}</strong>
                    <small class="muted">
                      {[
                        t.account.signedIn(momentOf(one.created_at)),
                        t.account.ends(momentOf(one.expires_at)),
                      ].join(' · ')}
                    </small>
                  </span>
                  {here ? (
                    <span class="pill">{t.account.thisOne}</span>
                  ) : (
                    <ActButton
                      class="button quiet"
                      act={async () => {
                        await endSession(one.session_id);
                        tell(t.account.ended);
                        again();
                      }}
                    >
                      {t.account.end}
                    </ActButton>
                  )}
                </li>
              );
            })}
          </ul>
        )}
      </LoadedView>
    </Panel>
  );
}
