// The widget on pages that are not as it would have them: old libraries, layouts, removals,
// sandboxes, policies.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConsoleMessage, Page } from 'playwright-core';

import {
  SERVER_AVAILABILITY,
  SERVER_QUEUE,
  SERVER_TYPING,
} from '../../protocol/ts/src/wire/frames.ts';
import { AGENT, SITE_KEY } from './fake_server.ts';
import {
  ANNA,
  bodies,
  complaints,
  context,
  conversationOf,
  eventually,
  open,
  origin,
  said,
  server,
  shopOrigin,
  texts,
  visit,
  write,
} from './rig.ts';

/**
 * What the libraries of their days did to a page's own objects, as far as anybody else can meet it.
 */
const PROTOTYPE_JS = `
  const enumerable = (kind, members) => { for (const name in members) kind.prototype[name] = members[name]; };
  const $A = (list) => {
    if (!list) return [];
    if ('toArray' in Object(list)) return list.toArray();
    const array = new Array(list.length || 0);
    for (let place = 0; place < array.length; place++) array[place] = list[place];
    return array;
  };
  Array.from = $A;
  Object.toJSON = (value) => value === null ? 'null' : typeof value === 'string' ? '"' + value + '"' : value.toJSON ? value.toJSON() : String(value);
  enumerable(Array, {
    toJSON() { return '[' + Array.prototype.slice.call(this).map(Object.toJSON).join(', ') + ']'; },
    each(act) { for (let place = 0; place < this.length; place++) act(this[place], place); return this; },
    map(act, context) { const found = []; this.each((one, place) => found.push(act ? act.call(context, one, place) : one)); return found; },
    filter(act, context) { const found = []; this.each((one, place) => act.call(context, one, place) && found.push(one)); return found; },
    find(act, context) { for (let place = 0; place < this.length; place++) if (act.call(context, this[place], place)) return this[place]; },
    reduce() { return this.length > 1 ? this : this[0]; },
    entries() { return this.toArray(); }, toArray() { return Array.prototype.slice.call(this); }, clear() { this.length = 0; return this; },
    first() { return this[0]; }, last() { return this[this.length - 1]; }, size() { return this.length; }, include(one) { return this.indexOf(one) !== -1; },
  });
  enumerable(String, { toJSON() { return '"' + this + '"'; }, strip() { return this.trim(); }, startsWith(start) { return this.indexOf(start) === 0; }, toArray() { return this.split(''); }, blank() { return /^\\\\s*$/.test(this); } });
  enumerable(Number, { toJSON() { return String(this); }, toPaddedString(length) { return String(this).padStart(length, '0'); } });
  enumerable(Function, { bind(context) { const act = this, rest = $A(arguments).slice(1); return function () { return act.apply(context, rest.concat($A(arguments))); }; }, defer() { setTimeout(this); } });
  Date.prototype.toJSON = function () { return '"' + this.toISOString() + '"'; };
  Object.keys = (object) => { const keys = []; for (const name in object) keys.push(name); return keys; };
  Object.values = (object) => { const values = []; for (const name in object) values.push(object[name]); return values; };
  Object.extend = Object.assign;
  Element.prototype.remove = function () { this.parentNode.removeChild(this); return this; };
  Element.prototype.update = function (text) { this.textContent = text; return this; };
  for (const name of ['Class', 'Hash', 'Template', 'Field', 'Form', 'Insertion', 'Position', 'Try', 'Enumerable']) window[name] = {};`;
const MOOTOOLS = `
  const implement = (kind, members) => { for (const name in members) kind.prototype[name] = members[name]; };
  Array.from = (item) => item == null ? [] : typeof item !== 'string' && typeof item === 'object' && 'length' in item ? (Array.isArray(item) ? item : Array.prototype.slice.call(item)) : [item];
  JSON.encode = JSON.stringify; JSON.decode = JSON.parse;
  implement(Array, { toJSON() { return '[' + this.join() + ']'; }, contains(one) { return this.indexOf(one) !== -1; }, flatten() { return [].concat(...this); }, append(more) { this.push(...more); return this; }, clean() { return this.filter(Boolean); }, getLast() { return this[this.length - 1]; }, link() { return {}; }, $family() { return 'array'; } });
  implement(String, { contains(part) { return this.indexOf(part) > -1; }, test(words) { return new RegExp(words).test(this); }, clean() { return this.trim(); } });
  implement(Function, { bind(context, args) { const act = this; return () => act.apply(context, args == null ? [] : Array.from(args)); }, delay(ms) { return setTimeout(this, ms); } });
  implement(Element, { contains(one) { return !!one && (this === one || !!(this.compareDocumentPosition(one) & 16)); }, set() { return this; }, get() { return null; }, erase() { return this; }, empty() { this.replaceChildren(); return this; } });
  window.Event = function () {}; window.Request = function () {}; window.Class = function () {}; window.Options = {}; window.Browser = {};`;

