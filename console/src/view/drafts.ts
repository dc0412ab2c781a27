// Fields that are saved by a button: what stands in them outlives leaving the page, and is asked
// about before.

import { useLayoutEffect } from 'preact/hooks';
import { draftOf, keepDraft, showUnsaved } from '../state/unsaved.ts';
import type { Change } from '../state/unsaved.ts';

export const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export interface Draft<T> {
  readonly value: T;
  readonly unsaved: boolean;
  readonly set: (value: T) => void;
  /** What is to be saved in place of `now`, which may have been saved by another meanwhile. */
  readonly on: (now: T) => T;
  /** What stood there was saved. What was typed while it was under way stays. */
  readonly saved: (stood: T) => void;
}

/** The same change made on what is there now: field by field, and in a list line by line. */
export function rebased<T>(now: T, { from, to }: Omit<Change<T>, 'name'>): T;
export function rebased(now: unknown, { from, to }: Omit<Change<unknown>, 'name'>): unknown {
  if (same(now, from)) return to;
  if (same(to, from)) return now;
  if (Array.isArray(now) && Array.isArray(from) && Array.isArray(to)) {
    return [
      ...now.filter((one) => !from.includes(one) || to.includes(one)),
      ...to.filter((one) => !from.includes(one) && !now.includes(one)),
    ];
  }
  if (!isRecord(now) || !isRecord(from) || !isRecord(to)) return to;
  return Object.fromEntries(
    Object.keys({ ...now, ...to }).map((key) => [
      key,
      rebased(now[key], { from: from[key], to: to[key] }),
    ]),
  );
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === 'object' && value !== null;

/** `key` is one part of the settings, `name` what people call it. */
export function useDraft<T>(key: string, name: string, saved: T): Draft<T> {
  const on = (now: T): T => {
    const change = draftOf(key) as Change<T> | undefined;
    return change === undefined ? now : rebased(now, change);
  };
  const value = on(saved);
  const unsaved = !same(value, saved);
  useUnsaved(key, unsaved ? name : null);
  return {
    value,
    unsaved,
    set: (to) => keepDraft(key, same(to, saved) ? undefined : { name, from: saved, to }),
    on,
    saved: (stood) => {
      if (same(on(saved), stood)) keepDraft(key, undefined);
    },
  };
}

/** Something on the screen that is lost where it is left; `null`: nothing. */
export function useUnsaved(key: string, name: string | null): void {
  useLayoutEffect(() => {
    showUnsaved(key, name);
    return () => showUnsaved(key, null);
  }, [key, name]);
}
