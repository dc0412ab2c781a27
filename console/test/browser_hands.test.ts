// What an agent's hands meet: where the next letter goes, what a key does and what it does not, and
// what stands in the way.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import type { ConversationCard } from '../../protocol/ts/src/wire/frames.ts';
import { card, COLLEAGUE, hex, list, ME, said } from './fake_server.ts';
import type { FakeServer } from './fake_server.ts';
import { at, scene, thread, waiting } from './scene.ts';

const composer = (page: Page): Locator => page.locator('#composer');
const text = (page: Page): Promise<string> => composer(page).inputValue();
const isNote = (page: Page): Promise<boolean> =>
  page.getByRole('radio', { name: 'Note' }).isChecked();
const sent = (server: FakeServer): string[] =>
  server.heard.flatMap((frame) =>
    frame.kind === 'send' && frame.body.kind === 'text'
      ? [`${frame.visibility ?? 'everyone'}: ${frame.body.text}`]
      : [],
  );
const kinds = (server: FakeServer): string[] => server.heard.map((frame) => frame.kind);
const hasFocus = (it: Locator): Promise<boolean> =>
  it.evaluate((element) => element === document.activeElement);
const pause = (page: Page, ms: number): Promise<void> =>
  page.evaluate((wait) => new Promise<void>((done) => setTimeout(done, wait)), ms);
/** What a key did has been done by then. */
const settled = (page: Page): Promise<void> =>
  page.evaluate(
    () =>
      new Promise<void>((done) => requestAnimationFrame(() => requestAnimationFrame(() => done()))),
  );

const offer = (
  server: FakeServer,
  count: number,
  more: Partial<ConversationCard> = {},
  ms = 60_000,
): void => {
  const { assignee: _, ...free } = card(count, {
    state: 'offered',
    offered_to: ME.agent,
    waiting_since: Date.now(),
    ...more,
  });
  server.push({
    kind: 'offer',
    conversation: free.conversation,
    deadline: Date.now() + ms,
    card: free,
  });
};

/** Grants what is asked for as the real server does: the card first, then the answer. */
function grants(server: FakeServer): void {
  let version = 10;
  server.instead = (frame) => {
    if (frame.kind !== 'accept' && frame.kind !== 'assign') return false;
    const count = Number.parseInt(frame.conversation.slice(-4), 16);
    server.push({ kind: 'offer-over', conversation: frame.conversation });
    server.push({ kind: 'conversation', card: card(count, { version: (version += 1) }) });
    return false;
  };
}

const WAYS: readonly {
  readonly name: string;
  readonly path: string;
  readonly cards: readonly ConversationCard[];
  readonly offered?: boolean;
  readonly go: (page: Page) => Promise<void>;
}[] = [
  {
    name: 'accepting by mouse',
    path: '/',
    cards: [],
    offered: true,
    go: (page) => page.getByRole('button', { name: 'Accept' }).click(),
  },
  {
    name: 'accepting by key',
    path: '/',
    cards: [],
    offered: true,
    go: (page) => page.keyboard.press('a'),
  },
  {
    name: 'accepting on a page of settings',
    path: '/account',
    cards: [],
    offered: true,
    go: (page) => page.getByRole('button', { name: 'Accept' }).click(),
  },
  {
    name: 'accepting twice as fast as one can',
    path: '/',
    cards: [],
    offered: true,
    go: (page) => page.getByRole('button', { name: 'Accept' }).dblclick(),
  },
  {
    name: 'taking by mouse',
    path: thread,
    cards: [waiting(1)],
    go: (page) => page.getByRole('button', { name: 'Take it' }).click(),
  },
  {
    name: 'taking by a double click',
    path: thread,
    cards: [waiting(1)],
    go: (page) => page.getByRole('button', { name: 'Take it' }).dblclick(),
  },
  {
    name: 'opening one’s own by mouse',
    path: '/',
    cards: [card(1)],
    go: (page) => page.locator('.row-card').click(),
  },
  {
    name: 'opening one’s own by key',
    path: '/',
    cards: [card(1)],
    go: (page) => page.locator('.row-card').press('Enter'),
  },
  {
    name: 'opening one’s own by its address',
    path: thread,
    cards: [card(1)],
    go: async () => undefined,
  },
];

for (const { name, path, cards, offered, go } of WAYS) {
  test(`after ${name} what is typed is a reply, and nothing else happens`, () =>
    scene(async ({ server, page, base }) => {
      server.cards = [...cards];
      grants(server);
      await page.goto(at(base, path));
      await server.until((frame) => frame.kind === 'watch');
      if (offered === true) {
        await page.waitForFunction(
          () => document.querySelector('main .spinner, .rows .spinner') === null,
        );
        offer(server, 1);
        await page.getByRole('button', { name: 'Decline' }).waitFor();
      } else if (path === thread) await page.getByText('Is the desk in stock?').last().waitFor();
      else await page.locator('.row-card').waitFor();
      await go(page);
      await page.getByRole('heading', { name: 'Visitor Number 1', level: 1 }).waitFor();
      assert.ok(await hasFocus(composer(page)));
      await page.keyboard.type('Hello there');
      assert.equal(await text(page), 'Hello there');
      await page.getByRole('button', { name: 'Close', exact: true }).waitFor();
      await page.keyboard.press('Enter');
      await server.until((frame) => frame.kind === 'send');
      assert.deepEqual(sent(server), ['everyone: Hello there']);
      assert.equal(await page.getByRole('dialog').count(), 0);
      assert.equal(await page.locator('.notice').count(), 0);
      assert.ok(kinds(server).every((kind) => kind !== 'close' && kind !== 'transfer'));
      assert.ok(kinds(server).filter((kind) => kind === 'accept' || kind === 'assign').length <= 1);
    }));
}

