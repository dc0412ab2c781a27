// What is set up and changed over REST: by an admin of the Organization, by an agent of their own
// account.
//
// Lives here: each question and each change, as one function. Not here: how REST is spoken
// (wire/rest.ts), what stands half typed in a form (unsaved.ts), the forms (view/).

import type {
  Agent,
  ApiKey,
  Invitation,
  PasswordReset,
  PrivacyTag,
  Role,
  Site,
  SitePatch,
  Tag,
} from '../wire/rest.ts';
import { ask, askAll, oneByOne } from '../wire/rest.ts';
import { sites, tags } from './catalog.ts';
import { isAdmin, setOwnAgent } from './session.ts';

const pathOf = (collection: string, id: string): string =>
  `/v1/${collection}/${encodeURIComponent(id)}`;

// Agents

export interface Team {
  readonly agents: readonly Agent[];
  readonly invitations: readonly Invitation[];
}

export async function loadTeam(): Promise<Team> {
  const [agents, invitations] = await Promise.all([
    askAll<Agent>('/v1/agents'),
    isAdmin.value ? askAll<Invitation>('/v1/invitations') : Promise.resolve([]),
  ]);
  return { agents, invitations };
}

export type AgentChange = Partial<Pick<Agent, 'role' | 'state' | 'capacity'>>;

export function changeAgent(agent: Agent, change: AgentChange): Promise<Agent> {
  return ask<Agent>('PATCH', pathOf('agents', agent.agent_id), change);
}

export function invite(email: string, role: Role): Promise<Invitation> {
  return ask<Invitation>('POST', '/v1/invitations', { email: email.trim(), role });
}

export function withdrawInvitation(invitation: Invitation): Promise<null> {
  return ask<null>('DELETE', pathOf('invitations', invitation.invitation_id));
}

/** For a colleague who forgot theirs. */
export function makePasswordReset(agent: Agent): Promise<PasswordReset> {
  return ask<PasswordReset>('POST', `${pathOf('agents', agent.agent_id)}/password-reset`);
}

// One's own account

export async function rename(agent: Agent, name: string): Promise<void> {
  setOwnAgent(await ask<Agent>('PATCH', pathOf('agents', agent.agent_id), { name: name.trim() }));
}

export function changePassword(agent: Agent, current: string, next: string): Promise<null> {
  return ask<null>('PUT', `${pathOf('agents', agent.agent_id)}/password`, {
    current_password: current,
    new_password: next,
  });
}

// Keys

export interface NewKey extends ApiKey {
  /** The text of the key, in this one answer only. */
  text: string;
}

export function loadKeys(): Promise<ApiKey[]> {
  return askAll<ApiKey>('/v1/keys');
}

export function createKey(name: string, scopes: readonly string[]): Promise<NewKey> {
  return ask<NewKey>('POST', '/v1/keys', { name: name.trim(), scopes });
}

export function revokeKey(key: ApiKey): Promise<null> {
  return ask<null>('DELETE', pathOf('keys', key.key_id));
}

// Tags

export async function loadTags(): Promise<readonly Tag[]> {
  tags.value = await askAll<Tag>('/v1/tags');
  return tags.value;
}

export function createTag(name: string): Promise<Tag> {
  return ask<Tag>('POST', '/v1/tags', { name: name.trim() });
}

export function removeTag(tag: Tag): Promise<null> {
  return ask<null>('DELETE', pathOf('tags', tag.tag_id));
}

// Sites

export async function loadSites(): Promise<readonly Site[]> {
  sites.value = await askAll<Site>('/v1/sites');
  return sites.value;
}

export function loadSite(id: string): Promise<Site> {
  return ask<Site>('GET', pathOf('sites', id));
}

export async function createSite(name: string, origins: readonly string[]): Promise<Site> {
  const site = await ask<Site>('POST', '/v1/sites', { name: name.trim(), origins });
  sites.value = [...sites.value, site];
  return site;
}

/**
 * Changes it as it is by now, and nothing else of it: another may have changed it since it was on
 * the screen.
 */
export async function changeSite(
  { site_id: id }: Site,
  patch: (now: Site) => SitePatch,
): Promise<Site> {
  const changed = await oneByOne(async () =>
    ask<Site>('PATCH', pathOf('sites', id), patch(await loadSite(id))),
  );
  sites.value = sites.value.map((one) => (one.site_id === id ? changed : one));
  return changed;
}

// What was said

export function loadPrivacyTag(conversation: string, message: string): Promise<PrivacyTag> {
  return ask<PrivacyTag>('GET', `/v1/conversations/${conversation}/messages/${message}/tag`);
}
