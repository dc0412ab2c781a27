// One connection to the server: connects, greets, pairs answers with questions, notices when the
// connection is dead, and comes back as the close code's range says.
//
// Lives here: everything about the connection that does not know what a conversation is. Not here:
// what is said on it, and what is said again after a break (`onWelcome` is the moment for that).

import { SUBPROTOCOL, decodeFrame, encodeFrame } from './codec.ts';
import type { FrameSchema } from './codec.ts';
import {
  CLIENT_HELLO,
  CLIENT_PING,
  DEPTH_MAX,
  PONG_MS,
  SERVER_BYE,
  SERVER_PONG,
  SERVER_REJECT,
  SERVER_WELCOME,
} from './frames.ts';
import type { ClientFrame, ClientHello, ServerFrame, ServerWelcome } from './frames.ts';
import { verdict } from './verdict.ts';

const RETRY_MS_BASE = 500;
const RETRY_MS_MAX = 30_000;

/**
 * Anywhere between nothing and a bound that doubles with each attempt in vain, so that clients
 * spread out.
 */
export function retryDelayMs(attempts: number, chance: number): number {
  return chance * Math.min(RETRY_MS_MAX, RETRY_MS_BASE * 2 ** Math.min(attempts, 10));
}

/** Without a frame for so long, a page that is looked at asks whether the connection is alive. */
const SILENCE_MS = 30_000;
/**
 * And sooner where a question is open for so long: a server that is busy still answers a probe at
 * once.
 */
const ANSWER_MS = 5_000;
/** From the first byte to `welcome`. */
const GREETING_MS_MAX = 10_000;
/**
 * A connection that held so long was a good one: the next attempt begins from the shortest wait.
 */
const STEADY_MS = 5_000;

export type ConnectionState =
  /** Nobody asked for it yet, or it was put to rest. */
  | { kind: 'idle' }
  | { kind: 'connecting' }
  | { kind: 'online' }
  /** The connection broke; the next attempt comes by itself. */
  | { kind: 'waiting'; retryInMs: number }
  /** The server said not to come back, and why. */
  | { kind: 'stopped'; code: number; reason: string };

/**
 * The answer to a question: a frame with its `request`, a refusal included; `lost` when the
 * connection broke first.
 */
export type Answer = Extract<ServerFrame, { request: number }> | { kind: 'lost' };

type Question = Extract<ClientFrame, { request: number }>;
type Statement = Exclude<ClientFrame, { request: number }>;

export interface SocketOptions {
  /** `wss://…/v1/socket`. */
  url: string;
  /** The browser's own, where the page may have another by now. */
  socket?: typeof WebSocket;
  /** The kinds of frames this client understands, beyond those of the connection itself. */
  hears: readonly FrameSchema<ServerFrame>[];
  /**
   * Asked for at every connect, so that the resume points and the token are those of the moment.
   */
  hello: () => Omit<ClientHello, 'kind' | 'request'>;
  /** The connection is open: now say again what was never answered. */
  onWelcome: (welcome: ServerWelcome) => void;
  /** Every frame that is not the answer to a question. */
  onFrame: (frame: ServerFrame) => void;
  onState: (state: ConnectionState) => void;
  /** What `hello` was refused with; the connection then ends. */
  onRefused?: (reject: Extract<ServerFrame, { kind: 'reject' }>) => void;
}

/** Outside a page it always is. */
function isLookedAt(): boolean {
  // for others: begin
  if (typeof document === 'undefined') return true;
  // for others: end
  return document.visibilityState === 'visible';
}

export class Socket {
  readonly #options: SocketOptions;
  readonly #hears: readonly FrameSchema<ServerFrame>[];
  #state: ConnectionState = { kind: 'idle' };
  #socket: WebSocket | undefined;
  #wanted = false;
  #attempts = 0;
  /** What a `bye` asked for, in place of our own wait. */
  #byeMs: number | undefined;
  #requests = 0;
  #questions = new Map<number, (answer: Answer) => void>();
  #timers = new Map<'retry' | 'greeting' | 'silence' | 'steady', ReturnType<typeof setTimeout>>();