test('a word typed while another’s act changes who has the conversation is no row of shortcuts', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [waiting(1)];
    await page.goto(at(base, thread));
    await page.getByText('Nobody has this conversation.').waitFor();
    server.push({ kind: 'conversation', card: card(1, { version: 2 }) });
    await page.getByText('Nobody has this conversation.').waitFor({ state: 'detached' });
    await page.keyboard.type('Hello there', { delay: 150 });
    await settled(page);
    assert.equal(await page.locator('.notice').count(), 0);
    assert.equal(await page.getByRole('dialog').count(), 0);
  }));

for (const words of ['Hello there', 'like that', 'Zebra steps']) {
  test(`“${words}” is no row of shortcuts where what was said has the focus`, () =>
    scene(async ({ page, base }) => {
      await page.goto(at(base, thread));
      await page.getByText('Is the desk in stock?').last().click();
      await pause(page, 1_050);
      // Typed whole, a capital would come without its Shift.
      if (/^\p{Lu}/u.test(words)) await page.keyboard.press(`Shift+${words[0] ?? ''}`);
      else await page.keyboard.type(words[0] ?? '');
      await page.keyboard.type(words.slice(1), { delay: 50 });
      await settled(page);
      assert.equal(await page.locator('.notice').count(), 0);
      assert.equal(await page.getByRole('dialog').count(), 0);
      // Once they rest no more, they are keys again.
      await pause(page, 1_050);
      await page.keyboard.press('e');
      await page.getByRole('button', { name: 'Undo' }).waitFor();
    }));
}

for (const then of ['a press beside it', 'another page', 'the end of the session'] as const) {
  test(`what is typed goes to no conversation that was accepted once there was ${then}`, () =>
    scene(async ({ server, page, base }) => {
      server.cards = [];
      grants(server);
      await page.goto(at(base, '/'));
      await server.until((frame) => frame.kind === 'watch');
      for (const count of [1, 2]) {
        offer(server, count);
        await page.getByRole('button', { name: 'Accept' }).click();
        await page.getByRole('heading', { name: `Visitor Number ${count}`, level: 1 }).waitFor();
        await page.waitForFunction(() => document.activeElement?.id === 'composer');
      }
      if (then === 'a press beside it') await page.getByRole('log').click();
      else if (then === 'another page') await page.getByRole('link', { name: 'Tags' }).click();
      else server.breakLine(4001);
      if (then === 'the end of the session') {
        await page.getByRole('heading', { name: 'Sign in' }).click();
        await page.keyboard.type('x');
      } else {
        await pause(page, 1_050);
        offer(server, 3);
        await page.getByRole('button', { name: 'Accept' }).waitFor();
        await page.keyboard.press('a');
        await server.until(
          (frame) => frame.kind === 'accept' && frame.conversation === card(3).conversation,
        );
      }
      assert.deepEqual(
        server.heard.filter((frame) => frame.kind === 'typing'),
        [],
      );
      const kept = await page.evaluate(() =>
        JSON.stringify({ ...localStorage, ...sessionStorage }),
      );
      assert.ok(!/"reply":"[^"]/.test(kept), kept);
    }));
}

test('who steps through the list steps on; what the next letters would do waits a moment', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [1, 2, 3].map((count) => card(count, { last_message_at: 10 - count }));
    await page.goto(at(base, '/'));
    await page.locator('.row-card').first().waitFor();
    for (const _ of [1, 2, 3]) await page.keyboard.press('j');
    await page.getByRole('heading', { name: 'Visitor Number 3', level: 1 }).waitFor();
    await page.keyboard.press('k');
    await page.getByRole('heading', { name: 'Visitor Number 2', level: 1 }).waitFor();
    assert.equal(await hasFocus(composer(page)), false);
    for (const key of ['t', 'e']) await page.keyboard.press(key);
    await settled(page);
    assert.equal(await page.getByRole('dialog').count(), 0);
    assert.equal(await page.locator('.notice').count(), 0);
  }));

