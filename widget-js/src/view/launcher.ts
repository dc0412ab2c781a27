// The round button in the corner, and the host element that both it and the panel live in.

import type { LauncherStrings } from '../strings/launcher.ts';
import { el, icon, set, style } from './dom.ts';

// A page's own rules may reach the host element, so it starts from nothing and cannot be hidden by accident.
const CSS = `
:host { all: initial !important; display: block !important; color-scheme: light dark;
  --accent: #4338ca; --accent-2: #7c3aed; --on-accent: #fff; --ground: #fff; --raised: #f4f4f8; --line: #e3e3ec;
  --ink: #1b1b27; --ink-2: #5b5b6e; --alert: #b42318; --good: #12824c; --shadow: 0 12px 48px #16163a38, 0 2px 8px #16163a1f;
  font: 15px/1.45 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
@media (prefers-color-scheme: dark) { :host { --accent: #5148d8; --accent-2: #7c4ef0; --ground: #17171f; --raised: #24242f;
  --line: #34343f; --ink: #f2f2f7; --ink-2: #a9a9bb; --alert: #ff8a80; --good: #5bd79b; --shadow: 0 12px 48px #000a, 0 2px 8px #0008; } }
*, *::before, *::after { box-sizing: border-box; }
[hidden] { display: none !important; }
button { font: inherit; color: inherit; cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent-2); outline-offset: 2px; }
svg { inline-size: 24px; block-size: 24px; display: block; }
.launcher { position: fixed; inset-block-end: 20px; inset-inline-end: 20px; z-index: 2147483000; inline-size: 60px; block-size: 60px;
  padding: 0; border: 0; border-radius: 50%; display: grid; place-items: center; color: var(--on-accent);
  background: linear-gradient(135deg, var(--accent), var(--accent-2)); box-shadow: var(--shadow);
  transition: transform .18s cubic-bezier(.2, .9, .3, 1.3); }
.launcher:hover { transform: scale(1.06); }
.launcher svg { inline-size: 28px; block-size: 28px; }
.badge { position: absolute; inset-block-start: -4px; inset-inline-end: -4px; min-inline-size: 24px; block-size: 24px; padding-inline: 6px;
  border-radius: 12px; border: 2px solid var(--ground); background: #d92d20; color: #fff; font-size: 12px; font-weight: 700; line-height: 20px; }
@media (max-width: 480px) { .open .launcher { display: none; } }
@media (prefers-reduced-motion: reduce) { *, *::before, *::after { transition: none !important; animation: none !important; } }
@media (forced-colors: active) { .launcher, .badge { border: 2px solid ButtonText; } }
`;

const BUBBLE = 'M21 11.5a8.5 8.5 0 0 1-12.3 7.6L3 21l1.9-5.7A8.5 8.5 0 1 1 21 11.5z';
const CHEVRON = 'M6 9l6 6 6-6';

export class Launcher {
  readonly host = el('div');
  readonly root: ShadowRoot;
  /** What the panel is put into; marked `open` while it is. */
  readonly frame = el('div');
  readonly button = el('button', { type: 'button', class: 'launcher', 'aria-haspopup': 'dialog' });
  readonly #badge = el('span', { class: 'badge', 'aria-hidden': 'true' });
  readonly #strings: LauncherStrings;
  readonly #swaps: MutationObserver;
  #face = '';

  constructor(strings: LauncherStrings, language: string, pressed: () => void) {
    this.#strings = strings;
    this.root = this.host.attachShadow({ mode: 'open' });
    style(this.root, CSS);
    // A screen reader must know whose words these are: the page's language may be another.
    set(this.frame, { lang: language });
    this.frame.append(this.button);
    this.root.append(this.frame);
    this.button.addEventListener('click', pressed);
    this.update(false, 0);
    // Some frameworks swap the whole body on navigation; the chat stays.
    this.#swaps = new MutationObserver(() => {
      if (!this.host.isConnected) document.body.append(this.host);
    });
  }

  show(): void {
    if (!this.host.isConnected) document.body.append(this.host);
    this.#swaps.observe(document.documentElement, { childList: true });
  }

  hide(): void {
    this.#swaps.disconnect();
    this.host.remove();
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
