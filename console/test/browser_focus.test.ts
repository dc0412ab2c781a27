// Where the focus is after every act, by mouse and by key, and what the letters do that are typed
// then.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import type { ConversationCard, ServerFrame } from '../../protocol/ts/src/wire/frames.ts';
import { AGENT, card, COLLEAGUE, hex, list, ME } from './fake_server.ts';
import type { FakeServer } from './fake_server.ts';
import { at, scene, thread, waiting } from './scene.ts';

const WORDS = 'Hello there, etc';
const composer = (page: Page): Locator => page.locator('#composer');
const dialog = (page: Page): Locator => page.getByRole('dialog');
const bySomeone = (page: Page, name: string | RegExp): Locator =>
  page.getByRole('button', { name, exact: true });
const main = (page: Page, name: string): Locator =>
  page.getByRole('main').getByRole('button', { name, exact: true });
const rowOf = (page: Page, count: number): Locator =>
  page.locator('.row-card', { hasText: `Visitor Number ${count}` });
const pause = (page: Page, ms: number): Promise<void> =>
  page.evaluate((wait) => new Promise<void>((done) => setTimeout(done, wait)), ms);
/** What an answer did is on the screen by then. */
const settled = (page: Page): Promise<void> => pause(page, 80);

/** Everything that changes a conversation, a key or an agent. */
const ACTS = [
  'accept',
  'assign',
  'take-over',
  'decline',
  'transfer',
  'withdraw',
  'close',
  'reopen',
];
const acts = (server: FakeServer): string[] =>
  server.heard.map((frame) => frame.kind).filter((kind) => ACTS.includes(kind));

/**
 * Does what is asked. `late`: the answer comes before the card that it changed, as from another
 * node.
 */
function serves(server: FakeServer, late: boolean): void {
  let version = 10;
  server.instead = (frame) => {
    if (
      !ACTS.includes(frame.kind) ||
      !('conversation' in frame) ||
      frame.conversation === undefined
    )
      return false;
    const count = Number.parseInt(frame.conversation.slice(-4), 16);
    version += 1;
    const { assignee: _, ...free } = card(count, {
      version,
      state: 'queued',
      waiting_since: Date.now(),
    });
    const { offered_to: _by, ...kept } =
      server.cards.find((one) => one.conversation === frame.conversation) ?? card(count);
    const after: Partial<Record<string, ConversationCard>> = {
      withdraw: { ...kept, version },
      transfer: card(count, { version, offered_to: COLLEAGUE.agent }),
      close: card(count, { version, state: 'closed', closed_at: Date.now() }),
      decline: free,
    };
    const frames: ServerFrame[] = [
      { kind: 'conversation', card: after[frame.kind] ?? card(count, { version }) },
    ];
    if (frame.kind === 'accept' || frame.kind === 'decline')
      frames.unshift({ kind: 'offer-over', conversation: frame.conversation });
    for (const one of frames) {
      if (late) setTimeout(() => server.push(one), 40);
      else server.push(one);
    }
    return false;
  };
}

const offer = (server: FakeServer, count: number): void => {
  const { assignee: _, ...free } = card(count, {
    state: 'offered',
    offered_to: ME.agent,
    waiting_since: Date.now(),
  });
  server.push({
    kind: 'offer',
    conversation: free.conversation,
    deadline: Date.now() + 60_000,
    card: free,
  });
};

/** Presses it, in one way or the other. */
type Press = (it: Locator) => Promise<void>;
type Place = 'composer' | 'row' | 'anywhere';

interface Act {
  readonly name: string;
  readonly path?: string;
  readonly cards?: readonly ConversationCard[];
  readonly before?: (page: Page, server: FakeServer) => Promise<void>;
  readonly go: (page: Page, press: Press, server: FakeServer) => Promise<unknown>;
  /** By a single key: there is no second way. */
  readonly byKey?: boolean;
  readonly then: Place;
}