test('no single key acts in anything that takes letters, with another key held, or while a word is composed', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    await composer(page).press('Escape');
    const quiet = async (what: string): Promise<void> => {
      await settled(page);
      assert.equal(await page.locator('.notice').count(), 0, what);
      assert.equal(await page.getByRole('dialog').count(), 0, what);
    };
    // An extension puts fields of its own into the page.
    for (const markup of [
      { contenteditable: 'true' },
      { contenteditable: 'plaintext-only' },
      { role: 'textbox' },
      { role: 'combobox' },
      { role: 'listbox' },
      { role: 'spinbutton' },
    ]) {
      await page.evaluate((attributes) => {
        document.getElementById('foreign')?.remove();
        const field = document.createElement('div');
        field.id = 'foreign';
        field.tabIndex = 0;
        for (const [name, value] of Object.entries(attributes)) field.setAttribute(name, value);
        const inner = document.createElement('b');
        inner.textContent = 'inside';
        field.append(inner);
        document.body.append(field);
        field.focus();
      }, markup);
      await page.keyboard.press('e');
      await quiet(JSON.stringify(markup));
    }
    await page.evaluate(() => {
      const host = document.createElement('div');
      host.attachShadow({ mode: 'open' }).append(document.createElement('input'));
      document.body.append(host);
      host.shadowRoot?.querySelector('input')?.focus();
    });
    await page.keyboard.press('e');
    await quiet('a field in a shadow root');
    await page.evaluate(() => (document.activeElement as HTMLElement).blur());
    for (const chord of ['Control+e', 'Meta+e', 'Alt+e', 'Shift+E']) {
      await page.keyboard.press(chord);
      await quiet(chord);
    }
    for (const init of [
      { modifierAltGraph: true },
      { isComposing: true },
      { keyCode: 229 },
      { repeat: true },
    ]) {
      await page.evaluate(
        (more) =>
          document.body.dispatchEvent(
            new KeyboardEvent('keydown', { key: 'e', bubbles: true, cancelable: true, ...more }),
          ),
        init,
      );
      await quiet(JSON.stringify(init));
    }
    await page.getByRole('button', { name: /^Your availability/ }).click();
    await page.keyboard.press('Tab');
    await page.keyboard.press('e');
    await quiet('an open menu');
    await page.keyboard.press('Escape');
    // And after all that it is still a key.
    await composer(page).press('Escape');
    await page.keyboard.press('e');
    await page.getByRole('button', { name: 'Undo' }).waitFor();
    assert.ok(kinds(server).every((kind) => kind !== 'close'));
  }));

test('a field that is taken away in the middle of a word leaves no shortcut behind', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    await page.evaluate(() => {
      const field = document.createElement('input');
      document.body.append(field);
      field.focus();
    });
    await page.keyboard.type('H');
    await page.evaluate(() => document.activeElement?.remove());
    await page.keyboard.type('ello there');
    await settled(page);
    assert.equal(await page.locator('.notice').count(), 0);
    assert.equal(await page.getByRole('dialog').count(), 0);
  }));

test('Undo stands above a dialog: by mouse, by its key, and by Tab', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    const undo = page.getByRole('button', { name: 'Undo' });
    const ways: readonly (() => Promise<void>)[] = [
      () => undo.click(),
      () => page.keyboard.press('z'),
      async () => {
        for (let step = 0; step < 12 && !(await hasFocus(undo)); step += 1)
          await page.keyboard.press('Tab');
        await page.keyboard.press('Enter');
      },
    ];
    for (const way of ways) {
      await composer(page).press('Escape');
      await page.keyboard.press('e');
      await undo.waitFor();
      await page.keyboard.press('t');
      await page.getByRole('dialog').waitFor();
      const box = await undo.boundingBox();
      assert.ok(box !== null);
      const top = await page.evaluate(([x, y]) => document.elementFromPoint(x, y)?.textContent, [
        box.x + box.width / 2,
        box.y + box.height / 2,
      ] as const);
      assert.equal(top, 'Undo');
      await way();
      await undo.waitFor({ state: 'detached' });
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
    }
    assert.ok(kinds(server).every((kind) => kind !== 'close'));
  }));

test('what can be undone is not pushed out by what else is told', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    await composer(page).press('Escape');
    await page.keyboard.press('e');
    await page.getByRole('button', { name: 'Undo' }).waitFor();
    for (const words of ['one', 'two', 'three', 'four'])
      server.push({ kind: 'reject', request: 0, code: 'invalid', words });
    await page.locator('.notice', { hasText: 'four' }).waitFor();
    assert.equal(await page.getByRole('button', { name: 'Undo' }).count(), 1);
  }));

for (const way of ['mouse', 'key'] as const) {
  test(`a conversation that is taken by ${way} with the cursor in an empty note is answered, not noted`, () =>
    scene(async ({ server, page, base }) => {
      server.cards = [waiting(1)];
      grants(server);
      await page.goto(at(base, thread));
      await page.getByText('Nobody has this conversation.').waitFor();
      await composer(page).click();
      assert.ok(await isNote(page));
      if (way === 'mouse') await page.getByRole('button', { name: 'Take it' }).click();
      else {
        await page.keyboard.press('Escape');
        await page.keyboard.press('a');
      }
      await page.keyboard.type('Good day');
      assert.equal(await isNote(page), false);
      await page.getByText('Nobody has this conversation.').waitFor({ state: 'detached' });
      await page.keyboard.press('Enter');
      await server.until((frame) => frame.kind === 'send');
      assert.deepEqual(sent(server), ['everyone: Good day']);
    }));
}

test('a note that was sent before taking leaves no note behind', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [waiting(1)];
    grants(server);
    await page.goto(at(base, thread));
    await page.getByText('Nobody has this conversation.').waitFor();
    await composer(page).fill('a regular');
    await composer(page).press('Enter');
    await page.getByRole('button', { name: 'Take it' }).click();
    await page.keyboard.type('Good day');
    await page.getByText('Nobody has this conversation.').waitFor({ state: 'detached' });
    await page.keyboard.press('Enter');
    await server.until(
      (frame) =>
        frame.kind === 'send' && frame.body.kind === 'text' && frame.body.text === 'Good day',
    );
    assert.deepEqual(sent(server), ['agents: a regular', 'everyone: Good day']);
  }));

