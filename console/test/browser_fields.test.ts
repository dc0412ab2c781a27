// How much a field holds: nothing that is pasted is cut, what is too long is said, and nothing is
// sent until it is shortened.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { CAPACITY_MAX, CHARS_MAX } from '../src/wire/rest.ts';
import { AGENT, hex, ME } from './fake_server.ts';
import { at, scene } from './scene.ts';

const site = `/sites/sit_${hex(1)}`;
const button = (page: Page, name: string): Locator =>
  page.getByRole('button', { name, exact: true });
const inDialog = (page: Page, name: string): Locator =>
  page.getByRole('dialog').getByRole('button', { name, exact: true });

interface Bounded {
  readonly name: string;
  readonly path: string;
  readonly opens?: string;
  readonly label: string;
  readonly max: number;
  readonly saves: (page: Page) => Locator;
  readonly fills?: (page: Page) => Promise<void>;
  /** Letters that make a text of that kind. */
  readonly letter?: string;
}

const text = (label: string): Bounded => ({
  name: `the text “${label}”`,
  path: site,
  label,
  max: CHARS_MAX.text,
  saves: (page) => button(page, 'Save: Texts'),
});

const FIELDS: readonly Bounded[] = [
  {
    name: 'a new website’s name',
    path: '/sites',
    opens: 'Add a website',
    label: 'Name',
    max: CHARS_MAX.name,
    saves: (page) => inDialog(page, 'Add a website'),
    fills: (page) => page.getByRole('dialog').getByLabel('Origins').fill('https://a.test'),
  },
  {
    name: 'a website’s name',
    path: site,
    label: 'Name',
    max: CHARS_MAX.name,
    saves: (page) => button(page, 'Save: General'),
  },
  text('Title'),
  text('Greeting'),
  text('When no agent is there'),
  {
    name: 'a privacy notice',
    path: site,
    label: 'Text',
    max: CHARS_MAX.notice,
    saves: (page) => button(page, 'Save: Privacy notice'),
  },
  {
    name: 'the address of a notice',
    path: site,
    label: 'Address of the full notice',
    max: CHARS_MAX.url,
    letter: 'https://a.test/',
    saves: (page) => button(page, 'Save: Privacy notice'),
  },
  {
    name: 'a key’s name',
    path: '/keys',
    opens: 'Create a key',
    label: 'Name',
    max: CHARS_MAX.name,
    saves: (page) => inDialog(page, 'Create a key'),
    fills: (page) => page.getByRole('dialog').getByRole('checkbox').first().check(),
  },
  {
    name: 'a tag’s name',
    path: '/tags',
    label: 'Name',
    max: CHARS_MAX.tag,
    saves: (page) => button(page, 'Add a tag'),
  },
  {
    name: 'one’s own name',
    path: '/account',
    label: 'Name',
    max: CHARS_MAX.name,
    saves: (page) => button(page, 'Save'),
  },
  {
    name: 'a new password',
    path: '/account',
    label: 'New password',
    max: CHARS_MAX.password,
    saves: (page) => button(page, 'Change password'),
    fills: (page) => page.getByLabel('Current password').fill('what it was before'),
  },
  {
    name: 'the name of one who joins',
    path: '/invitations/abc',
    label: 'Your name',
    max: CHARS_MAX.name,
    saves: (page) => button(page, 'Join'),
    fills: (page) => page.getByLabel('Choose a password').fill('long enough for it'),
  },
  {
    name: 'the password of one who joins',
    path: '/invitations/abc',
    label: 'Choose a password',
    max: CHARS_MAX.password,
    saves: (page) => button(page, 'Join'),
    fills: (page) => page.getByLabel('Your name').fill('Nora'),
  },
  {
    name: 'a password that is set anew',
    path: '/password-resets/abc',
    label: 'Choose a password',
    max: CHARS_MAX.password,
    saves: (page) => button(page, 'Set the password'),
  },
];