for (const [library, script] of Object.entries({
  'Prototype.js': PROTOTYPE_JS,
  MooTools: MOOTOOLS,
})) {
  test(`a chat on a page of ${library} is kept, sent and there again after a reload`, async () => {
    await context.addInitScript(script);
    server.site = { form: { name: 'required', email: 'optional' } };
    const page = await visit();
    await open(page);
    await page.getByLabel('Your name').fill('Ada');
    server.acks = false;
    await write(page, 'Do you have "Sencha"?');
    await server.hears('open');
    server.kept.clear();
    await page.reload();
    server.acks = true;
    for (const line of server.lines) line.terminate();
    await page.getByText('Sent', { exact: true }).waitFor();
    const opens = server.heard.flatMap((frame) => (frame.kind === 'open' ? [frame.form] : []));
    assert.ok(opens.length > 1);
    for (const form of opens) assert.deepEqual(form, [{ field: 'name', answer: 'Ada' }]);
    const conversation = conversationOf(server);
    assert.deepEqual(bodies(conversation), ['Do you have "Sencha"?']);
    server.tellCard(conversation, { state: 'active', assignee: AGENT, agents: ANNA });
    server.speak(conversation, said(2, 'We do: see https://a.test'));
    await page.getByRole('link', { name: 'https://a.test' }).waitFor();
    await server.hears('seen', ({ seq }) => seq === 2);
    // Whatever stands where: a page may hide what is hidden.
    await page.evaluate(`LiveHelp('hide'); LiveHelp('hide'); LiveHelp('show')`);
    await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  });
}

test('what a page puts in the place of the browser’s own once it is loaded does not matter', async () => {
  const page = await visit();
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  await page.evaluate(
    `window.fetch = window.WebSocket = function () { throw new Error('not here') }; Date.now = () => NaN; undefined`,
  );
  await open(page);
  await write(page, 'hello');
  await write(page, 'again');
  await eventually(
    async () => server.kept.size === 1 && bodies(conversationOf(server)).join() === 'hello,again',
  );
});

/** A page whose clock is so much behind. */
async function visitBehind(ms: number): Promise<Page> {
  const page = await context.newPage();
  await page.addInitScript(`{ const now = Date.now; Date.now = () => now() - ${ms}; }`);
  await page.goto(shopOrigin);
  return page;
}

test('words go out in the order in which they were written, over a reload and a clock that was set back', async () => {
  let page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.acks = false;
  await write(page, 'first');
  await server.hears('send', ({ body }) => body.kind === 'text' && body.text === 'first');
  await page.close();
  page = await visitBehind(3_600_000);
  await open(page);
  await write(page, 'second');
  await write(page, 'third');
  assert.deepEqual(await texts(page), ['hello', 'first', 'second', 'third']);
  server.acks = true;
  for (const line of server.lines) line.terminate();
  await eventually(async () => bodies(conversationOf(server)).length === 4);
  assert.deepEqual(bodies(conversationOf(server)), ['hello', 'first', 'second', 'third']);
});

test('words of several tabs go out in the order in which they were written, whatever their clocks', async () => {
  const first = await visit();
  await open(first);
  await write(first, 'hello');
  await first.getByText('Sent', { exact: true }).waitFor();
  const second = await visitBehind(3_600_000);
  await open(second);
  await second.getByText('hello', { exact: true }).waitFor();
  server.acks = false;
  for (const [page, words] of [
    [first, 'one'],
    [second, 'two'],
    [first, 'three'],
    [second, 'four'],
  ] as const) {
    await write(page, words);
    for (const other of [first, second]) await other.getByText(words, { exact: true }).waitFor();
  }
  server.acks = true;
  for (const line of server.lines) line.terminate();
  await eventually(async () => bodies(conversationOf(server)).length === 5);
  assert.deepEqual(bodies(conversationOf(server)), ['hello', 'one', 'two', 'three', 'four']);
});

/** A page whose clock can be set: `step` is what it is ahead by, in ms. */
async function visitClock(step: number): Promise<Page> {
  const page = await context.newPage();
  await page.addInitScript(`window.step = ${step};
    { const { now } = Date; Date.now = () => now() + step; }`);
  await page.goto(shopOrigin);
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.tellCard(conversationOf(server), { state: 'active', assignee: AGENT, agents: ANNA });
  server.speak(conversationOf(server), said(2, 'Good morning'));
  await page.getByText('Good morning').waitFor();
  return page;
}
/** The agent begins to type and does not go on; the clock is set meanwhile. */
async function typesWhile(page: Page, step: number): Promise<void> {
  const conversation = conversationOf(server);
  const author = { kind: 'agent', agent: AGENT } as const;
  server.say(SERVER_TYPING, { conversation, author, typing: true });
  await page.getByText('is typing').waitFor();
  await page.evaluate(`step = ${step}; undefined`);
  await page.getByText('is typing').waitFor({ state: 'hidden', timeout: 9_000 });
}