const keysFree = async (page: Page): Promise<void> => {
  await page.getByText('Is the desk in stock?').last().waitFor();
  await composer(page).press('Escape');
};
const offered = async (page: Page, server: FakeServer): Promise<void> => {
  await page.waitForFunction(
    () => document.querySelector('main .spinner, .rows .spinner') === null,
  );
  offer(server, 7);
  await bySomeone(page, 'Decline').waitFor();
};
const closing = async (page: Page): Promise<void> => {
  await keysFree(page);
  await page.keyboard.press('e');
  await bySomeone(page, 'Undo').waitFor();
};
/** Until when it can be taken back is over. */
const closes = async (page: Page, _: Press, server: FakeServer): Promise<void> => {
  await main(page, 'Close').click();
  await server.until((frame) => frame.kind === 'close');
};
const transferring = async (page: Page): Promise<void> => {
  await main(page, 'Transfer').click();
  await dialog(page).waitFor();
};
const refused = async (page: Page, server: FakeServer): Promise<void> => {
  server.instead = (frame) => {
    if (frame.kind === 'send')
      server.push({ kind: 'reject', request: frame.request, code: 'closed', words: '' });
    return frame.kind === 'send';
  };
  await composer(page).fill('too late');
  await composer(page).press('Enter');
  await bySomeone(page, 'Discard').waitFor();
  server.instead = () => false;
};
const three = [card(1), card(2, { last_message_at: 2 }), card(3, { last_message_at: 1 })];
const theirs = card(1, { assignee: COLLEAGUE.agent, agents: [COLLEAGUE] });
const closed = card(1, { state: 'closed', closed_at: Date.now() });
const asked = card(1, { offered_to: COLLEAGUE.agent });
const { assignee: _none, ...unassigned } = card(1, { state: 'offered', offered_to: ME.agent });

