// Settings are not lost: on leaving, by the browser's own ways, by a reload, by an offer, by a slip
// in a dialog.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { card, hex, ME } from './fake_server.ts';
import type { FakeServer } from './fake_server.ts';
import { at, scene } from './scene.ts';

const shop = `/sites/sit_${hex(1)}`;
const nameOf = (page: Page): Locator => page.getByLabel('Name', { exact: true }).first();
const question = (page: Page): Locator =>
  page.getByRole('dialog', { name: 'Leave without saving?' });
const stay = (page: Page): Promise<void> => page.getByRole('button', { name: 'Stay here' }).click();

async function changed(page: Page, base: string): Promise<void> {
  await page.goto(at(base, '/sites'));
  await page.getByRole('link', { name: 'Shop' }).click();
  await page.getByRole('heading', { name: 'General' }).waitFor();
  await nameOf(page).fill('Another name');
}

const WAYS_OUT: readonly {
  readonly name: string;
  readonly go: (page: Page) => Promise<unknown>;
  readonly arrives: string;
}[] = [
  {
    name: 'a link',
    go: (page) => page.getByRole('link', { name: 'Agents' }).click(),
    arrives: '#/agents',
  },
  {
    name: 'the browser’s back',
    go: (page) => page.evaluate(() => history.back()),
    arrives: '#/sites',
  },
  {
    name: 'an address',
    go: (page) => page.evaluate(() => (location.hash = '#/keys')),
    arrives: '#/keys',
  },
];

for (const { name, go, arrives } of WAYS_OUT) {
  test(`what is not saved is asked about before it is left by ${name}`, () =>
    scene(async ({ page, base }) => {
      await changed(page, base);
      await go(page);
      await question(page).getByText('This is not saved yet and would be lost: General.').waitFor();
      await page.waitForFunction((hash) => location.hash === hash, `#${shop}`);
      await stay(page);
      await question(page).waitFor({ state: 'detached' });
      assert.equal(await nameOf(page).inputValue(), 'Another name');
      await go(page);
      await question(page).waitFor();
      await page.keyboard.press('Escape');
      await question(page).waitFor({ state: 'detached' });
      assert.equal(await nameOf(page).inputValue(), 'Another name');
      await go(page);
      await page.getByRole('button', { name: 'Leave without saving' }).click();
      await page.waitForFunction((hash) => location.hash === hash, arrives);
      await page.goto(at(base, shop));
      await page.getByRole('heading', { name: 'General' }).waitFor();
      assert.equal(await nameOf(page).inputValue(), 'Shop');
    }));
}

test('what is as it was, or saved, is left without a word', () =>
  scene(async ({ server, page, base }) => {
    await changed(page, base);
    await nameOf(page).fill('Shop');
    await page.getByRole('link', { name: 'Agents' }).click();
    await page.getByRole('heading', { name: 'Agents' }).waitFor();
    await changed(page, base);
    const site = server.rest.get(`/v1${shop}`) as object;
    server.rest.set(`PATCH /v1${shop}`, { ...site, name: 'Another name' });
    await page.getByRole('button', { name: 'Save: General' }).click();
    await page.getByText('The website was saved.').waitFor();
    await page.getByRole('link', { name: 'Agents' }).click();
    await page.getByRole('heading', { name: 'Agents' }).waitFor();
    assert.equal(await page.getByRole('dialog').count(), 0);
  }));

test('the browser asks before a page with something unsaved is closed', () =>
  scene(async ({ page, base }) => {
    await changed(page, base);
    const asked = page.waitForEvent('dialog');
    await page.close({ runBeforeUnload: true });
    const dialog = await asked;
    assert.equal(dialog.type(), 'beforeunload');
    await dialog.dismiss();
    assert.equal(await nameOf(page).inputValue(), 'Another name');
  }));

test('a reload keeps what is unsaved', () =>
  scene(async ({ page, base }) => {
    await changed(page, base);
    await page.getByRole('textbox', { name: 'Greeting' }).fill('Good day');
    // The browser asks here too, and the rig says yes.
    await page.reload();
    await page.getByRole('heading', { name: 'General' }).waitFor();
    assert.equal(await nameOf(page).inputValue(), 'Another name');
    assert.equal(await page.getByRole('textbox', { name: 'Greeting' }).inputValue(), 'Good day');
    assert.equal(await page.getByText('Not saved yet').count(), 2);
    await page.getByRole('link', { name: 'Agents' }).click();
    await question(page).getByText('General, Texts').waitFor();
  }));

