// The keyboard: when single keys may act, and where the next letter shall go.
//
// A key is meant for what was on the screen when the hand went down. So keys rest for a moment
// after a conversation came onto the screen or changed its agent there, after something was
// pressed, after the focus was moved, and after what can only be the beginning of a word; and
// whoever just took a conversation writes at once.

import { signal } from '@preact/signals';
import type { ConversationId } from '../../../protocol/ts/src/wire/frames.ts';

const REST_MS = 1_000;

/** The key that takes a closing back. */
export const UNDO = 'z';

/** The keys that step from one conversation to the next. */
export const STEPS: readonly string[] = ['j', 'k'];

/** Whoever steps presses single keys, and takes back what the last one did. */
export const STEPPING: readonly string[] = [...STEPS, UNDO];

/** Keys that change nothing but what is looked at. */
export const LOOKS: readonly string[] = [...STEPS, '1', '2', '3', '/', '?'];

let restUntil = 0;
let awake: readonly string[] = [];

/** Every letter that is a key. */
export const LETTERS = 'aeijknrtz';

/** From now on single keys rest, but for these. */
export function restKeys(but: readonly string[] = []): void {
  restUntil = performance.now() + REST_MS;
  awake = but;
}

/**
 * Something was pressed, or the focus was moved: the letters that follow were not meant as keys. A
 * rest that is under way goes on as it is.
 */
export function restAfterwards(but = LOOKS): void {
  if (performance.now() >= restUntil) restKeys(but);
}

/** The agent left a field on purpose: what comes next is meant as a key. */
export function wakeKeys(): void {
  restUntil = 0;
}

/**
 * Whether this key is to do nothing. Whoever goes on pressing goes on resting: a word that is being
 * typed holds no shortcut.
 */
export function keyRests(key: string): boolean {
  const at = performance.now();
  if (at >= restUntil || awake.includes(key)) return false;
  // Whoever wants to take something back presses until it is.
  if (key !== UNDO) restUntil = at + REST_MS;
  return true;
}

/** A touch screen's keyboard covers the thread: it comes when it is asked for. */
export const hasKeys = (): boolean => !window.matchMedia('(pointer: coarse)').matches;

/** The conversation whose composer is to have the focus as soon as it is there. */
export const composerCalled = signal<ConversationId | null>(null);

/** Whoever steps to a conversation means to press the same key again, and does not write yet. */
let stepping: ConversationId | null = null;

export function stepTo(id: ConversationId): void {
  stepping = id;
  restKeys(STEPPING);
}

export function isStepping(id: ConversationId | null): boolean {
  return id !== null && stepping === id;
}

/** It was gone to in another way. */
export function stepNoMore(): void {
  stepping = null;
}
