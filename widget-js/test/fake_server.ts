// A small server that speaks the wire, for tests of the client alone: it places, acks and keeps
// what it is sent, and lets a test say anything as an agent. It has no rules and no memory of
// visitors.

import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { WebSocketServer } from 'ws';
import type { WebSocket as Line } from 'ws';

import { SUBPROTOCOL, decodeFrame, encodeFrame } from '../../protocol/ts/src/wire/codec.ts';
import type { FrameSchema } from '../../protocol/ts/src/wire/codec.ts';
import { encode } from '../../protocol/ts/src/wire/msgpack.ts';
import {
  CLIENT_FRAMES,
  DEPTH_MAX,
  SERVER_ACK,
  SERVER_CONVERSATION,
  SERVER_HISTORY,
  SERVER_MESSAGE,
  SERVER_PONG,
  SERVER_REJECT,
  SERVER_WELCOME,
} from '../../protocol/ts/src/wire/frames.ts';
import type {
  ClientFrame,
  ClientHello,
  ClientSend,
  ConversationCard,
  ConversationId,
  Message,
  RejectCode,
  ServerFrame,
  SiteAvailability,
} from '../../protocol/ts/src/wire/frames.ts';

export const AGENT = `agt_${'a'.repeat(32)}` as const;
const SITE = `sit_${'5'.repeat(32)}` as const;
export const SITE_KEY = `site_${'5'.repeat(32)}`;

interface Refusals {
  kinds: ClientFrame['kind'][];
  times: number;
  code: RejectCode | number;
  afterMs?: number;
}

export class FakeServer {
  readonly http: Server;
  readonly lines = new Set<Line>();
  readonly heard: ClientFrame[] = [];
  /** The transcript, by conversation. */
  readonly kept = new Map<string, Message[]>();
  availability: SiteAvailability = 'available';
  site: { [field: string]: unknown } = {};
  /**
   * Whether sends are stored and acked; without, they are swallowed as by a server about to die.
   */
  acks = true;
  /**
   * So many questions of these kinds are refused, for a while or for good; a number is a code of a
   * newer server.
   */
  refuses: Refusals = { kinds: [], times: 0, code: 'too-fast' };
  /** With what code a line that says hello is closed. */
  closes: number | undefined;
  card: Partial<ConversationCard> = {};
  connections = 0;
  /** The most lines that were open at one time. */
  atOnce = 0;
  #version = 0;
  #waiting: { matches: (frame: ClientFrame) => boolean; resolve: (frame: ClientFrame) => void }[] =
    [];

