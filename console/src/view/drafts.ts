// Fields that are saved by a button: what stands in them outlives leaving the page, and is asked about before.

import { useLayoutEffect } from 'preact/hooks';
import { draftOf, keepDraft, showUnsaved } from '../state/unsaved.ts';

const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

export interface Draft<T> {
  readonly value: T;
  readonly unsaved: boolean;
  readonly set: (value: T) => void;
  /** This was saved. What was typed while it was under way stays. */
  readonly saved: (sent: T) => void;
}

/** `key` is one part of the settings, `name` what people call it. */
export function useDraft<T>(key: string, name: string, saved: T): Draft<T> {
  const draft = draftOf(key) as T | undefined;
  const unsaved = draft !== undefined && !same(draft, saved);
  useUnsaved(key, unsaved ? name : null);
  return {
    value: draft ?? saved,
    unsaved,
    set: (value) => keepDraft(key, same(value, saved) ? undefined : value),
    saved: (sent) => {
      if (same(draftOf(key), sent)) keepDraft(key, undefined);
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
