// Who is signed in here. The cookie itself is out of a script's reach; this is what the server says
// of it.

import { computed, signal } from '@preact/signals';
import type { AgentId } from '../../../protocol/ts/src/wire/frames.ts';
import type {
  InvitationLookup,
  PasswordResetLookup,
  SessionGranted,
  SessionListed,
} from '../wire/rest.ts';
import { ask, Problem, whenSessionIsOver } from '../wire/rest.ts';

export type SessionState =
  | { readonly kind: 'unknown' }
  /** `over`: there was a session, and it ended. */
  | { readonly kind: 'out'; readonly over: boolean }
  | { readonly kind: 'in'; readonly granted: SessionGranted };

export const session = signal<SessionState>({ kind: 'unknown' });

export const granted = computed(() => (session.value.kind === 'in' ? session.value.granted : null));

/** The signed-in agent's id. */
export const me = computed<AgentId | null>(() => {
  const id = granted.value?.agent.agent_id;
  return id !== undefined && isAgentId(id) ? id : null;
});

export const isAdmin = computed(() => granted.value?.agent.role === 'admin');

function isAgentId(text: string): text is AgentId {
  return text.startsWith('agt_');
}

/** Asks whether this browser has a session. Throws a problem where the server cannot say. */
export async function findSession(): Promise<void> {
  try {
    session.value = {
      kind: 'in',
      granted: await ask<SessionGranted>('GET', '/v1/sessions/current'),
    };
  } catch (problem) {
    if (problem instanceof Problem && problem.status === 401) {
      session.value = { kind: 'out', over: false };
      return;
    }
    throw problem;
  }
}

/**
 * Whoever was signed in here before is out first: their connection ends, and nothing of theirs is
 * left to the next.
 */
export function enter(granted: SessionGranted): void {
  sessionIsOver();
  session.value = { kind: 'in', granted };
}

/** Nobody has entered yet: they may have several Organizations to choose from. */
export function signIn(
  email: string,
  password: string,
  tenantId?: string,
): Promise<SessionGranted> {
  return ask<SessionGranted>('POST', '/v1/sessions', { email, password, tenant_id: tenantId });
}

/** Ends the session that this browser has, if it has one. */
export async function endOwn(): Promise<void> {
  try {
    await ask<null>('DELETE', '/v1/sessions/current');
  } catch (problem) {
    // A session that is over already is what was wanted.
    if (!(problem instanceof Problem && problem.status === 401)) throw problem;
  }
}

export async function signOut(): Promise<void> {
  await endOwn();
  session.value = { kind: 'out', over: false };
}

/** The server says that the session ended. */
export function sessionIsOver(): void {
  if (session.value.kind === 'in') session.value = { kind: 'out', over: true };
}

whenSessionIsOver(sessionIsOver);

export async function listSessions(): Promise<SessionListed[]> {
  const listed = await ask<{ items: SessionListed[] }>('GET', '/v1/sessions');
  return listed.items;
}

export async function endSession(id: string): Promise<void> {
  await ask<null>('DELETE', `/v1/sessions/${encodeURIComponent(id)}`);
  if (id === granted.value?.session_id) session.value = { kind: 'out', over: false };
}

export async function lookUpInvitation(token: string): Promise<InvitationLookup> {
  return ask<InvitationLookup>('POST', '/v1/invitations/lookup', { token });
}

export async function acceptInvitation(
  token: string,
  name: string,
  password: string,
): Promise<void> {
  enter(await ask<SessionGranted>('POST', '/v1/invitations/accept', { token, name, password }));
}

export async function lookUpPasswordReset(token: string): Promise<PasswordResetLookup> {
  return ask<PasswordResetLookup>('POST', '/v1/password-resets/lookup', { token });
}

/** Ends every session of the account, and begins one here. */
export async function setNewPassword(token: string, password: string): Promise<void> {
  enter(await ask<SessionGranted>('POST', '/v1/password-resets/use', { token, password }));
}

/** After the agent changed their own account. */
export function setOwnAgent(agent: SessionGranted['agent']): void {
  const before = granted.value;
  if (before !== null) session.value = { kind: 'in', granted: { ...before, agent } };
}