  constructor(also?: (path: string) => { type: string; body: Buffer; csp?: string } | undefined) {
    this.http = createServer((request, response) => {
      const path = request.url ?? '/';
      if (path.startsWith('/v1/widget/')) {
        const known = path.endsWith(SITE_KEY);
        response.writeHead(known ? 200 : 404, {
          'content-type': 'application/json',
          'access-control-allow-origin': '*',
        });
        response.end(
          JSON.stringify(
            known
              ? {
                  site_id: SITE,
                  site_key: SITE_KEY,
                  name: 'Kettle & Leaf',
                  availability: this.availability,
                  texts: {},
                  form: {},
                  ...this.site,
                }
              : { status: 404, code: 'not-found' },
          ),
        );
        return;
      }
      const file = also?.(path);
      if (file) {
        response.writeHead(200, {
          'content-type': file.type,
          'access-control-allow-origin': '*',
          ...(file.csp ? { 'content-security-policy': file.csp } : {}),
        });
        response.end(file.body);
      } else response.writeHead(404).end();
    });
    const sockets = new WebSocketServer({
      server: this.http,
      path: '/v1/socket',
      handleProtocols: () => SUBPROTOCOL,
    });
    sockets.on('connection', (line) => {
      this.connections += 1;
      this.lines.add(line);
      this.atOnce = Math.max(this.atOnce, this.lines.size);
      line.on('close', () => this.lines.delete(line));
      line.on('message', (data) => this.#hear(line, new Uint8Array(data as Buffer)));
    });
  }

  async listen(port = 0): Promise<string> {
    await new Promise<void>((resolve) => this.http.listen(port, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(this.http.address() as AddressInfo).port}`;
  }

  async end(): Promise<void> {
    for (const line of this.lines) line.terminate();
    this.http.closeAllConnections();
    await new Promise((resolve) => this.http.close(resolve));
  }

  /** Says something to every client. */
  say<Frame extends ServerFrame>(schema: FrameSchema<Frame>, frame: Omit<Frame, 'kind'>): void {
    for (const line of this.lines) line.send(encodeFrame(schema, frame));
  }

  /** Speaks as the agent: keeps the message and shows it to all. */
  speak(conversation: ConversationId, message: Message): void {
    this.#transcript(conversation).push(message);
    this.say(SERVER_MESSAGE, { conversation, ...message });
  }

  /** The conversation's state, with a version above the last. */
  tellCard(conversation: ConversationId, change: Partial<ConversationCard>): void {
    this.card = { ...this.card, ...change };
    this.say(SERVER_CONVERSATION, { card: this.#card(conversation) });
  }

  /**
   * The next frame of this kind that the server has not been asked for yet, or one that came
   * already.
   */
  hears<Kind extends ClientFrame['kind']>(
    kind: Kind,
    matches: (frame: Extract<ClientFrame, { kind: Kind }>) => boolean = () => true,
  ): Promise<Extract<ClientFrame, { kind: Kind }>> {
    type Wanted = Extract<ClientFrame, { kind: Kind }>;
    const wanted = (frame: ClientFrame): boolean => frame.kind === kind && matches(frame as Wanted);
    const had = this.heard.find(wanted);
    if (had) return Promise.resolve(had as Wanted);
    return new Promise((resolve) =>
      this.#waiting.push({ matches: wanted, resolve: (frame) => resolve(frame as Wanted) }),
    );
  }

  #transcript(conversation: ConversationId): Message[] {
    const kept = this.kept.get(conversation) ?? [];
    this.kept.set(conversation, kept);
    return kept;
  }

  #card(conversation: ConversationId): ConversationCard {
    this.#version += 1;
    return {
      conversation,
      version: this.#version,
      site: SITE,
      state: 'queued',
      created_at: 1_795_000_000_000,
      seq_last: this.#transcript(conversation).at(-1)?.seq ?? 0,
      agents: [],
      marks: [],
      ...this.card,
    };
  }

  #hear(line: Line, bytes: Uint8Array): void {
    const frame = decodeFrame(CLIENT_FRAMES, bytes, DEPTH_MAX);
    if (!frame) return;
    this.heard.push(frame);
    const met = this.#waiting.filter(({ matches }) => matches(frame));
    this.#waiting = this.#waiting.filter((one) => !met.includes(one));
    const reply = <Frame extends ServerFrame>(
      schema: FrameSchema<Frame>,
      answer: Omit<Frame, 'kind'>,
    ): void => line.send(encodeFrame(schema, answer));
    if ('request' in frame && this.refuses.kinds.includes(frame.kind) && this.refuses.times > 0) {
      this.refuses.times -= 1;
      const { code, afterMs = 60 } = this.refuses;
      const { request } = frame;
      if (typeof code === 'number') {
        line.send(encode([SERVER_REJECT.code, request, code, 'not now', afterMs]));
      } else reply(SERVER_REJECT, { request, code, words: 'not now', retry_after_ms: afterMs });
      for (const { resolve } of met) resolve(frame);
      return;
    }
    if (frame.kind === 'send' && !this.kept.has(frame.conversation)) {
      reply(SERVER_REJECT, {
        request: frame.request,
        code: 'not-found',
        words: 'no such conversation',
      });
      return;
    }
    switch (frame.kind) {
      case 'hello':
        if (this.closes === undefined) this.#welcome(frame, reply);
        else line.close(this.closes);
        break;
      case 'ping':
        reply(SERVER_PONG, { request: frame.request });
        break;
      case 'open':
        this.#transcript(frame.conversation);
        if (!this.acks) break;
        reply(SERVER_ACK, { request: frame.request });
        reply(SERVER_CONVERSATION, { card: this.#card(frame.conversation) });
        break;
      case 'send':
        this.#store(frame, reply);
        break;
      case 'close':
      case 'reopen':
        reply(SERVER_ACK, { request: frame.request });
        this.tellCard(frame.conversation, { state: frame.kind === 'close' ? 'closed' : 'queued' });
        break;
      case 'history': {
        const before = this.#transcript(frame.conversation).filter(({ seq }) => seq < frame.before);
        const messages = before.slice(-frame.limit);
        reply(SERVER_HISTORY, {
          request: frame.request,
          conversation: frame.conversation,
          reset: false,
          more: messages.length < before.length,
          messages,
        });
        break;
      }
      default:
        break;
    }
    for (const { resolve } of met) resolve(frame);
  }

  #welcome(
    hello: ClientHello,
    reply: <Frame extends ServerFrame>(
      schema: FrameSchema<Frame>,
      answer: Omit<Frame, 'kind'>,
    ) => void,
  ): void {
    const conversations = hello.resume
      .map(({ conversation }) => conversation)
      .filter((conversation) => this.kept.has(conversation));
    reply(SERVER_WELCOME, {
      request: hello.request,
      session: `ses_${'e'.repeat(32)}`,
      now: 1_795_000_000_000,
      heartbeat_ms: 25_000,
      limits: { frame_bytes_max: 32_768, text_chars_max: 4_000, history_messages_max: 100 },
      conversations,
      token: 'token-of-this-visitor',
      token_expires_at: 1_800_000_000_000,
      site: { site: SITE, availability: this.availability },
    });
    for (const { conversation, seq, message } of hello.resume) {
      const kept = this.kept.get(conversation);
      if (!kept) continue;
      reply(SERVER_CONVERSATION, { card: this.#card(conversation) });
      const leads = kept.some((one) => one.seq === seq && one.message === message);
      const after = leads ? kept.filter((one) => one.seq > seq) : kept.slice(-20);
      reply(SERVER_HISTORY, {
        request: 0,
        conversation,
        reset: !leads,
        more: !leads && kept.length > 20,
        messages: after,
      });
    }
  }

  #store(
    frame: ClientSend,
    reply: <Frame extends ServerFrame>(
      schema: FrameSchema<Frame>,
      answer: Omit<Frame, 'kind'>,
    ) => void,
  ): void {
    if (!this.acks) return;
    const kept = this.#transcript(frame.conversation);
    const known = kept.find(({ message }) => message === frame.message);
    const seq = known?.seq ?? (kept.at(-1)?.seq ?? 0) + 1;
    const at = 1_795_000_000_000 + seq * 1000;
    if (!known)
      kept.push({
        seq,
        message: frame.message,
        author: { kind: 'visitor' },
        at,
        body: frame.body,
        expires: 2_600,
      });
    reply(SERVER_ACK, { request: frame.request, seq, at });
  }
}