test('a note that is half written when its conversation is taken stays one, and the agent is asked', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [waiting(1)];
    grants(server);
    await page.goto(at(base, thread));
    await page.getByText('Nobody has this conversation.').waitFor();
    await composer(page).fill('he is a thief');
    await page.getByRole('button', { name: 'Take it' }).click();
    await page
      .getByText('You began this internal note before you took the conversation.')
      .waitFor();
    assert.ok(await isNote(page));
    assert.equal(await text(page), 'he is a thief');
    await page.getByRole('button', { name: 'Write to the visitor instead' }).click();
    assert.equal(await isNote(page), false);
    assert.equal(await text(page), '');
    assert.ok(await hasFocus(composer(page)));
    await page.getByText('Note', { exact: true }).click();
    assert.equal(await text(page), 'he is a thief');
    assert.deepEqual(sent(server), []);
  }));

/** How a conversation is taken from under the cursor. */
const LOSSES: readonly { readonly name: string; readonly lose: (server: FakeServer) => void }[] = [
  {
    name: 'is given back while the line is down',
    lose: (server) => {
      server.cards = [{ ...waiting(1), version: 2 }];
      server.breakLine(4200);
    },
  },
  {
    name: 'is taken over by a colleague',
    lose: (server) =>
      server.push({
        kind: 'conversation',
        card: card(1, { version: 2, assignee: COLLEAGUE.agent }),
      }),
  },
  {
    name: 'is closed',
    lose: (server) =>
      server.push({
        kind: 'conversation',
        card: card(1, { version: 2, state: 'closed', closed_at: Date.now() }),
      }),
  },
];

for (const { name, lose } of LOSSES) {
  test(`a sentence is not torn in two when the conversation ${name}`, () =>
    scene(async ({ server, page, base }) => {
      await page.goto(at(base, thread));
      await page.getByText('Is the desk in stock?').last().waitFor();
      await page.keyboard.type('I will gladly');
      lose(server);
      await page.getByText('Your reply is kept here until it can be sent.').waitFor();
      await page.keyboard.type(' send it');
      assert.equal(await isNote(page), false);
      assert.equal(await text(page), 'I will gladly send it');
      await page.keyboard.press('Enter');
      await settled(page);
      assert.deepEqual(sent(server), []);
      // Elsewhere and back: it is still the same.
      await page.locator('.thread-head h1').click();
      assert.equal(await text(page), 'I will gladly send it');
      server.push({ kind: 'conversation', card: card(1, { version: 9 }) });
      await page.getByText('Your reply is kept here').waitFor({ state: 'detached' });
      await composer(page).press('Enter');
      await server.until((frame) => frame.kind === 'send');
      assert.deepEqual(sent(server), ['everyone: I will gladly send it']);
    }));
}

test('the kind of an empty field does not change under the cursor either, in whichever direction', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    assert.ok(await hasFocus(composer(page)));
    server.push({ kind: 'conversation', card: { ...waiting(1), version: 2 } });
    await page.getByText('Nobody has this conversation.').waitFor();
    assert.equal(await isNote(page), false);
    await composer(page).press('Escape');
    assert.ok(await isNote(page));
    await composer(page).click();
    server.push({ kind: 'conversation', card: card(1, { version: 3 }) });
    await page.getByText('Nobody has this conversation.').waitFor({ state: 'detached' });
    assert.ok(await isNote(page));
  }));

test('the list says of a note that it is one, half written or last said, and whose words the others are', () =>
  scene(async ({ server, page, base }) => {
    const { conversation } = card(1);
    server.cards = [card(1), card(2, { last_message_at: 1 })];
    const last = page.locator('.row-card', { hasText: 'Visitor Number 1' }).locator('.row-preview');
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    const colleague = { author: { kind: 'agent', agent: COLLEAGUE.agent } } as const;
    server.push({
      kind: 'message',
      conversation,
      ...said(3, 'he is a thief', { ...colleague, visibility: 'agents' }),
    });
    await last.filter({ hasText: /Note.*Jonas Berg: he is a thief/ }).waitFor();
    server.push({ kind: 'message', conversation, ...said(4, 'We have it', colleague) });
    await last.filter({ hasText: /^Jonas Berg: We have it$/ }).waitFor();
    await page.getByText('Note', { exact: true }).click();
    await composer(page).fill('slow payer');
    await page.locator('.row-card', { hasText: 'Visitor Number 2' }).click();
    await last.filter({ hasText: /Note draft: slow payer/ }).waitFor();
  }));