const TABLE: readonly Act[] = [
  {
    name: 'Accept on an offer',
    path: '/',
    cards: [],
    before: offered,
    go: (page, press) => press(bySomeone(page, 'Accept')),
    then: 'composer',
  },
  {
    name: 'Accept on an offer, over another’s thread',
    before: offered,
    go: (page, press) => press(bySomeone(page, 'Accept')),
    then: 'composer',
  },
  {
    name: 'A',
    path: '/account',
    before: offered,
    go: (page) => page.keyboard.press('a'),
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Decline',
    before: offered,
    go: (page, press) => press(bySomeone(page, 'Decline')),
    then: 'composer',
  },
  {
    name: 'Decline, on the empty board',
    path: '/',
    cards: [],
    before: offered,
    go: (page, press) => press(bySomeone(page, 'Decline')),
    then: 'anywhere',
  },
  {
    name: 'Accept in a thread',
    cards: [unassigned],
    go: (page, press) => press(main(page, 'Accept')),
    then: 'composer',
  },
  {
    name: 'Take it',
    cards: [waiting(1)],
    go: (page, press) => press(main(page, 'Take it')),
    then: 'composer',
  },
  {
    name: 'A on one that waits',
    cards: [waiting(1)],
    before: keysFree,
    go: (page) => page.keyboard.press('a'),
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Take over',
    cards: [theirs],
    go: (page, press) => press(main(page, 'Take over')),
    then: 'composer',
  },
  {
    name: 'Reopen',
    cards: [closed],
    go: (page, press) => press(main(page, 'Reopen')),
    then: 'composer',
  },
  {
    name: 'Withdraw',
    cards: [asked],
    go: (page, press) => press(main(page, 'Withdraw')),
    then: 'composer',
  },
  {
    name: 'Withdraw of a colleague’s',
    cards: [{ ...theirs, offered_to: `agt_${'0'.repeat(31)}9` }],
    go: (page, press) => press(main(page, 'Withdraw')),
    then: 'anywhere',
  },
  {
    name: 'Close',
    cards: three,
    go: (page, press) => press(main(page, 'Close')),
    then: 'anywhere',
  },
  { name: 'Close, once it is done', cards: three, go: closes, byKey: true, then: 'row' },
  {
    name: 'Close of the last one, once it is done',
    cards: [card(1)],
    go: closes,
    byKey: true,
    then: 'anywhere',
  },
  {
    name: 'Close of a colleague’s, once it is done',
    cards: [theirs, card(2)],
    go: closes,
    byKey: true,
    then: 'row',
  },
  {
    name: 'Transfer',
    before: transferring,
    go: (page, press) => press(dialog(page).locator('.person')),
    then: 'composer',
  },
  {
    name: 'Transfer, closed by its button',
    before: transferring,
    go: (page, press) => press(dialog(page).getByRole('button', { name: 'Close' })),
    then: 'composer',
  },
  {
    name: 'Transfer, closed by Escape',
    before: transferring,
    go: (page) => page.keyboard.press('Escape'),
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Transfer, closed by a click beside it',
    before: transferring,
    go: (page) => page.mouse.click(8, 8),
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Transfer by T, closed by Escape',
    before: keysFree,
    go: async (page) => {
      await page.keyboard.press('t');
      await dialog(page).waitFor();
      await page.keyboard.press('Escape');
    },
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Transfer that a colleague’s act ends',
    before: transferring,
    go: async (page, _, server) => {
      server.push({
        kind: 'conversation',
        card: card(1, { version: 3, offered_to: COLLEAGUE.agent }),
      });
      await dialog(page).waitFor({ state: 'detached' });
    },
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Undo',
    before: closing,
    go: (page, press) => press(bySomeone(page, 'Undo')),
    then: 'composer',
  },
  {
    name: 'Z',
    before: closing,
    go: (page) => page.keyboard.press('z'),
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Dismiss of the last notice',
    before: async (page, server) => {
      server.push({ kind: 'reject', request: 0, code: 'invalid', words: 'x' });
      await bySomeone(page, 'Dismiss').waitFor();
    },
    go: (page, press) => press(bySomeone(page, 'Dismiss')),
    then: 'composer',
  },
  {
    name: 'Try again of a message',
    before: refused,
    go: (page, press) => press(bySomeone(page, 'Try again')),
    then: 'composer',
  },
  {
    name: 'Discard of a message',
    before: refused,
    go: (page, press) => press(bySomeone(page, 'Discard')),
    then: 'composer',
  },
  {
    name: 'Hide details beside them',
    go: (page, press) =>
      press(page.getByRole('complementary').getByRole('button', { name: 'Hide details' })),
    then: 'composer',
  },
  {
    name: 'Hide details in the head',
    go: (page, press) => press(main(page, 'Hide details')),
    then: 'anywhere',
  },
  {
    name: 'a row of one’s own',
    path: '/',
    cards: three,
    before: (page) => rowOf(page, 2).waitFor(),
    go: (page, press) => press(rowOf(page, 2)),
    then: 'composer',
  },
  {
    name: 'a row of one’s own beside another',
    cards: three,
    before: (page) => rowOf(page, 2).waitFor(),
    go: (page, press) => press(rowOf(page, 2)),
    then: 'composer',
  },
  {
    name: 'J',
    cards: three,
    before: keysFree,
    go: (page) => page.keyboard.press('j'),
    byKey: true,
    then: 'anywhere',
  },
  {
    name: 'J from nowhere',
    path: '/',
    cards: three,
    before: (page) => rowOf(page, 2).waitFor(),
    go: (page) => page.keyboard.press('j'),
    byKey: true,
    then: 'anywhere',
  },
  {
    name: 'Note',
    go: (page) => page.getByText('Note', { exact: true }).click(),
    byKey: true,
    then: 'composer',
  },
  {
    name: 'Send',
    before: (page) => composer(page).fill('Good day'),
    go: (page, press) => press(main(page, 'Send')),
    then: 'composer',
  },
  {
    name: 'Why?',
    go: async (page, press) => {
      await press(bySomeone(page, 'Why?'));
      await dialog(page).waitFor();
      await press(dialog(page).getByRole('button', { name: 'Close' }));
      await dialog(page).waitFor({ state: 'detached' });
    },
    then: 'anywhere',
  },
  {
    name: 'the list of keys',
    go: async (page) => {
      await bySomeone(page, 'Keys').click();
      await dialog(page).waitFor();
      await page.keyboard.press('Escape');
      await dialog(page).waitFor({ state: 'detached' });
    },
    byKey: true,
    then: 'anywhere',
  },
  {
    name: 'the list of keys by its key',
    before: keysFree,
    go: async (page) => {
      await page.keyboard.press('?');
      await dialog(page).waitFor();
      await page.keyboard.press('Escape');
      await dialog(page).waitFor({ state: 'detached' });
    },
    byKey: true,
    then: 'anywhere',
  },
  {
    name: 'a tab',
    go: (page, press) => press(page.getByRole('tab', { name: 'All' })),
    then: 'anywhere',
  },
  {
    name: 'the availability',
    go: async (page, press) => {
      await press(bySomeone(page, /^Your availability/));
      await press(page.getByRole('radio', { name: /^Away/ }));
      await page.locator('.menu-panel').waitFor({ state: 'detached' });
    },
    then: 'anywhere',
  },
  {
    name: 'the last of “Fewer”',
    before: async (_, server) => server.push({ kind: 'agent', card: { ...ME, capacity: 2 } }),
    go: async (page, press) => {
      await press(bySomeone(page, /^Your availability/));
      await press(bySomeone(page, 'Fewer'));
      await page.locator('[role=status], output').filter({ hasText: /^1$/ }).waitFor();
      await settled(page);
      assert.equal(await page.locator('.menu-panel :focus').count(), 1, 'the menu is left');
    },
    then: 'anywhere',
  },
  {
    name: 'leaving the filter',
    before: (page) => page.locator('#filter').click(),
    go: (page) => page.keyboard.press('Escape'),
    byKey: true,
    then: 'anywhere',
  },
];