test('an offer is accepted at once, and what is unsaved is found again', () =>
  scene(async ({ server, page, base }) => {
    await changed(page, base);
    server.push({
      kind: 'offer',
      conversation: card(8).conversation,
      deadline: Date.now() + 60_000,
      card: card(8, { state: 'offered', offered_to: ME.agent }),
    });
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByRole('heading', { name: 'Visitor Number 8', level: 1 }).waitFor();
    await page
      .locator('.notice', {
        hasText: 'Not saved yet, and kept for you where you left it: General.',
      })
      .waitFor();
    assert.equal(await page.getByRole('dialog').count(), 0);
    await page.goto(at(base, shop));
    await page.getByRole('heading', { name: 'General' }).waitFor();
    assert.equal(await nameOf(page).inputValue(), 'Another name');
  }));

const SECRETS = ['Current password', 'New password'] as const;

for (const label of SECRETS) {
  test(`a half-typed “${label}” is asked about before it is left, and written down nowhere`, () =>
    scene(async ({ server, page, base }) => {
      const field = page.getByLabel(label);
      await page.goto(at(base, '/account'));
      await field.fill('half a sec');
      await page.getByRole('link', { name: 'Agents' }).click();
      await question(page)
        .getByText('This is not saved yet and would be lost: Password.')
        .waitFor();
      await stay(page);
      assert.equal(await field.inputValue(), 'half a sec');
      assert.ok(
        await page.evaluate(() =>
          [...Object.values(sessionStorage), ...Object.values(localStorage)].every(
            (kept) => !String(kept).includes('half a sec'),
          ),
        ),
      );
      // Somebody waits: it is found again.
      server.push({
        kind: 'offer',
        conversation: card(8).conversation,
        deadline: Date.now() + 60_000,
        card: card(8, { state: 'offered', offered_to: ME.agent }),
      });
      await page.getByRole('button', { name: 'Accept' }).click();
      await page
        .locator('.notice', { hasText: 'kept for you where you left it: Password.' })
        .waitFor();
      await page.goto(at(base, '/account'));
      assert.equal(await field.inputValue(), 'half a sec');
      await page.getByRole('link', { name: 'Tags' }).click();
      await page.getByRole('button', { name: 'Leave without saving' }).click();
      await page.getByRole('heading', { name: 'Tags' }).waitFor();
      await page.goto(at(base, '/account'));
      assert.equal(await field.inputValue(), '');
      await page.getByRole('link', { name: 'Tags' }).click();
      await page.getByRole('heading', { name: 'Tags' }).waitFor();
    }));
}

test('passwords that were changed are asked about no more', () =>
  scene(async ({ server, page, base }) => {
    server.rest.set(`PUT /v1/agents/${ME.agent}/password`, {});
    await page.goto(at(base, '/account'));
    for (const label of SECRETS) await page.getByLabel(label).fill('long enough for it');
    await page.getByRole('button', { name: 'Change password' }).click();
    await page.getByText('The password was changed.').waitFor();
    for (const label of SECRETS) assert.equal(await page.getByLabel(label).inputValue(), '');
    await page.getByRole('link', { name: 'Tags' }).click();
    await page.getByRole('heading', { name: 'Tags' }).waitFor();
    assert.equal(await page.getByRole('dialog').count(), 0);
  }));

test('signing out asks as well, and takes what is unsaved along', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, '/account'));
    await nameOf(page).fill('Nora F.');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await question(page).getByText('Profile').waitFor();
    await page.getByRole('button', { name: 'Leave without saving' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
  }));

const FORMS = [
  {
    path: '/sites',
    opens: 'Add a website',
    field: 'Name',
    more: 'Origins that may embed the widget',
    posts: 'POST /v1/sites',
  },
  { path: '/agents', opens: 'Invite', field: 'E-mail', posts: 'POST /v1/invitations' },
  { path: '/keys', opens: 'Create a key', field: 'Name', posts: 'POST /v1/keys' },
] as const;