test('a note is never said to be for everyone, nor what is for everyone a note, whichever card or thread is known', () =>
  scene(async ({ server, page, base }) => {
    const colleague = { kind: 'agent', agent: COLLEAGUE.agent } as const;
    const theirs = { assignee: COLLEAGUE.agent, last_message_at: 1 };
    server.cards = [card(1, { preview: 'Where is my order?' }), card(2, theirs), card(3, theirs)];
    server.history.set(card(1).conversation, [
      said(1, 'Where is my order?'),
      said(2, 'no good payer', { author: colleague, visibility: 'agents' }),
    ]);
    const last = (count: number): Locator =>
      page.locator('.row-card', { hasText: `Visitor Number ${count}` }).locator('.row-preview');
    await page.goto(at(base, thread));
    await page.getByText('no good payer').waitFor();
    await last(1)
      .filter({ hasText: /^Where is my order\?$/ })
      .waitFor();
    server.push({
      kind: 'message',
      conversation: card(1).conversation,
      ...said(3, 'asks often', { author: colleague, visibility: 'agents' }),
    });
    await last(1)
      .filter({ hasText: /Note ?Jonas Berg: asks often$/ })
      .waitFor();
    server.push({
      kind: 'conversation',
      card: card(1, { version: 2, preview: 'Where is my order?', tags: [] }),
    });
    await last(1)
      .filter({ hasText: /^Where is my order\?$/ })
      .waitFor();
    await page.getByRole('tab', { name: 'All' }).click();
    await last(2).click();
    await page.getByText('This conversation is with Jonas Berg.').waitFor();
    server.push({
      kind: 'message',
      conversation: card(2).conversation,
      ...said(3, 'slow payer', { author: colleague, visibility: 'agents' }),
    });
    await last(2)
      .filter({ hasText: /Note ?Jonas Berg: slow payer$/ })
      .waitFor();
    // Its thread is followed no more.
    await last(3).click();
    await page.getByText('hello 3').first().waitFor();
    assert.match((await last(2).textContent()) ?? '', /Note ?Jonas Berg: slow payer$/);
  }));

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}
const overlap = (a: Box, b: Box): boolean =>
  a.x < b.x + b.width - 1 &&
  b.x < a.x + a.width - 1 &&
  a.y < b.y + b.height - 1 &&
  b.y < a.y + a.height - 1;

/** Everything on the screen that one reads or presses, and what lies over it. */
async function covered(page: Page, by: string): Promise<string[]> {
  await page.evaluate(() =>
    Promise.allSettled(
      document
        .getAnimations()
        .map((one) =>
          one.effect?.getComputedTiming().iterations === Infinity ? null : one.finished,
        ),
    ),
  );
  const boxes = async (selector: string): Promise<Box[]> =>
    (await page.locator(selector).filter({ visible: true }).all()).reduce<Promise<Box[]>>(
      async (all, one) => {
        const box = await one.boundingBox();
        return box === null ? all : [...(await all), box];
      },
      Promise.resolve([]),
    );
  const over = await boxes(by);
  assert.ok(over.length > 0, `no ${by}`);
  const size = page.viewportSize();
  for (const box of over) {
    assert.ok(
      size !== null &&
        box.x >= 0 &&
        box.y >= 0 &&
        box.x + box.width <= size.width &&
        box.y + box.height <= size.height,
      `off the screen: ${JSON.stringify(box)}`,
    );
  }
  const found: string[] = [];
  for (const selector of [
    '.rows',
    '.list-head',
    '.tabs',
    '.list-tools',
    '.thread-head',
    '.messages',
    '.composer',
    '.untaken',
    '.context',
    '.rail',
    '.settings',
    '.line-bar',
  ]) {
    for (const box of await boxes(selector))
      if (over.some((one) => overlap(one, box))) found.push(selector);
  }
  return found;
}

for (const [width, height] of [
  [1280, 800],
  [1000, 560],
  [800, 700],
  [360, 640],
] as const) {
  test(`five offers are one card, the oldest, and cover nothing on ${width} by ${height}`, () =>
    scene(
      async ({ server, page, base }) => {
        await page.goto(at(base, thread));
        await page.getByText('Is the desk in stock?').last().waitFor();
        for (const count of [3, 4, 5, 6, 7])
          offer(server, count, {
            preview: `A question of some length, which goes on over more than one line, and has the number ${count}`,
          });
        await page.getByText('+4 more').waitFor();
        assert.equal(
          await page.getByRole('region', { name: 'New conversation' }).getByRole('article').count(),
          1,
        );
        for (const path of [thread, '/', '/sites', '/account']) {
          await page.goto(at(base, path));
          await page.waitForFunction(
            () => document.querySelector('main .spinner, .rows .spinner') === null,
          );
          assert.deepEqual(await covered(page, '.offer'), [], path);
        }
        await page.locator('.offer', { hasText: 'Visitor Number 3' }).waitFor();
        await page.evaluate(() => (document.activeElement as HTMLElement).blur());
        // The thread was on the screen a moment ago: single keys rest for a second.
        const since = await page.evaluate(() => performance.now());
        await page.waitForFunction((at) => performance.now() - at > 1_000, since);
        await page.keyboard.press('a');
        const accepted = await server.until((frame) => frame.kind === 'accept');
        assert.ok(accepted.kind === 'accept' && accepted.conversation === card(3).conversation);
      },
      { width, height },
    ));

  test(`notices cover neither the newest message nor anything else on ${width} by ${height}`, () =>
    scene(
      async ({ server, page, base }) => {
        server.history.set(
          card(1).conversation,
          Array.from({ length: 30 }, (_, at) => said(at + 1, `line ${at}`)),
        );
        await page.goto(at(base, thread));
        await page.getByText('line 29', { exact: true }).waitFor();
        for (const words of ['first', 'second', 'third'])
          server.push({ kind: 'reject', request: 0, code: 'invalid', words });
        await page.locator('.notice', { hasText: 'third' }).waitFor();
        assert.deepEqual(await covered(page, '.notices'), []);
        offer(server, 9);
        await page.getByRole('button', { name: 'Decline' }).waitFor();
        assert.deepEqual(
          [...(await covered(page, '.notices')), ...(await covered(page, '.offer'))],
          [],
        );
        const newest = await page.getByText('line 29', { exact: true }).boundingBox();
        const log = await page.getByRole('log').boundingBox();
        assert.ok(
          newest !== null &&
            log !== null &&
            newest.y + newest.height <= log.y + log.height &&
            newest.y >= log.y,
          'the newest message is out of sight',
        );
      },
      { width, height },
    ));
}

