import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { BrowserContextOptions, Page } from 'playwright-core';
import { AGENT, card, COLLEAGUE, hex, list, said } from './fake_server.ts';
import { at, PAGES, scene, thread, waiting } from './scene.ts';
import type { Scene } from './scene.ts';

const axe = readFileSync('node_modules/axe-core/axe.min.js', 'utf8');

interface Look {
  readonly name: string;
  readonly context: BrowserContextOptions;
  readonly dir?: 'rtl';
}

const LOOKS: readonly Look[] = [
  { name: 'light', context: { colorScheme: 'light' } },
  { name: 'dark', context: { colorScheme: 'dark' } },
  { name: 'the system’s own few colours', context: { forcedColors: 'active' } },
  { name: 'from right to left', context: {}, dir: 'rtl' },
];

async function settled(page: Page): Promise<void> {
  await page.waitForFunction(
    () => document.querySelector('main .spinner, dialog .spinner') === null,
  );
  await page.evaluate(() =>
    Promise.allSettled(
      document
        .getAnimations()
        .map((one) =>
          one.effect?.getComputedTiming().iterations === Infinity ? null : one.finished,
        ),
    ),
  );
}

async function examine(page: Page, what: string): Promise<void> {
  await settled(page);
  await page.evaluate(axe);
  const found = await page.evaluate(async () => {
    const { axe } = globalThis as unknown as {
      axe: { run(): Promise<{ violations: { id: string; nodes: { target: string[] }[] }[] }> };
    };
    const { violations } = await axe.run();
    return violations.map(
      (one) => `${one.id}: ${one.nodes.map((node) => node.target.join(' ')).join(', ')}`,
    );
  });
  assert.deepEqual(found, [], what);
  const wide = await page.evaluate(
    () => document.documentElement.scrollWidth - document.documentElement.clientWidth,
  );
  assert.equal(wide, 0, `${what}: something sticks out at the side`);
}

/** Shows one state after the other. */
async function* states({ server, page, base }: Scene): AsyncGenerator<string> {
  for (const path of PAGES) {
    await page.goto(at(base, path));
    yield path;
  }
  await page.goto(at(base, thread));
  await page.getByText('Is the desk in stock?').last().waitFor();
  server.push({
    kind: 'offer',
    conversation: card(8).conversation,
    deadline: Date.now() + 30_000,
    card: card(8, { state: 'offered' }),
  });
  await page.getByRole('button', { name: 'Decline' }).waitFor();
  yield 'an offer';
  server.push({ kind: 'offer-over', conversation: card(8).conversation });
  await page.locator('#composer').press('Escape');
  await page.keyboard.press('n');
  await page.keyboard.type('between us');
  yield 'a note';
  await page.keyboard.press('Escape');
  yield* answered({ server, page, base });
  yield* overlays({ server, page, base });
  yield* others({ server, page, base });
}

/** What becomes of what an agent said and asked. */
async function* answered({ server, page }: Scene): AsyncGenerator<string> {
  await page.keyboard.press('r');
  await page.keyboard.type('Good day');
  await page.keyboard.press('Enter');
  await page.getByRole('img', { name: 'Sent' }).waitFor();
  server.instead = (frame) => {
    if (frame.kind === 'send')
      server.push({ kind: 'reject', request: frame.request, code: 'closed', words: '' });
    return frame.kind === 'send';
  };
  await page.keyboard.type('too late');
  await page.keyboard.press('Enter');
  await page.getByRole('button', { name: 'Discard' }).waitFor();
  yield 'a message that was refused';
  server.instead = () => false;
  await page.keyboard.press('Escape');
  server.push({ kind: 'conversation', card: card(1, { version: 2, offered_to: COLLEAGUE.agent }) });
  server.push({ kind: 'conversation', card: card(1, { version: 3 }) });
  await page.locator('.untaken').waitFor();
  await page.keyboard.press('e');
  await page.getByRole('button', { name: 'Undo' }).waitFor();
  yield 'a transfer that nobody took, and a closing that can be undone';
  await page.keyboard.press('z');
}