const PRIVACY = {
  class: 'transcript',
  purposes: [],
  bases: [],
  policy_version: 1,
  ingest_day: '2026-01-01',
  expires_on: null,
  rules: [],
  reason: 'because',
};

/** Whoever watches the buttons sees whether one of them becomes another. */
function watchButtons(): void {
  const names = new WeakMap<Element, string>();
  const changed: string[] = [];
  (window as unknown as { changed: string[] }).changed = changed;
  const nameOf = (button: Element): string =>
    (button.getAttribute('aria-label') ?? button.textContent ?? '').replace(/\d+/g, '0').trim();
  const look = (): void => {
    for (const button of document.querySelectorAll(
      'button:not([aria-pressed], [aria-expanded], [role])',
    )) {
      const name = nameOf(button);
      const before = names.get(button);
      if (before !== undefined && before !== name) changed.push(`${before} became ${name}`);
      names.set(button, name);
    }
  };
  new MutationObserver(look).observe(document, {
    childList: true,
    subtree: true,
    characterData: true,
    attributes: true,
  });
}

/** What has the focus, in a word. */
const focused = (page: Page): Promise<string> =>
  page.evaluate(() => {
    const active = document.activeElement;
    if (active === null || active === document.body) return 'nothing';
    return active.id === 'composer'
      ? 'composer'
      : active.matches('.row-card')
        ? 'row'
        : `${active.localName}.${active.className} ${active.getAttribute('aria-label') ?? ''}`;
  });

const waysOf = (act: Act): readonly ('mouse' | 'Enter' | 'Space' | 'key')[] =>
  act.byKey === true
    ? ['key']
    : ['Close', 'Reopen', 'Take it'].includes(act.name)
      ? ['mouse', 'Enter', 'Space']
      : ['mouse', 'Enter'];

