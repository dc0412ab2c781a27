// Signing in, and joining by an invitation.

import { useEffect, useRef, useState } from 'preact/hooks';
import { tell } from '../state/notices.ts';
import {
  acceptInvitation,
  endOwn,
  enter,
  lookUpInvitation,
  lookUpPasswordReset,
  session,
  setNewPassword,
  signIn,
} from '../state/session.ts';
import { go } from '../state/route.ts';
import { problemSentence, t } from '../strings/en.ts';
import { named } from '../strings/phrase.ts';
import type { SessionGranted, Tenant } from '../wire/rest.ts';
import { CHARS_MAX, Problem } from '../wire/rest.ts';
import {
  ActButton,
  EMAIL_FIELD,
  Field,
  Icon,
  LoadedView,
  TextField,
  useLoaded,
  useSubmit,
  Words,
} from './parts.tsx';
import type { ComponentChildren } from 'preact';

function SignedOut({ title, children }: { title: string; children: ComponentChildren }) {
  return (
    <main class="door" id="content">
      <div class="door-card">
        <p class="brand">
          <span class="brand-mark" aria-hidden="true" />
          {t.name}
        </p>
        <h1>{title}</h1>
        {children}
      </div>
    </main>
  );
}

/** Says as little as the server does: never which of the two was wrong. */
function loginSentence(problem: unknown): string {
  if (!(problem instanceof Problem)) return t.login.unreachable;
  if (problem.status === 0 || problem.status >= 500) return t.login.unreachable;
  if (problem.status === 429) return t.login.throttled(problem.retryAfterS);
  return t.login.refused;
}

export function Login() {
  const [email, setEmail] = useState('');
  const [password, setPassword] = useState('');
  const [found, setFound] = useState<SessionGranted | null>(null);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const over = session.value.kind === 'out' && session.value.over;
  const { busy, wrong, submit } = useSubmit(async () => {
    try {
      const granted = await signIn(email, password);
      if (granted.other_tenants === undefined) enter(granted);
      else setFound(granted);
    } catch (problem) {
      setPassword('');
      throw problem;
    }
  }, loginSentence);

  if (found !== null)
    return <Choice found={found} move={(tenant) => signIn(email, password, tenant)} />;
  return (
    <SignedOut title={t.login.title}>
      <p class="muted">{over ? t.login.over : t.login.lead}</p>
      <form onSubmit={submit}>
        <Field label={t.login.email}>
          {(ids) => (
            <input
              {...ids}
              {...EMAIL_FIELD}
              ref={field}
              autocomplete="username"
              value={email}
              onInput={(event) => setEmail(event.currentTarget.value)}
            />
          )}
        </Field>
        <Field label={t.login.password}>
          {(ids) => (
            <input
              {...ids}
              type="password"
              autocomplete="current-password"
              required
              value={password}
              onInput={(event) => setPassword(event.currentTarget.value)}
            />
          )}
        </Field>
        <p class="form-error" role="alert">
          {wrong}
        </p>
        <button type="submit" class="button primary wide" aria-disabled={busy}>
          {busy ? t.login.working : t.login.submit}
        </button>
      </form>
      <p class="muted small">{t.login.forgotten}</p>
    </SignedOut>
  );
}

/**
 * For which Organization, where one password opens several; a session of the first is there
 * already.
 */
function Choice({
  found,
  move,
}: {
  found: SessionGranted;
  move: (tenant: string) => Promise<SessionGranted>;
}) {
  const choose = async ({ tenant_id }: Tenant): Promise<void> => {
    if (tenant_id === found.tenant.tenant_id) return enter(found);
    await endOwn();
    enter(await move(tenant_id));
  };
  return (
    <SignedOut title={t.login.which}>
      {[found.tenant, ...(found.other_tenants ?? [])].map((tenant) => (
        <ActButton key={tenant.tenant_id} class="button wide" act={() => choose(tenant)}>
          <bdi>{tenant.name}</bdi>
        </ActButton>
      ))}
    </SignedOut>
  );
}

const PASSWORD_CHARS_MIN = 12;

/**
 * The server was reached, and does not know the invitation; a connection that is down says nothing
 * of it.
 */
function isGone(problem: unknown): boolean {
  return (
    problem instanceof Problem &&
    problem.status >= 400 &&
    problem.status < 500 &&
    problem.status !== 429
  );
}