test('an offer quotes its visitor, and neither a note nor a colleague', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/'));
    await page.locator('.row-card').waitFor();
    const colleague = { kind: 'agent', agent: COLLEAGUE.agent } as const;
    server.history.set(card(7).conversation, [
      said(1, 'Where is my order?'),
      said(2, 'We look', { author: colleague }),
      said(3, 'he is a thief', { author: colleague, visibility: 'agents' }),
    ]);
    offer(server, 7, { preview: 'he is a thief', last_author: colleague, seq_last: 3 });
    await page.locator('.offer-preview', { hasText: 'Where is my order?' }).waitFor();
    assert.equal(await page.locator('.offer', { hasText: /thief|We look/ }).count(), 0);
    server.push({
      kind: 'message',
      conversation: card(7).conversation,
      ...said(4, 'still a thief', { author: colleague, visibility: 'agents' }),
    });
    server.push({ kind: 'message', conversation: card(7).conversation, ...said(5, 'Hello?') });
    await page.locator('.offer-preview', { hasText: 'Hello?' }).waitFor();
    server.push({ kind: 'offer-over', conversation: card(7).conversation });
    // Where nothing but the card is known.
    server.instead = (frame) =>
      frame.kind === 'watch' && frame.conversation === card(8).conversation;
    offer(server, 8, { preview: 'We look', last_author: colleague });
    await page.locator('.offer', { hasText: 'Visitor Number 8' }).waitFor();
    assert.equal(await page.locator('.offer-preview').count(), 0);
  }));

const ENDINGS: readonly {
  readonly name: string;
  readonly gone: boolean;
  readonly end: (server: FakeServer) => void;
}[] = [
  {
    name: 'a colleague takes',
    gone: true,
    end: (server) =>
      server.push({
        kind: 'conversation',
        card: card(8, { version: 5, assignee: COLLEAGUE.agent }),
      }),
  },
  {
    name: 'one takes oneself',
    gone: true,
    end: (server) => server.push({ kind: 'conversation', card: card(8, { version: 5 }) }),
  },
  {
    name: 'is closed',
    gone: true,
    end: (server) =>
      server.push({
        kind: 'conversation',
        card: { ...waiting(8), version: 5, state: 'closed', closed_at: Date.now() },
      }),
  },
  {
    name: 'is answered',
    gone: true,
    end: (server) =>
      server.push({
        kind: 'message',
        conversation: card(8).conversation,
        ...said(9, 'Yes', { author: { kind: 'agent', agent: COLLEAGUE.agent } }),
      }),
  },
  {
    name: 'is erased',
    gone: true,
    end: (server) => server.push({ kind: 'forget', conversation: card(8).conversation }),
  },
  {
    name: 'waits on',
    gone: false,
    end: (server) => server.push({ kind: 'conversation', card: { ...waiting(8), version: 5 } }),
  },
];

for (const { name, gone, end } of ENDINGS) {
  test(`“You missed” of a conversation that ${name} ${gone ? 'goes' : 'stays'}`, () =>
    scene(async ({ server, page, base }) => {
      await page.goto(at(base, '/'));
      await page.locator('.row-card').waitFor();
      offer(server, 8, {}, 200);
      await page.getByRole('button', { name: 'Decline' }).waitFor();
      server.push({ kind: 'offer-over', conversation: card(8).conversation });
      server.push({ kind: 'conversation', card: { ...waiting(8), version: 4 } });
      const notice = page.locator('.notice', {
        hasText: 'You missed a conversation that was offered to you: Visitor Number 8.',
      });
      await notice.waitFor();
      end(server);
      if (gone) await notice.waitFor({ state: 'detached' });
      else {
        await page.getByRole('tab', { name: 'Waiting' }).click();
        await page.locator('.row-card', { hasText: 'Visitor Number 8' }).waitFor();
        assert.equal(await notice.count(), 1);
      }
    }));
}

test('the next offer is not accepted by the second press that was meant for the one before', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/'));
    await page.locator('.row-card').waitFor();
    server.instead = (frame) => {
      if (frame.kind === 'decline')
        server.push({ kind: 'offer-over', conversation: frame.conversation });
      return false;
    };
    offer(server, 7);
    offer(server, 8);
    await page.getByText('+1 more').waitFor();
    await page.getByRole('button', { name: 'Decline' }).focus();
    await page.keyboard.press('Enter');
    await page.locator('.offer', { hasText: 'Visitor Number 8' }).waitFor();
    await page.keyboard.press('Enter');
    await settled(page);
    assert.deepEqual(
      kinds(server).filter((kind) => kind === 'accept' || kind === 'decline'),
      ['decline'],
    );
    // The focus is where the next one is.
    await page.keyboard.press('Tab');
    assert.ok(await hasFocus(page.getByRole('button', { name: 'Accept' })));
  }));