test('a clock that is set forward by a year takes no message off the screen', async () => {
  const page = await visitClock(-31_536_000_000);
  await typesWhile(page, 0);
  assert.deepEqual(await texts(page), ['hello', 'Good morning']);
});

test('a clock that is set back lets nobody type for longer, agent or visitor', async () => {
  const page = await visitClock(0);
  const composer = page.getByRole('textbox', { name: 'Your message' });
  const typing = (): number =>
    server.heard.filter((frame) => frame.kind === 'typing' && frame.typing).length;
  await composer.pressSequentially('He');
  await eventually(async () => typing() === 1);
  await typesWhile(page, -3_600_000);
  await composer.pressSequentially('llo');
  await eventually(async () => typing() === 2);
});

test('what is typed in the chat reaches none of the page’s shortcuts, and the page’s own keys do', async () => {
  const page = await visit();
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  await page.evaluate(`window.keys = []; for (const kind of ['keydown', 'keyup', 'keypress', 'paste']) for (const capture of [true, false])
    for (const target of [window, document, document.documentElement, document.body]) target.addEventListener(kind, (event) => { keys.push(kind + event.key); event.preventDefault(); }, capture); undefined`);
  await open(page);
  await page.getByRole('textbox', { name: 'Your message' }).click();
  await page.keyboard.type('e t?/');
  await page.keyboard.press('Tab');
  await page.keyboard.press('Shift+Tab');
  assert.equal(await page.getByRole('textbox', { name: 'Your message' }).inputValue(), 'e t?/');
  await page.keyboard.press('Enter');
  await page.getByText('Sent', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  await page.keyboard.press('Enter');
  await page.getByRole('dialog').waitFor();
  await page.keyboard.press('Escape');
  assert.deepEqual(await page.evaluate('keys'), []);
  await page.evaluate('document.activeElement.blur()');
  await page.keyboard.press('k');
  assert.notDeepEqual(await page.evaluate('keys'), []);
});

const HOST = `document.querySelector('div[popover]')`;
const onTop = (page: Page): Promise<boolean> =>
  page.evaluate(`(() => {
  const { left, top, width, height } = ${HOST}.shadowRoot.querySelector('.launcher').getBoundingClientRect();
  return left + width <= innerWidth && top + height <= innerHeight && width === 60 && document.elementFromPoint(left + 30, top + 30) === ${HOST};
})()`);

for (const style of [
  'transform: translateY(3000px)',
  'filter: grayscale(1); height: 4000px',
  'contain: strict; height: 100px',
  'will-change: transform; perspective: 1px',
  'opacity: .2; isolation: isolate; position: relative; z-index: 1',
  'zoom: 1; overflow: hidden; height: 50px; clip-path: inset(0)',
])
  test(`the launcher is in its corner on a page with ${style}, in front of all`, async () => {
    const page = await visit();
    await page.getByRole('button', { name: 'Open the chat' }).waitFor();
    await page.evaluate(
      `document.body.style.cssText = '${style}'; document.documentElement.append(Object.assign(document.createElement('div'), { id: 'over' })); over.style.cssText = 'position: fixed; inset: 0; z-index: 2147483647'`,
    );
    assert.ok(await onTop(page));
    await open(page);
    const box = await page.getByRole('dialog').boundingBox();
    assert.ok(
      box && box.x > 0 && box.y >= 0 && box.x + box.width <= 1100 && box.y + box.height <= 760,
      JSON.stringify(box),
    );
    await write(page, 'hello');
    await page.getByText('Sent', { exact: true }).waitFor();
  });

test('the top layer darkens nothing, and a browser without one shows the chat too', async () => {
  const page = await visit();
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  await page.evaluate(
    `{ const sheet = new CSSStyleSheet(); sheet.replaceSync('::backdrop { background: red !important; display: block } [popover] { inset: 0; border: 9px solid; background: red }'); document.adoptedStyleSheets = [sheet]; }`,
  );
  assert.equal(await page.evaluate(`getComputedStyle(${HOST}, '::backdrop').display`), 'none');
  assert.ok(await onTop(page));
  const old = await context.newPage();
  await old.addInitScript(
    'delete HTMLElement.prototype.showPopover; delete HTMLElement.prototype.popover',
  );
  await old.goto(shopOrigin);
  await open(old);
  await write(old, 'hello');
  await old.getByText('Sent', { exact: true }).waitFor();
});

test('a page that removes what it does not know goes on, and is told; one that stops has the chat again', async () => {
  const page = await visit();
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  await page.evaluate(`window.removed = 0; window.purge = new MutationObserver(() => document.querySelectorAll('body > div').forEach((one) => { if (one.shadowRoot) { removed++; one.remove(); } }));
    purge.observe(document.documentElement, { childList: true, subtree: true }); document.body.append('x'); undefined`);
  await eventually(async () => complaints.some((one) => one.includes('removes the chat')));
  const removed = Number(await page.evaluate('removed'));
  assert.ok(removed <= 8);
  // It did not stand meanwhile, however long that is.
  for (const wait of [100, 100, 5_100, 200]) {
    await page.waitForTimeout(wait);
    await page.evaluate(`document.body.append('x')`);
  }
  assert.deepEqual([Number(await page.evaluate('removed')), complaints.length], [removed, 1]);
  complaints.length = 0;
  await page.evaluate(`purge.disconnect(); LiveHelp('show')`);
  await open(page);
});

test('a sandbox that allows no forms can send, and holds back what the form lacks', async () => {
  server.site = { form: { name: 'required' } };
  const page = await context.newPage();
  await page.route(`${shopOrigin}/outer`, (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: `<iframe sandbox="allow-scripts allow-same-origin" width="900" height="700" src="${shopOrigin}/index.html?framed"></iframe>`,
    }),
  );
  await page.goto(`${shopOrigin}/outer`);
  const inner = page.frameLocator('iframe');
  await inner.getByRole('button', { name: 'Open the chat' }).click();
  const composer = inner.getByRole('textbox', { name: 'Your message' });
  await composer.fill('hello');
  await composer.press('Enter');
  assert.equal(await composer.inputValue(), 'hello');
  await inner.getByLabel('Your name').fill('Ada');
  await inner.getByLabel('Your name').press('Enter');
  await inner.getByText('Sent', { exact: true }).waitFor();
  await composer.fill('again');
  await inner.getByRole('button', { name: 'Send' }).click();
  await eventually(async () => bodies(conversationOf(server)).join() === 'hello,again');
});

