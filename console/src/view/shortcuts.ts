// Single keys: for whoever wants them, and never while something is being typed.

import { useLayoutEffect } from 'preact/hooks';
import { singleKeys } from '../state/preferences.ts';

function isTyping(event: KeyboardEvent): boolean {
  const target = event.target;
  return (
    event.ctrlKey ||
    event.metaKey ||
    event.altKey ||
    (target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName))) ||
    document.querySelector('dialog[open]') !== null
  );
}

/** Listens as long as the view is there; `pressed` says whether the key was one of its own. */
export function useKeys(pressed: (key: string) => boolean): void {
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent): void => {
      if (singleKeys.value === 'off' || event.defaultPrevented || isTyping(event)) return;
      const key = event.key.toLowerCase();
      // A letter with Shift is another key; a sign may need it.
      if (event.shiftKey && /^[a-z]$/.test(key)) return;
      if (pressed(key)) event.preventDefault();
    };
    document.addEventListener('keydown', listen);
    return () => document.removeEventListener('keydown', listen);
  }, []);
}