test('arrow keys show where the focus is, in every menu', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    for (const [menu, item] of [
      [/^Your availability/, /^(Away|Offline)/],
      ['Edit tags', 'Sales'],
    ] as const) {
      await page.getByRole('button', { name: menu }).click();
      for (const _ of [1, 2]) await page.keyboard.press('ArrowDown');
      const focused = page.locator('.menu-panel :focus');
      assert.ok(
        await focused.evaluate(
          (one) =>
            getComputedStyle(one).outlineStyle !== 'none' &&
            Number.parseFloat(getComputedStyle(one).outlineWidth) >= 2,
        ),
        String(menu),
      );
      assert.equal(
        await page
          .getByRole('radio', { name: item })
          .or(page.getByRole('checkbox', { name: item }))
          .and(focused)
          .count(),
        1,
        String(menu),
      );
      await page.keyboard.press('Escape');
      assert.ok(await hasFocus(page.getByRole('button', { name: menu })));
    }
  }));

test('who is available is not told to become it', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [];
    await page.goto(at(base, '/'));
    await page.getByText('No conversation is yours right now.').waitFor();
    assert.equal(await page.getByText('Set yourself to Available').count(), 0);
    server.push({ kind: 'agent', card: { ...ME, availability: 'away' } });
    await page.getByText('Set yourself to Available').waitFor();
  }));

test('a conversation is not handed to whom it is with, and no longer handed over once it is closed', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [card(1, { assignee: COLLEAGUE.agent })];
    await page.goto(at(base, thread));
    await page.getByRole('button', { name: 'Transfer' }).click();
    const dialog = page.getByRole('dialog');
    await dialog.waitFor();
    assert.equal(await dialog.getByText(COLLEAGUE.name).count(), 0);
    server.push({ kind: 'conversation', card: card(1, { version: 2 }) });
    await dialog.getByText(COLLEAGUE.name).waitFor();
    server.push({
      kind: 'conversation',
      card: card(1, { version: 3, state: 'closed', closed_at: Date.now() }),
    });
    await dialog.waitFor({ state: 'detached' });
  }));

test('what has nothing to see in it is not sent, not typed, and not a name', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [
      card(1, {
        visitor: { visitor: 'vis_000000000000000000000000000000ab', name: '\u200B\u2800' },
      }),
    ];
    await page.goto(at(base, thread));
    await page.getByRole('heading', { name: 'Visitor 00AB', level: 1 }).waitFor();
    for (const nothing of ['\u200B', '\u2800', ' \u3164 ', '\u00AD\u2060', '\u202E']) {
      for (const mode of ['Reply', 'Note']) {
        await page.getByText(mode, { exact: true }).click();
        await composer(page).fill(nothing);
        await composer(page).press('Enter');
        assert.ok(
          await page
            .getByRole('button', { name: mode === 'Note' ? 'Add note' : 'Send' })
            .isDisabled(),
        );
        await composer(page).fill('');
      }
    }
    assert.deepEqual(sent(server), []);
    assert.ok(server.heard.every((frame) => frame.kind !== 'typing' || !frame.typing));
  }));

test('who leads takes over what a colleague has, and writes at once; who does not is not offered it', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [card(1, { assignee: COLLEAGUE.agent })];
    server.instead = (frame) => {
      if (frame.kind === 'take-over')
        server.push({ kind: 'conversation', card: card(1, { version: 2 }) });
      return false;
    };
    await page.goto(at(base, thread));
    await page.getByText('This conversation is with Jonas Berg.').waitFor();
    await page.getByRole('button', { name: 'Take over' }).dblclick();
    const asked = await server.until((frame) => frame.kind === 'take-over');
    assert.equal(asked.kind === 'take-over' && asked.from, COLLEAGUE.agent);
    await page.getByText('This conversation is with Jonas Berg.').waitFor({ state: 'detached' });
    await page.keyboard.type('Hello there');
    await page.keyboard.press('Enter');
    await server.until((frame) => frame.kind === 'send');
    assert.deepEqual(sent(server), ['everyone: Hello there']);
    assert.equal(await page.getByRole('dialog').count(), 0);
    assert.equal(await page.getByRole('button', { name: 'Take over' }).count(), 0);
    const current = server.rest.get('/v1/sessions/current') as { agent: object };
    server.rest.set('/v1/sessions/current', {
      ...current,
      agent: { ...current.agent, role: 'agent' },
    });
    await page.reload();
    await page.getByText('This conversation is with Jonas Berg.').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Take over' }).count(), 0);
  }));

for (const [who, assignee] of [
  ['whoever has the conversation', ME.agent],
  ['whoever leads', COLLEAGUE.agent],
] as const) {
  test(`a transfer that nobody has answered is withdrawn by ${who}`, () =>
    scene(async ({ server, page, base }) => {
      server.cards = [card(1, { assignee, offered_to: `agt_${'0'.repeat(31)}9` })];
      await page.goto(at(base, thread));
      await page.getByRole('button', { name: 'Withdraw' }).click();
      await server.until((frame) => frame.kind === 'withdraw');
      server.push({ kind: 'conversation', card: card(1, { version: 2, assignee }) });
      await page.getByRole('button', { name: 'Withdraw' }).waitFor({ state: 'detached' });
      await page.getByRole('button', { name: 'Transfer' }).waitFor();
      // Nobody refused it.
      assert.equal(await page.locator('.untaken, .notice').count(), 0);
    }));
}

