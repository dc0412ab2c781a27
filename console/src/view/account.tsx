// The agent's own account: name, password, where he is signed in, and how this browser behaves.

import type { ComponentChildren } from 'preact';
import type { Signal } from '@preact/signals';
import { useId, useState } from 'preact/hooks';
import { is_blank } from '../../../widget-js/src/wire/visible.ts';
import { tell } from '../state/notices.ts';
import { sendWith, singleKeys, soundOn, theme } from '../state/preferences.ts';
import { go } from '../state/route.ts';
import { endSession, granted, listSessions, setOwnAgent, signOut } from '../state/session.ts';
import { play, unlockSound } from '../state/sound.ts';
import { leaveFirst } from '../state/unsaved.ts';
import { problemSentence, t } from '../strings/en.ts';
import type { Agent } from '../wire/rest.ts';
import { ask } from '../wire/rest.ts';
import { useDraft } from './drafts.ts';
import { ActButton, Field, Icon, LoadedView, momentOf, SettingsPage, useLoaded, useSubmit } from './parts.tsx';

const PASSWORD_CHARS_MIN = 12;

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
        <ActButton class="button" act={() => Promise.resolve(leaveFirst(out))}>
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

function Panel({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <section class="panel">
      <header>
        <h2>{title}</h2>
      </header>
      <div class="panel-body">{children}</div>
    </section>
  );
}

function Choice<T extends string>({ label, value, choices }: { label: string; value: Signal<T>; choices: readonly (readonly [T, string])[] }) {
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
      <Choice label={t.account.theme} value={theme} choices={[['system', t.account.themes.system], ['light', t.account.themes.light], ['dark', t.account.themes.dark]]} />
      <Choice label={t.account.sendWith} value={sendWith} choices={[['enter', t.account.sendEnter], ['ctrl-enter', t.account.sendCtrl]]} />
      <Choice label={t.account.keys} value={singleKeys} choices={[['on', t.account.keysOn], ['off', t.account.keysOff]]} />
      <Choice label={t.account.sound} value={soundOn} choices={[['on', t.account.soundOn], ['off', t.account.soundOff]]} />
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
  return (
    <Panel title={t.account.profile}>
      <Field label={t.account.name} hint={t.account.nameHint}>
        {(ids) => <input {...ids} autocomplete="name" maxLength={100} value={name} onInput={(event) => draft.set(event.currentTarget.value)} />}
      </Field>
      <div class="row end">
        <span class="muted small grow">
          {agent.email} · {t.roles[agent.role]}
        </span>
        <ActButton
          class="button primary"
          disabled={is_blank(name) || name.trim() === agent.name}
          act={async () => {
            setOwnAgent(await ask<Agent>('PATCH', `/v1/agents/${encodeURIComponent(agent.agent_id)}`, { name: name.trim() }));
            draft.saved(name);
            tell(t.saved);
          }}
        >
          {t.save}
        </ActButton>
      </div>
    </Panel>
  );
}

function Password() {
  const agent = granted.value?.agent;
  const [current, setCurrent] = useState('');
  const [next, setNext] = useState('');
  const { busy, wrong, submit } = useSubmit(async () => {
    if (agent === undefined) return;
    await ask<null>('PUT', `/v1/agents/${encodeURIComponent(agent.agent_id)}/password`, { current_password: current, new_password: next });
    setCurrent('');
    setNext('');
    tell(t.account.changed);
  });
  if (agent === undefined) return null;
  return (
    <Panel title={t.account.password}>
      <form onSubmit={submit}>
        <input class="visually-hidden" type="email" autocomplete="username" value={agent.email} readOnly tabIndex={-1} aria-hidden="true" />
        <Field label={t.account.current}>
          {(ids) => <input {...ids} type="password" autocomplete="current-password" required value={current} onInput={(event) => setCurrent(event.currentTarget.value)} />}
        </Field>
        <Field label={t.account.next} hint={t.invitation.passwordHint}>
          {(ids) => (
            <input {...ids} type="password" autocomplete="new-password" required minLength={PASSWORD_CHARS_MIN} value={next} onInput={(event) => setNext(event.currentTarget.value)} />
          )}
        </Field>
        <p class="form-error" role="alert">
          {wrong}
        </p>
        <div class="row end">
          <button type="submit" class="button primary" aria-disabled={busy}>
            {t.account.change}
          </button>
        </div>
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
                    <small class="muted">{[t.account.signedIn(momentOf(one.created_at)), t.account.ends(momentOf(one.expires_at))].join(' · ')}</small>
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