for (const form of FORMS) {
  test(`a slip does not throw away what was typed under “${form.opens}”, and Enter twice asks once`, () =>
    scene(async ({ server, page, base }) => {
      await page.goto(at(base, form.path));
      const opener = page.getByRole('main').getByRole('button', { name: form.opens });
      // Some people press everything twice.
      await opener.dblclick();
      const dialog = page.getByRole('dialog', { name: form.opens });
      await dialog.waitFor();
      await page.keyboard.press('Escape');
      await dialog.waitFor({ state: 'detached' });
      assert.ok(await opener.evaluate((one) => one === document.activeElement));
      await opener.click();
      await dialog.getByLabel(form.field).fill('someone@example.test');
      if ('more' in form) await dialog.getByLabel(form.more).fill('https://a.test');
      if (form.opens === 'Create a key') await dialog.getByRole('checkbox').first().check();
      for (const slip of [() => page.keyboard.press('Escape'), () => page.mouse.click(8, 8)]) {
        await slip();
        await question(page).waitFor();
        await stay(page);
        assert.equal(await dialog.getByLabel(form.field).inputValue(), 'someone@example.test');
      }
      server.rest.set(form.posts, {
        ...(server.rest.get(`/v1${shop}`) as object),
        email: 'someone@example.test',
        expires_at: 9e12,
        link: 'https://x.test/#/1',
        text: 'lh_secret',
      });
      await dialog.getByLabel(form.field).evaluate((field) => {
        // So fast that no answer comes between.
        for (let press = 0; press < 2; press += 1)
          (field as HTMLInputElement).form?.requestSubmit();
      });
      if (form.path === '/sites') await page.getByRole('heading', { name: 'Embed tag' }).waitFor();
      else {
        // What is shown once is not lost by a slip either, until it was copied.
        await page.getByRole('button', { name: 'Copy' }).waitFor();
        await page.keyboard.press('Escape');
        await question(page).waitFor();
        await stay(page);
        await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
        await page.getByRole('dialog').waitFor({ state: 'detached' });
      }
      assert.equal(server.asked.filter((one) => one === form.posts).length, 1);
    }));
}

test('what is typed while a part is being saved stays', () =>
  scene(async ({ server, page, base }) => {
    await changed(page, base);
    const site = server.rest.get(`/v1${shop}`) as object;
    let answer = (): void => undefined;
    await page.route(`**/v1${shop}`, async (route) => {
      if (route.request().method() !== 'PATCH') return route.fallback();
      await new Promise<void>((done) => (answer = done));
      await route.fulfill({ json: { ...site, name: 'Another name' } });
    });
    const saves = page.waitForRequest((request) => request.method() === 'PATCH');
    await page.getByRole('button', { name: 'Save: General' }).click();
    await saves;
    await nameOf(page).fill('Another name, and more');
    answer();
    await page.getByText('The website was saved.').waitFor();
    assert.equal(await nameOf(page).inputValue(), 'Another name, and more');
  }));

test('the page of a website says which origins were refused, and adds one beside what is being changed there', () =>
  scene(async ({ server, page, base }) => {
    const path = `/v1${shop}`;
    const refused = (origin: string, addable: boolean): object => ({
      origin,
      addable,
      at: Date.now(),
    });
    const site = {
      ...(server.rest.get(path) as object),
      refused_origins: [
        refused('https://xn--caf-dma.shop.test', true),
        refused('http://intranet', false),
        refused('null', false),
      ],
    };
    server.rest.set(path, site);
    await changed(page, base);
    const panel = page.locator('section.panel', {
      has: page.getByRole('heading', { name: 'Refused lately' }),
    });
    assert.match(
      (await panel.getByRole('listitem').allInnerTexts()).join('\n'),
      /https:\/\/xn--caf-dma\.shop\.test[^]*http:\/\/intranet[^]*without https[^]*A page without an origin \(null\)[^]*a file on a disk, or a frame in a sandbox: it cannot be listed/,
    );
    await panel.getByText('Their visitors cannot write to you.').waitFor();
    assert.equal(await panel.getByRole('button').count(), 1);
    const origins = ['https://shop.test', 'https://xn--caf-dma.shop.test'];
    server.rest.set(`PATCH ${path}`, { ...site, origins, refused_origins: [] });
    const saved = page.waitForRequest((request) => request.method() === 'PATCH');
    await panel.getByRole('button', { name: 'Allow' }).click();
    assert.deepEqual((await saved).postDataJSON(), { origins });
    await panel.waitFor({ state: 'detached' });
    assert.equal(
      await page.getByLabel('Origins that may embed the widget').inputValue(),
      origins.join('\n'),
    );
    assert.equal(await nameOf(page).inputValue(), 'Another name');
  }));

/**
 * A website that answers to what is sent, as the real server does, and to what another admin did
 * meanwhile.
 */
async function website(
  server: FakeServer,
  page: Page,
): Promise<{ patches: object[]; now: () => object; change: (more: object) => void }> {
  let now = server.rest.get(`/v1${shop}`) as object;
  const patches: object[] = [];
  await page.route(`**/v1${shop}`, async (route) => {
    if (route.request().method() === 'PATCH') {
      const patch = route.request().postDataJSON() as object;
      patches.push(patch);
      // Long enough for another press.
      await new Promise((done) => setTimeout(done, 300));
      now = { ...now, ...patch };
    }
    await route.fulfill({ json: now });
  });
  return { patches, now: () => now, change: (more) => (now = { ...now, ...more }) };
}

