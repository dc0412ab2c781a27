import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { chromium } from 'playwright-core';
import type { Browser, Page } from 'playwright-core';
import { card, COLLEAGUE, FakeServer, hex, ME, said } from './fake_server.ts';

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

interface Scene {
  readonly server: FakeServer;
  readonly page: Page;
  readonly base: string;
}

async function scene(play: (scene: Scene) => Promise<void>, options: { width?: number; height?: number; colorScheme?: 'light' | 'dark' } = {}): Promise<void> {
  const server = new FakeServer();
  server.cards = [card(1)];
  server.history.set(card(1).conversation, [said(1, 'Good day'), said(2, 'Is the desk in stock?')]);
  const base = await server.start();
  const { width = 1280, height = 800, colorScheme = 'light' } = options;
  const context = await browser.newContext({ viewport: { width, height }, colorScheme });
  const page = await context.newPage();
  const errors: string[] = [];
  page.on('pageerror', (error) => errors.push(error.message));
  // A refusal of the strict policy is told on the console.
  page.on('console', (line) => {
    if (line.type() === 'error' && !line.text().includes('401')) errors.push(line.text());
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

const at = (base: string, path: string): string => `${base}/#${path}`;
const thread = `/conversations/${card(1).conversation}`;

test('an agent works from offer to close without a mouse', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [];
    await page.goto(at(base, '/'));
    await page.getByText('No conversation is yours right now.').waitFor();
    const offered = card(7, { state: 'offered', offered_to: ME.agent, waiting_since: Date.now() });
    delete (offered as { assignee?: unknown }).assignee;
    server.history.set(offered.conversation, [said(1, 'Hello?')]);
    server.push({ kind: 'offer', conversation: offered.conversation, deadline: Date.now() + 30_000, card: offered });
    await page.getByRole('button', { name: 'Decline' }).waitFor();
    assert.match(await page.title(), /^\(1\)/);
    await page.keyboard.press('a');
    await server.until((frame) => frame.kind === 'accept');
    server.push({ kind: 'offer-over', conversation: offered.conversation });
    server.push({ kind: 'conversation', card: card(7, { version: 2 }) });
    await page.getByText('Hello?', { exact: true }).last().waitFor();
    await server.until((frame) => frame.kind === 'seen');
    await page.keyboard.press('r');
    await page.keyboard.type('Here I am');
    await server.until((frame) => frame.kind === 'typing' && frame.typing);
    await page.keyboard.press('Enter');
    await page.getByRole('img', { name: 'Sent' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('n');
    await page.keyboard.type('a regular');
    await page.keyboard.press('Enter');
    const note = await server.until((frame) => frame.kind === 'send' && frame.visibility === 'agents');
    assert.ok(note.kind === 'send' && note.body.kind === 'text' && note.body.text === 'a regular');
    await page.keyboard.press('Escape');
    await page.keyboard.press('t');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Tab');
    await page.getByRole('button', { name: COLLEAGUE.name }).press('Enter');
    const given = await server.until((frame) => frame.kind === 'transfer');
    assert.equal(given.kind === 'transfer' && given.agent, COLLEAGUE.agent);
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('e');
    await server.until((frame) => frame.kind === 'close');
    server.push({ kind: 'conversation', card: card(7, { version: 3, state: 'closed', closed_at: Date.now() }) });
    await page.getByRole('button', { name: 'Reopen' }).waitFor();
  }));

test('what was written survives a broken line and a reload, and is the same message when it is sent again', () =>
  scene(async ({ server, page, base }) => {
    server.instead = (frame) => {
      if (frame.kind !== 'send') return false;
      server.breakLine(4100);
      return true;
    };
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    for (const text of ['first', 'second']) {
      await page.locator('#composer').fill(text);
      await page.locator('#composer').press('Enter');
    }
    await server.until((frame) => frame.kind === 'send');
    assert.equal(await page.locator('.pending').count(), 2);
    await page.reload();
    await page.getByText('first', { exact: true }).waitFor();
    server.instead = () => false;
    await page.locator('.pending').first().waitFor({ state: 'detached' });
    await page.waitForFunction(() => document.querySelectorAll('.pending').length === 0);
    assert.deepEqual((await page.locator('.bubble p').allInnerTexts()).slice(-2), ['first', 'second']);
    const tries = server.heard.filter((frame) => frame.kind === 'send' && frame.body.kind === 'text' && frame.body.text === 'first');
    assert.ok(tries.length > 1);
    assert.equal(new Set(tries.map((frame) => (frame.kind === 'send' ? `${frame.message} ${frame.seen_seq}` : ''))).size, 1);
  }));

test('one’s own words are the last line in the list, with what was hidden on arrival hidden here too', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, thread));
    await page.locator('#composer').fill('Your card 4111 1111 1111 1111?');
    await page.locator('#composer').press('Enter');
    await page.locator('.row-preview', { hasText: 'You: [hidden]' }).waitFor();
    assert.equal((await page.locator('.bubble p').allInnerTexts()).at(-1), '[hidden]');
    assert.equal(await page.getByText('4111').count(), 0);
  }));

