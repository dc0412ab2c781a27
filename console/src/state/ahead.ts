// What is typed ahead of the field that it is meant for.
//
// Lives here: what a field is, and the letters that come before it is there. Not here: single keys
// (view/shortcuts.ts), where the letters stand then (composing.ts).

export const FIELDS =
  'input, textarea, select, [role=textbox], [role=searchbox], [role=combobox], [role=listbox], [role=spinbutton], [role=slider]';

export function isField(target: EventTarget | null | undefined): target is HTMLElement {
  return target instanceof HTMLElement && (target.isContentEditable || target.matches(FIELDS));
}

export const isChord = ({ ctrlKey, metaKey, altKey }: KeyboardEvent): boolean =>
  ctrlKey || metaKey || altKey;

/** Ends the one that is there: an agent types one text at a time. */
let stopAhead = (): void => undefined;

/**
 * What is typed in no field goes to `take`, letter by letter: until a field gets the focus, or
 * something is pressed or gone to by which `ends` says that it is over, or `stop` is called.
 */
export function typeAhead(
  take: (letter: string) => void,
  ends: (event: Event) => boolean,
): () => void {
  stopAhead();
  const over = new AbortController();
  const stop = (): void => over.abort();
  stopAhead = stop;
  const hear = (event: Event): void => {
    const inField = isField(event.composedPath()[0]);
    if (!(event instanceof KeyboardEvent)) {
      if (event.type === 'focusin' ? inField : ends(event)) stop();
    } else if (inField) stop();
    else if ([...event.key].length === 1 && !isChord(event)) {
      event.preventDefault();
      event.stopImmediatePropagation();
      take(event.key);
    }
  };
  // Before anything on the page: a space is a letter here, and presses nothing.
  for (const name of ['keydown', 'focusin', 'pointerdown', 'hashchange'])
    window.addEventListener(name, hear, { capture: true, signal: over.signal });
  return stop;
}
