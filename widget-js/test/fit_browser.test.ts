// How the chat fits into the window that it is given, and what can be seen of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Locator, Page } from 'playwright-core';

import { conversationOf, eventually, open, said, server, shoot, visit, write } from './rig.ts';

const FORM = { name: 'required', email: 'optional' };
const NOTICE = {
  text: 'We use this chat to answer your questions. '.repeat(9),
  url: 'https://example.test/privacy',
  hash: 'ab'.repeat(32),
};
/** Phones both ways, with and without a keyboard; small windows; 400% of a usual one. */
const SIZES = [
  [390, 844],
  [360, 640],
  [320, 568],
  [390, 500],
  [390, 340],
  [844, 390],
  [932, 430],
  [740, 360],
  [667, 375],
  [568, 320],
  [320, 256],
  [640, 200],
  [1280, 800],
  [1280, 640],
  [1280, 560],
  [1280, 500],
  [1280, 481],
  [1024, 480],
  [1100, 300],
  [481, 481],
] as const;

/** Whether all of it is in the window and nothing lies over it. */
const inSight = (what: Locator): Promise<boolean> =>
  what.evaluate((one) => {
    const { left, top, right, bottom } = one.getBoundingClientRect();
    const hit = (one.getRootNode() as ShadowRoot).elementFromPoint(
      (left + right) / 2,
      (top + bottom) / 2,
    );
    return (
      left >= 0 &&
      top >= 0 &&
      right <= innerWidth &&
      bottom <= innerHeight &&
      (hit === one || one.contains(hit))
    );
  });
const composer = (page: Page): Locator => page.getByRole('textbox', { name: 'Your message' });
const parts = (page: Page): Locator[] => [
  page.getByLabel('Your name'),
  page.getByLabel('Your e-mail'),
  composer(page),
  page.getByRole('button', { name: 'Send' }),
];

for (const [words, site] of [
  ['the form', { form: FORM }],
  ['the form and a long notice', { form: FORM, notice: NOTICE }],
  ['no form', {}],
] as const) {
  test(`whatever the window, everything in the panel can be reached, with ${words}`, async () => {
    server.site = site;
    const page = await visit();
    await open(page);
    for (const [width, height] of SIZES) {
      await page.setViewportSize({ width, height });
      await shoot(page, `fit-${words.replaceAll(' ', '-')}-${width}x${height}`);
      const size = `${width}x${height}`;
      // Where there is room for two lines of the messages, a field and the composer, these are in
      // sight at once.
      if (height >= 256 && !('notice' in site))
        for (const part of parts(page).slice(2))
          assert.ok(await inSight(part), `${size}: the composer is out of sight`);
      for (const part of [
        ...('form' in site ? parts(page) : parts(page).slice(2)),
        page.getByRole('button', { name: 'Close the chat' }).first(),
      ]) {
        await part.scrollIntoViewIfNeeded();
        assert.ok(
          await inSight(part),
          `${size}: ${String((await part.getAttribute('aria-label')) ?? (await part.getAttribute('name')))} is out of reach`,
        );
      }
      // A script scrolls what a hand cannot.
      const cut = await page
        .getByRole('dialog')
        .evaluate((panel) =>
          [panel, ...panel.querySelectorAll('*')]
            .filter(
              (one) =>
                one.scrollHeight > one.clientHeight + 1 &&
                one.clientHeight > 1 &&
                getComputedStyle(one).overflowY === 'hidden',
            )
            .map(({ className }) => className),
        );
      assert.deepEqual(cut, [], size);
      const log = await page.getByRole('log').boundingBox();
      assert.ok(log && log.height >= 40, `${size}: the messages have ${log?.height}`);
    }
  });
}

test('in a low window a conversation can be read and gone on with', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  for (let seq = 2; seq < 9; seq++) server.speak(conversationOf(server), said(seq, `line ${seq}`));
  await page.getByText('line 8').waitFor();
  await composer(page).fill('one\ntwo\nthree\nfour\nfive\nsix\nseven');
  for (const [width, height] of SIZES) {
    await page.setViewportSize({ width, height });
    for (const part of [composer(page), page.getByRole('button', { name: 'Send' })]) {
      await part.scrollIntoViewIfNeeded();
      assert.ok(await inSight(part), `${width}x${height}`);
    }
  }
});