test('the page behind the chat of a phone stands still, and moves again when it is closed', async () => {
  const page = await visit();
  await page.setViewportSize({ width: 390, height: 780 });
  await page.evaluate(`document.body.style.minHeight = '4000px'`);
  await open(page);
  const wheel = async (x: number, y: number): Promise<number> => {
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, 500);
    return Number(
      await page.evaluate(
        'new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(() => resolve(scrollY))))',
      ),
    );
  };
  for (const y of [30, 300, 740]) assert.equal(await wheel(150, y), 0);
  // A window that grows has the page beside the chat again.
  await page.setViewportSize({ width: 900, height: 780 });
  await eventually(async () => (await wheel(100, 300)) > 0);
  await page.setViewportSize({ width: 390, height: 780 });
  const before = Number(await page.evaluate('scrollY'));
  assert.equal(await wheel(150, 30), before);
  await page.getByRole('button', { name: 'Close the chat' }).first().click();
  await eventually(async () => (await wheel(150, 300)) > before);
  assert.equal(await page.evaluate('document.documentElement.getAttribute("style")'), null);
});

const RULES = [
  'html.js body.home { overflow-y: auto !important } html.js { overflow-y: scroll !important }',
  'html.js, html.js body.home { block-size: 100% } html.js body.home { overflow: auto !important } #top#top#top { overflow: scroll !important }',
  '@layer a { html, body { overflow: auto !important } }',
];
for (const [place, rules] of RULES.entries()) {
  test(`no rule of the page lets it move behind the chat of a phone, and its own styles come back (${place})`, async () => {
    const page = await visit();
    await page.setViewportSize({ width: 390, height: 780 });
    await page.evaluate(`{ const sheet = new CSSStyleSheet(); sheet.replaceSync(${JSON.stringify(rules)}); document.adoptedStyleSheets = [sheet];
      document.documentElement.className = 'js'; document.body.className = 'home'; document.body.id = 'top'; document.body.style.cssText = 'color: red; overflow: clip visible !important';
      document.body.append(Object.assign(document.createElement('p'), { id: 'long' })); long.style.blockSize = '4000px'; }`);
    const styles = (): Promise<unknown> =>
      page.evaluate(
        `[document.documentElement, document.body].map((one) => one.getAttribute('style'))`,
      );
    const before = await styles();
    for (let round = 0; round < 2; round++) {
      await open(page);
      await page.mouse.move(150, 30);
      await page.mouse.wheel(0, 400);
      await page.evaluate(
        'new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))',
      );
      assert.deepEqual(await page.evaluate(`[scrollY, document.body.scrollTop]`), [0, 0]);
      assert.deepEqual(
        await page.evaluate(
          `[document.documentElement, document.body].map((one) => getComputedStyle(one).overflow)`,
        ),
        ['hidden', 'hidden'],
      );
      await page.keyboard.press('Escape');
      assert.deepEqual(await styles(), before);
    }
  });
}

