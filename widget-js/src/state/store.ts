// What the widget keeps in the browser, and nothing before the visitor acted.
//
// Lives here: the session and the outbox under names that carry server and site. One key for each
// unsent thing, so that two tabs never overwrite each other's. Where storage is refused, memory
// serves.

import type {
  ConversationId,
  FormAnswer,
  MessageId,
  RejectCode,
} from '../../../protocol/ts/src/wire/frames.ts';

/** Who the visitor is to the server, and the conversation that goes on. */
export interface SavedSession {
  token?: string;
  conversation?: ConversationId;
  /** Whether it was still going on when last heard of. */
  live?: boolean;
}

/** A conversation that the server does not have yet. */
export interface SavedOpen {
  kind: 'open';
  conversation: ConversationId;
  form: FormAnswer[];
  /** The hash of the notice that was shown, where there was one. */
  notice?: string;
}

/** A message that the server does not have yet. */
export interface SavedSend {
  kind: 'send';
  conversation: ConversationId;
  message: MessageId;
  text: string;
  seen_seq: number;
  at: number;
  /** Why it will not go out by itself; it stays until the visitor tries it again or drops it. */
  failed?: RejectCode;
}

/** As much as localStorage should be asked to hold for one site. */
const UNSENT_MAX = 50;
const UNSENT_BYTES_MAX = 64 * 1024;

/** The part of `Storage` that is used here. */
export type Shelf = Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'>;

/** What of an item its name is made of. */
export type ItemName =
  | Pick<SavedOpen, 'kind' | 'conversation'>
  | Pick<SavedSend, 'kind' | 'message'>;

export class Store {
  readonly #prefix: string;
  readonly #shelf: Shelf | undefined;
  readonly #tabShelf: Shelf | undefined;
  readonly #memory = new Map<string, string>();

  constructor(server: string, siteKey: string, shelf: Shelf | undefined, tabShelf?: Shelf) {
    this.#prefix = `livehelp ${server} ${siteKey} `;
    this.#shelf = shelf;
    this.#tabShelf = tabShelf;
  }

  /** One for each server and site. */
  get name(): string {
    return this.#prefix.trim();
  }

  /**
   * What stands half written in the panel that is open in this tab, from one page of the site to
   * the next; `undefined` where it is closed.
   */
  get draft(): string | undefined {
    try {
      return this.#tabShelf?.getItem(`${this.#prefix}open`) ?? undefined;
    } catch {
      return undefined;
    }
  }

  set draft(text: string | undefined) {
    try {
      if (text === undefined) this.#tabShelf?.removeItem(`${this.#prefix}open`);
      else this.#tabShelf?.setItem(`${this.#prefix}open`, text);
    } catch {
      // Then it is closed on the next page.
    }
  }

  get session(): SavedSession {
    return this.#read<SavedSession>('session') ?? {};
  }

  set session(session: SavedSession) {
    this.#write('session', session);
  }

  /** Keeps something unsent; false where there is no more room for it. */
  put(item: SavedOpen | SavedSend): boolean {
    const unsent = this.unsent();
    const bytes = json([...unsent, item]).length;
    if (unsent.length >= UNSENT_MAX || bytes > UNSENT_BYTES_MAX) return false;
    this.#write(nameOf(item), item);
    return true;
  }

  remove(item: ItemName): void {
    this.#erase(nameOf(item));
  }

  /** Notes what the server refused. */
  fail(message: MessageId, why: RejectCode): void {
    const name = nameOf({ kind: 'send', message });
    const item = this.#read<SavedSend>(name);
    if (item) this.#write(name, { ...item, failed: why });
  }

  /**
   * Everything unsent, what failed included: conversations first, then messages in the order of
   * their making.
   */
  unsent(): (SavedOpen | SavedSend)[] {
    return this.#names()
      .filter((name) => name.startsWith('unsent '))
      .sort()
      .flatMap((name) => this.#read<SavedOpen | SavedSend>(name) ?? []);
  }

  /** Leaves nothing. */
  clear(): void {
    this.draft = undefined;
    for (const name of this.#names()) this.#erase(name);
  }

  #names(): string[] {
    const names = new Set(this.#memory.keys());
    try {
      for (let index = 0; index < (this.#shelf?.length ?? 0); index++) {
        const key = this.#shelf?.key(index);
        if (key?.startsWith(this.#prefix)) names.add(key.slice(this.#prefix.length));
      }
    } catch {
      // A browser may take storage away at any time; what is in memory goes on.
    }
    return [...names];
  }

  #read<Value>(name: string): Value | undefined {
    try {
      const text = this.#memory.get(name) ?? this.#shelf?.getItem(this.#prefix + name);
      return text == null ? undefined : (JSON.parse(text) as Value);
    } catch {
      return undefined;
    }
  }

  #write(name: string, value: unknown): void {
    const text = json(value);
    try {
      if (this.#shelf) {
        this.#shelf.setItem(this.#prefix + name, text);
        this.#memory.delete(name);
        return;
      }
    } catch {
      // Full or refused.
    }
    this.#memory.set(name, text);
  }

  #erase(name: string): void {
    this.#memory.delete(name);
    try {
      this.#shelf?.removeItem(this.#prefix + name);
    } catch {
      // Nothing was kept, so nothing is left.
    }
  }
}

/**
 * JSON of plain values, by the language's own rules: an old library on the page gives arrays and
 * objects another `toJSON`.
 */
function json(value: unknown): string {
  if (typeof value !== 'object' || value === null) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map((item) => json(item)).join()}]`;
  const fields = Object.entries(value).filter(([, field]) => field !== undefined);
  return `{${fields.map(([name, field]) => `${json(name)}:${json(field)}`).join()}}`;
}

/** Sorts conversations before messages, and both by the time in their ids. */
function nameOf(item: ItemName): string {
  return item.kind === 'open' ? `unsent 0 ${item.conversation}` : `unsent 1 ${item.message}`;
}

/** The browser's own, if it lets us: the site's, or that of this tab alone. */
export function browserShelf(name: 'localStorage' | 'sessionStorage'): Shelf | undefined {
  try {
    return window[name];
  } catch {
    return undefined;
  }
}
