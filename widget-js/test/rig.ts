// A browser with the built widget, on a page of another origin under the strict policy with Trusted
// Types. Needs Debian's `chromium-headless-shell` in the path; LIVEHELP_BROWSER names another
// browser.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { after, afterEach, before, beforeEach } from 'node:test';

import { chromium } from 'playwright-core';
import type { Browser, BrowserContext, Page } from 'playwright-core';

import type { ConversationId, Message } from '../../protocol/ts/src/wire/frames.ts';
import { AGENT, FakeServer, SITE_KEY } from './fake_server.ts';

function browserPath(): string {
  const named = process.env['LIVEHELP_BROWSER'];
  if (named) return named;
  for (const name of ['chromium-headless-shell', 'chromium']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // The next one, then.
    }
  }
  throw new Error('no browser: apt-get install chromium-headless-shell');
}
export const shots = process.env['LIVEHELP_SCREENSHOTS'];
const HOSTILE =
  'body *, div, button { display: none; width: 0 !important; height: 0 !important; opacity: 0; position: static !important }';

export let browser: Browser;
export let server: FakeServer;
export let origin: string;
let shop: Server;
export let shopOrigin: string;
export let context: BrowserContext;
export const complaints: string[] = [];

const built = (path: string): { type: string; body: Buffer } | undefined => {
  const file = join(process.cwd(), 'dist', path.replace(/^\/widget\/|\?.*/g, ''));
  return path.startsWith('/widget/') && existsSync(file)
    ? { type: 'text/javascript', body: readFileSync(file) }
    : undefined;
};

before(async () => {
  browser = await chromium.launch({ executablePath: browserPath(), args: ['--no-sandbox'] });
});
after(() => browser?.close());

beforeEach(async () => {
  server = new FakeServer(built);
  origin = await server.listen();
  shop = createServer((request, response) => {
    const name = (request.url ?? '/').replace(/\?.*/, '').slice(1) || 'index.html';
    const file = join(process.cwd(), 'demo', name);
    if (name === 'hostile.css') {
      response.writeHead(200, { 'content-type': 'text/css' }).end(HOSTILE);
      return;
    }
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const type =
      { html: 'text/html', css: 'text/css', svg: 'image/svg+xml' }[name.split('.').at(-1) ?? ''] ??
      'text/plain';
    let body = readFileSync(file, 'utf8')
      .replaceAll('__LIVEHELP_ORIGIN__', origin)
      .replaceAll('__SITE_KEY__', SITE_KEY);
    const language = /lang=([\w-]*)/.exec(request.url ?? '')?.[1];
    if (language !== undefined) body = body.replace('lang="en"', `lang="${language}"`);
    if (request.url?.includes('hostile')) body = body.replace('shop.css', 'hostile.css');
    const ws = origin.replace('http', 'ws');
    // `no-socket` and `no-fetch` are what a policy forgot; `framed` lets another page show this
    // one.
    const connect = request.url?.includes('no-fetch')
      ? "'none'"
      : request.url?.includes('no-socket')
        ? origin
        : `${origin} ${ws}`;
    const ancestors = request.url?.includes('framed') ? '*' : "'none'";
    response.writeHead(200, {
      'content-type': type,
      'content-security-policy': `default-src 'none'; script-src ${origin}; connect-src ${connect}; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors ${ancestors}; require-trusted-types-for 'script'; trusted-types 'none'`,
    });
    response.end(body);
  });
  await new Promise<void>((resolve) => shop.listen(0, '127.0.0.1', resolve));
  shopOrigin = `http://127.0.0.1:${(shop.address() as AddressInfo).port}`;
  context = await browser.newContext({ viewport: { width: 1100, height: 760 } });
  context.setDefaultTimeout(5_000);
  complaints.length = 0;
});
afterEach(async () => {
  await context.close();
  await server.end();
  shop.closeAllConnections();
  await new Promise((resolve) => shop.close(resolve));
  assert.deepEqual(complaints, []);
});

export async function visit(path = '/index.html'): Promise<Page> {
  const page = await context.newPage();
  page.on('console', (message) => {
    if (
      message.type() === 'error' &&
      !/WebSocket connection|ERR_CONNECTION_REFUSED/.test(message.text())
    )
      complaints.push(message.text());
  });
  page.on('pageerror', (error) => complaints.push(String(error)));
  await page.goto(shopOrigin + path);
  return page;
}

export async function open(page: Page): Promise<void> {
  await page.getByRole('button', { name: /open the chat/i }).click();
  await page.getByRole('dialog').waitFor();
}

export async function write(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox', { name: 'Your message' }).fill(text);
  await page.keyboard.press('Enter');
}

export async function shoot(page: Page, name: string): Promise<void> {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}

let count = 0;
export function said(seq: number, text: string): Message {
  count += 1;
  return {
    seq,
    message: `msg_0190000000007000800${count.toString(16).padStart(13, '0')}`,
    author: { kind: 'agent', agent: AGENT },
    at: Date.now(),
    body: { kind: 'text', text },
    expires: 2_600,
  };
}

export const conversationOf = ({ kept }: FakeServer): ConversationId =>
  [...kept.keys()].at(-1) as ConversationId;
export const bodies = (conversation: ConversationId): (string | false)[] =>
  (server.kept.get(conversation) ?? []).map(({ body }) => body.kind === 'text' && body.text);
export const ANNA = [{ agent: AGENT, name: 'Anna Brandt' }];
export const texts = (page: Page): Promise<string[]> => page.locator('.bubble').allTextContents();
export const eventually = async (what: () => Promise<boolean>): Promise<void> => {
  const until = Date.now() + 10_000;
  while (!(await what())) {
    assert.ok(Date.now() < until, 'the condition did not come');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
};
