// A console in a browser, before a server of the test's own.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before } from 'node:test';
import { chromium } from 'playwright-core';
import type { Browser, BrowserContextOptions, Page } from 'playwright-core';
import type { ConversationCard } from '../../protocol/ts/src/wire/frames.ts';
import { card, FakeServer, hex, said } from './fake_server.ts';

let browser: Browser;

function browserPath(): string {
  for (const name of ['chromium-headless-shell', 'chromium']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8' }).trim();
    } catch {
      // The next one, then.
    }
  }
  throw new Error('no browser: apt-get install chromium-headless-shell');
}

before(async () => {
  browser = await chromium.launch({ executablePath: browserPath(), args: ['--no-sandbox'] });
});
after(() => browser.close());

export interface Scene {
  readonly server: FakeServer;
  readonly page: Page;
  readonly base: string;
}

export interface SceneOptions {
  readonly width?: number;
  readonly height?: number;
  /** What else a browser shall have. */
  readonly context?: BrowserContextOptions;
  /** Errors on the page's console that belong to the scene. */
  readonly expects?: RegExp;
}

/** Plays in a page of its own; whatever the page throws, or its policy refuses, fails the test. */
export async function scene(
  play: (scene: Scene) => Promise<void>,
  options: SceneOptions = {},
): Promise<void> {
  const server = new FakeServer();
  server.cards = [card(1)];
  server.history.set(card(1).conversation, [said(1, 'Good day'), said(2, 'Is the desk in stock?')]);
  const base = await server.start();
  const { width = 1280, height = 800, expects = /401/ } = options;
  const context = await browser.newContext({ viewport: { width, height }, ...options.context });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  // A refusal of the strict policy is told on the console.
  page.on('console', (line) => {
    if (line.type() === 'error' && !expects.test(line.text())) errors.push(line.text());
  });
  await server.attach(page);
  try {
    await play({ server, page, base });
    assert.deepEqual(errors, []);
  } finally {
    await context.close();
    server.stop();
  }
}

export const at = (base: string, path: string): string => `${base}/#${path}`;
/** Where the first conversation is. */
export const thread = `/conversations/${card(1).conversation}`;

/** A conversation that nobody has. */
export const waiting = (count: number): ConversationCard => {
  const { assignee: _, ...rest } = card(count, { state: 'queued', waiting_since: Date.now() });
  return rest;
};

export const PAGES = [
  '/',
  thread,
  '/sites',
  `/sites/sit_${hex(1)}`,
  '/agents',
  '/tags',
  '/keys',
  '/account',
];