async function* overlays({ server, page, base }: Scene): AsyncGenerator<string> {
  await page.locator('#composer').press('Escape');
  await page.keyboard.press('?');
  yield 'the keys';
  await page.keyboard.press('Escape');
  await page.locator('#composer').press('Escape');
  await page.keyboard.press('t');
  yield 'a transfer';
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: 'Privacy tag' }).first().focus();
  await page.keyboard.press('Enter');
  await page.getByText('Kind of data').waitFor();
  yield 'a privacy tag';
  await page.keyboard.press('Escape');
  await page.getByRole('button', { name: /^Your availability/ }).click();
  yield 'the availability';
  await page.keyboard.press('Escape');
  for (const [path, opens] of [
    ['/sites', 'Add a website'],
    ['/agents', 'Invite'],
    ['/agents', 'Link to set'],
    ['/keys', 'Create a key'],
    ['/keys', 'Revoke'],
    ['/tags', 'Remove: Sales'],
  ] as const) {
    await page.goto(at(base, path));
    await page.getByRole('button', { name: opens }).first().click();
    await page.getByRole('dialog').waitFor();
    yield `the dialog ${opens}`;
    await page.keyboard.press('Escape');
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  }
  server.instead = () => false;
}

async function* others({ server, page, base }: Scene): AsyncGenerator<string> {
  server.push({ kind: 'conversation', card: waiting(3) });
  server.push({ kind: 'conversation', card: { ...waiting(4), offline_message: true } });
  await page.goto(at(base, `/conversations/${card(3).conversation}`));
  await page.getByRole('tab', { name: 'Waiting' }).click();
  await page.getByText('Left a message').waitFor();
  yield 'a queue';
  server.push({
    kind: 'conversation',
    card: card(1, { version: 9, state: 'closed', closed_at: Date.now() }),
  });
  await page.goto(at(base, thread));
  await page.getByRole('button', { name: 'Reopen' }).waitFor();
  yield 'a conversation that is closed';
  server.instead = (frame) => {
    if (frame.kind === 'watch' && frame.conversation !== undefined)
      server.push({ kind: 'reject', request: frame.request, code: 'not-found', words: '' });
    return frame.kind === 'watch' && frame.conversation !== undefined;
  };
  await page.goto(at(base, `/conversations/${card(5).conversation}`));
  await page.getByText('This conversation is not there.').waitFor();
  yield 'one that is not there';
  server.instead = (frame) => frame.kind === 'hello';
  server.breakLine(4100);
  await page.locator('.line-bar').waitFor();
  yield 'a line that is down';
  server.instead = () => false;
  server.signedIn = false;
  await page.reload();
  await page.getByRole('heading', { name: 'Sign in' }).waitFor();
  yield 'the door';
  server.signedIn = true;
  server.rest.set('POST /v1/invitations/lookup', {
    tenant_name: 'Shop',
    email: 'a@b.test',
    role: 'agent',
  });
  await page.goto(at(base, '/invitations/abc'));
  await page.getByRole('button', { name: 'Join' }).waitFor();
  yield 'an invitation';
  server.rest.set('POST /v1/password-resets/lookup', { tenant_name: 'Shop', email: 'a@b.test' });
  await page.goto(at(base, '/password-resets/abc'));
  await page.getByRole('button', { name: 'Set the password' }).waitFor();
  yield 'a link to set a new password';
}

for (const { name, context, dir } of LOOKS) {
  test(`axe finds nothing in any state, ${name}`, () =>
    scene(
      async (it) => {
        if (dir !== undefined)
          await it.page.addInitScript(
            (to) =>
              document.addEventListener(
                'DOMContentLoaded',
                () => (document.documentElement.dir = to),
              ),
            dir,
          );
        const { conversation } = card(1);
        it.server.history.set(conversation, [
          ...(it.server.history.get(conversation) ?? []),
          said(3, 'A note of theirs', {
            visibility: 'agents',
            author: { kind: 'agent', agent: COLLEAGUE.agent },
          }),
        ]);
        for (const message of it.server.history.get(conversation) ?? []) {
          it.server.rest.set(`/v1/conversations/${conversation}/messages/${message.message}/tag`, {
            class: 'transcript',
            purposes: ['answering'],
            bases: ['consent'],
            policy_version: 1,
            ingest_day: '2026-01-01',
            expires_on: null,
            rules: [`r${hex(1).slice(-2)}`],
            reason: 'because',
          });
        }
        it.server.rest.set(
          '/v1/agents',
          list(AGENT, { ...AGENT, agent_id: COLLEAGUE.agent, name: COLLEAGUE.name }),
        );
        for await (const state of states(it)) await examine(it.page, state);
      },
      { context: { reducedMotion: 'reduce', ...context }, expects: /401|404/ },
    ));
}