const HEIGHTS = [
  'html, body { height: 100% }',
  'html { height: 100%; scroll-behavior: smooth }',
  '',
];
for (const rules of HEIGHTS) {
  test(`a page is where it was when the chat of a phone is closed (${rules})`, async () => {
    const page = await visit();
    await page.setViewportSize({ width: 390, height: 780 });
    await page.evaluate(`{ const sheet = new CSSStyleSheet(); sheet.replaceSync('${rules}');
      document.adoptedStyleSheets = [sheet];
      const long = document.createElement('p');
      long.style.blockSize = '4000px';
      document.body.append(long);
      scrollTo({ top: 1500, behavior: 'instant' }); }`);
    const top = (): Promise<unknown> => page.evaluate('scrollY');
    assert.equal(await top(), 1500);
    for (let round = 0; round < 2; round++) {
      await open(page);
      await page.keyboard.press('Escape');
      await page.getByRole('dialog').waitFor({ state: 'detached' });
      assert.equal(await top(), 1500);
    }
    await open(page);
    await page.setViewportSize({ width: 900, height: 780 });
    await eventually(async () => (await top()) === 1500);
  });
}

test('the chat is not printed', async () => {
  const page = await visit();
  await open(page);
  await page.emulateMedia({ media: 'print' });
  assert.deepEqual(
    [await page.locator('.launcher').isVisible(), await page.locator('.panel').isVisible()],
    [false, false],
  );
});

const told = (page: Page): string[] => {
  const lines: string[] = [];
  page.on('console', (line: ConsoleMessage) => lines.push(line.text()));
  return lines;
};

test('where the page’s origin is not the site’s, the chat says so before anything is written, and the page’s keeper is told', async () => {
  server.closes = 4003;
  const page = await visit();
  const lines = told(page);
  await open(page);
  await page.getByText('The chat cannot be reached from this page.').waitFor();
  const composer = page.getByRole('textbox', { name: 'Your message' });
  assert.deepEqual(
    [await composer.isEditable(), await page.getByRole('button', { name: 'Send' }).isDisabled()],
    [false, true],
  );
  assert.equal(await page.locator('.under').textContent(), '');
  assert.equal(await page.locator('.dot').getAttribute('class'), 'dot ');
  await eventually(async () =>
    lines.some((line) => line.includes(shopOrigin) && line.includes('Websites')),
  );
  complaints.length = 0;
});

test('what was written on an origin that is no longer the site’s does not seem to be on its way', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.acks = false;
  await write(page, 'there?');
  server.closes = 4003;
  for (const line of server.lines) line.close(4003);
  await page.getByText('Not sent: The chat cannot be reached from this page.').waitFor();
  complaints.length = 0;
});

/** As the server answers a page that the site does not list. */
async function notListed(page: Page): Promise<void> {
  await page.route('**/v1/widget/**', async (route) => {
    const response = await route.fetch();
    await route.fulfill({
      response,
      headers: {
        ...response.headers(),
        'livehelp-page-origin': 'not-listed',
        'access-control-expose-headers': 'livehelp-page-origin',
      },
    });
  });
}

test('a page that its site does not list shows nothing, keeps nothing and is told once', async () => {
  const page = await context.newPage();
  const lines = told(page);
  await notListed(page);
  await page.addInitScript(`sessionStorage.setItem('livehelp ${origin} ${SITE_KEY} open', 'half a word');
    window.LiveHelp = (...call) => (LiveHelp.q ??= []).push(call); LiveHelp('on', 'error', (why) => console.log('heard ' + why)); LiveHelp('open')`);
  await page.goto(shopOrigin);
  await eventually(async () => lines.includes('heard refused'));
  await page.evaluate(`LiveHelp('show'); LiveHelp('open'); dispatchEvent(new Event('online'))`);
  await page.waitForLoadState('networkidle');
  assert.deepEqual(
    lines.filter((line) => line.startsWith('LiveHelp')),
    [`LiveHelp: ${shopOrigin} is no origin of this site. Add it in the console, under Websites.`],
  );
  assert.deepEqual(
    [
      await page.getByRole('button').count(),
      await page.getByRole('dialog').count(),
      server.connections,
    ],
    [0, 0, 0],
  );
});

