// What is loaded once the visitor wants to chat: ties the chat's state to the panel and the launcher.

import { Chat } from './state/chat.ts';
import { unread } from './state/conversation.ts';
import type { ChatState } from './state/conversation.ts';
import type { SiteConfig } from './state/site.ts';
import type { Store } from './state/store.ts';
import type { Strings } from './strings/en.ts';
import { style } from './view/dom.ts';
import type { Launcher } from './view/launcher.ts';
import { Panel } from './view/panel.ts';
import { PANEL_CSS } from './view/panel_css.ts';

/** What a page may listen to; no event carries a person's words. */
export interface Told {
  unread: (count: number) => void;
  message: () => void;
  status: (line: string) => void;
}

/** What the page's part of the widget has already: handed over, so that it is not loaded twice. */
export interface Setting {
  origin: string;
  site: SiteConfig;
  store: Store;
  /** A language tag, for times and dates. */
  locale: string;
}

export class ChatView {
  readonly #chat: Chat;
  readonly #panel: Panel;
  readonly #launcher: Launcher;
  readonly #told: Told;
  readonly #small = window.matchMedia('(max-width: 480px)');
  #open = false;
  #unread = 0;
  #entries = 0;
  #line = '';

  constructor({ origin, site, store, locale }: Setting, strings: Strings, launcher: Launcher, told: Told, close: () => void) {
    this.#launcher = launcher;
    this.#told = told;
    this.#chat = new Chat(origin, site, store, (state) => this.#changed(state));
    style(launcher.root, PANEL_CSS);
    this.#panel = new Panel(site, strings, locale, this.#chat.state, {
      close,
      send: (text, form) => this.#chat.send(text, form),
      typing: (typing) => this.#chat.do({ kind: 'typing', typing }),
      earlier: () => this.#chat.do({ kind: 'earlier' }),
      retry: (message) => void this.#chat.retry(message),
      end: () => this.#chat.do({ kind: 'end' }),
      anew: () => this.#chat.begin_anew(),
    });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.#chat.do({ kind: 'probe' });
      this.#read();
    });
    this.#small.addEventListener('change', () => (this.#panel.modal = this.#small.matches));
    this.#panel.modal = this.#small.matches;
  }

  /** Goes on with the conversation of before. */
  resume(): void {
    this.#chat.join();
  }

  /** `again`: it was open on the page before. Then nobody asked for the cursor to be in it. */
  open(again: boolean): void {
    if (this.#open) return;
    this.#open = true;
    this.#chat.join();
    this.#panel.element.classList.toggle('again', again);
    this.#launcher.frame.prepend(this.#panel.element);
    this.#panel.shown();
    this.#read();
    this.#launcher.update(true, this.#unread);
    if (!again) this.#panel.focus();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#panel.element.remove();
    this.#launcher.update(false, this.#unread);
    this.#launcher.button.focus();
  }

  reset(): void {
    this.#chat.wipe();
  }

  #read(): void {
    if (this.#open && document.visibilityState === 'visible') this.#chat.read();
  }

  #changed(state: ChatState): void {
    this.#panel.update(state);
    this.#read();
    const count = unread(this.#chat.state);
    const more = state.entries.length > this.#entries;
    this.#entries = state.entries.length;
    if (more && count > this.#unread) this.#told.message();
    if (count !== this.#unread) {
      this.#unread = count;
      this.#launcher.update(this.#open, count);
      title(count);
      this.#told.unread(count);
    }
    if (state.line !== this.#line) {
      this.#line = state.line;
      this.#told.status(state.line);
    }
  }
}

/** The number of unread messages before the page's own title. */
function title(count: number): void {
  const own = document.title.replace(/^\(\d+\) /, '');
  document.title = count > 0 ? `(${count}) ${own}` : own;
}