function DeadLink({ words, again }: { words: string; again: () => void }) {
  return (
    <>
      <p role="alert">{words}</p>
      <div class="row">
        <button type="button" class="button" onClick={again}>
          {t.tryAgain}
        </button>
        <a class="button" href="#/">
          {t.invitation.toLogin}
        </a>
      </div>
    </>
  );
}

/**
 * For what keeps passwords: it takes the address beside a new one as whose it is. Nobody sees it.
 */
export function WhosePassword({ email }: { email: string }) {
  return (
    <input
      class="visually-hidden"
      type="email"
      autocomplete="username"
      value={email}
      readOnly
      tabIndex={-1}
      aria-hidden="true"
    />
  );
}

export function NewPassword({
  label = t.invitation.password,
  value,
  set,
}: {
  label?: string;
  value: string;
  set: (value: string) => void;
}) {
  return (
    <TextField
      label={label}
      hint={t.invitation.passwordHint}
      max={CHARS_MAX.password}
      value={value}
      set={set}
      also={{
        type: 'password',
        autocomplete: 'new-password',
        required: true,
        minLength: PASSWORD_CHARS_MIN,
      }}
    />
  );
}

/** What visitors read beside what an agent writes. */
export function PersonName({
  label,
  value,
  set,
}: {
  label: string;
  value: string;
  set: (value: string) => void;
}) {
  return (
    <TextField
      label={label}
      hint={t.invitation.nameHint}
      max={CHARS_MAX.name}
      value={value}
      set={set}
      also={{ autocomplete: 'name', required: true }}
    />
  );
}

/** Where an admin's or the operator's link leads: once, and every session of before ends. */
export function PasswordReset({ token }: { token: string }) {
  const { state, again } = useLoaded(token, () => lookUpPasswordReset(token));
  const [password, setPassword] = useState('');
  const { busy, wrong, submit } = useSubmit(
    async () => {
      await setNewPassword(token, password);
      go('/');
      tell(t.reset.done);
    },
    (problem) =>
      problem instanceof Problem && problem.status === 404
        ? t.reset.gone
        : problemSentence(problem),
  );
  return (
    <SignedOut title={t.reset.title}>
      {state.kind === 'failed' ? (
        <DeadLink words={isGone(state.problem) ? t.reset.gone : state.words} again={again} />
      ) : (
        <LoadedView loaded={state} again={again}>
          {(found) => (
            <>
              <p>
                <Words of={named(t.reset.of, found.email, found.tenant_name)} />
              </p>
              <p class="muted">{t.reset.ends}</p>
              <form onSubmit={submit}>
                <WhosePassword email={found.email} />
                <NewPassword value={password} set={setPassword} />
                <p class="form-error" role="alert">
                  {wrong}
                </p>
                <button type="submit" class="button primary wide" aria-disabled={busy}>
                  {t.reset.submit}
                </button>
              </form>
            </>
          )}
        </LoadedView>
      )}
    </SignedOut>
  );
}

export function Invitation({ token }: { token: string }) {
  const { state, again } = useLoaded(token, () => lookUpInvitation(token));
  const [name, setName] = useState('');
  const [password, setPassword] = useState('');
  const { busy, wrong, submit } = useSubmit(
    async () => {
      await acceptInvitation(token, name.trim(), password);
      go('/');
    },
    (problem) =>
      problem instanceof Problem && (problem.status === 404 || problem.status === 410)
        ? t.invitation.gone
        : problemSentence(problem),
  );

  return (
    <SignedOut title={t.invitation.title}>
      {state.kind === 'failed' ? (
        <DeadLink words={isGone(state.problem) ? t.invitation.gone : state.words} again={again} />
      ) : (
        <LoadedView loaded={state} again={again}>
          {(found) => (
            <>
              <p>
                <Words of={named(t.invitation.to, found.tenant_name)} />
              </p>
              <p class="muted">
                <Icon name="person" size={14} />{' '}
                <Words
                  of={named(
                    (email) => t.invitation.as(email, t.roles[found.role] ?? found.role),
                    found.email,
                  )}
                />
              </p>
              <form onSubmit={submit}>
                <WhosePassword email={found.email} />
                <PersonName value={name} set={setName} label={t.invitation.name} />
                <NewPassword value={password} set={setPassword} />
                <p class="form-error" role="alert">
                  {wrong}
                </p>
                <button type="submit" class="button primary wide" aria-disabled={busy}>
                  {t.invitation.submit}
                </button>
              </form>
            </>
          )}
        </LoadedView>
      )}
    </SignedOut>
  );
}