test('a page without an origin is told so in words that make sense for it', async () => {
  const page = await context.newPage();
  const lines = told(page);
  await notListed(page);
  await page.route(`${shopOrigin}/outer`, (route) =>
    route.fulfill({
      contentType: 'text/html',
      body: `<iframe sandbox="allow-scripts" width="900" height="700" src="${shopOrigin}/index.html?framed"></iframe>`,
    }),
  );
  await page.goto(`${shopOrigin}/outer`);
  await eventually(async () => lines.some((line) => line.startsWith('LiveHelp')));
  assert.deepEqual(
    lines.filter((line) => line.startsWith('LiveHelp')),
    ['LiveHelp: this page has no origin, being a file or in a sandbox. No site can list it.'],
  );
  assert.equal(await page.frameLocator('iframe').getByRole('button').count(), 0);
});

test('where the line is refused for the page’s origin, nothing is asked for, and the page’s keeper is told once', async () => {
  server.site = {
    form: { name: 'required' },
    notice: { text: 'Kept for 60 days.', url: '', hash: 'ab'.repeat(32) },
  };
  server.closes = 4003;
  const page = await visit();
  const lines = told(page);
  await open(page);
  await page.getByText('The chat cannot be reached from this page.').waitFor();
  assert.deepEqual(
    [
      await page.getByLabel('Your name').isVisible(),
      await page.getByText('Kept for 60 days.').isVisible(),
    ],
    [false, false],
  );
  await page.keyboard.press('Escape');
  await open(page);
  await eventually(async () => server.connections === 2);
  await page.getByText('The chat cannot be reached from this page.').waitFor();
  assert.equal(lines.filter((line) => line.includes('Websites')).length, 1);
  server.closes = undefined;
  await page.keyboard.press('Escape');
  await open(page);
  await page.getByLabel('Your name').waitFor();
  complaints.length = 0;
});

/** What a page may have above the tag. */
const STUB = 'window.LiveHelp = (...call) => (LiveHelp.q ??= []).push(call);';

test('a site that refuses in another way shows nothing, and says nothing of origins', async () => {
  const page = await context.newPage();
  const lines = told(page);
  await page.route('**/v1/widget/**', (route) =>
    route.fulfill({ status: 403, headers: { 'access-control-allow-origin': '*' }, body: '{}' }),
  );
  await page.addInitScript(`${STUB} LiveHelp('on', 'error', (why) => console.log('heard ' + why))`);
  await page.goto(shopOrigin);
  await eventually(async () => lines.includes('heard refused'));
  assert.deepEqual(
    lines.filter((line) => line.startsWith('LiveHelp')),
    [],
  );
  assert.equal(await page.getByRole('button').count(), 0);
});

for (const [words, answer] of Object.entries({
  'is busy (503)': { status: 503 },
  'is asked too often (429)': { status: 429 },
  'gave up waiting (408)': { status: 408 },
  'answers something else': { status: 200, contentType: 'text/html', body: '<h1>Sign in</h1>' },
})) {
  test(`a server that ${words} is asked again, and nobody is told of a policy`, async () => {
    const page = await context.newPage();
    const lines = told(page);
    let fetches = 0;
    const headers = { 'access-control-allow-origin': '*' };
    await page.route('**/v1/widget/**', (route) =>
      fetches++ === 0 ? route.fulfill({ ...answer, headers }) : route.continue(),
    );
    await page.goto(shopOrigin);
    await open(page);
    assert.deepEqual(
      lines.filter((line) => line.startsWith('LiveHelp')),
      [],
    );
  });
}

test('that a fetch is blocked is said once, and not of a page without a network', async () => {
  const page = await context.newPage();
  const lines = told(page);
  const ours = (): string[] => lines.filter((line) => line.startsWith('LiveHelp: no HTTP'));
  await page.route('**/v1/widget/**', (route) => route.abort());
  await page.addInitScript(`window.net = false;
    Object.defineProperty(navigator, 'onLine', { get: () => net })`);
  for (const net of [false, true, true]) {
    const failed = page.waitForEvent('requestfailed');
    if (net) await page.evaluate(`net = true; dispatchEvent(new Event('online'))`);
    else await page.goto(shopOrigin);
    await failed;
    await page.getByRole('button', { name: 'Open the chat' }).waitFor();
    await page.waitForTimeout(50);
    assert.equal(ours().length, net ? 1 : 0);
  }
});

/** A page whose site cannot be had at first; gives the later questions, which wait to be let go. */
async function visitWithoutSite(page: Page): Promise<(() => Promise<void>)[]> {
  const held: (() => Promise<void>)[] = [];
  let fetches = 0;
  await page.route('**/v1/widget/**', (route) =>
    fetches++ === 0 ? route.abort() : held.push(() => route.continue()),
  );
  const failed = page.waitForEvent('requestfailed');
  await page.goto(shopOrigin);
  await failed;
  return held;
}

