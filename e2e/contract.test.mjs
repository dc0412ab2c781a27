// The page that shows the contract, /docs/api on both listeners: to be read at any width, by
// anybody, from this server alone.

import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { after, before, test } from 'node:test';

import { newPerson, picture, startBrowser } from './rig/browser.mjs';
import { Server } from './rig/server.mjs';

const axe = await readFile(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDTHS = { desktop: { width: 1280, height: 900 }, phone: { width: 390, height: 844 } };
/** More stops than a contract has operations, links and fields. */
const STOPS_MAX = 300;

let server, browser;

before(async () => {
  server = await Server.fresh();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function opens(origin, viewport, scheme) {
  const { context, faults } = await newPerson(browser, viewport);
  const page = await context.newPage();
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.emulateMedia({ colorScheme: scheme });
  await page.goto(`${origin}/docs/api`);
  await page.locator('main details').first().waitFor();
  return { page, context, faults, asked };
}

/**
 * What a person would stumble over, by axe; it comes past the page's policy, as only a test can.
 */
async function stumbles(page) {
  await page.evaluate(axe);
  const { violations, incomplete } = await page.evaluate(() => window.axe.run(document));
  const told = ({ id, nodes }) => `${id}: ${nodes[0].html}`;
  // What it cannot judge by itself, it can nowhere else: colours behind colours and the like.
  return [...violations, ...incomplete.filter(({ id }) => id.startsWith('aria-'))].map(told);
}

for (const listener of ['public', 'admin']) {
  for (const [name, viewport] of Object.entries(WIDTHS)) {
    for (const scheme of ['light', 'dark']) {
      test(`the ${listener} contract can be read on a ${name}, ${scheme}`, async () => {
        const origin = server.addresses[listener];
        const { page, context, faults, asked } = await opens(origin, viewport, scheme);
        await picture(page, `60-contract-${listener}-${name}-${scheme}`);
        await page.evaluate(() =>
          document.querySelectorAll('details').forEach((one) => (one.open = true)),
        );
        const all = page.locator('main details');
        await all.last().locator('.inside').waitFor();
        assert.equal(await all.locator(':scope > .inside').count(), await all.count());
        const sideways = await page.evaluate(
          () => document.documentElement.scrollWidth - innerWidth,
        );
        assert.ok(sideways <= 0, `${sideways} pixels too wide`);
        assert.deepEqual(await stumbles(page), []);
        assert.deepEqual(
          asked.filter((url) => !url.startsWith(`${origin}/`)),
          [],
        );
        assert.deepEqual(faults, []);
        await context.close();
      });
    }
  }
}

test('a keyboard alone reaches, opens and finds every operation', async () => {
  const { page, context, faults } = await opens(server.addresses.public, WIDTHS.desktop, 'light');
  const all = await page.locator('main details').evaluateAll((list) => list.map(({ id }) => id));
  const reached = new Set();
  for (let stop = 0; stop < STOPS_MAX; stop += 1) {
    await page.keyboard.press('Tab');
    const at = await page.evaluate(() => {
      const { activeElement: at } = document;
      const { top, bottom } = at.getBoundingClientRect();
      const seen = bottom > 0 && top < innerHeight && getComputedStyle(at).outlineStyle !== 'none';
      return { is: at.localName, of: at.parentElement?.id, seen };
    });
    if (at.is === 'body') break;
    assert.ok(at.seen, `${at.is} of ${at.of} has the focus and shows nothing of it`);
    if (at.is === 'summary') reached.add(at.of);
  }
  assert.deepEqual(
    all.filter((id) => !reached.has(id)),
    [],
  );
  await page.locator('#close_conversation > summary').focus();
  await page.keyboard.press('Enter');
  await page
    .locator('#close_conversation')
    .locator('dt')
    .getByText('If-Match', { exact: true })
    .waitFor();
  await page.getByLabel('Find an operation').focus();
  await page.keyboard.type("set a conversation's labels");
  await page.getByRole('status').getByText('1 operation', { exact: true }).waitFor();
  assert.deepEqual(faults, []);
  await context.close();
});
