// The people who answer: roles, limits, and inviting new ones by a link that expires.

import { useState } from 'preact/hooks';
import { tell } from '../state/notices.ts';
import { isAdmin, me } from '../state/session.ts';
import {
  type AgentChange,
  changeAgent,
  invite,
  loadTeam,
  makePasswordReset,
  withdrawInvitation,
} from '../state/settings.ts';
import { problemSentence, t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { Agent, Invitation, PasswordReset, Role } from '../wire/rest.ts';
import { CAPACITY_MAX } from '../wire/rest.ts';
import {
  ActButton,
  Ask,
  Avatar,
  Confirm,
  CopyBox,
  dateOf,
  Dialog,
  EMAIL_FIELD,
  Field,
  Icon,
  LoadedView,
  momentOf,
  once,
  useLoaded,
  useSubmit,
  Words,
} from './parts.tsx';
import { FormEnd, SettingsPage } from './settings.tsx';

const ROLES: readonly Role[] = ['agent', 'supervisor', 'admin'];
const roleOf = (text: string): Role => ROLES.find((role) => role === text) ?? 'agent';

export function Agents() {
  const { state, again, set } = useLoaded('team', loadTeam);
  const [leaving, setLeaving] = useState<Agent | null>(null);
  const [resetting, setResetting] = useState<Agent | null>(null);

  const patch = async (agent: Agent, change: AgentChange): Promise<void> => {
    const changed = await changeAgent(agent, change);
    if (state.kind === 'there') {
      set({
        ...state.value,
        agents: state.value.agents.map((one) =>
          one.agent_id === changed.agent_id ? changed : one,
        ),
      });
    }
    tell(t.agents.changed);
  };
  const patchOrTell = (agent: Agent, change: AgentChange): void => {
    patch(agent, change).catch((problem: unknown) => {
      tell(problemSentence(problem), 'bad');
      again();
    });
  };

  return (
    <SettingsPage
      title={t.agents.title}
      lead={t.agents.lead}
      create={
        isAdmin.value
          ? {
              words: t.agents.invite,
              dialog: (close) => (
                <Invite
                  onClose={() => {
                    close();
                    again();
                  }}
                />
              ),
            }
          : undefined
      }
    >
      <LoadedView loaded={state} again={again}>
        {(team) => (
          <>
            <ul class="cards">
              {team.agents.map((agent) => (
                <li
                  key={agent.agent_id}
                  class={agent.state === 'deactivated' ? 'card-row faded' : 'card-row'}
                >
                  <Avatar id={agent.agent_id} name={agent.name} />
                  <span class="grow">
                    <strong>
                      <bdi>{agent.name}</bdi>
                      {agent.agent_id === me.value ? <span class="muted"> · {t.you}</span> : null}
                    </strong>
                    <small class="muted">{agent.email}</small>
                  </span>
                  {agent.state === 'deactivated' ? (
                    <span class="state state-closed">{t.agents.deactivated}</span>
                  ) : null}
                  {isAdmin.value && agent.state === 'active' ? (
                    <>
                      <label class="inline-field">
                        <span>{t.agents.capacity}</span>
                        <input
                          type="number"
                          min={0}
                          max={CAPACITY_MAX}
                          value={agent.capacity}
                          aria-label={`${t.agents.capacity}: ${agent.name}`}
                          onChange={(event) => {
                            // Empty is no number; what is out of bounds the server says.
                            const capacity = event.currentTarget.valueAsNumber;
                            if (Number.isInteger(capacity)) patchOrTell(agent, { capacity });
                          }}
                        />
                      </label>
                      <select
                        value={agent.role}
                        disabled={agent.agent_id === me.value}
                        aria-label={`${t.agents.role}: ${agent.name}`}
                        title={t.agents.roleHints[agent.role]}
                        onChange={(event) =>
                          patchOrTell(agent, { role: roleOf(event.currentTarget.value) })
                        }
                      >
                        {ROLES.map((role) => (
                          <option key={role} value={role}>
                            {t.roles[role]}
                          </option>
                        ))}
                      </select>
                    </>
                  ) : (
                    <span class="pill">{t.roles[agent.role]}</span>
                  )}
                  {!isAdmin.value || agent.agent_id === me.value ? null : agent.state ===
                    'active' ? (
                    <>
                      <button
                        type="button"
                        class="icon-button"
                        aria-label={`${t.agents.reset}: ${agent.name}`}
                        title={t.agents.reset}
                        onClick={once(() => setResetting(agent))}
                      >
                        <Icon name="key" />
                      </button>
                      <button
                        type="button"
                        class="button quiet"
                        onClick={once(() => setLeaving(agent))}
                      >
                        {t.agents.deactivate}
                      </button>
                    </>
                  ) : (
                    <ActButton class="button quiet" act={() => patch(agent, { state: 'active' })}>
                      {t.agents.activate}
                    </ActButton>
                  )}
                </li>
              ))}
            </ul>
            {team.invitations.length === 0 ? null : (
              <>
                <h2 class="group-title">{t.agents.invited}</h2>
                <ul class="cards">
                  {team.invitations.map((invitation) => (
                    <li key={invitation.invitation_id} class="card-row">
                      <span class="card-icon">
                        <Icon name="clock" />
                      </span>
                      <span class="grow">
                        <strong>{invitation.email}</strong>
                        <small class="muted">{t.agents.until(dateOf(invitation.expires_at))}</small>
                      </span>
                      <span class="pill">{t.roles[invitation.role]}</span>
                      <ActButton
                        class="button quiet"
                        act={async () => {
                          await withdrawInvitation(invitation);
                          tell(t.agents.withdrawn);
                          again();
                        }}
                      >
                        {t.agents.withdraw}
                      </ActButton>
                    </li>
                  ))}
                </ul>
              </>
            )}
          </>
        )}
      </LoadedView>
      {resetting === null ? null : (
        <ResetPassword agent={resetting} onClose={() => setResetting(null)} />
      )}
      {leaving === null ? null : (
        <Confirm
          title={t.agents.deactivate}
          asks={named(t.agents.deactivateAsk, leaving.name)}
          act={() => patch(leaving, { state: 'deactivated' })}
          onClose={() => setLeaving(null)}
        />
      )}
    </SettingsPage>
  );
}

/** For a colleague who forgot the password: a link that the admin hands over. */
function ResetPassword({ agent, onClose }: { agent: Agent; onClose: () => void }) {
  const [made, setMade] = useState<PasswordReset | null>(null);
  const [copied, setCopied] = useState(false);
  return (
    <Dialog
      title={t.agents.reset}
      onClose={onClose}
      unsaved={made === null || copied ? null : t.agents.reset}
    >
      {made === null ? (
        <Ask
          asks={named(t.agents.resetAsk, agent.name)}
          yes={t.agents.resetMake}
          tone="primary"
          act={async () => setMade(await makePasswordReset(agent))}
          onClose={onClose}
        />
      ) : (
        <>
          <p>
            <Words
              of={named((who) => t.agents.resetHint(who, momentOf(made.expires_at)), agent.name)}
            />
          </p>
          <CopyBox label={t.agents.reset} text={made.link} copied={() => setCopied(true)} />
        </>
      )}
    </Dialog>
  );
}

function Invite({ onClose }: { onClose: () => void }) {
  const [email, setEmail] = useState('');
  const [role, setRole] = useState<Role>('agent');
  const [made, setMade] = useState<Invitation | null>(null);
  const [copied, setCopied] = useState(false);
  const { busy, wrong, submit } = useSubmit(async () => setMade(await invite(email, role)));
  const unsaved =
    made === null ? (email === '' ? null : t.agents.invite) : copied ? null : t.agents.link;
  return (
    <Dialog title={t.agents.invite} onClose={onClose} unsaved={unsaved}>
      {made === null ? (
        <form onSubmit={submit}>
          <Field label={t.agents.email}>
            {(ids) => (
              <input
                {...ids}
                {...EMAIL_FIELD}
                autocomplete="off"
                value={email}
                onInput={(event) => setEmail(event.currentTarget.value)}
              />
            )}
          </Field>
          <Field label={t.agents.role} hint={t.agents.roleHints[role]}>
            {(ids) => (
              <select
                {...ids}
                value={role}
                onChange={(event) => setRole(roleOf(event.currentTarget.value))}
              >
                {ROLES.map((one) => (
                  <option key={one} value={one}>
                    {t.roles[one]}
                  </option>
                ))}
              </select>
            )}
          </Field>
          <FormEnd words={t.agents.invite} busy={busy} wrong={wrong} onClose={onClose} />
        </form>
      ) : (
        <>
          <p>
            <Words of={named((to) => t.agents.linkHint(to, dateOf(made.expires_at)), made.email)} />
          </p>
          <CopyBox label={t.agents.link} text={made.link ?? ''} copied={() => setCopied(true)} />
        </>
      )}
    </Dialog>
  );
}