test('a refusal is a sentence, and the message can be tried again or thrown away', () =>
  scene(async ({ server, page, base }) => {
    server.instead = (frame) => {
      if (frame.kind !== 'send') return false;
      server.push({ kind: 'reject', request: frame.request, code: 'closed', words: '' });
      return true;
    };
    await page.goto(at(base, thread));
    await page.locator('#composer').fill('too late');
    await page.locator('#composer').press('Enter');
    await page.getByText('The conversation is closed. Reopen it first.').waitFor();
    server.instead = () => false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('img', { name: 'Sent' }).waitFor();
  }));

test('a message that was void or erased leaves the screen', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    server.push({ kind: 'message', conversation: card(1).conversation, ...said(3, 'never stored') });
    await page.locator('.bubble', { hasText: 'never stored' }).waitFor();
    server.push({ kind: 'void', conversation: card(1).conversation, seq: 3, message: said(3, '').message });
    await page.locator('.bubble', { hasText: 'never stored' }).waitFor({ state: 'detached' });
    server.push({ kind: 'forget', conversation: card(1).conversation, messages: [said(2, '').message] });
    await page.locator('.bubble', { hasText: 'Is the desk in stock?' }).waitFor({ state: 'detached' });
    await page.locator('.bubble', { hasText: 'Good day' }).waitFor();
  }));

test('a draft from another window comes into the composer, and one’s own goes out', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    server.push({ kind: 'draft', conversation: card(1).conversation, text: 'from there' });
    await page.waitForFunction(() => document.querySelector('textarea')?.value === 'from there');
    await page.locator('#composer').fill('from here');
    await server.until((frame) => frame.kind === 'draft' && frame.text === 'from here');
    await page.reload();
    await page.waitForFunction(() => document.querySelector('textarea')?.value === 'from here');
  }));

test('a session that ended leads to the door, and says nothing of what was there', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    server.signedIn = false;
    server.breakLine(4001);
    await page.getByText('Your session ended.').waitFor();
    assert.equal(await page.title(), 'livehelp');
    assert.equal((await page.locator('body').innerText()).includes('desk'), false);
    await page.getByLabel('E-mail').fill('a@b.test');
    await page.getByLabel('Password').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('E-mail or password is wrong.').waitFor();
  }));

const PAGES = ['/', thread, '/sites', `/sites/sit_${hex(1)}`, '/agents', '/tags', '/keys', '/account'];

test('every page fits a screen of 360 pixels', () =>
  scene(
    async ({ page, base }) => {
      for (const path of PAGES) {
        await page.goto(at(base, path));
        await page.waitForFunction(() => document.querySelector('.spinner') === null);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= 360, `${path} is ${wide} pixels wide`);
      }
    },
    { width: 360, height: 740 },
  ));

const axe = readFileSync('node_modules/axe-core/axe.min.js', 'utf8');

for (const colorScheme of ['light', 'dark'] as const) {
  test(`axe finds nothing on any page, ${colorScheme}`, () =>
    scene(
      async ({ server, page, base }) => {
        const look = async (what: string): Promise<void> => {
          await page.waitForFunction(() => document.querySelector('.spinner') === null);
          await page.evaluate(() => Promise.allSettled(document.getAnimations().map((one) => (one.effect?.getComputedTiming().iterations === Infinity ? null : one.finished))));
          await page.evaluate(axe);
          const found = await page.evaluate(async () => {
            const { axe } = globalThis as unknown as { axe: { run(): Promise<{ violations: { id: string; nodes: { target: string[] }[] }[] }> } };
            const { violations } = await axe.run();
            return violations.map((one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`);
          });
          assert.deepEqual(found, [], what);
        };
        for (const path of PAGES) {
          await page.goto(at(base, path));
          await look(path);
        }
        await page.goto(at(base, thread));
        server.push({ kind: 'offer', conversation: card(8).conversation, deadline: Date.now() + 30_000, card: card(8, { state: 'offered' }) });
        await page.getByRole('button', { name: 'Decline' }).waitFor();
        await look('an offer');
        await page.keyboard.press('n');
        await look('a note');
        await page.keyboard.press('Escape');
        await page.keyboard.press('?');
        await look('the keys');
        await page.keyboard.press('Escape');
        await page.keyboard.press('t');
        await look('a transfer');
      },
      { colorScheme },
    ));
}