test('on a low window the panel is all there is, and the page has its keys and its scrolling back on a higher one', async () => {
  const page = await visit();
  await open(page);
  for (const [height, modal] of [
    [390, 'true'],
    [760, null],
  ] as const) {
    await page.setViewportSize({ width: 844, height });
    await eventually(
      async () => (await page.getByRole('dialog').getAttribute('aria-modal')) === modal,
    );
    const box = await page.getByRole('dialog').boundingBox();
    assert.equal(box?.width === 844 && box.height === 390, modal === 'true');
    assert.equal(await page.locator('.launcher').isVisible(), modal === null);
  }
});

for (const zoom of [0.8, 1.5, 2]) {
  test(`on a page that is shown at ${zoom} the whole panel is in the window`, async () => {
    server.site = { form: FORM };
    const page = await visit();
    await page.evaluate(`document.documentElement.style.zoom = ${zoom}`);
    await open(page);
    for (const [width, height] of [
      [1100, 760],
      [1200, 800],
      [900, 600],
      [390, 780],
    ] as const) {
      await page.setViewportSize({ width, height });
      const box = await page.getByRole('dialog').boundingBox();
      assert.ok(
        box &&
          box.x >= 0 &&
          box.y >= 0 &&
          box.x + box.width <= width &&
          box.y + box.height <= height,
        `${width}x${height} ${JSON.stringify(box)}`,
      );
      for (const part of [
        page.getByRole('button', { name: 'Close the chat' }).first(),
        composer(page),
      ]) {
        await part.scrollIntoViewIfNeeded();
        assert.ok(await inSight(part), `${width}x${height}`);
      }
    }
  });
}

/**
 * The controls whose edge is told from what is around it by less than three to one, where an edge
 * is what shows them.
 */
const faint = (page: Page): Promise<string[]> =>
  page.getByRole('dialog').evaluate((panel) => {
    const light = (colour: string): number => {
      const [red = 0, green = 0, blue = 0] = (colour.match(/[\d.]+/g) ?? [])
        .map(Number)
        .map((part) => (part <= 10.3 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * red + 0.7152 * green + 0.0722 * blue + 0.05;
    };
    const ground = (one: Element | null): string => {
      const { backgroundColor } = getComputedStyle(one ?? panel);
      return one && /, 0\)/.test(backgroundColor) ? ground(one.parentElement) : backgroundColor;
    };
    return [...panel.querySelectorAll('input, textarea, button')]
      .map((one) =>
        one.closest('.write') && one.localName === 'textarea'
          ? (one.closest('.write') as Element)
          : one,
      )
      .filter(
        (one) => one.getClientRects().length > 0 && getComputedStyle(one).borderTopWidth !== '0px',
      )
      .flatMap((one) =>
        [ground(one), ground(one.parentElement)].map((around) => {
          const [dark = 0, bright = 0] = [
            light(getComputedStyle(one).borderTopColor),
            light(around),
          ].sort((a, b) => a - b);
          return `${one.className || one.getAttribute('name')}: ${(bright / dark).toFixed(2)}`;
        }),
      )
      .filter((line) => Number(line.split(': ')[1]) < 3);
  });

for (const colorScheme of ['light', 'dark'] as const) {
  test(`every control is told from its ground by its edge, ${colorScheme}`, async () => {
    server.site = { form: FORM };
    const page = await visit();
    await page.emulateMedia({ colorScheme });
    await open(page);
    // What has the cursor has another edge.
    await page.getByRole('log').focus();
    assert.deepEqual(await faint(page), []);
    await page.getByLabel('Your name').fill('Ada');
    await write(page, 'hello');
    await page.getByText('Sent', { exact: true }).waitFor();
    server.refuses = { kinds: ['send'], times: 1, code: 'too-long' };
    await write(page, 'too much');
    await page.getByRole('button', { name: 'Try again' }).waitFor();
    await page.getByRole('button', { name: 'End the conversation' }).click();
    await page.getByRole('button', { name: 'Keep it' }).waitFor();
    await page.getByRole('log').focus();
    assert.equal(await page.locator('.small:visible').count(), 4);
    assert.deepEqual(await faint(page), []);
  });
}