for (const act of TABLE) {
  for (const way of waysOf(act)) {
    test(`after ${act.name}${way === 'key' ? '' : ` by ${way}`} the focus is ${act.then === 'anywhere' ? 'somewhere' : `on the ${act.then}`}, and letters press nothing`, () =>
      scene(async ({ server, page, base }) => {
        await page.addInitScript(watchButtons);
        server.cards = [...(act.cards ?? [card(1), card(2, { last_message_at: 1 })])];
        const path = act.path ?? thread;
        await page.goto(at(base, path));
        await server.until((frame) => frame.kind === 'watch');
        if (path === thread) await page.getByText('Is the desk in stock?').last().waitFor();
        serves(server, way === 'Enter');
        server.rest.set(
          `/v1/conversations/${card(1).conversation}/messages/msg_${hex(1)}/tag`,
          PRIVACY,
        );
        await act.before?.(page, server);
        const before = acts(server).length;
        const press: Press = async (it) => {
          if (way === 'mouse') await it.click();
          else {
            await it.focus();
            // It was come to by keys.
            await page.keyboard.press('Shift');
            await page.keyboard.press(way);
          }
        };
        await act.go(page, press, server);
        // The second press of a hand that shakes.
        if (way === 'Enter' || way === 'Space') await page.keyboard.press(way);
        await settled(page);
        const where = await focused(page);
        if (act.then === 'anywhere') assert.notEqual(where, 'nothing');
        else assert.equal(where, act.then);
        const done = acts(server).length;
        assert.ok(done - before <= 1, `pressed more than once: ${acts(server).join(' ')}`);
        const notices = await page.locator('.notice').count();
        await page.keyboard.type(WORDS, { delay: 5 });
        await settled(page);
        if (act.then === 'composer') assert.equal(await composer(page).inputValue(), WORDS);
        assert.equal(acts(server).length, done, acts(server).join(' '));
        assert.ok((await page.locator('.notice').count()) <= notices, 'something is being closed');
        assert.equal(await dialog(page).count(), 0);
        assert.notEqual(await focused(page), 'nothing');
        assert.deepEqual(
          await page.evaluate(() => (window as unknown as { changed: string[] }).changed),
          [],
          'a button became another',
        );
      }));
  }
}

for (const place of [
  'the same page',
  'another conversation',
  'the empty board',
  'a page of settings',
  'a dialog',
] as const) {
  test(`Z takes back what was closed last, from ${place}`, () =>
    scene(async ({ server, page, base }) => {
      server.cards = three;
      await page.goto(at(base, thread));
      await keysFree(page);
      await page.keyboard.press('e');
      const undo = page.locator('.notice', { hasText: 'Visitor Number 1 is being closed' });
      await undo.waitFor();
      if (place === 'another conversation') {
        await page.keyboard.press('j');
        await page.getByRole('heading', { name: 'Visitor Number 2', level: 1 }).waitFor();
      } else if (place === 'a dialog') await page.keyboard.press('?');
      else if (place !== 'the same page') {
        await page.evaluate(
          (hash) => (location.hash = hash),
          place === 'the empty board' ? '#/' : '#/tags',
        );
        await page.locator('.thread').waitFor({ state: 'detached' });
      }
      if (place !== 'another conversation') await pause(page, 1_050);
      await page.keyboard.press('z');
      await undo.waitFor({ state: 'detached', timeout: 1_000 });
      assert.deepEqual(acts(server), []);
    }));
}

test('Z takes back one closing after the other, the newest first, and is a letter where one types', () =>
  scene(async ({ server, page, base }) => {
    server.cards = three;
    await page.goto(at(base, thread));
    await keysFree(page);
    await page.keyboard.press('e');
    await page.keyboard.press('j');
    await page.getByRole('heading', { name: 'Visitor Number 2', level: 1 }).waitFor();
    await pause(page, 1_050);
    await page.keyboard.press('e');
    const undo = bySomeone(page, 'Undo');
    await page.waitForFunction(() => document.querySelectorAll('.notice-act').length === 2);
    await page.keyboard.press('z');
    await page.locator('.notice', { hasText: 'Visitor Number 2' }).waitFor({ state: 'detached' });
    assert.equal(await undo.count(), 1);
    await page.keyboard.press('z');
    assert.equal(await composer(page).inputValue(), 'z');
    assert.equal(await undo.count(), 1);
    await composer(page).fill('');
    await composer(page).press('Escape');
    await page.keyboard.press('z');
    await undo.waitFor({ state: 'detached' });
    assert.deepEqual(acts(server), []);
  }));