test('origins that are allowed one right after the other are all allowed, beside what another admin added', () =>
  scene(async ({ server, page, base }) => {
    const site = await website(server, page);
    const [a, b, c, d] = [
      'https://shop.test',
      'https://b.test',
      'https://c.test',
      'https://d.test',
    ];
    site.change({
      refused_origins: [b, c].map((origin) => ({ origin, addable: true, at: Date.now() })),
    });
    await page.goto(at(base, shop));
    await page.getByRole('button', { name: `Allow: ${b}` }).waitFor();
    site.change({ origins: [a, d] });
    for (const origin of [b, c])
      await page.getByRole('button', { name: `Allow: ${origin}` }).click();
    await page.waitForFunction(
      (lines) => [...document.querySelectorAll('textarea')].some(({ value }) => value === lines),
      [a, d, b, c].join('\n'),
    );
    assert.deepEqual(site.patches, [{ origins: [a, d, b] }, { origins: [a, d, b, c] }]);
  }));

test('what is saved is what was changed, on top of what another changed meanwhile', () =>
  scene(async ({ server, page, base }) => {
    const site = await website(server, page);
    await page.goto(at(base, shop));
    const origins = page.getByLabel('Origins that may embed the widget');
    await nameOf(page).fill('Another name');
    site.change({
      origins: ['https://shop.test', 'https://b.test'],
      name: 'Renamed',
      texts: { title: 'Shop', greeting: 'Hello' },
    });
    await page.getByRole('button', { name: 'Save: General' }).click();
    await page.getByText('The website was saved.').waitFor();
    await page.getByLabel('Title').fill('The shop');
    await origins.fill('https://c.test\nhttps://shop.test\nhttps://b.test');
    site.change({
      origins: ['https://shop.test', 'https://d.test'],
      texts: { title: 'Shop', greeting: 'Good day' },
    });
    for (const part of ['General', 'Texts']) {
      await page.getByRole('button', { name: `Save: ${part}` }).click();
      await page.waitForFunction(
        (count) => document.querySelectorAll('fieldset .muted.small').length === count,
        part === 'General' ? 1 : 0,
      );
    }
    assert.deepEqual(site.patches, [
      { name: 'Another name' },
      { origins: ['https://shop.test', 'https://d.test', 'https://c.test'] },
      { texts: { title: 'The shop', greeting: 'Good day' } },
    ]);
    assert.equal(await origins.inputValue(), 'https://shop.test\nhttps://d.test\nhttps://c.test');
    // What was typed and taken back is no change, in an empty list either.
    const patterns = page.getByLabel('Hide on arrival', { exact: true });
    await patterns.fill('x');
    await page.getByText('Not saved yet').waitFor();
    await patterns.fill('');
    await page.getByText('Not saved yet').waitFor({ state: 'detached' });
  }));

test('signing out asks about what is kept on other pages too, by name', () =>
  scene(async ({ server, page, base }) => {
    await changed(page, base);
    // An offer leads away without a question.
    server.push({
      kind: 'offer',
      conversation: card(8).conversation,
      deadline: Date.now() + 30_000,
      card: card(8, { state: 'offered' }),
    });
    await page.getByRole('button', { name: 'Accept' }).click();
    await page.getByRole('heading', { name: 'Visitor Number 8', level: 1 }).waitFor();
    await page.goto(at(base, '/account'));
    await nameOf(page).fill('Nora F.');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await question(page).getByText('Profile, General').waitFor();
    await stay(page);
    await nameOf(page).fill('Nora Feld');
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await question(page).getByText('would be lost: General.').waitFor();
    await page.getByRole('button', { name: 'Leave without saving' }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
  }));

test('what has nothing to see in it is no name of anything', () =>
  scene(async ({ server, page, base }) => {
    for (const [path, opens] of [
      ['/tags', null],
      ['/sites', 'Add a website'],
      ['/keys', 'Create a key'],
    ] as const) {
      await page.goto(at(base, path));
      if (opens !== null) await page.getByRole('main').getByRole('button', { name: opens }).click();
      for (const nothing of [' ', '\u200B', '\u2800', '\u3164\u00AD', '\u202E']) {
        await nameOf(page).fill(nothing);
        await nameOf(page).press('Enter');
        assert.equal(
          await nameOf(page).evaluate((field) => (field as HTMLInputElement).validity.customError),
          true,
          path,
        );
      }
      await nameOf(page).fill('');
    }
    assert.ok(server.asked.every((one) => !one.startsWith('POST')));
  }));
