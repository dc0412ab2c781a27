// What was changed and is not saved: kept over a reload in this tab, and asked about before it is
// left.
//
// Lives here: the drafts of settings, which of them are on the screen, and the question that stands
// before leaving them. Not here: how they look (view/), the composers' texts (composer.ts), which
// nobody has to save.

import { computed, signal } from '@preact/signals';
import { me } from './session.ts';

const KEY = 'livehelp.drafts';

/** What begins so is in memory only: a reload loses it, and the browser asks before. */
export const SECRET = 'secret/';

/** What was changed in a part of the settings. */
export interface Change<T> {
  /** What people call the part. */
  readonly name: string;
  /** What it was begun from. */
  readonly from: T;
  readonly to: T;
}

/** By the part's key, where something is not what was saved. */
const drafts = signal<ReadonlyMap<string, Change<unknown>>>(new Map());

/** What would be lost by leaving, in a word for people. */
const shown = signal<ReadonlyMap<string, string>>(new Map());

export const unsavedNames = computed(() => [...new Set(shown.value.values())]);
export const isUnsaved = computed(() => shown.value.size > 0);

/**
 * The agent is about to leave: what would be lost, and what they do it for, if they still want to.
 */
export const leaving = signal<{
  readonly names: readonly string[];
  readonly run: () => void;
} | null>(null);

export function draftOf(key: string): Change<unknown> | undefined {
  return drafts.value.get(key);
}

/** `undefined`: it is as it was saved. */
export function keepDraft(key: string, change: Change<unknown> | undefined): void {
  if (change === undefined && !drafts.value.has(key)) return;
  const next = new Map(drafts.value);
  if (change === undefined) next.delete(key);
  else next.set(key, change);
  drafts.value = next;
  store();
}

/** What is on the screen and would be lost; `null`: nothing of it. */
export function showUnsaved(key: string, name: string | null): void {
  if (name === null ? !shown.value.has(key) : shown.value.get(key) === name) return;
  const next = new Map(shown.value);
  if (name === null) next.delete(key);
  else next.set(key, name);
  shown.value = next;
}

/** Does it at once where nothing would be lost by it, and asks first otherwise. */
export function leaveFirst(run: () => void, names = unsavedNames.value): void {
  if (names.length > 0) leaving.value = { names, run };
  else run();
}

/** The same for whoever signs out: what is kept on other pages goes too. */
export function leaveAllFirst(run: () => void): void {
  leaveFirst(run, [
    ...new Set([...unsavedNames.value, ...[...drafts.value.values()].map(({ name }) => name)]),
  ]);
}

export function stay(): void {
  leaving.value = null;
}

/** Throws away what is on the screen and goes on. */
export function leave(): void {
  const run = leaving.value?.run;
  for (const key of shown.value.keys()) keepDraft(key, undefined);
  shown.value = new Map();
  leaving.value = null;
  run?.();
}

function store(): void {
  const agent = me.peek();
  if (agent === null) return;
  try {
    const stays = [...drafts.value].filter(([key]) => !key.startsWith(SECRET));
    if (stays.length === 0) sessionStorage.removeItem(KEY);
    else sessionStorage.setItem(KEY, JSON.stringify({ agent, changes: stays }));
  } catch {
    // Full or forbidden: it is still in memory, and only a reload would lose it.
  }
}

/** What this agent left here; another agent's is thrown away. */
export function restoreDrafts(): void {
  drafts.value = new Map();
  try {
    const stored = JSON.parse(sessionStorage.getItem(KEY) ?? 'null') as {
      agent: string;
      changes: [string, Change<unknown>][];
    } | null;
    if (stored !== null && stored.agent === me.peek()) drafts.value = new Map(stored.changes);
    else sessionStorage.removeItem(KEY);
  } catch {
    // Not ours to read.
  }
}

/** Nobody is signed in any more; who signed out takes their drafts along. */
export function leaveDrafts(signedOut: boolean): void {
  drafts.value = new Map();
  shown.value = new Map();
  leaving.value = null;
  if (!signedOut) return;
  try {
    sessionStorage.removeItem(KEY);
  } catch {
    // Storage is forbidden, so there is nothing in it.
  }
}

/** The browser asks by itself before the page goes, where something would be lost. */
export function guardPage(): void {
  window.addEventListener('beforeunload', (event) => {
    if (isUnsaved.value || drafts.value.size > 0) event.preventDefault();
  });
}