for (const ms of [0, 400]) {
  test(`what is typed before an accept is answered stands in the composer, after ${ms} ms`, () =>
    scene(async ({ server, page, base }) => {
      server.cards = [];
      await page.goto(at(base, '/account'));
      await server.until((frame) => frame.kind === 'watch');
      await offered(page, server);
      server.instead = (frame) => {
        if (frame.kind !== 'accept') return false;
        setTimeout(() => {
          server.push({ kind: 'offer-over', conversation: frame.conversation });
          server.push({ kind: 'conversation', card: card(7, { version: 9 }) });
          server.push({ kind: 'ack', request: frame.request });
        }, ms);
        return true;
      };
      await bySomeone(page, 'Accept').click();
      await page.keyboard.type(WORDS, { delay: 40 });
      await page.getByRole('heading', { name: 'Visitor Number 7', level: 1 }).waitFor();
      await settled(page);
      assert.equal(await composer(page).inputValue(), WORDS);
      assert.equal(await focused(page), 'composer');
    }));
}

interface Setting {
  readonly name: string;
  readonly path: string;
  /** What the server has afterwards. */
  readonly after: (server: FakeServer) => void;
  readonly opens?: (page: Page) => Locator;
  readonly does: (page: Page) => Locator;
  readonly fills?: (page: Page) => Promise<void>;
  readonly asks: string;
}

const SITE = `/v1/sites/sit_${hex(1)}`;
const key = (count: number): object => ({
  key_id: `key_${hex(count)}`,
  name: `Key ${count}`,
  scopes: ['sites:read'],
  created_at: 1,
});
const tag = (count: number): object => ({ tag_id: `tag_${hex(count)}`, name: `Tag ${count}` });
const session = (count: number): object => ({
  session_id: `ses_${hex(count)}`,
  client: `Browser ${count}`,
  current: count === 1,
  created_at: 1,
  expires_at: 9e12,
});
const invited = (count: number): object => ({
  invitation_id: `inv_${hex(count)}`,
  email: `a${count}@b.test`,
  role: 'agent',
  expires_at: 9e12,
});
const colleague = (state: string): object => ({
  ...AGENT,
  agent_id: COLLEAGUE.agent,
  name: COLLEAGUE.name,
  state,
});
const ok = (server: FakeServer, asks: string, answer: unknown = {}): unknown =>
  server.rest.set(asks, answer);
const inDialog =
  (name: string) =>
  (page: Page): Locator =>
    dialog(page).getByRole('button', { name, exact: true });

