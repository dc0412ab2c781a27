// What can be seen: the edges of what one can write in or choose from (WCAG 1.4.11), and names that
// do not turn the words around them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Page } from 'playwright-core';
import { AGENT, card, COLLEAGUE, hex, list, ME, said } from './fake_server.ts';
import { at, PAGES, scene, thread, waiting } from './scene.ts';
import type { Scene } from './scene.ts';

/** What has less than 3 to 1 between its edge and either side of it. */
async function faint(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
    const parts = (colour: string): number[] => {
      if (canvas === null) return [0, 0, 0, 0];
      canvas.clearRect(0, 0, 1, 1);
      canvas.fillStyle = colour;
      canvas.fillRect(0, 0, 1, 1);
      return [...canvas.getImageData(0, 0, 1, 1).data];
    };
    const luminance = (colour: string): number => {
      const [r = 0, g = 0, b = 0] = parts(colour).map((part) =>
        part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4,
      );
      return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a: string, b: string): number => {
      const [dark = 0, light = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
      return (light + 0.05) / (dark + 0.05);
    };
    const isClear = (colour: string): boolean => parts(colour)[3] === 0;
    const ground = (element: Element | null): string => {
      for (let at = element; at !== null; at = at.parentElement) {
        const colour = getComputedStyle(at).backgroundColor;
        if (!isClear(colour)) return colour;
      }
      return 'white';
    };
    /** The element whose edge is the field's: its own, or that of the box that it fills. */
    const edged = (element: Element): Element | null => {
      for (
        let at: Element | null = element, up = 0;
        at !== null && up < 3;
        at = at.parentElement, up += 1
      ) {
        if (Number.parseFloat(getComputedStyle(at).borderBlockEndWidth) > 0) return at;
      }
      return null;
    };
    const fields = document.querySelectorAll(
      'input:not([type=radio], [type=checkbox], .visually-hidden), textarea, select, .segments, .stepper button',
    );
    return [...fields].flatMap((field) => {
      if (!field.checkVisibility()) return [];
      const box = edged(field);
      const name = `${field.localName} ${field.getAttribute('aria-label') ?? field.id}`;
      if (box === null) return [`${name}: no edge`];
      const edge = getComputedStyle(box).borderBlockEndColor;
      const worst = isClear(edge)
        ? 1
        : Math.min(ratio(edge, ground(box)), ratio(edge, ground(box.parentElement)));
      return worst >= 3 ? [] : [`${name}: ${worst.toFixed(2)}`];
    });
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the edge of every field has three to one on both sides, ${colorScheme}`, () =>
    scene(
      async ({ server, page, base }) => {
        const look = async (what: string): Promise<void> => {
          await page.waitForFunction(
            () => document.querySelector('main .spinner, dialog .spinner') === null,
          );
          // In rest, and with the cursor in it.
          assert.deepEqual(await faint(page), [], what);
          await page.evaluate(() => (document.activeElement as HTMLElement).blur());
          assert.deepEqual(await faint(page), [], `${what}, in rest`);
        };
        for (const path of PAGES) {
          await page.goto(at(base, path));
          await look(path);
        }
        await page.goto(at(base, thread));
        await page.getByText('Is the desk in stock?').last().waitFor();
        await page.getByText('Note', { exact: true }).click();
        await look('a note');
        await page.getByRole('button', { name: /^Your availability/ }).click();
        await look('the availability');
        await page.getByRole('button', { name: /^Your availability/ }).press('Escape');
        await page.getByRole('tab', { name: 'All' }).click();
        await look('all');
        for (const [path, opens] of [
          ['/sites', 'Add a website'],
          ['/agents', 'Invite'],
          ['/keys', 'Create a key'],
        ] as const) {
          await page.goto(at(base, path));
          await page.getByRole('button', { name: opens }).first().click();
          await look(opens);
          await page.keyboard.press('Escape');
        }
        server.signedIn = false;
        await page.reload();
        await page.getByRole('heading', { name: 'Sign in' }).waitFor();
        await look('the door');
      },
      { context: { colorScheme } },
    ));
}

/** Begins to the left and ends to the right, so that what stands beside it changes sides. */
const NAME = 'אבג Qx דה';

/** Where a name stands among other words, and nothing keeps it apart from them. */
async function loose(page: Page): Promise<string[]> {
  return page.evaluate((name) => {
    const found: string[] = [];
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let node = walk.nextNode(); node !== null; node = walk.nextNode()) {
      const text = node.textContent ?? '';
      if (!text.includes(name)) continue;
      const apart = node.parentElement?.closest('bdi, [dir=auto]');
      if (
        apart === null ||
        apart === undefined ||
        !(apart.textContent ?? '').trim().startsWith(name)
      )
        found.push(`${node.parentElement?.outerHTML ?? ''}`.slice(0, 200));
    }
    return found;
  }, NAME);
}

/** Everyone and everything has the name. */
function nameAll(server: Scene['server']): void {
  const me = { ...ME, name: NAME };
  const colleague = { ...COLLEAGUE, name: NAME };
  const visitor = { visitor: `vis_${hex(1)}`, name: NAME, presence: 'connected' } as const;
  const { conversation } = card(1);
  server.me = me;
  server.colleagues = [colleague];
  server.cards = [
    card(1, { visitor, agents: [me, colleague], tags: [`tag_${hex(1)}`], preview: NAME }),
    card(2, {
      visitor,
      assignee: COLLEAGUE.agent,
      agents: [colleague],
      preview: NAME,
      last_author: { kind: 'agent', agent: COLLEAGUE.agent },
    }),
    { ...waiting(3), visitor },
  ];
  const event = (
    seq: number,
    name: 'assigned' | 'transferred' | 'closed' | 'reopened',
  ): ReturnType<typeof said> =>
    said(seq, '', {
      author: { kind: 'system' },
      body: { kind: 'event', event: name, agent: COLLEAGUE.agent },
    });
  server.history.set(conversation, [
    said(1, NAME),
    event(2, 'assigned'),
    event(3, 'transferred'),
    event(4, 'closed'),
    event(5, 'reopened'),
    said(6, NAME, { author: { kind: 'agent', agent: COLLEAGUE.agent } }),
    said(7, NAME, { author: { kind: 'agent', agent: COLLEAGUE.agent }, visibility: 'agents' }),
  ]);
  const site = { ...(server.rest.get(`/v1/sites/sit_${hex(1)}`) as object), name: NAME };
  server.rest.set('/v1/sites', list(site, { ...site, site_id: `sit_${hex(2)}` }));
  server.rest.set(`/v1/sites/sit_${hex(1)}`, site);
  server.rest.set('/v1/tags', list({ tag_id: `tag_${hex(1)}`, name: NAME }));
  server.rest.set(
    '/v1/agents',
    list({ ...AGENT, name: NAME }, { ...AGENT, agent_id: COLLEAGUE.agent, name: NAME }),
  );
  server.rest.set(
    '/v1/keys',
    list({ key_id: `key_${hex(1)}`, name: NAME, scopes: ['sites:read'], created_at: 1 }),
  );
}

test('every name stands apart from the words around it, wherever it is', () =>
  scene(
    async ({ server, page, base }) => {
      nameAll(server);
      const { conversation } = card(1);
      const look = async (what: string): Promise<void> => {
        await page.waitForFunction(
          () => document.querySelector('main .spinner, dialog .spinner') === null,
        );
        assert.ok(
          (await page.locator('body').innerText()).includes(NAME),
          `${what}: the name is not there`,
        );
        assert.deepEqual(await loose(page), [], what);
      };
      for (const path of PAGES.filter((path) => path !== '/account')) {
        await page.goto(at(base, path));
        await look(path);
      }
      await page.goto(at(base, thread));
      await page.getByRole('log').getByText('took over the conversation').waitFor();
      server.push({ kind: 'typing', conversation, author: { kind: 'visitor' }, typing: true });
      server.push({
        kind: 'typing',
        conversation,
        author: { kind: 'agent', agent: COLLEAGUE.agent },
        typing: true,
      });
      await page.locator('.typing').nth(1).waitFor();
      await look('typing');
      await page.locator('#composer').press('Escape');
      await page.keyboard.press('e');
      await page.getByText('is being closed').waitFor();
      await look('closing');
      server.push({ kind: 'message', conversation, ...said(8, 'wait') });
      await page.getByText('wrote something').waitFor();
      await look('kept open');
      const first = server.cards[0];
      assert.ok(first !== undefined);
      await page.getByRole('button', { name: 'Transfer' }).click();
      await look('a transfer');
      await page.getByRole('dialog').locator('.person').first().click();
      await page.getByText('was asked').waitFor();
      await look('asked');
      server.push({
        kind: 'conversation',
        card: { ...first, version: 2, offered_to: COLLEAGUE.agent },
      });
      await page.getByText('Offered to').waitFor();
      await look('offered to a colleague');
      server.push({ kind: 'conversation', card: { ...first, version: 3 } });
      await page.locator('.untaken').waitFor();
      await look('a transfer that came to nothing');
      for (const tab of ['All', 'Waiting']) {
        await page.getByRole('tab', { name: tab }).click();
        await look(tab);
      }
      await page.goto(at(base, `/conversations/${card(2).conversation}`));
      await page.getByText('This conversation is with').waitFor();
      await look('a colleague’s conversation');
      server.push({
        kind: 'offer',
        conversation: card(3).conversation,
        deadline: Date.now() + 600,
        transfer_from: COLLEAGUE.agent,
        card: {
          ...waiting(3),
          visitor: { visitor: `vis_${hex(3)}`, name: NAME },
          state: 'offered',
          offered_to: ME.agent,
          version: 2,
        },
      });
      await page.getByRole('button', { name: 'Decline' }).waitFor();
      await look('an offer');
      server.push({ kind: 'offer-over', conversation: card(3).conversation });
      await page.getByText('You missed').waitFor();
      await look('one that was missed');
      for (const [path, opens] of [
        ['/agents', 'Deactivate'],
        ['/keys', 'Revoke'],
        ['/tags', `Remove: ${NAME}`],
      ] as const) {
        await page.goto(at(base, path));
        await page.getByRole('button', { name: opens }).last().click();
        await page.getByRole('dialog').waitFor();
        await look(opens);
        await page.keyboard.press('Escape');
      }
      server.rest.set('POST /v1/invitations/lookup', {
        tenant_name: NAME,
        email: 'a@b.test',
        role: 'agent',
      });
      await page.goto(at(base, '/invitations/abc'));
      await page.getByRole('button', { name: 'Join' }).waitFor();
      await look('an invitation');
    },
    { expects: /401|404/ },
  ));

for (const [width, details] of [
  [1400, true],
  [1280, true],
  [1280, false],
  [1200, true],
  [1000, false],
  [800, false],
] as const) {
  test(`an offer and the notices stand in the list like what is above them, ${width} wide${details ? ', with details' : ''}`, () =>
    scene(
      async ({ server, page, base }) => {
        await page.addInitScript(
          (open) => localStorage.setItem('livehelp.context', open ? 'open' : 'closed'),
          details,
        );
        await page.goto(at(base, thread));
        await page.getByText('Is the desk in stock?').last().waitFor();
        server.push({ kind: 'reject', request: 0, code: 'invalid', words: 'x' });
        server.push({
          kind: 'offer',
          conversation: card(8).conversation,
          deadline: Date.now() + 60_000,
          card: card(8, { state: 'offered', offered_to: ME.agent }),
        });
        await page.getByRole('button', { name: 'Decline' }).waitFor();
        await page.locator('.notice').waitFor();
        assert.equal(await page.locator('.context').count(), details ? 1 : 0);
        for (const path of [thread, '/']) {
          await page.goto(at(base, path));
          await page.waitForFunction(
            () => document.querySelectorAll('.offer, .notice').length === 2,
          );
          const edges = async (selector: string): Promise<readonly number[]> => {
            const box = await page.locator(selector).boundingBox();
            assert.ok(box !== null, selector);
            return [Math.round(box.x), Math.round(box.x + box.width)];
          };
          const [from = 0, to = 0] = await edges('.list-tools');
          for (const selector of ['.offer', '.notice']) {
            const [left = 0, right = 0] = await edges(selector);
            // As far from one side of the list as from the other, and as its search field.
            assert.ok(
              Math.abs(left - from - 12) <= 1 && Math.abs(to - right - 12) <= 1,
              `${selector} ${left}-${right} in ${from}-${to} at ${path}`,
            );
          }
        }
      },
      { width, height: 800 },
    ));
}

const HEADS = {
  yours: card(1),
  theirs: card(1, { assignee: COLLEAGUE.agent, agents: [COLLEAGUE] }),
  offered: card(1, { offered_to: COLLEAGUE.agent }),
  waiting: waiting(1),
  closed: card(1, { state: 'closed', closed_at: Date.now() }),
};

for (const width of [1400, 1200, 1000, 800, 390]) {
  test(`a thread’s head has room for its words, or says them, and each of its buttons has a name, ${width} wide`, () =>
    scene(
      async ({ server, page, base }) => {
        await page.goto(at(base, thread));
        let version = 2;
        for (const [what, head] of Object.entries(HEADS)) {
          version += 1;
          server.push({ kind: 'conversation', card: { ...head, version } });
          await page
            .locator('.thread-head', {
              hasText:
                {
                  yours: 'With You',
                  theirs: 'With Jonas Berg',
                  offered: 'Offered to Jonas Berg',
                  waiting: 'Waiting',
                  closed: 'Closed',
                }[what] ?? '',
            })
            .waitFor();
          const words = page.locator('.thread-who .ellipsis');
          const [said, title, seen, cut] = await words.evaluate(
            (one) =>
              [
                one.textContent,
                one.getAttribute('title'),
                one.clientWidth,
                one.scrollWidth > one.clientWidth,
              ] as const,
          );
          assert.equal(title, said, what);
          // Where there is little room it may be cut: it has a title then.
          if (width >= 1000) assert.ok(!cut, `${what}: “${said}” is cut at ${seen}px`);
          else assert.ok(seen >= 16, `${what}: nothing of “${said}” is left`);
          const name = await page.locator('.thread-who h1').evaluate((one) => one.clientWidth);
          assert.ok(name >= 90, `${what}: the name has ${name}px`);
          const buttons = page.locator('.thread-acts button');
          for (const button of await buttons.all()) {
            const spoken = (await button.getAttribute('aria-label')) ?? (await button.innerText());
            assert.notEqual(spoken.trim(), '', what);
          }
        }
      },
      { width, height: 800 },
    ));
}
