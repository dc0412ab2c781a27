// What can be seen: the edges of what one can write in or choose from (WCAG 1.4.11), and names that do not turn the words around them.

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
      const [r = 0, g = 0, b = 0] = parts(colour).map((part) => (part / 255 <= 0.03928 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4));
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
      for (let at: Element | null = element, up = 0; at !== null && up < 3; at = at.parentElement, up += 1) {
        if (Number.parseFloat(getComputedStyle(at).borderBlockEndWidth) > 0) return at;
      }
      return null;
    };
    const fields = document.querySelectorAll('input:not([type=radio], [type=checkbox], .visually-hidden), textarea, select, .segments, .stepper button');
    return [...fields].flatMap((field) => {
      if (!field.checkVisibility()) return [];
      const box = edged(field);
      const name = `${field.localName} ${field.getAttribute('aria-label') ?? field.id}`;
      if (box === null) return [`${name}: no edge`];
      const edge = getComputedStyle(box).borderBlockEndColor;
      const worst = isClear(edge) ? 1 : Math.min(ratio(edge, ground(box)), ratio(edge, ground(box.parentElement)));
      return worst >= 3 ? [] : [`${name}: ${worst.toFixed(2)}`];
    });
  });
}

for (const colorScheme of ['light', 'dark'] as const) {
  test(`the edge of every field has three to one on both sides, ${colorScheme}`, () =>
    scene(
      async ({ server, page, base }) => {
        const look = async (what: string): Promise<void> => {
          await page.waitForFunction(() => document.querySelector('main .spinner, dialog .spinner') === null);
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
        for (const [path, opens] of [['/sites', 'Add a website'], ['/agents', 'Invite'], ['/keys', 'Create a key']] as const) {
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
      if (apart === null || apart === undefined || !(apart.textContent ?? '').trim().startsWith(name)) found.push(`${node.parentElement?.outerHTML ?? ''}`.slice(0, 200));
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
    card(2, { visitor, assignee: COLLEAGUE.agent, agents: [colleague], preview: NAME, last_author: { kind: 'agent', agent: COLLEAGUE.agent } }),
    { ...waiting(3), visitor },
  ];
  const event = (seq: number, name: 'assigned' | 'transferred' | 'closed' | 'reopened'): ReturnType<typeof said> => said(seq, '', { author: { kind: 'system' }, body: { kind: 'event', event: name, agent: COLLEAGUE.agent } });
  server.history.set(conversation, [
    said(1, NAME), event(2, 'assigned'), event(3, 'transferred'), event(4, 'closed'), event(5, 'reopened'),
    said(6, NAME, { author: { kind: 'agent', agent: COLLEAGUE.agent } }), said(7, NAME, { author: { kind: 'agent', agent: COLLEAGUE.agent }, visibility: 'agents' }),
  ]);
  const site = { ...(server.rest.get(`/v1/sites/sit_${hex(1)}`) as object), name: NAME };
  server.rest.set('/v1/sites', list(site, { ...site, site_id: `sit_${hex(2)}` }));
  server.rest.set(`/v1/sites/sit_${hex(1)}`, site);
  server.rest.set('/v1/tags', list({ tag_id: `tag_${hex(1)}`, name: NAME }));
  server.rest.set('/v1/agents', list({ ...AGENT, name: NAME }, { ...AGENT, agent_id: COLLEAGUE.agent, name: NAME }));
  server.rest.set('/v1/keys', list({ key_id: `key_${hex(1)}`, name: NAME, scopes: ['sites:read'], created_at: 1 }));
}

test('every name stands apart from the words around it, wherever it is', () =>
  scene(
    async ({ server, page, base }) => {
      nameAll(server);
      const { conversation } = card(1);
      const look = async (what: string): Promise<void> => {
        await page.waitForFunction(() => document.querySelector('main .spinner, dialog .spinner') === null);
        assert.ok((await page.locator('body').innerText()).includes(NAME), `${what}: the name is not there`);
        assert.deepEqual(await loose(page), [], what);
      };
      for (const path of PAGES.filter((path) => path !== '/account')) {
        await page.goto(at(base, path));
        await look(path);
      }
      await page.goto(at(base, thread));
      await page.getByRole('log').getByText('took over the conversation').waitFor();
      server.push({ kind: 'typing', conversation, author: { kind: 'visitor' }, typing: true });
      server.push({ kind: 'typing', conversation, author: { kind: 'agent', agent: COLLEAGUE.agent }, typing: true });
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
      server.push({ kind: 'conversation', card: { ...first, version: 2, offered_to: COLLEAGUE.agent } });
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
      server.push({ kind: 'offer', conversation: card(3).conversation, deadline: Date.now() + 600, transfer_from: COLLEAGUE.agent, card: { ...waiting(3), visitor: { visitor: `vis_${hex(3)}`, name: NAME }, state: 'offered', offered_to: ME.agent, version: 2 } });
      await page.getByRole('button', { name: 'Decline' }).waitFor();
      await look('an offer');
      server.push({ kind: 'offer-over', conversation: card(3).conversation });
      await page.getByText('You missed').waitFor();
      await look('one that was missed');
      for (const [path, opens] of [['/agents', 'Deactivate'], ['/keys', 'Revoke'], ['/tags', `Remove: ${NAME}`]] as const) {
        await page.goto(at(base, path));
        await page.getByRole('button', { name: opens }).last().click();
        await page.getByRole('dialog').waitFor();
        await look(opens);
        await page.keyboard.press('Escape');
      }
      server.rest.set('POST /v1/invitations/lookup', { tenant_name: NAME, email: 'a@b.test', role: 'agent' });
      await page.goto(at(base, '/invitations/abc'));
      await page.getByRole('button', { name: 'Join' }).waitFor();
      await look('an invitation');
    },
    { expects: /401|404/ },
  ));