test('a transfer that was answered while it was being withdrawn stands as it was', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [card(1, { offered_to: COLLEAGUE.agent })];
    server.instead = (frame) => {
      if (frame.kind === 'withdraw')
        server.push({ kind: 'reject', request: frame.request, code: 'forbidden', words: '' });
      return frame.kind === 'withdraw';
    };
    await page.goto(at(base, thread));
    await page.getByRole('button', { name: 'Withdraw' }).click();
    await page.getByText('Your role does not allow this.').waitFor();
    await page.getByText('Offered to Jonas Berg').waitFor();
    await page.getByRole('button', { name: 'Withdraw' }).waitFor();
  }));

test('who is set to Away by what was missed is told why, until they are back', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    const told = page.locator('.notice', { hasText: 'so you were set to Away' });
    const sent = { ...ME, availability: 'away', availability_cause: 'missed-offers' } as const;
    server.push({ kind: 'agent', card: sent });
    await told.waitFor();
    server.push({ kind: 'agent', card: { ...ME, availability: 'away' } });
    await told.waitFor({ state: 'detached' });
    server.me = sent;
    await page.reload();
    await told.getByRole('button', { name: 'I am available' }).click();
    const chosen = await server.until((frame) => frame.kind === 'availability');
    assert.equal(chosen.kind === 'availability' && chosen.availability, 'available');
    await told.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: /^Your availability: Available/ }).waitFor();
  }));

test('whoever is to lose their conversations is told so: when sent to Away, and before choosing', () =>
  scene(async ({ server, page, base }) => {
    server.me = { ...ME, availability: 'away', availability_cause: 'missed-offers' };
    await page.goto(at(base, thread));
    await page
      .locator('.notice', { hasText: 'soon your conversations go back to the queue' })
      .waitFor();
    await page.getByRole('button', { name: /^Your availability/ }).click();
    const choice = (name: RegExp): Locator => page.getByRole('radio', { name });
    assert.match((await choice(/^Away/).textContent()) ?? '', /soon lose yours/);
    assert.match((await choice(/^Offline/).textContent()) ?? '', /Soon yours go back to the queue/);
    server.push({ kind: 'agent', card: { ...ME, availability: 'away' } });
    await choice(/^Away.*You keep yours/).waitFor();
  }));

test('“+1 more” leads where the other one is', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/'));
    await page.locator('.row-card').waitFor();
    offer(server, 7);
    await page.getByRole('button', { name: 'Decline' }).waitFor();
    const handed = card(8, { assignee: COLLEAGUE.agent, offered_to: ME.agent });
    server.push({
      kind: 'offer',
      conversation: handed.conversation,
      deadline: Date.now() + 60_000,
      card: handed,
      transfer_from: COLLEAGUE.agent,
    });
    await page.getByText('+1 more').click();
    await page.locator('.row-card', { hasText: 'Visitor Number 8' }).waitFor({ timeout: 5_000 });
    server.push({ kind: 'offer-over', conversation: handed.conversation });
    offer(server, 9);
    await page.getByText('+1 more').click();
    await page.locator('.row-card', { hasText: 'Visitor Number 9' }).waitFor();
    assert.equal(
      await page.getByRole('tab', { name: 'Waiting' }).getAttribute('aria-selected'),
      'true',
    );
  }));

test('what stays until it is put away is not pushed out by what passes', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/'));
    await page.locator('.row-card').waitFor();
    offer(server, 8, {}, 200);
    await page.getByRole('button', { name: 'Decline' }).waitFor();
    server.push({ kind: 'offer-over', conversation: card(8).conversation });
    const missed = page.locator('.notice', { hasText: 'You missed' });
    await missed.waitFor();
    for (const words of ['one', 'two', 'three', 'four'])
      server.push({ kind: 'reject', request: 0, code: 'invalid', words });
    await page.locator('.notice', { hasText: 'four' }).waitFor();
    assert.equal(await missed.count(), 1);
    assert.equal(await page.locator('.notice').count(), 3);
  }));

test('tags that are ticked one right after the other are all there', () =>
  scene(async ({ server, page, base }) => {
    const tags = [1, 2].map((count) => `tag_${hex(count)}`);
    server.rest.set(
      '/v1/tags',
      list({ tag_id: tags[0], name: 'Sales' }, { tag_id: tags[1], name: 'Bulk' }),
    );
    const put: unknown[] = [];
    await page.route('**/v1/conversations/*/tags', async (route) => {
      put.push(route.request().postDataJSON());
      await new Promise((done) => setTimeout(done, 300));
      await route.fulfill({ json: {} });
    });
    await page.goto(at(base, thread));
    await page.getByRole('button', { name: 'Edit tags' }).click();
    for (const name of ['Sales', 'Bulk']) await page.getByRole('checkbox', { name }).click();
    await page.locator('.tag-row .tag').nth(1).waitFor({ timeout: 5_000 });
    assert.deepEqual(put, [{ tags: tags.slice(0, 1) }, { tags }]);
  }));
