// The REST side of the wire: one function that asks, and the shapes of what the console asks for.
//
// Not here: what is done with the answers (state/). Called by state/ and by the pages that list and
// edit configuration.

/** As many characters as the server takes of each (server/src/api). */
export const CHARS_MAX = {
  name: 100,
  tag: 50,
  text: 500,
  notice: 2_000,
  url: 2_048,
  password: 1_000,
} as const;

/**
 * Conversations that an agent can be made to take at a time, from none (protocol/src/limits.rs).
 */
export const CAPACITY_MAX = 100;

export type Role = 'agent' | 'supervisor' | 'admin';

export interface Agent {
  agent_id: string;
  name: string;
  email: string;
  role: Role;
  state: 'active' | 'deactivated';
  capacity: number;
  created_at: number;
}

export interface Tenant {
  tenant_id: string;
  name: string;
}

export interface SessionGranted {
  session_id: string;
  agent: Agent;
  tenant: Tenant;
  /** Right after signing in: which else the same password opens. */
  other_tenants?: Tenant[];
  expires_at: number;
}

export interface SessionListed {
  session_id: string;
  /** What it was opened with. */
  client: string;
  current: boolean;
  created_at: number;
  expires_at: number;
}

export interface Invitation {
  invitation_id: string;
  email: string;
  role: Role;
  link?: string;
  expires_at: number;
}

export interface InvitationLookup {
  tenant_name: string;
  email: string;
  role: Role;
}

/** A link by which an agent sets a new password: shown once. */
export interface PasswordReset {
  agent_id: string;
  link: string;
  expires_at: number;
}

export interface PasswordResetLookup {
  tenant_name: string;
  email: string;
}

export type FormRule = 'hidden' | 'optional' | 'required';

export interface Site {
  site_id: string;
  site_key: string;
  name: string;
  plan: string;
  state: 'open' | 'closed';
  closed_at?: number | null;
  origins: string[];
  /** Pages that wanted to embed the widget lately and are not listed, the newest first. */
  refused_origins?: { origin: string; addable: boolean; at: number }[];
  texts: Record<string, string>;
  form: Record<string, FormRule>;
  notice: { text?: string; url?: string; hash?: string };
  redaction_patterns: string[];
  embed_tag: string;
  retention: Record<string, string>;
  created_at: number;
}

export interface SitePatch {
  name?: string;
  origins?: string[];
  texts?: Record<string, string>;
  form?: Record<string, FormRule>;
  notice?: { text: string; url: string };
  redaction_patterns?: string[];
}

export interface Tag {
  tag_id: string;
  name: string;
}

export interface ApiKey {
  key_id: string;
  name: string;
  scopes: string[];
  created_at: number;
}

export interface PrivacyTag {
  class: string;
  purposes: string[];
  bases: string[];
  policy_version: string | number;
  ingest_day: string;
  expires_on: string | null;
  rules: string[];
  reason: string;
}

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

/** A refusal in the form of RFC 9457, or a connection that is down (status 0). */
export class Problem extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly detail: string,
    readonly retryAfterS: number | null,
  ) {
    super(`${status} ${code}`);
  }
}

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';

function textField(value: unknown, name: string): string {
  if (typeof value !== 'object' || value === null) return '';
  const field: unknown = Reflect.get(value, name);
  return typeof field === 'string' ? field : '';
}

/** Called once for every answer that says the session is over. */
let onSessionOver: () => void = () => undefined;

export function whenSessionIsOver(then: () => void): void {
  onSessionOver = then;
}

/** Who asks for these has no session yet. */
const BEFORE_SIGNING_IN = /^\/v1\/(sessions|invitations\/|password-resets\/)/;

/** Asks, and returns the JSON of the answer; throws a {@link Problem} otherwise. */
export async function ask<T>(method: Method, path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (body !== undefined) headers['content-type'] = 'application/json';
  if (method === 'POST') headers['idempotency-key'] = randomKey();
  const init: RequestInit = { method, headers, credentials: 'same-origin', cache: 'no-store' };
  if (body !== undefined) init.body = JSON.stringify(body);

  let answer: Response;
  try {
    answer = await fetch(path, init);
  } catch {
    throw new Problem(0, 'unreachable', '', null);
  }
  const text = await answer.text();
  let json: unknown = null;
  try {
    json = text === '' ? null : JSON.parse(text);
  } catch {
    json = null;
  }
  if (!answer.ok) {
    const retry = Number(answer.headers.get('retry-after') ?? Number.NaN);
    if (answer.status === 401 && !BEFORE_SIGNING_IN.test(path)) onSessionOver();
    throw new Problem(
      answer.status,
      textField(json, 'code') || String(answer.status),
      textField(json, 'detail') || textField(json, 'title'),
      Number.isFinite(retry) ? retry : null,
    );
  }
  return json as T;
}

/** All items of a list, page by page; at most `pagesMax` pages, so that no list is endless. */
export async function askAll<T>(path: string, pagesMax = 20): Promise<T[]> {
  const items: T[] = [];
  let cursor: string | null = null;
  for (let page = 0; page < pagesMax; page += 1) {
    const joint: string = path.includes('?') ? '&' : '?';
    const next: string =
      cursor === null ? path : `${path}${joint}cursor=${encodeURIComponent(cursor)}`;
    const got: Page<T> = await ask<Page<T>>('GET', next);
    items.push(...got.items);
    cursor = got.next_cursor;
    if (cursor === null) break;
  }
  return items;
}

let last: Promise<unknown> = Promise.resolve();

/** One after the other, however it ends: each begins from what the one before left. */
export function oneByOne<T>(act: () => Promise<T>): Promise<T> {
  const done = last.then(act, act);
  last = done;
  return done;
}

function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

/** What an API key may be allowed; the server refuses what it does not know. */
export const API_SCOPES = [
  'conversations:read',
  'conversations:write',
  'visitors:read',
  'sites:read',
  'sites:write',
  'agents:read',
  'agents:write',
  'tags:read',
  'tags:write',
  'suppressions:read',
  'suppressions:write',
  'audit:read',
] as const;
