// The tabs of one browser agree on one of them that holds the line.
//
// Lives here: the lock that makes a leader, the channel between them, and both put down while a page
// lies in the back/forward cache. Without locks or channel (no secure context) each tab leads itself.

export interface TabsOptions<Note> {
  on_lead: () => void;
  on_resign: () => void;
  on_note: (note: Note) => void;
}

export class Tabs<Note> {
  readonly #name: string;
  readonly #options: TabsOptions<Note>;
  #channel: BroadcastChannel | undefined;
  #release: (() => void) | undefined;
  #waiting: AbortController | undefined;
  #joined = false;
  leads = false;

  constructor(name: string, options: TabsOptions<Note>) {
    this.#name = name;
    this.#options = options;
  }

  /** Takes part from now on; never before the visitor acted. Whether it did not before. */
  join(): boolean {
    if (this.#joined) return false;
    this.#joined = true;
    window.addEventListener('pagehide', this);
    window.addEventListener('pageshow', this);
    this.#enter();
    return true;
  }

  leave(): void {
    this.#joined = false;
    window.removeEventListener('pagehide', this);
    window.removeEventListener('pageshow', this);
    this.#exit();
  }

  /** To all other tabs that take part. */
  post(note: Note): void {
    this.#channel?.postMessage(note);
  }

  handleEvent(event: Event): void {
    if (event.type === 'pagehide') this.#exit();
    else if ((event as PageTransitionEvent).persisted) this.#enter();
  }

  #enter(): void {
    if (!('locks' in navigator) || !('BroadcastChannel' in window)) {
      this.#lead();
      return;
    }
    const channel = new BroadcastChannel(this.#name);
    channel.addEventListener('message', (event: MessageEvent<Note>) => this.#options.on_note(event.data));
    this.#channel = channel;
    const waiting = new AbortController();
    this.#waiting = waiting;
    navigator.locks
      .request(this.#name, { signal: waiting.signal }, () => {
        if (waiting.signal.aborted) return undefined;
        return new Promise<void>((resolve) => {
          this.#release = resolve;
          this.#lead();
        });
      })
      .catch(() => {
        // Given up while waiting; or locks are refused here, and then this tab stands for itself.
        if (!waiting.signal.aborted) this.#lead();
      });
  }

  #exit(): void {
    if (this.leads) {
      this.leads = false;
      this.#options.on_resign();
    }
    this.#waiting?.abort();
    this.#waiting = undefined;
    this.#release?.();
    this.#release = undefined;
    this.#channel?.close();
    this.#channel = undefined;
  }

  #lead(): void {
    if (this.leads) return;
    this.leads = true;
    this.#options.on_lead();
  }
}