test('a page that hides the launcher has none while the server is away, nor later', async () => {
  const page = await context.newPage();
  await page.addInitScript(`${STUB} LiveHelp('hide');
    LiveHelp('on', 'ready', () => (window.ready = true))`);
  const held = await visitWithoutSite(page);
  const launcher = page.getByRole('button', { name: 'Open the chat' });
  await page.waitForTimeout(100);
  assert.equal(await launcher.count(), 0);
  await page.evaluate(`LiveHelp('show')`);
  await launcher.waitFor();
  await page.evaluate(`LiveHelp('hide')`);
  assert.equal(await launcher.count(), 0);
  await page.evaluate(`dispatchEvent(new Event('online'))`);
  await eventually(async () => held.length === 1);
  await held[0]?.();
  await eventually(async () => (await page.evaluate('window.ready')) === true);
  assert.equal(await launcher.count(), 0);
});

test('a click while the site is asked for opens the chat, whichever answer is first', async () => {
  for (const first of [0, 1]) {
    const page = await context.newPage();
    const held = await visitWithoutSite(page);
    const launcher = page.getByRole('button', { name: 'Open the chat' });
    await launcher.waitFor();
    await page.evaluate(`dispatchEvent(new Event('online'))`);
    await eventually(async () => held.length === 1);
    await launcher.click();
    await page.getByRole('status').getByText('…').waitFor();
    await eventually(async () => held.length === 2);
    const ready = page.evaluate(`new Promise((resolve) => LiveHelp('on', 'ready', resolve))`);
    await held[first]?.();
    await ready;
    await held[1 - first]?.();
    await page.getByRole('dialog').waitFor();
    await page.close();
  }
});

test('a network that gives no answer is waited for, and then the visitor is told', async () => {
  const page = await context.newPage();
  await page.addInitScript(`{ const { timeout } = AbortSignal;
    AbortSignal.timeout = (ms) => timeout.call(AbortSignal, (window.bound = ms) / 20); }`);
  await visitWithoutSite(page);
  await page.getByRole('button', { name: 'Open the chat' }).click();
  await page.getByRole('status').getByText('…').waitFor();
  await page.getByRole('status').getByText('The chat could not be loaded.').waitFor();
  assert.equal(await page.evaluate('bound'), 10_000);
});

test('a socket that is kept away is said to the visitor and to the page’s keeper, once', async () => {
  const page = await visit('/index.html?no-socket');
  const lines = told(page);
  await open(page);
  await write(page, 'hello');
  await page.getByText('There is no connection to the chat.').waitFor();
  const ours = lines.filter((line) => line.startsWith('LiveHelp: no WebSocket connection'));
  assert.equal(ours.length, 1);
  assert.ok(
    ours[0]?.includes(`${origin.replace('http', 'ws')}/v1/socket`) &&
      ours[0].includes('connect-src'),
  );
  // It tries again and again: what the browser says of that may come after this line.
  await page.close();
  complaints.length = 0;
});

test('a server that cannot be fetched from is said to whoever asks for the chat, and to the page’s keeper', async () => {
  const page = await context.newPage();
  const lines = told(page);
  await page.goto(`${shopOrigin}/index.html?no-fetch`);
  await page.getByRole('button', { name: 'Open the chat' }).click();
  await page
    .getByRole('status')
    .getByText('The chat could not be loaded. Please try again.')
    .waitFor();
  assert.ok(lines.some((line) => line.startsWith(`LiveHelp: no HTTP connection to ${origin}.`)));
  const other = await context.newPage();
  let fetches = 0;
  await other.route('**/v1/widget/**', (route) =>
    fetches++ === 0 ? route.abort() : route.continue(),
  );
  await other.goto(shopOrigin);
  await other.getByRole('button', { name: 'Open the chat' }).click();
  await other.getByRole('dialog').waitFor();
  assert.equal(await other.getByRole('button', { name: 'Open the chat' }).count(), 0);
});

test('without a line nobody is with the visitor', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.tellCard(conversationOf(server), { state: 'active', assignee: AGENT, agents: ANNA });
  const under = page.locator('.under');
  await under.getByText('Here with you').waitFor();
  assert.equal(await page.locator('.dot').getAttribute('class'), 'dot available');
  await page.context().setOffline(true);
  for (const line of server.lines) line.terminate();
  await under.getByText('Waiting for the connection').waitFor();
  assert.equal(await page.locator('.dot').getAttribute('class'), 'dot ');
  assert.equal(await page.getByText('Here with you').count(), 0);
  await page.context().setOffline(false);
  await under.getByText('Here with you').waitFor();
});