for (const { name, path, opens, label, max, saves, fills, letter = '' } of FIELDS) {
  test(`${name} is never cut, says when it is too long, and is not sent until it is shortened`, () =>
    scene(
      async ({ server, page, base }) => {
        const lookup = { tenant_name: 'Shop', email: 'a@b.test', role: 'agent' };
        server.rest.set('POST /v1/invitations/lookup', lookup);
        server.rest.set('POST /v1/password-resets/lookup', lookup);
        await page.goto(at(base, path));
        if (opens !== undefined)
          await page.getByRole('main').getByRole('button', { name: opens }).click();
        const field = page.getByLabel(label, { exact: true }).first();
        await field.waitFor();
        await fills?.(page);
        const writes = (): string[] =>
          server.asked.filter((one) => !one.startsWith('GET') && !one.includes('lookup'));
        // One sign of two units of UTF-16 each: it counts as one, as on the server.
        const sign = letter === '' ? '\u{1F375}' : 'a';
        const long = letter + sign.repeat(max + 3 - letter.length);
        await field.selectText();
        await page.keyboard.insertText(long);
        assert.equal(await field.inputValue(), long);
        const words = page.getByRole('alert').filter({
          hasText: `This has ${max + 3} characters, and may have ${max}: it is 3 too long.`,
        });
        await words.waitFor();
        assert.equal(await field.getAttribute('aria-invalid'), 'true');
        const described = (await field.getAttribute('aria-describedby')) ?? '';
        assert.ok(described.split(' ').includes((await words.getAttribute('id')) ?? 'none'));
        const fits = await page.evaluate(
          () => document.documentElement.scrollWidth <= document.documentElement.clientWidth,
        );
        assert.ok(fits, 'something sticks out at the side');
        await saves(page).click();
        if (await field.evaluate((one) => one.localName === 'input'))
          await page.keyboard.press('Enter');
        await page.waitForTimeout(100);
        assert.deepEqual(writes(), []);
        assert.equal(await field.inputValue(), long);
        assert.ok(
          await field.evaluate((one) => one === document.activeElement),
          'the field is shown',
        );
        await field.fill(letter + sign.repeat(max - letter.length));
        await words.waitFor({ state: 'detached' });
        const sent = page.waitForRequest((request) => request.method() !== 'GET');
        await saves(page).click();
        assert.ok((await sent).postData()?.includes(sign.repeat(max - letter.length)));
      },
      { expects: /401|404/ },
    ));
}

test('no field has a bound of the browser’s own, which cuts without a word', () =>
  scene(async ({ page, base }) => {
    for (const path of ['/sites', site, '/agents', '/keys', '/tags', '/account']) {
      await page.goto(at(base, path));
      await page.waitForFunction(() => document.querySelector('main .spinner') === null);
      const opener = page
        .getByRole('main')
        .getByRole('button', { name: /^(Add a website|Invite|Create a key)$/ });
      if ((await opener.count()) > 0) await opener.click();
      assert.equal(await page.locator('[maxlength]').count(), 0, path);
    }
  }));

test('a limit of conversations goes from none to as many as the server takes; nothing typed is none meant', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/agents'));
    const field = page.getByLabel('Limit: Nora Feld');
    server.rest.set(`PATCH /v1/agents/${AGENT.agent_id}`, { ...AGENT, capacity: 0 });
    const change = async (text: string): Promise<void> => {
      await field.fill(text);
      await field.blur();
    };
    await change('');
    for (const text of ['0', String(CAPACITY_MAX)]) {
      // Once it is answered, the server has it among what was asked.
      const changed = page.waitForResponse((response) => response.request().method() === 'PATCH');
      await change(text);
      assert.deepEqual((await changed).request().postDataJSON(), { capacity: Number(text) });
    }
    assert.equal(server.asked.filter((one) => one.startsWith('PATCH')).length, 2);
    await page.getByRole('link', { name: 'Board' }).click();
    for (const [capacity, button, chosen] of [
      [1, 'Fewer', 0],
      [CAPACITY_MAX - 1, 'More', CAPACITY_MAX],
    ] as const) {
      server.push({ kind: 'agent', card: { ...ME, capacity } });
      await page.locator('.availability-load', { hasText: `/${capacity}` }).waitFor();
      await page.getByRole('button', { name: /^Your availability/ }).click();
      await page.getByRole('button', { name: button, exact: true }).click();
      await page.getByRole('button', { name: button, exact: true, disabled: true }).waitFor();
      await server.until((frame) => frame.kind === 'availability' && frame.capacity === chosen);
      await page.keyboard.press('Escape');
    }
    assert.equal(server.heard.filter((frame) => frame.kind === 'availability').length, 2);
  }));

test('the bounds are the server’s', () => {
  const constant = (file: string, name: string): number => {
    const found = new RegExp(`const ${name}: usize = ([\\d_]+);`).exec(
      readFileSync(`../server/src/${file}.rs`, 'utf8'),
    )?.[1];
    return Number((found ?? '').replaceAll('_', ''));
  };
  const { name, tag, text, notice, url, password } = CHARS_MAX;
  for (const file of ['api/sites', 'api/keys', 'api/agents'])
    assert.equal(name, constant(file, 'NAME_CHARS_MAX'), file);
  assert.equal(tag, constant('api/tags', 'NAME_CHARS_MAX'));
  assert.equal(text, constant('api/sites', 'TEXT_CHARS_MAX'));
  assert.equal(notice, constant('api/sites', 'NOTICE_CHARS_MAX'));
  assert.equal(url, constant('api/sites', 'URL_BYTES_MAX'));
  assert.equal(password, constant('auth/password', 'PASSWORD_CHARS_MAX'));
  assert.match(
    readFileSync('../protocol/src/limits.rs', 'utf8'),
    new RegExp(`CAPACITY_MAX: u16 = ${CAPACITY_MAX};`),
  );
});