const SETTINGS: readonly Setting[] = [
  {
    name: 'a key is revoked',
    path: '/keys',
    opens: (page) => main(page, 'Revoke').first(),
    does: inDialog('Revoke'),
    asks: `DELETE /v1/keys/key_${hex(1)}`,
    after: (server) => server.rest.set('/v1/keys', list(key(2), key(3))),
  },
  {
    name: 'the last key is revoked',
    path: '/keys',
    opens: (page) => main(page, 'Revoke').first(),
    does: inDialog('Revoke'),
    asks: `DELETE /v1/keys/key_${hex(1)}`,
    after: (server) => server.rest.set('/v1/keys', list()),
  },
  {
    name: 'a tag is removed',
    path: '/tags',
    opens: (page) => main(page, 'Remove: Tag 2'),
    does: inDialog('Remove'),
    asks: `DELETE /v1/tags/tag_${hex(2)}`,
    after: (server) => server.rest.set('/v1/tags', list(tag(1), tag(3))),
  },
  {
    name: 'the last tag of the list is removed',
    path: '/tags',
    opens: (page) => main(page, 'Remove: Tag 3'),
    does: inDialog('Remove'),
    asks: `DELETE /v1/tags/tag_${hex(3)}`,
    after: (server) => server.rest.set('/v1/tags', list(tag(1), tag(2))),
  },
  {
    name: 'a tag is added',
    path: '/tags',
    fills: (page) => page.getByLabel('Name').fill('Tag 4'),
    does: (page) => main(page, 'Add a tag'),
    asks: 'POST /v1/tags',
    after: (server) => server.rest.set('/v1/tags', list(tag(1), tag(2), tag(3), tag(4))),
  },
  {
    name: 'an agent is deactivated',
    path: '/agents',
    opens: (page) => main(page, 'Deactivate'),
    does: inDialog('Deactivate'),
    asks: `PATCH /v1/agents/${COLLEAGUE.agent}`,
    after: (server) => ok(server, `PATCH /v1/agents/${COLLEAGUE.agent}`, colleague('deactivated')),
  },
  {
    name: 'an invitation is withdrawn',
    path: '/agents',
    does: (page) => main(page, 'Withdraw').first(),
    asks: `DELETE /v1/invitations/inv_${hex(1)}`,
    after: (server) => server.rest.set('/v1/invitations', list(invited(2))),
  },
  {
    name: 'the last invitation is withdrawn',
    path: '/agents',
    does: (page) => main(page, 'Withdraw').first(),
    asks: `DELETE /v1/invitations/inv_${hex(1)}`,
    after: (server) => server.rest.set('/v1/invitations', list()),
  },
  {
    name: 'a session is ended',
    path: '/account',
    does: (page) => main(page, 'Sign out there').first(),
    asks: `DELETE /v1/sessions/ses_${hex(2)}`,
    after: (server) => server.rest.set('/v1/sessions', list(session(1), session(3))),
  },
  {
    name: 'a name is saved',
    path: '/account',
    fills: (page) => page.getByLabel('Name', { exact: true }).fill('Nora F.'),
    does: (page) => main(page, 'Save'),
    asks: `PATCH /v1/agents/${ME.agent}`,
    after: (server) => ok(server, `PATCH /v1/agents/${ME.agent}`, { ...AGENT, name: 'Nora F.' }),
  },
  {
    name: 'an origin is allowed',
    path: `/sites/sit_${hex(1)}`,
    does: (page) => page.getByRole('button', { name: /^Allow/ }).first(),
    asks: `PATCH ${SITE}`,
    after: (server) =>
      ok(server, `PATCH ${SITE}`, { ...(server.rest.get(SITE) as object), refused_origins: [] }),
  },
  {
    name: 'a key is created',
    path: '/keys',
    opens: (page) => main(page, 'Create a key'),
    fills: async (page) => {
      await dialog(page).getByLabel('Name').fill('New');
      await dialog(page).getByRole('checkbox').first().check();
    },
    does: inDialog('Create a key'),
    asks: 'POST /v1/keys',
    after: (server) => ok(server, 'POST /v1/keys', { ...key(9), text: 'lh_secret' }),
  },
  {
    name: 'somebody is invited',
    path: '/agents',
    opens: (page) => main(page, 'Invite'),
    fills: (page) => dialog(page).getByLabel('E-mail').fill('c@d.test'),
    does: inDialog('Invite'),
    asks: 'POST /v1/invitations',
    after: (server) =>
      ok(server, 'POST /v1/invitations', { ...invited(9), link: 'https://x.test/#/1' }),
  },
  {
    name: 'a website is added',
    path: '/sites',
    opens: (page) => main(page, 'Add a website'),
    fills: async (page) => {
      await dialog(page).getByLabel('Name').fill('New');
      await dialog(page).getByLabel('Origins').fill('https://a.test');
    },
    does: inDialog('Add a website'),
    asks: 'POST /v1/sites',
    after: (server) => ok(server, 'POST /v1/sites', server.rest.get(SITE)),
  },
  {
    name: 'a link to set a password is made',
    path: '/agents',
    opens: (page) => page.getByRole('button', { name: /^Link to set/ }),
    does: inDialog('Make the link'),
    asks: `POST /v1/agents/${COLLEAGUE.agent}/password-reset`,
    after: (server) =>
      ok(server, `POST /v1/agents/${COLLEAGUE.agent}/password-reset`, {
        link: 'https://x.test/#/2',
        expires_at: 9e12,
      }),
  },
];

