// What every page with a widget runs: the launcher, and the function `LiveHelp` that the page may
// call.
//
// Lives here: as little as can be before the visitor acts; one request, no socket, nothing stored.
// The chat itself (`chat_view.ts`) is loaded when it is wanted, or when a conversation is going on.

import type { ChatView, Opener, Setting } from './chat_view.ts';
import { fetchSite } from './state/site.ts';
import type { SiteConfig } from './state/site.ts';
import { Store, browserShelf } from './state/store.ts';
import { LAUNCHER, choose } from './strings/launcher.ts';
import type { LauncherStrings } from './strings/launcher.ts';
import { Launcher, heard } from './view/launcher.ts';

/** What a page may listen to. */
export type WidgetEvent = 'ready' | 'open' | 'close' | 'message' | 'unread' | 'status' | 'error';
type Listener = (detail?: unknown) => void;

/**
 * Without an answer from the server, the next try comes after so long, and in any case with the
 * network.
 */
const SITE_RETRY_MS = 15_000;
const SITE_TRIES_MAX = 4;
/** The page's own may be another by the time that the chat is wanted. */
const { WebSocket } = globalThis;
/** What takes longer than this says that it is under way. */
const SLOW_MS = 300;

// The chat's own bundle takes these from here.
export { button, el, fill, icon, isolated, put, say, set, style } from './view/dom.ts';
export { fetchSite, notAllowed, now, unreachable } from './state/site.ts';

class Widget {
  readonly #setting: Setting;
  /** Where the chat lies, with the words of this page's language. */
  readonly #chat: string;
  readonly #strings: LauncherStrings;
  readonly #launcher: Launcher;
  readonly #tell: (event: WidgetEvent, detail?: unknown) => void;
  #view: Promise<ChatView> | undefined;
  #failures = 0;
  #open = false;

  constructor(
    origin: string,
    site: SiteConfig,
    chats: string,
    tell: (event: WidgetEvent, detail?: unknown) => void,
  ) {
    const store = new Store(
      origin,
      site.site_key,
      browserShelf('localStorage'),
      browserShelf('sessionStorage'),
    );
    const [language, tag] = choose(document.documentElement.lang, site.locale_default);
    // Times as the visitor is used to them, where they speak this language at home.
    const locale = navigator.language.split('-')[0] === language ? navigator.language : tag;
    this.#setting = { origin, site, store, locale, WebSocket };
    this.#chat = `./chat_${language}-${chats}.js`;
    this.#strings = LAUNCHER[language];
    this.#tell = tell;
    this.#launcher = new Launcher(this.#strings.open, language, () =>
      this.#open ? this.close() : this.open('visitor'),
    );
    this.#launcher.show();
    if (store.draft !== undefined) this.open('again');
    else this.#goOn();
  }

  get opened(): boolean {
    return this.#open;
  }

  open(by: Opener): void {
    if (this.#open) return;
    this.#open = true;
    this.#withView((view) => {
      if (!this.#open) return;
      view.open(by);
      this.#tell('open');
    });
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#setting.store.draft = undefined;
    this.#withView((view) => view.close());
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
    const { store } = this.#setting;
    // At once and not only when the chat is there: the page may be about to leave.
    store.clear();
    if ('BroadcastChannel' in window) {
      const tabs = new BroadcastChannel(store.name);
      tabs.postMessage({ kind: 'wipe' });
      tabs.close();
    }
    if (this.#view) this.#withView((view) => view.reset());
  }

  /** A conversation that is going on is heard with the panel closed. */
  #goOn(): void {
    if (this.#setting.store.session.live === true) this.#withView((view) => view.resume());
  }

  #withView(act: (view: ChatView) => void): void {
    this.#view ??= this.#load();
    this.#view.then(act).catch((error: unknown) => this.#failed(error));
  }

  async #load(): Promise<ChatView> {
    const slow = setTimeout(() => this.#launcher.say(this.#open ? '…' : ''), SLOW_MS);
    try {
      // A browser remembers for the life of the page that an import failed, by its address.
      const again = this.#failures > 0 ? `?${this.#failures}` : '';
      const file = this.#chat + again;
      const { ChatView } = (await import(file)) as typeof import('./chat_view.ts');
      this.#launcher.say('');
      return new ChatView(
        this.#setting,
        this.#launcher,
        {
          unread: (count) => this.#tell('unread', count),
          message: () => this.#tell('message'),
          status: (connection) => this.#tell('status', connection),
        },
        () => this.close(),
      );
    } finally {
      clearTimeout(slow);
    }
  }

  /** The next click tries again; what goes on by itself does so with the network. */
  #failed(error: unknown): void {
    if (this.#open) this.#launcher.say(this.#strings.failed);
    this.#view = undefined;
    this.#failures += 1;
    this.#open = false;
    this.#setting.store.draft = undefined;
    addEventListener('online', () => this.#goOn(), { once: true });
    console.error('LiveHelp', error);
    this.#tell('error', error);
  }
}

