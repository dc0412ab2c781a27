// Where the focus goes when what had it is gone: near to where it was, and never to nowhere.
//
// Lives here: one watch over the whole page, and the second press of a key, which was meant for
// what is gone. Not here: what an agent's own act calls for, such as the composer after taking
// (state/keyboard.ts, composer.tsx).

import { isMine } from '../state/board.ts';
import { board, opened } from '../state/store.ts';
import { hasKeys, isStepping, restAfterwards } from '../state/keyboard.ts';
import { me } from '../state/session.ts';

/**
 * What has the focus, and what it stands in, from the inside out: once it is gone, it has no
 * parents to ask.
 */
export interface Trail {
  readonly steps: readonly HTMLElement[];
  /**
   * Where in the list the conversation on the screen stood then; null: it was not in sight there.
   */
  readonly position: number | null;
}

const NOWHERE: Trail = { steps: [], position: null };

export function trailOf(element: Element | null): Trail {
  const steps: HTMLElement[] = [];
  for (let at = element; at !== null && at !== document.body; at = at.parentElement)
    if (at instanceof HTMLElement) steps.push(at);
  if (steps.length === 0) return NOWHERE;
  const position = document
    .querySelector('#rows a[aria-current]')
    ?.parentElement?.getAttribute('aria-posinset');
  return { steps, position: position === null || position === undefined ? null : Number(position) };
}

/** Lets the focus stand on something that one cannot press, as long as it does. */
function stand(element: HTMLElement): boolean {
  element.focus({ preventScroll: element.id === 'content' });
  if (document.activeElement === element) return true;
  element.tabIndex = -1;
  element.addEventListener('blur', () => element.removeAttribute('tabindex'), { once: true });
  element.focus();
  return document.activeElement === element;
}

const isSeen = (element: HTMLElement): boolean => element.isConnected && element.checkVisibility();

/**
 * The field of one's own conversation, unless one steps through the list; on a touch screen it
 * comes when it is asked for.
 */
function composer(): HTMLElement | null {
  if (isStepping(opened.value)) return null;
  const card = opened.value === null ? undefined : board.value.cards.get(opened.value);
  return card !== undefined && isMine(card, me.value) && hasKeys()
    ? document.getElementById('composer')
    : null;
}

/** The row of the conversation on the screen, or the one that took its place. */
function row({ position }: Trail): HTMLElement | null {
  const at = (which: string): HTMLElement | null =>
    document.querySelector<HTMLElement>(`#rows ${which}`);
  const own = at('a[aria-current]');
  if (own !== null) return own;
  return (
    (position === null ? null : at(`[aria-posinset="${position}"] > a`)) ??
    at('.row-slot:last-child > a')
  );
}

/** What one finds again by the Tab key near to where one was. */
const HOMES = 'li, .panel, .inline-form, [role=log], .context, .list, main';

/** What stood beside it in the same list. */
function neighbour(records: readonly MutationRecord[], lost: HTMLElement): HTMLElement | null {
  const one = records.find(({ removedNodes }) =>
    [...removedNodes].some((node) => node instanceof HTMLLIElement && node.contains(lost)),
  );
  for (const beside of [one?.nextSibling, one?.previousSibling]) {
    // A row of the list is a link; of what stands in a row of settings, nothing is to be pressed in
    // error.
    if (beside instanceof HTMLElement && isSeen(beside))
      return beside.querySelector<HTMLElement>('.row-card') ?? beside;
  }
  return null;
}

function* refuges(trail: Trail, beside: HTMLElement | null): Generator<HTMLElement | null> {
  const dialog = [...document.querySelectorAll<HTMLElement>('dialog[open]')].at(-1);
  if (dialog !== undefined) {
    yield dialog;
    return;
  }
  yield beside;
  // With the next offer, but not on a button of it.
  yield trail.steps.find((step) => step.matches('.offers:has(.offer)')) ?? null;
  const left = trail.steps.find((step) => isSeen(step) && step.matches(HOMES));
  if (left?.matches('li') === true) yield left;
  yield composer();
  if (trail.steps.some((step) => step.matches('.thread-acts, .notices'))) yield row(trail);
  yield left ?? null;
  yield document.getElementById('content');
  yield row(trail);
  yield document.querySelector<HTMLElement>('[role=tab][aria-selected=true], .rail-item');
}

/** To where whoever had the focus there finds it again. */
export function land(trail: Trail, beside: HTMLElement | null = null): void {
  // The letters that were on their way are no keys.
  restAfterwards();
  for (const refuge of refuges(trail, beside))
    if (refuge !== null && isSeen(refuge) && stand(refuge)) return;
}

/** Nothing has the focus, or something that is about to lose it. */
function isNowhere(): boolean {
  const active = document.activeElement;
  return active === null || active === document.body || active.matches(':disabled');
}

/** After what is shown beside what changed: whatever had the focus may be out of sight. */
export function landInSight(): void {
  const active = document.activeElement;
  if (isNowhere() || active?.checkVisibility() === false) land(trailOf(active));
}

/** So soon after the first, a second press is one of the same hand. */
export const DOUBLE_MS = 500;
/** So soon after a letter, a space or Enter belongs to a sentence. */
const SENTENCE_MS = 1_000;

/**
 * A key that was meant for what is gone, or for a sentence, presses nothing where it falls, however
 * often or long it was pressed.
 */
function keepPresses(): void {
  let first = { key: '', at: 0, target: null as EventTarget | null };
  let stray = '';
  document.addEventListener(
    'keydown',
    (event) => {
      const { key, target, timeStamp } = event;
      const since = timeStamp - first.at;
      const again =
        key === first.key && (event.repeat || since < DOUBLE_MS) && target !== first.target;
      const written =
        /^[^\s\d]$/u.test(first.key) &&
        since < SENTENCE_MS &&
        target instanceof Element &&
        target.matches('button, a');
      stray = (key === 'Enter' || key === ' ') && (again || written) ? key : '';
      first = { key, at: timeStamp, target: stray === '' ? target : first.target };
      if (stray === '') return;
      event.preventDefault();
      event.stopImmediatePropagation();
    },
    true,
  );
  document.addEventListener(
    'keyup',
    (event) => {
      // A space presses when it is let go.
      if (event.key === stray) event.preventDefault();
    },
    true,
  );
  document.addEventListener('pointerdown', () => (first = { key: '', at: 0, target: null }), true);
}

/** From here on the focus is never lost with what had it. */
export function keepFocus(): void {
  let last = NOWHERE;
  document.addEventListener(
    'focusin',
    (event) => (last = trailOf(event.target instanceof Element ? event.target : null)),
    true,
  );
  new MutationObserver((records) => {
    const lost = last.steps[0];
    if (lost === undefined || !isNowhere()) return;
    // Left on purpose, by a click on nothing.
    if (isSeen(lost) && !lost.matches(':disabled')) return;
    land(last, neighbour(records, lost));
  }).observe(document.body, {
    childList: true,
    subtree: true,
    attributes: true,
    attributeFilter: ['disabled', 'hidden'],
  });
  keepPresses();
  // Whoever presses something looks at what becomes of it, and then at what a key would do.
  document.addEventListener(
    'click',
    (event) => {
      if (event.target instanceof Element && event.target.closest('button, a') !== null)
        restAfterwards();
    },
    true,
  );
}
