// The tabs of one browser agree on one of them that holds the connection.
//
// Lives here: the lock that makes a leader, how one that is silent loses it, the channel between
// them, and all put down while a page lies in the back/forward cache. Without locks or channel (no
// secure context) each tab leads itself.

export interface TabsOptions<Note> {
  /** Takes part, for the first time or again, and does not lead yet. */
  onEnter: () => void;
  onLead: () => void;
  /** Does not take part any more, or not as the leader. */
  onExit: () => void;
  onNote: (note: Note) => void;
}

export class Tabs<Note> {
  readonly #name: string;
  readonly #options: TabsOptions<Note>;
  #channel: BroadcastChannel | undefined;
  #release: (() => void) | undefined;
  #waiting: AbortController | undefined;
  #joined = false;
  #leads = false;

  constructor(name: string, options: TabsOptions<Note>) {
    this.#name = name;
    this.#options = options;
  }

  get joined(): boolean {
    return this.#joined;
  }

  get leads(): boolean {
    return this.#leads;
  }

  /** Takes part from now on; never before the visitor acted. Whether it did not before. */
  join(): boolean {
    if (this.#joined) return false;
    this.#joined = true;
    addEventListener('pagehide', this.#onPageEvent);
    addEventListener('pageshow', this.#onPageEvent);
    this.#enter();
    return true;
  }

  leave(): void {
    this.#joined = false;
    removeEventListener('pagehide', this.#onPageEvent);
    removeEventListener('pageshow', this.#onPageEvent);
    this.#exit();
  }

  /** To all other tabs that take part. */
  post(note: Note): void {
    this.#channel?.postMessage(note);
  }

  readonly #onPageEvent = (event: Event): void => {
    if (event.type === 'pagehide') this.#exit();
    else if ((event as PageTransitionEvent).persisted) this.#enter();
  };

  #enter(): void {
    if (!('locks' in navigator) || !('BroadcastChannel' in window)) {
      this.#lead();
      return;
    }
    const channel = new BroadcastChannel(this.#name);
    channel.onmessage = (event: MessageEvent<Note>) => this.#options.onNote(event.data);
    this.#channel = channel;
    this.#stand(false);
    this.#options.onEnter();
  }

  /** The leader does not answer: takes the connection from it. */
  seize(): void {
    if (this.#leads || !this.#channel) return;
    this.#waiting?.abort();
    this.#stand(true);
  }

  #stand(steal: boolean): void {
    const waiting = new AbortController();
    this.#waiting = waiting;
    navigator.locks
      // A theft does not wait, so there is nothing to give up.
      .request(this.#name, steal ? { steal } : { signal: waiting.signal }, () => {
        if (waiting.signal.aborted) return undefined;
        return new Promise<void>((resolve) => {
          this.#release = resolve;
          this.#lead();
        });
      })
      .catch(() => {
        // Given up while waiting; or locks are refused here, and then this tab stands for itself.
        if (waiting.signal.aborted) return;
        if (!this.#leads) {
          this.#lead();
          return;
        }
        // Another tab got no answer from this one and took the connection.
        this.#leads = false;
        this.#options.onExit();
        this.#stand(false);
        this.#options.onEnter();
      });
  }

  #exit(): void {
    this.#leads = false;
    this.#waiting?.abort();
    this.#waiting = undefined;
    this.#release?.();
    this.#release = undefined;
    this.#options.onExit();
    this.#channel?.close();
    this.#channel = undefined;
  }

  #lead(): void {
    if (this.#leads) return;
    this.#leads = true;
    this.#options.onLead();
  }
}
