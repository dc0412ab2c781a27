// The round button in the corner, and the host element that both it and the panel live in.

import { tellKeeper } from '../state/site.ts';
import { el, fill, icon, put, say, set, style } from './dom.ts';
import { LAUNCHER_CSS } from './launcher_css.ts';

const BUBBLE = 'M21 11.5a8.5 8.5 0 0 1-12.3 7.6L3 21l1.9-5.7A8.5 8.5 0 1 1 21 11.5z';
const CHEVRON = 'M6 9l6 6 6-6';

/** A page that takes the host away is given it back so often in a row, after waits that double. */
const TRIES_MAX = 7;
const TRY_MS = 20;
/** What stayed for so long was let be: only a page that changes took it away. */
const SETTLED_MS = 5_000;

/**
 * The host in the page, and which of the elements in it had the cursor last, as long as nothing of
 * the page took it.
 */
let shown: HTMLElement | undefined;
let cursor: HTMLElement | undefined;

/**
 * Hears in the window what happens anywhere. What happens in the widget goes no further: it is
 * handed to the properties `on…` of the elements that it would have come to, from the innermost.
 */
export function heard(event: Event): void {
  const { target, type } = event;
  if (target !== shown) {
    if (/focusin|down/.test(type)) cursor = undefined;
    return;
  }
  event.stopImmediatePropagation();
  for (const node of event.composedPath()) {
    if (node === shown) break;
    (node as unknown as { [handler: string]: ((event: Event) => void) | null | undefined })[
      `on${type}`
    ]?.(event);
  }
  cursor = (shown?.shadowRoot?.activeElement as HTMLElement | null | undefined) ?? cursor;
}

export class Launcher {
  readonly host = el('div', { popover: 'manual' });
  readonly root: ShadowRoot;
  /** What the panel is put into; marked `open` while it is. */
  readonly pane = el('div');
  readonly button = el('button', { type: 'button', class: 'launcher', 'aria-haspopup': 'dialog' });
  /** What there is to say before the panel is there. */
  readonly #note = el('p', { class: 'note', role: 'status' });
  readonly #badge = el('span', { class: 'badge', 'aria-hidden': 'true' });
  readonly #opens: string;
  readonly #swaps: MutationObserver;
  #face = '';
  #tries = 0;
  /** Since when it stands where it was put. */
  #since = 0;
  #back: ReturnType<typeof setTimeout> | undefined;
  /** Whether there is a top layer to be in. */
  #hasTop = false;

  /** `opens` is what the button is called as long as the panel is closed. */
  constructor(opens: string, language: string, pressed: () => void) {
    this.#opens = opens;
    this.root = this.host.attachShadow({ mode: 'open' });
    style(this.root, LAUNCHER_CSS);
    // A screen reader must know whose words these are, and which way they go: the page's language
    // may be another. All there are go from left to right.
    set(this.pane, { lang: language, dir: 'ltr' });
    put(this.pane, this.#note, this.button);
    this.root.appendChild(this.pane);
    this.button.onclick = pressed;
    this.update(false, 0);
    // Some frameworks swap the whole body on navigation, some wrap what is in it; the chat stays.
    this.#swaps = new MutationObserver(() => this.#moved());
  }

  show(): void {
    shown = this.host;
    this.#tries = 0;
    this.#attach();
  }

  hide(): void {
    clearTimeout(this.#back);
    this.#back = undefined;
    this.#swaps.disconnect();
    // By the oldest of means: a page's library may have a `remove` that wants a parent.
    this.host.parentNode?.removeChild(this.host);
  }

  #attach(): void {
    this.#back = undefined;
    this.#since = performance.now();
    if (document.body && !this.#stands()) {
      document.body.appendChild(this.host);
      try {
        // Into the top layer: no transform, filter or z-index of the page reaches there.
        this.host.showPopover();
        this.#hasTop = true;
      } catch {
        // An old browser has none.
      }
      // Who was writing goes on.
      if (document.activeElement === document.body) cursor?.focus();
    }
    // Some swap the body, some empty it.
    for (const parent of [document.documentElement, document.body])
      if (parent) this.#swaps.observe(parent, { childList: true });
  }

  /**
   * Whether it is where it was put: to be moved, even to the same place, takes it out of the top
   * layer.
   */
  #stands(): boolean {
    return (
      this.host.parentNode === document.body &&
      (!this.#hasTop || this.host.matches(':popover-open'))
    );
  }

  /** Never at once: a page that answers each return with a removal would hold the browser. */
  #moved(): void {
    if (this.#stands() || this.#back !== undefined) return;
    if (performance.now() - this.#since > SETTLED_MS) this.#tries = 0;
    // Until it is back it does not stand, however long that is.
    this.#since = Infinity;
    if (this.#tries++ < TRIES_MAX)
      this.#back = setTimeout(() => this.#attach(), TRY_MS * 2 ** this.#tries);
    else tellKeeper('this page removes the chat');
  }

  say(words: string): void {
    say(this.#note, words);
  }

  /** `words` say what the button does with the panel open, and else what there is to be read. */
  update(open: boolean, unread: number, words = ''): void {
    this.pane.classList.toggle('open', open);
    set(this.button, {
      'aria-label': open ? words : this.#opens + (words && `, ${words}`),
      'aria-expanded': String(open),
    });
    const face = `${open} ${unread}`;
    if (face === this.#face) return;
    this.#face = face;
    this.#badge.textContent = unread > 99 ? '99+' : String(unread);
    fill(this.button, icon(open ? CHEVRON : BUBBLE), ...(unread > 0 && !open ? [this.#badge] : []));
  }
}