  constructor(options: SocketOptions) {
    this.#options = options;
    this.#hears = [
      SERVER_WELCOME,
      SERVER_REJECT,
      SERVER_BYE,
      SERVER_PONG,
      ...options.hears,
    ] as readonly FrameSchema<ServerFrame>[];
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /**
   * Opens the connection and keeps it open. Again after `stop`, or after the server said to stop.
   */
  start(): void {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#attempts = 0;
    this.#watch('add');
    this.#connect();
  }

  /** Closes the connection and leaves it closed. */
  stop(): void {
    this.#wanted = false;
    this.#watch('remove');
    this.#drop();
    this.#become({ kind: 'idle' });
  }

  /**
   * Asks something; resolves with the answer, or with `lost`. Questions go out in the order of the
   * calls.
   */
  ask<Frame extends Question>(
    schema: FrameSchema<Frame>,
    fields: Omit<Frame, 'kind' | 'request'>,
  ): Promise<Answer> {
    if (this.#state.kind !== 'online') return Promise.resolve({ kind: 'lost' });
    return this.#ask(schema, fields);
  }

  /** Says something that has no answer. Whether there was a connection to say it on. */
  say<Frame extends Statement>(schema: FrameSchema<Frame>, fields: Omit<Frame, 'kind'>): boolean {
    if (this.#state.kind !== 'online' || !this.#socket) return false;
    this.#socket.send(encodeFrame(schema, fields) as Uint8Array<ArrayBuffer>);
    return true;
  }

  /** Is the connection alive? If no answer comes in time, it is dropped and built anew. */
  probe(): void {
    if (this.#state.kind === 'waiting') this.#connect();
    if (this.#state.kind !== 'online') return;
    const socket = this.#socket;
    const late = setTimeout(() => {
      if (socket === this.#socket) this.#broken();
    }, PONG_MS);
    void this.#ask(CLIENT_PING, {}).then(() => clearTimeout(late));
  }

  /**
   * A page's life. A function: some error trackers put a listener of their own around each, which
   * calls it as one.
   */
  readonly #onPageEvent = (event: Event): void => {
    switch (event.type) {
      case 'visibilitychange':
        if (document.visibilityState === 'visible') this.probe();
        break;
      case 'online':
        // An attempt that was made before may be lost in the network that is gone.
        if (this.#state.kind === 'connecting') this.#connect();
        else this.probe();
        break;
      case 'pagehide':
        // A page in the back/forward cache would keep a connection that nobody hears, and the
        // server would not know.
        this.#drop();
        this.#become({ kind: 'idle' });
        break;
      case 'pageshow':
        if (this.#wanted && this.#state.kind === 'idle') this.#connect();
        break;
    }
  };

  /** What in a page's life bears on its connection. Outside a page there is nothing to watch. */
  #watch(act: 'add' | 'remove'): void {
    // for others: begin
    if (typeof document === 'undefined') return;
    // for others: end
    const change = act === 'add' ? 'addEventListener' : 'removeEventListener';
    document[change]('visibilitychange', this.#onPageEvent);
    for (const event of ['online', 'pagehide', 'pageshow'])
      window[change](event, this.#onPageEvent);
  }

  #become(state: ConnectionState): void {
    this.#state = state;
    this.#options.onState(state);
  }

  #later(name: 'retry' | 'greeting' | 'silence' | 'steady', ms: number, act: () => void): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.set(name, setTimeout(act, ms));
  }

  #connect(): void {
    this.#drop();
    this.#become({ kind: 'connecting' });
    let socket: WebSocket;
    try {
      socket = new (this.#options.socket ?? WebSocket)(this.#options.url, SUBPROTOCOL);
    } catch {
      this.#broken();
      return;
    }
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#later('greeting', GREETING_MS_MAX, () => this.#broken());
    socket.onopen = () => {
      if (socket === this.#socket) this.#greet();
    };
    socket.onmessage = (event: MessageEvent<unknown>) => {
      if (socket === this.#socket && event.data instanceof ArrayBuffer)
        this.#hear(new Uint8Array(event.data));
    };
    // A page's policy refuses without a close; where both come, the close has its code.
    socket.onerror = () =>
      setTimeout(() => {
        if (socket === this.#socket) this.#broken();
      });
    socket.onclose = (event) => {
      if (socket === this.#socket) this.#broken(event.code, event.reason);
    };
  }

  #greet(): void {
    void this.#ask(CLIENT_HELLO, this.#options.hello()).then((answer) => {
      // for others: begin
      if (answer.kind === 'reject') this.#options.onRefused?.(answer);
      // for others: end
      if (answer.kind !== 'welcome') return;
      clearTimeout(this.#timers.get('greeting'));
      this.#later('steady', STEADY_MS, () => (this.#attempts = 0));
      this.#become({ kind: 'online' });
      this.#options.onWelcome(answer);
    });
  }

  #ask<Frame extends Question>(
    schema: FrameSchema<Frame>,
    fields: Omit<Frame, 'kind' | 'request'>,
  ): Promise<Answer> {
    const request = ++this.#requests;
    const frame = { ...fields, request } as unknown as Omit<Frame, 'kind'>;
    return new Promise((resolve) => {
      const late = setTimeout(() => this.probe(), ANSWER_MS);
      this.#questions.set(request, (answer) => {
        clearTimeout(late);
        resolve(answer);
      });
      this.#socket?.send(encodeFrame(schema, frame) as Uint8Array<ArrayBuffer>);
    });
  }

  #hear(bytes: Uint8Array): void {
    this.#mindSilence();
    let frame: ServerFrame | undefined;
    try {
      frame = decodeFrame(this.#hears, bytes, DEPTH_MAX);
    } catch {
      // What cannot be read may have been a message: only a resume tells.
      this.#broken();
      return;
    }
    if (!frame) return;
    if (frame.kind === 'bye') this.#byeMs = frame.retry_after_ms ?? 0;
    // 0 answers no question.
    const request = 'request' in frame ? frame.request : 0;
    const answered = this.#questions.get(request);
    if (answered) {
      this.#questions.delete(request);
      answered(frame as Answer);
    } else this.#options.onFrame(frame);
  }

  #mindSilence(): void {
    this.#later('silence', SILENCE_MS, () => {
      if (isLookedAt()) this.probe();
      this.#mindSilence();
    });
  }

  /** Without a close that says otherwise, a connection is just gone. */
  #broken(code = 1006, reason = ''): void {
    this.#drop(4000);
    const then = verdict(code);
    if (then === 'done' || then === 'stop') {
      this.#wanted = false;
      this.#watch('remove');
      this.#become({
        kind: 'stopped',
        code,
        // for others: begin
        reason,
        // for others: end
      });
      return;
    }
    // "At once" only as long as it leads somewhere, or two ends would spin.
    const atOnce = then === 'now' && this.#attempts === 0;
    const retryInMs = this.#byeMs ?? (atOnce ? 0 : retryDelayMs(this.#attempts, Math.random()));
    this.#byeMs = undefined;
    this.#attempts += 1;
    this.#become({
      kind: 'waiting',
      // for others: begin
      retryInMs,
      // for others: end
    });
    this.#later('retry', retryInMs, () => this.#connect());
  }

  /** Lets go of the connection and of all that hung on it. */
  #drop(code = 1000): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    const socket = this.#socket;
    this.#socket = undefined;
    // Connecting, or open.
    if (socket && socket.readyState < 2) socket.close(code);
    const questions = [...this.#questions.values()];
    this.#questions.clear();
    for (const answered of questions) answered({ kind: 'lost' });
  }
}
