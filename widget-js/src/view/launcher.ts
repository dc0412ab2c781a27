// The round button in the corner, and the host element that both it and the panel live in.

import type { LauncherStrings } from '../strings/launcher.ts';
import { el, icon, say, set, style } from './dom.ts';
import { LAUNCHER_CSS } from './launcher_css.ts';

const BUBBLE = 'M21 11.5a8.5 8.5 0 0 1-12.3 7.6L3 21l1.9-5.7A8.5 8.5 0 1 1 21 11.5z';
const CHEVRON = 'M6 9l6 6 6-6';

export class Launcher {
  readonly host = el('div');
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
    this.#swaps = new MutationObserver(() => {
      if (!this.host.isConnected) this.show();
    });
  }

  show(): void {
    if (!this.host.isConnected) document.body?.append(this.host);
    // Some swap the body, some empty it.
    for (const parent of [document.documentElement, document.body]) if (parent) this.#swaps.observe(parent, { childList: true });
  }

  hide(): void {
    this.#swaps.disconnect();
    this.host.remove();
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