/** The calls that a page made before this was there, each the arguments of one `LiveHelp(…)`. */
type Call = ArrayLike<unknown>;
export interface Global {
  (...call: unknown[]): void;
  q?: Call[];
  /** Where the loader's listeners lead, once there is something that they could be about. */
  heard?: (event: Event) => void;
}

/**
 * Called by the loader, once for each page; `chats` is in the names of the chat's files, beside
 * this one.
 */
export function start(origin: string, siteKey: string, global: Global, chats: string): void {
  const listeners = new Map<unknown, Set<Listener>>();
  let widget: Widget | undefined;
  let over = false;
  const waiting: Call[] = [...(global.q ?? [])];
  const [language] = choose(document.documentElement.lang);
  /** What stands in the corner while the site cannot be had; a click asks again, and is told. */
  let standIn: Launcher | undefined;
  /** Whether the page wants nothing in the corner. */
  let hidden = false;
  let tried = 0;
  let later: ReturnType<typeof setTimeout> | undefined;

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
    const those = listeners.get(event) ?? new Set();
    listeners.set(event, those);
    if (verb === 'on') those.add(listener as Listener);
    else those.delete(listener as Listener);
  };
  const run = (call: Call): void => {
    const { 0: verb, 1: event, 2: listener } = call;
    if (verb === 'on' || verb === 'off') listen(verb, event, listener);
    else if (over) return;
    else if (!widget) {
      waiting.push(call);
      if (verb !== 'show' && verb !== 'hide') return;
      hidden = verb === 'hide';
      standIn?.[verb]();
    } else {
      switch (verb) {
        case 'open':
          widget.open('page');
          break;
        case 'close':
          widget.close();
          break;
        case 'toggle':
          if (widget.opened) widget.close();
          else widget.open('page');
          break;
        case 'show':
          widget.show();
          break;
        case 'hide':
          widget.hide();
          break;
        case 'reset':
          widget.reset();
          break;
        default:
          console.warn(`LiveHelp: there is no "${String(verb)}"`);
      }
    }
  };
  global.heard = heard;
  global.q = { push: (...calls: Call[]) => calls.forEach(run) } as unknown as Call[];

  const arrive = async (clicked = false): Promise<void> => {
    clearTimeout(later);
    removeEventListener('online', again);
    if (!clicked) tried += 1;
    // It may take its time.
    else standIn?.say('…');
    const answer = await fetchSite(origin, siteKey);
    // Another try was faster.
    if (widget) {
      if (clicked) widget.open('visitor');
      return;
    }
    if (answer.kind !== 'unreachable') standIn?.hide();
    if (answer.kind === 'site') {
      widget = new Widget(origin, answer.site, chats, tell);
      if (clicked) widget.open('visitor');
      waiting.splice(0).forEach(run);
      tell('ready');
      return;
    }
    over = answer.kind === 'refused';
    const last = tried >= SITE_TRIES_MAX;
    if (over || last) tell('error', answer.kind);
    if (over) return;
    if (!standIn) {
      standIn = new Launcher(LAUNCHER[language].open, language, () => void arrive(true));
      if (!hidden) standIn.show();
    }
    if (clicked) standIn.say(LAUNCHER[language].failed);
    if (!last) later = setTimeout(again, SITE_RETRY_MS);
    addEventListener('online', again);
  };
  const again = (): void => void arrive();
  // Listeners before anything can happen; what needs the widget waits for it.
  waiting.splice(0).forEach(run);
  void arrive();
}
