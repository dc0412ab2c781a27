// The round button in the corner, and the host element that both it and the panel live in.

import type { LauncherStrings } from '../strings/launcher.ts';
import { el, icon, say, set, style } from './dom.ts';
import { LAUNCHER_CSS } from './launcher_css.ts';

const BUBBLE = 'M21 11.5a8.5 8.5 0 0 1-12.3 7.6L3 21l1.9-5.7A8.5 8.5 0 1 1 21 11.5z';
const CHEVRON = 'M6 9l6 6 6-6';

/** What a page may have as a shortcut of its own. */
const OWN_EVENTS = ['keydown', 'keyup', 'keypress', 'paste'];
/** A page that takes the host away is given it back so often in a row, after waits that double. */
const TRIES_MAX = 7;
const TRY_MS = 20;
/** What stayed for so long was let be: only a page that changes took it away. */
const SETTLED_MS = 5_000;

export class Launcher {
  readonly host = el('div', { popover: 'manual' });
  readonly root: ShadowRoot;
  /** What the panel is put into; marked `open` while it is. */
  readonly frame = el('div');
  readonly button = el('button', { type: 'button', class: 'launcher', 'aria-haspopup': 'dialog' });
  /** What there is to say before the panel is there. */
  readonly #note = el('p', { class: 'note', role: 'status' });
  readonly #badge = el('span', { class: 'badge', 'aria-hidden': 'true' });
  readonly #strings: LauncherStrings;
  readonly #swaps: MutationObserver;
  #face = '';
  #tries = 0;
  #since = 0;
  #back: ReturnType<typeof setTimeout> | undefined;
  /** What the chat does about a key that is pressed in it. */
  keys: (event: KeyboardEvent) => void = () => undefined;

  constructor(strings: LauncherStrings, language: string, pressed: () => void) {
    this.#strings = strings;
    this.root = this.host.attachShadow({ mode: 'open' });
    style(this.root, LAUNCHER_CSS);
    // A screen reader must know whose words these are: the page's language may be another.
    set(this.frame, { lang: language });
    this.frame.append(this.#note, this.button);
    this.root.append(this.frame);
    this.button.addEventListener('click', pressed);
    this.update(false, 0);
    // Some frameworks swap the whole body on navigation; the chat stays.
    this.#swaps = new MutationObserver(() => this.#removed());
    // Before the page's own listeners: what is typed here is none of its shortcuts.
    for (const kind of OWN_EVENTS) addEventListener(kind, this.#heard, true);
  }

  readonly #heard = (event: Event): void => {
    if (event.target !== this.host) return;
    event.stopImmediatePropagation();
    if (event.type === 'keydown') this.keys(event as KeyboardEvent);
  };

  show(): void {
    this.#tries = 0;
    this.#attach();
  }

  hide(): void {
    clearTimeout(this.#back);
    this.#back = undefined;
    this.#swaps.disconnect();
    this.host.remove();
  }

  #attach(): void {
    this.#back = undefined;
    this.#since = performance.now();
    if (!this.host.isConnected && document.body) {
      document.body.append(this.host);
      // Into the top layer, where there is one: no transform, filter or z-index of the page reaches there.
      this.host.showPopover?.();
    }
    // Some swap the body, some empty it.
    for (const parent of [document.documentElement, document.body]) if (parent) this.#swaps.observe(parent, { childList: true });
  }

  /** Never at once: a page that answers each return with a removal would hold the browser. */
  #removed(): void {
    if (this.host.isConnected || this.#back !== undefined) return;
    if (performance.now() - this.#since > SETTLED_MS) this.#tries = 0;
    if (this.#tries++ < TRIES_MAX) this.#back = setTimeout(() => this.#attach(), TRY_MS * 2 ** this.#tries);
    else console.error('LiveHelp: this page removes the chat');
  }

  say(words: string): void {
    say(this.#note, words);
  }

  update(open: boolean, unread: number): void {
    this.frame.classList.toggle('open', open);
    const strings = this.#strings;
    set(this.button, {
      'aria-label': open ? strings.close : unread > 0 ? strings.unread(unread) : strings.open,
      'aria-expanded': String(open),
    });
    const face = `${open} ${unread}`;
    if (face === this.#face) return;
    this.#face = face;
    this.#badge.textContent = unread > 99 ? '99+' : String(unread);
    this.button.replaceChildren(icon(open ? CHEVRON : BUBBLE), ...(unread > 0 && !open ? [this.#badge] : []));
  }
}