for (const setting of SETTINGS) {
  // By key all of them; by mouse one of each kind.
  const kinds = [
    'a key is revoked',
    'an agent is deactivated',
    'a session is ended',
    'a key is created',
    'a name is saved',
  ];
  for (const way of kinds.includes(setting.name)
    ? (['mouse', 'Enter'] as const)
    : (['Enter'] as const)) {
    test(`when ${setting.name} by ${way}, the focus is somewhere, and a second press does nothing`, () =>
      scene(async ({ server, page, base }) => {
        server.rest.set('/v1/keys', list(key(1), key(2), key(3)));
        server.rest.set('/v1/tags', list(tag(1), tag(2), tag(3)));
        server.rest.set('/v1/sessions', list(session(1), session(2), session(3)));
        server.rest.set('/v1/invitations', list(invited(1), invited(2)));
        server.rest.set('/v1/agents', list(AGENT, colleague('active')));
        server.rest.set(SITE, {
          ...(server.rest.get(SITE) as object),
          refused_origins: [{ origin: 'https://b.test', addable: true, at: Date.now() }],
        });
        ok(server, setting.asks);
        await page.addInitScript(watchButtons);
        await page.goto(at(base, setting.path));
        await page.waitForFunction(
          () =>
            document.querySelector('main') !== null &&
            document.querySelector('main .spinner') === null,
        );
        const press: Press = async (it) => {
          if (way === 'mouse') await it.click();
          else {
            await it.focus();
            await page.keyboard.press('Shift');
            await page.keyboard.press('Enter');
          }
        };
        if (setting.opens !== undefined) {
          await press(setting.opens(page));
          await dialog(page).waitFor();
        }
        await setting.fills?.(page);
        setting.after(server);
        await press(setting.does(page));
        if (way === 'Enter') await page.keyboard.press('Enter');
        for (let round = 0; round < 80 && !server.asked.includes(setting.asks); round += 1)
          await pause(page, 20);
        await settled(page);
        await settled(page);
        assert.equal(server.asked.filter((one) => one === setting.asks).length, 1);
        const where = await focused(page);
        assert.notEqual(where, 'nothing');
        // What is to be pressed next is not what has the focus by itself.
        if (way === 'Enter') {
          await page.keyboard.press('Enter');
          await settled(page);
          assert.equal(server.asked.filter((one) => one === setting.asks).length, 1);
        }
        assert.notEqual(await focused(page), 'nothing');
        if (setting.opens !== undefined && (await dialog(page).count()) > 0) {
          await dialog(page).getByRole('button', { name: 'Close' }).click();
          if ((await page.getByRole('button', { name: 'Leave without saving' }).count()) > 0)
            await page.getByRole('button', { name: 'Leave without saving' }).click();
          await settled(page);
          assert.notEqual(await focused(page), 'nothing');
        }
        assert.deepEqual(
          await page.evaluate(() => (window as unknown as { changed: string[] }).changed),
          [],
          'a button became another',
        );
      }));
  }
}

test('whoever leaves a page finds the focus on the next, by whichever way', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, '/tags'));
    await page.getByLabel('Name').focus();
    await page.evaluate(() => (location.hash = '#/keys'));
    await page.getByRole('heading', { name: 'API keys' }).waitFor();
    await settled(page);
    assert.notEqual(await focused(page), 'nothing');
    await page.getByRole('main').getByRole('button', { name: 'Revoke' }).focus();
    await page.evaluate(() => (location.hash = '#/'));
    await page.locator('.row-card').waitFor();
    await settled(page);
    assert.notEqual(await focused(page), 'nothing');
  }));

for (const kind of ['touch', 'narrow'] as const) {
  test(`on a small screen the focus follows what is shown, ${kind}`, () =>
    scene(
      async ({ page, base }) => {
        await page.goto(at(base, '/'));
        await page.locator('.row-card').click();
        await page.getByText('Is the desk in stock?').last().waitFor();
        await settled(page);
        const where = await focused(page);
        if (kind === 'touch') assert.match(where, /^main/);
        else assert.equal(where, 'composer');
        await page.getByRole('link', { name: 'Back' }).click();
        await page.locator('.row-card').waitFor();
        await settled(page);
        assert.notEqual(await focused(page), 'nothing');
      },
      {
        width: 390,
        height: 780,
        context: kind === 'touch' ? { hasTouch: true, isMobile: true } : {},
      },
    ));
}
