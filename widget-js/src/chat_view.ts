// What is loaded once the visitor wants to chat: ties the chat's state to the panel and the
// launcher.

import { Chat, numberTitle } from './state/chat.ts';
import { unread } from './state/conversation.ts';
import type { ChatState } from './state/conversation.ts';
import type { SiteConfig } from './state/site.ts';
import type { Store } from './state/store.ts';
import * as strings from './strings/en.ts';
import { style } from './view/dom.ts';
import type { Launcher } from './view/launcher.ts';
import { Panel } from './view/panel.ts';
import { PANEL_CSS } from './view/panel_css.ts';

/** What a page may listen to; no event carries a person's words. */
export interface Told {
  unread: (count: number) => void;
  message: () => void;
  status: (connection: string) => void;
}

/** What the page's part of the widget has already: handed over, so that it is not loaded twice. */
export interface Setting {
  origin: string;
  site: SiteConfig;
  store: Store;
  /** A language tag, for times and dates. */
  locale: string;
  WebSocket: typeof WebSocket;
}

/**
 * Who opens it: the visitor, the page's script, or nobody, because it was open on the page before.
 */
export type Opener = 'visitor' | 'page' | 'again';

const OVERFLOW = ['overflow-x', 'overflow-y'] as const;

/**
 * On a small screen the panel is all there is: the page behind it stands still. Said where no rule
 * of the page is stronger; gives how it is undone.
 */
function still(): () => void {
  // Where the page is no higher than the window and its body goes on below, it loses its place.
  const { scrollX: left, scrollY: top } = window;
  const undo = [document.documentElement, document.body].map((element) => {
    const { style } = element;
    const had = element.hasAttribute('style');
    const before = OVERFLOW.map(
      (name) => [name, style.getPropertyValue(name), style.getPropertyPriority(name)] as const,
    );
    for (const name of OVERFLOW) style.setProperty(name, 'hidden', 'important');
    return () => {
      for (const [name, value, priority] of before) style.setProperty(name, value, priority);
      if (!had && !element.getAttribute('style')) element.removeAttribute('style');
    };
  });
  return () => {
    undo.forEach((one) => one());
    scrollTo({ left, top, behavior: 'instant' });
  };
}

export class ChatView {
  readonly #store: Store;
  readonly #chat: Chat;
  readonly #panel: Panel;
  readonly #launcher: Launcher;
  readonly #told: Told;
  readonly #small = window.matchMedia('(max-width: 480px), (max-height: 480px)');
  #open = false;
  /** Lets the page scroll again. */
  #move: (() => void) | undefined;
  #unread = 0;
  #entries = 0;
  #connection = '';

  constructor(
    { origin, site, store, locale, WebSocket }: Setting,
    launcher: Launcher,
    told: Told,
    close: () => void,
  ) {
    this.#launcher = launcher;
    this.#told = told;
    this.#store = store;
    this.#chat = new Chat(
      origin,
      site,
      store,
      {
        changed: (state) => this.#changed(state),
        site: (site) => (this.#panel.site = site),
        wiped: () => this.#panel.reset(),
      },
      WebSocket,
    );
    style(launcher.root, PANEL_CSS);
    this.#panel = new Panel(site, locale, this.#chat.state, {
      close,
      send: (text, form) => this.#chat.send(text, form),
      typing: (typing) => this.#chat.do({ kind: 'typing', typing }),
      earlier: () => this.#chat.do({ kind: 'earlier' }),
      retry: (message, form) => this.#chat.retry(message, form),
      discard: (message) => this.#chat.discard(message),
      read: () => this.#read(),
      draft: (text) => (store.draft = text),
      end: () => this.#chat.do({ kind: 'end' }),
      anew: () => this.#chat.beginAnew(),
    });
    this.#panel.draft = store.draft ?? '';
    const acted = (event: Event): void => this.#acted(event);
    Object.assign(this.#panel.element, { onpointerdown: acted, onfocusin: acted, oninput: acted });
    document.addEventListener('visibilitychange', () => {
      if (document.visibilityState !== 'visible') return;
      this.#chat.look();
      this.#read();
    });
    launcher.pane.onkeydown = (event) => this.#panel.key(event);
    this.#small.onchange = () => this.#fit();
  }

  /** Goes on with the conversation of before. */
  resume(): void {
    this.#chat.join();
  }

  open(by: Opener): void {
    if (this.#open) return;
    this.#open = true;
    const { pane } = this.#launcher;
    pane.insertBefore(this.#panel.element, pane.firstChild);
    this.#fit();
    this.#panel.shown();
    this.#show();
    // A page that opens it is no act of the visitor: no connection, nothing kept, and the cursor
    // stays where it is.
    if (by !== 'page') this.#store.draft = this.#panel.draft;
    if (by !== 'page' || this.#store.session.token !== undefined) this.#chat.join();
    this.#read();
    if (by === 'visitor') this.#panel.focus();
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    const focused = this.#panel.element.contains(this.#launcher.root.activeElement);
    this.#panel.element.remove();
    this.#fit();
    this.#show();
    if (focused) this.#launcher.button.focus();
  }

  reset(): void {
    this.#chat.wipe();
  }

  /** Stands beside the page, or in front of all of it. */
  #fit(): void {
    const { matches } = this.#small;
    this.#panel.modal = matches;
    this.#move?.();
    this.#move = this.#open && matches ? still() : undefined;
  }

  /** The first thing that the visitor does in a panel that the page opened; to close it is none. */
  #acted(event: Event): void {
    const [at] = event.composedPath();
    if (this.#chat.joined || (at instanceof Element && at.closest('.head'))) return;
    this.#store.draft = this.#panel.draft;
    this.#chat.join();
  }

  #show(): void {
    const count = this.#unread;
    const news = count ? strings.unreadMessages(count) : '';
    this.#launcher.update(this.#open, count, this.#open ? strings.close : news);
  }

  #read(): void {
    if (this.#open && this.#panel.atEnd && document.visibilityState === 'visible')
      this.#chat.read();
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
      this.#show();
      numberTitle(count);
      this.#told.unread(count);
    }
    if (state.line !== this.#connection) {
      this.#connection = state.line;
      this.#told.status(state.line);
    }
  }
}
