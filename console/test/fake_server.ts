// A server for the console's browser tests: the built files under the strict policy, REST answers
// out of a table, and a socket whose every answer a test can change. What the real one does is
// e2e's.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Page, WebSocketRoute } from 'playwright-core';
import { decodeFrame, encodeFrame } from '../../protocol/ts/src/wire/codec.ts';
import type { FrameSchema } from '../../protocol/ts/src/wire/codec.ts';
import { encode } from '../../protocol/ts/src/wire/msgpack.ts';
import * as wire from '../../protocol/ts/src/wire/frames.ts';
import type {
  AgentCard,
  ClientFrame,
  ConversationCard,
  ConversationId,
  Message,
  ServerFrame,
} from '../../protocol/ts/src/wire/frames.ts';

const POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; require-trusted-types-for 'script'; trusted-types 'none'";
const TYPES: Record<string, string> = {
  js: 'text/javascript',
  css: 'text/css',
  svg: 'image/svg+xml',
  html: 'text/html',
};

export const hex = (count: number): string => count.toString(16).padStart(32, '0');
export const ME: AgentCard = {
  agent: `agt_${hex(1)}`,
  name: 'Nora Feld',
  role: 'admin',
  availability: 'available',
  presence: 'connected',
  capacity: 5,
  load: 1,
};
export const COLLEAGUE: AgentCard = {
  agent: `agt_${hex(2)}`,
  name: 'Jonas Berg',
  role: 'agent',
  availability: 'available',
  presence: 'connected',
  capacity: 4,
  load: 1,
};

export function card(count: number, more: Partial<ConversationCard> = {}): ConversationCard {
  return {
    conversation: `cnv_${hex(count)}`,
    version: 1,
    site: `sit_${hex(1)}`,
    state: 'active',
    created_at: Date.now() - 600_000,
    seq_last: 2,
    agents: [ME],
    marks: [],
    assignee: ME.agent,
    visitor: {
      visitor: `vis_${hex(count)}`,
      name: `Visitor Number ${count}`,
      presence: 'connected',
      page_url: 'https://shop.test/a',
      locale: 'sv',
    },
    preview: `hello ${count}`,
    last_author: { kind: 'visitor' },
    last_message_at: Date.now() - 60_000,
    ...more,
  };
}

export function said(seq: number, text: string, more: Partial<Message> = {}): Message {
  return {
    seq,
    message: `msg_${hex(seq)}`,
    author: { kind: 'visitor' },
    at: Date.now() - 300_000 + seq,
    body: { kind: 'text', text },
    expires: 9000,
    ...more,
  };
}

export const AGENT = {
  agent_id: ME.agent,
  name: ME.name,
  email: 'nora@example.test',
  role: 'admin',
  state: 'active',
  capacity: 5,
  created_at: 1,
};
const site = {
  site_id: `sit_${hex(1)}`,
  site_key: `site_${hex(1)}`,
  name: 'Shop',
  plan: 'free',
  state: 'open',
  closed_at: null,
  origins: ['https://shop.test'],
  texts: { title: 'Shop' },
  form: { name: 'optional', email: 'hidden' },
  notice: { text: '', url: '' },
  redaction_patterns: [],
  embed_tag: '<script async src="https://chat.test/widget/loader.js"></script>',
  retention: { transcript: '60 days' },
  created_at: 1,
};
export const list = (...items: unknown[]): unknown => ({ items, next_cursor: null });

