// What every page with a widget runs: the launcher, and the function `LiveHelp` that the page may call.
//
// Lives here: as little as can be before the visitor acts; one request, no socket, nothing stored. The
// chat itself (`chat_view.ts`) is loaded when it is wanted, or when a conversation is going on.

import type { ChatView, Setting } from './chat_view.ts';
import { fetch_site } from './state/site.ts';
import type { SiteConfig } from './state/site.ts';
import { Store, browser_shelf } from './state/store.ts';
import { LAUNCHER, choose } from './strings/launcher.ts';
import type { Language } from './strings/launcher.ts';
import type { Strings } from './strings/en.ts';
import { Launcher } from './view/launcher.ts';

/** What a page may listen to. */
export type WidgetEvent = 'ready' | 'open' | 'close' | 'message' | 'unread' | 'status' | 'error';
type Listener = (detail?: unknown) => void;

/** Without an answer from the server, the next try comes after so long. */
const SITE_RETRY_MS = 15_000;
const SITE_TRIES_MAX = 4;

const STRINGS: { readonly [language in Language]: () => Promise<{ strings: Strings }> } = {
  en: () => import('./strings/en.ts'),
  de: () => import('./strings/de.ts'),
  fr: () => import('./strings/fr.ts'),
  es: () => import('./strings/es.ts'),
};

class Widget {
  readonly #setting: Setting;
  readonly #language: Language;
  readonly #launcher: Launcher;
  readonly #tell: (event: WidgetEvent, detail?: unknown) => void;
  #view: Promise<ChatView> | undefined;
  #open = false;

  constructor(origin: string, site: SiteConfig, tell: (event: WidgetEvent, detail?: unknown) => void) {
    const store = new Store(origin, site.site_key, browser_shelf('localStorage'), browser_shelf('sessionStorage'));
    const { language, tag } = choose(document.documentElement.lang, site.locale_default);
    // Times as the visitor is used to them, where he speaks this language at home.
    const locale = navigator.language.split('-')[0] === language ? navigator.language : tag;
    this.#setting = { origin, site, store, locale };
    this.#language = language;
    this.#tell = tell;
    this.#launcher = new Launcher(LAUNCHER[language], language, () => (this.#open ? this.close() : this.open('visitor')));
    this.#launcher.show();
    if (store.open) this.open('again');
    else if (store.session.live === true) this.#with_view((view) => view.resume());
  }

  get opened(): boolean {
    return this.#open;
  }

  /** By the visitor, by the page's script, or because it was open on the page before. */
  open(by: 'visitor' | 'page' | 'again'): void {
    if (this.#open) return;
    this.#open = true;
    // A page that opens it by itself is no act of the visitor, and then nothing is kept.
    if (by !== 'page' || navigator.userActivation?.isActive) this.#setting.store.open = true;
    this.#launcher.show();
    this.#with_view((view) => {
      if (!this.#open) return;
      view.open(by === 'again');
      this.#tell('open');
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#setting.store.open = false;
    this.#with_view((view) => view.close());
    this.#tell('close');
  }

  show(): void {
    this.#launcher.show();
  }

  hide(): void {
    this.close();
    this.#launcher.hide();
  }

  reset(): void {
    this.close();
    if (this.#view) this.#with_view((view) => view.reset());
    else this.#setting.store.clear();
  }

  #with_view(act: (view: ChatView) => void): void {
    this.#view ??= Promise.all([import('./chat_view.ts'), STRINGS[this.#language]()]).then(
      ([{ ChatView }, { strings }]) =>
        new ChatView(
          this.#setting,
          strings,
          this.#launcher,
          {
            unread: (count) => this.#tell('unread', count),
            message: () => this.#tell('message'),
            status: (line) => this.#tell('status', line),
          },
          () => this.close(),
        ),
    );
    this.#view.then(act).catch((error: unknown) => {
      // The next click tries again.
      this.#view = undefined;
      this.#open = false;
      console.error('LiveHelp', error);
      this.#tell('error', error);
    });
  }
}

/** The calls that a page made before this was there, each the arguments of one `LiveHelp(…)`. */
type Call = ArrayLike<unknown>;
export interface Global {
  (...call: unknown[]): void;
  q?: Call[];
}

/** Called by the loader, once for each page. */
export function start(origin: string, site_key: string, global: Global): void {
  const listeners = new Map<unknown, Set<Listener>>();
  let widget: Widget | undefined;
  let over = false;
  const waiting: Call[] = [...(global.q ?? [])];

  const tell = (event: WidgetEvent, detail?: unknown): void => {
    for (const listener of listeners.get(event) ?? []) {
      try {
        listener(detail);
      } catch (error) {
        console.error(error);
      }
    }
  };
  const listen = (verb: unknown, event: unknown, listener: unknown): void => {
    if (typeof listener !== 'function') return;
    const heard = listeners.get(event) ?? new Set();
    listeners.set(event, heard);
    if (verb === 'on') heard.add(listener as Listener);
    else heard.delete(listener as Listener);
  };
  const run = (call: Call): void => {
    const [verb, event, listener] = Array.from(call);
    if (verb === 'on' || verb === 'off') listen(verb, event, listener);
    else if (over) return;
    else if (!widget) waiting.push(call);
    else {
      switch (verb) {
        case 'open': widget.open('page'); break;
        case 'close': widget.close(); break;
        case 'toggle': if (widget.opened) widget.close(); else widget.open('page'); break;
        case 'show': widget.show(); break;
        case 'hide': widget.hide(); break;
        case 'reset': widget.reset(); break;
        default: console.warn(`LiveHelp: there is no "${String(verb)}"`);
      }
    }
  };
  global.q = { push: (...calls: Call[]) => calls.forEach(run) } as unknown as Call[];

  const arrive = async (tries: number): Promise<void> => {
    const answer = await fetch_site(origin, site_key);
    if (answer.kind === 'site') {
      widget = new Widget(origin, answer.site, tell);
      waiting.splice(0).forEach(run);
      tell('ready');
    } else if (answer.kind === 'refused' || tries >= SITE_TRIES_MAX) {
      over = true;
      tell('error', answer.kind);
    } else setTimeout(() => void arrive(tries + 1), SITE_RETRY_MS);
  };
  // Listeners before anything can happen; what needs the widget waits for it.
  waiting.splice(0).forEach(run);
  void arrive(1);
}
