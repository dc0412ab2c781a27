// Single keys: for whoever wants them, and never while something is being typed.

import { useLayoutEffect } from 'preact/hooks';
import { FIELDS, isChord, isField } from '../state/ahead.ts';
import { keyRests, LETTERS, restAfterwards, restKeys, UNDO } from '../state/keyboard.ts';
import { singleKeys } from '../state/preferences.ts';

/** The key code of whatever an input method made of a key. */
const COMPOSED = 229;

/**
 * An input method has the key: what it means is not known yet. Safari ends the composition first,
 * and leaves only the key code to tell.
 */
export function isComposed(event: KeyboardEvent): boolean {
  return event.isComposing || event.keyCode === COMPOSED;
}

/** In these every letter is the agent's choice among what they show. */
const HOLDERS = `${FIELDS}, .menu-panel`;

/** The field that got the last key, and when: it may be gone before the next one comes. */
let typedIn: HTMLElement | null = null;
let typedAt = 0;
const TYPING_MS = 1_000;

function inMidWord(): boolean {
  if (typedIn === null || performance.now() - typedAt > TYPING_MS) return false;
  const taken = !typedIn.isConnected || typedIn.matches(':disabled');
  if (taken) typedAt = performance.now();
  return taken;
}

function hasModifier(event: KeyboardEvent): boolean {
  // AltGr makes letters of its own; with Shift a letter is another key, but a sign may need it.
  return (
    isChord(event) ||
    event.getModifierState('AltGraph') ||
    (event.shiftKey && /^\p{L}$/u.test(event.key))
  );
}

function isTyping(event: KeyboardEvent): boolean {
  // The page may be told of a host only, where the field is inside of it.
  const target = event.composedPath()[0];
  if (isField(target)) {
    // Whoever leaves it by Escape is not in the middle of a word.
    typedIn = event.key === 'Escape' ? null : target;
    typedAt = performance.now();
    return true;
  }
  if (
    isComposed(event) ||
    (target instanceof Element && target.closest(HOLDERS) !== null) ||
    inMidWord()
  )
    return true;
  heedWord(event);
  return hasModifier(event);
}

/**
 * Outside of all fields, too, somebody may begin a word: with a letter that is no key of ours, or a
 * capital.
 */
function heedWord(event: KeyboardEvent): void {
  const key = event.key.toLowerCase();
  if (isChord(event) || !/^\p{L}$/u.test(key)) return;
  if (!LETTERS.includes(key)) restKeys();
  // Who meant the key, and held Shift by mistake, presses it again.
  else if (event.shiftKey) restAfterwards([key, UNDO]);
}

/** Keys that also act while a dialog is open. */
const ABOVE_DIALOGS = [UNDO];

/** Listens as long as the view is there; `pressed` says whether the key was one of its own. */
export function useKeys(pressed: (key: string) => boolean): void {
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (isTyping(event) || singleKeys.value === 'off' || event.defaultPrevented) return;
      const key = event.key.toLowerCase();
      if (document.querySelector('dialog[open]') !== null && !ABOVE_DIALOGS.includes(key)) return;
      // A key that is held down was meant once, unless it steps.
      if (event.repeat && key !== 'j' && key !== 'k') return;
      if (keyRests(key)) return;
      if (pressed(key)) event.preventDefault();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
}