export class FakeServer {
  /**
   * What REST answers, by path, or by method and path where they differ; what is not here is a 404.
   */
  readonly rest = new Map<string, unknown>([
    [
      '/v1/sessions/current',
      {
        session_id: `ses_${hex(1)}`,
        agent: AGENT,
        tenant: { tenant_id: `ten_${hex(1)}`, name: 'Shop' },
        expires_at: 9e15,
      },
    ],
    ['/v1/sites', list(site)],
    [`/v1/sites/${site.site_id}`, site],
    ['/v1/tags', list({ tag_id: `tag_${hex(1)}`, name: 'Sales' })],
    [
      '/v1/agents',
      list(AGENT, {
        ...AGENT,
        agent_id: COLLEAGUE.agent,
        name: COLLEAGUE.name,
        state: 'deactivated',
      }),
    ],
    [
      '/v1/invitations',
      list({ invitation_id: `inv_${hex(1)}`, email: 'a@b.test', role: 'agent', expires_at: 9e12 }),
    ],
    [
      '/v1/keys',
      list({ key_id: `key_${hex(1)}`, name: 'CRM', scopes: ['sites:read'], created_at: 1 }),
    ],
    [
      '/v1/sessions',
      list({
        session_id: `ses_${hex(1)}`,
        client: 'A browser',
        current: true,
        created_at: 1,
        expires_at: 9e12,
      }),
    ],
    ['/v1/conversations', list()],
  ]);
  /** Everything that was asked over REST, in order. */
  readonly asked: string[] = [];
  signedIn = true;
  /** Who is signed in, and who else there is. */
  me: AgentCard = ME;
  colleagues: AgentCard[] = [COLLEAGUE];
  cards: ConversationCard[] = [];
  history = new Map<string, Message[]>();
  /** What was kept of composers; sent behind the board, as the real one does it. */
  readonly drafts = new Map<ConversationId, string>();
  /** Every frame that came, in order. */
  readonly heard: ClientFrame[] = [];
  /** Answers a frame in place of what is written below, where it returns true. */
  instead: (frame: ClientFrame) => boolean = () => false;
  #line: WebSocketRoute | undefined;
  readonly #http = createServer((request, response) => {
    const path = (request.url ?? '/').split('?')[0] ?? '/';
    if (path.startsWith('/v1/')) {
      this.asked.push(`${request.method} ${request.url}`);
      const found =
        this.rest.get(`${request.method} ${request.url}`) ??
        this.rest.get(`${request.method} ${path}`) ??
        this.rest.get(path);
      response.writeHead(!this.signedIn ? 401 : found === undefined ? 404 : 200, {
        'content-type': 'application/json',
      });
      response.end(JSON.stringify(this.signedIn ? (found ?? null) : { code: 'unauthenticated' }));
      return;
    }
    const file = path === '/' ? '/index.html' : path;
    readFile(join('dist', file)).then(
      (bytes) => {
        response.writeHead(200, {
          'content-type': TYPES[file.split('.').at(-1) ?? ''] ?? 'text/plain',
          'content-security-policy': POLICY,
        });
        response.end(bytes);
      },
      () => response.writeHead(404).end(),
    );
  });

  async start(): Promise<string> {
    await new Promise<void>((done) => this.#http.listen(0, '127.0.0.1', done));
    const { port } = this.#http.address() as AddressInfo;
    return `http://127.0.0.1:${port}`;
  }

  stop(): void {
    this.#http.close();
    this.#http.closeAllConnections();
  }

  /** Takes the page's socket in place of the server. */
  async attach(page: Page): Promise<void> {
    await page.routeWebSocket(/\/v1\/socket$/, (line) => {
      this.#line = line;
      line.onMessage((bytes) => {
        const frame = decodeFrame(CLIENT_FRAMES, new Uint8Array(bytes as Buffer), wire.DEPTH_MAX);
        if (frame === undefined) return;
        this.heard.push(frame);
        if (!this.instead(frame)) this.#answer(frame);
      });
    });
  }

  push(frame: ServerFrame): void {
    const schema = wire.SERVER_FRAMES.find((one) => one.word === frame.kind);
    if (schema !== undefined) this.#line?.send(Buffer.from(encodeFrame(schema, frame)));
  }

  /** A refusal with a code that this page does not know. */
  refuse(request: number, code: number): void {
    this.#line?.send(Buffer.from(encode([wire.SERVER_REJECT.code, request, code, 'not now', 20])));
  }

  breakLine(code: number): void {
    void this.#line?.close({ code, reason: 'test' });
  }

  /** Waits until a frame came that fits. */
  async until(fits: (frame: ClientFrame) => boolean): Promise<ClientFrame> {
    for (let round = 0; round < 400; round += 1) {
      const found = this.heard.find(fits);
      if (found !== undefined) return found;
      await new Promise((done) => setTimeout(done, 25));
    }
    throw new Error(`no such frame among ${this.heard.map((frame) => frame.kind).join(' ')}`);
  }

  #answer(frame: ClientFrame): void {
    if (!('request' in frame)) return;
    const { request } = frame;
    if (frame.kind === 'hello') {
      const limits = { frame_bytes_max: 32_768, text_chars_max: 4000, history_messages_max: 100 };
      this.push({
        kind: 'welcome',
        request,
        session: `ses_${hex(1)}`,
        now: Date.now(),
        heartbeat_ms: 15_000,
        limits,
        conversations: [],
        agent: this.me,
      });
    } else if (frame.kind === 'watch' && frame.conversation === undefined) {
      this.push({
        kind: 'board',
        request,
        conversations: this.cards,
        agents: [this.me, ...this.colleagues],
      });
      for (const [conversation, text] of this.drafts)
        this.push({ kind: 'draft', conversation, text });
    } else if (frame.kind === 'watch' && frame.conversation !== undefined) {
      const { conversation } = frame;
      const messages = (this.history.get(conversation) ?? []).filter(
        (message) => message.seq > (frame.resume?.seq ?? 0),
      );
      this.push({ kind: 'history', request, conversation, reset: false, more: false, messages });
    } else if (frame.kind === 'send') {
      const stored = this.history.get(frame.conversation) ?? [];
      const known = stored.find((message) => message.message === frame.message);
      const seq = known?.seq ?? (stored.at(-1)?.seq ?? 0) + 1;
      const message = said(seq, '', {
        message: frame.message,
        body: frame.body,
        author: { kind: 'agent', agent: ME.agent },
        ...(frame.visibility === undefined ? {} : { visibility: frame.visibility }),
      });
      if (known === undefined) this.history.set(frame.conversation, [...stored, message]);
      const hidden =
        frame.body.kind === 'text' && frame.body.text.includes('4111')
          ? { body: { kind: 'text', text: '[hidden]' } as const }
          : {};
      this.push({ kind: 'ack', request, seq, at: Date.now(), expires: 9_000, ...hidden });
    } else if (frame.kind === 'draft') {
      if (frame.text === '') this.drafts.delete(frame.conversation);
      else this.drafts.set(frame.conversation, frame.text);
      this.push({ kind: 'ack', request });
    } else this.push({ kind: 'ack', request });
  }
}

const CLIENT_FRAMES = Object.entries(wire)
  .filter(([name]) => name.startsWith('CLIENT_') && name !== 'CLIENT_ROLE')
  .map(([, schema]) => schema) as unknown as readonly FrameSchema<ClientFrame>[];