test('where nobody is there to be next for, nobody is told to be next', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  server.tellCard(conversation, { state: 'active', assignee: AGENT, agents: ANNA });
  await page.getByText('Here with you').waitFor();
  const { at, message } = said(2, '');
  server.speak(conversation, {
    seq: 2,
    message,
    at,
    author: { kind: 'system' },
    body: { kind: 'event', event: 'requeued' },
    expires: 2_600,
  });
  server.tellCard(conversation, { state: 'queued', assignee: undefined, position: 1 });
  await page.getByText('Our agent is no longer here. You are first in line again.').waitFor();
  await page.getByText('You are next in line.').waitFor();
  server.availability = 'unavailable';
  server.say(SERVER_AVAILABILITY, { availability: 'unavailable' });
  await page.getByText('Thank you. We have your message and will answer here.').waitFor();
  await page.getByText('Our agent is no longer here.', { exact: true }).waitFor();
  assert.equal(await page.getByText(/next in line|first in line/).count(), 0);
  server.say(SERVER_AVAILABILITY, { availability: 'available' });
  await page.getByText('You are next in line.').waitFor();
  // A place may come with it that nobody would take it.
  server.say(SERVER_QUEUE, { conversation, position: 1, unserved: true });
  await page.getByText('Thank you. We have your message and will answer here.').waitFor();
});

test('what is too long is counted and kept, and goes when it is shorter', async () => {
  server.site = { form: { name: 'required' } };
  const page = await visit();
  await open(page);
  await page.getByLabel('Your name').fill('x'.repeat(300));
  const composer = page.getByRole('textbox', { name: 'Your message' });
  await composer.fill('x'.repeat(4_100));
  await page.getByText('Too long: 4100 of 4000 characters.').waitFor();
  await composer.press('Enter');
  assert.equal((await page.getByLabel('Your name').inputValue()).length, 300);
  assert.equal(
    await page
      .getByLabel('Your name')
      .evaluate((input: HTMLInputElement) => input.validationMessage),
    'Too long: 300 of 200 characters. Please shorten it.',
  );
  await page.getByLabel('Your name').fill('Ada');
  await composer.press('Enter');
  assert.equal((await composer.inputValue()).length, 4_100);
  assert.deepEqual(await texts(page), []);
  // A character is one to a person, whatever it is to a machine.
  await composer.fill('😀'.repeat(4_000));
  assert.equal(await page.getByText('Too long').count(), 0);
  await composer.press('Enter');
  await page.getByText('Sent', { exact: true }).waitFor();
  assert.deepEqual(bodies(conversationOf(server)), ['😀'.repeat(4_000)]);
});

test('what cannot be seen is no message, and no answer', async () => {
  server.site = { form: { name: 'required', email: 'optional' } };
  const page = await visit();
  await open(page);
  const composer = page.getByRole('textbox', { name: 'Your message' });
  await page.getByLabel('Your name').fill('\u200b\u2800');
  await composer.fill('hello');
  await composer.press('Enter');
  assert.equal(
    await page
      .getByLabel('Your name')
      .evaluate((input: HTMLInputElement) => input.validity.valueMissing),
    true,
  );
  await page.getByLabel('Your name').fill('Ada');
  for (const blank of ['\u200b', '\u2800', ' \u00a0\u3164', '\u202e', '\u0301']) {
    await composer.fill(blank);
    await composer.press('Enter');
  }
  await composer.fill('hello');
  await composer.press('Enter');
  await page.getByText('Sent', { exact: true }).waitFor();
  assert.deepEqual(bodies(conversationOf(server)), ['hello']);
});

test('a name in a sentence stands apart, and turns nothing round', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  const { at, message } = said(2, '');
  server.tellCard(conversation, {
    state: 'active',
    assignee: AGENT,
    agents: [{ agent: AGENT, name: 'Bob\u202egnp\u2069 שלום' }],
  });
  server.speak(conversation, {
    seq: 2,
    message,
    at,
    author: { kind: 'system' },
    body: { kind: 'event', event: 'assigned', agent: AGENT },
    expires: 2_600,
  });
  server.speak(conversation, said(3, 'Hi'));
  server.say(SERVER_TYPING, {
    conversation,
    author: { kind: 'agent', agent: AGENT },
    typing: true,
  });
  const name = 'Bobgnp שלום';
  await page.getByText(`${name} is typing…`).waitFor();
  await page.getByText(`${name} joined the conversation`).waitFor();
  const names = await page.locator('bdi').allTextContents();
  assert.ok(names.length >= 4, String(names.length));
  assert.deepEqual(new Set(names.filter((one) => one.startsWith('Bob'))), new Set([name]));
  assert.doesNotMatch(String(await page.locator('.panel').textContent()), /\p{Bidi_C}/u);
});
