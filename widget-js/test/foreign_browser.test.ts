// The widget among a page's own listeners, wrappers and built-ins.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Locator, Page } from 'playwright-core';

import {
  bodies,
  complaints,
  context,
  conversationOf,
  eventually,
  open,
  said,
  server,
  shopOrigin,
  visit,
  write,
} from './rig.ts';

const HOST = `document.querySelector('div[popover]')`;
const composer = (page: Page): Locator => page.getByRole('textbox', { name: 'Your message' });
const launcher = (page: Page): Locator => page.getByRole('button', { name: 'Open the chat' });

const KINDS = [
  'keydown',
  'keyup',
  'keypress',
  'beforeinput',
  'input',
  'compositionstart',
  'compositionupdate',
  'compositionend',
  'paste',
  'copy',
  'cut',
  'focus',
  'blur',
  'focusin',
  'focusout',
  'click',
  'dblclick',
  'auxclick',
  'contextmenu',
  'mousedown',
  'mouseup',
  'pointerdown',
  'pointerup',
  'touchstart',
  'touchmove',
  'touchend',
  'touchcancel',
  'wheel',
  'selectstart',
  'dragstart',
  'dragenter',
  'dragover',
  'dragleave',
  'dragend',
  'drop',
];
/** Listeners on all that an event passes, which note what they hear of the widget and forbid it. */
const FORBID = `window.heard = [];
  for (const kind of ${JSON.stringify(KINDS)}) for (const capture of [true, false]) for (const target of [window, document, document.documentElement, document.body]) {
    if (target && !(target === window && capture && window.early)) target.addEventListener(kind, (event) => {
      if (event.target !== ${HOST}) return;
      heard.push(kind);
      event.preventDefault();
    }, { capture, passive: false });
  }`;

/** All that a hand does in the chat. */
async function use(page: Page): Promise<void> {
  await open(page);
  await page.getByLabel('Your name').click();
  await page.keyboard.type('Ada');
  await composer(page).click({ button: 'right' });
  await composer(page).dblclick();
  await page.keyboard.type('hello there');
  for (const keys of [
    'Control+a',
    'Control+c',
    'Control+v',
    'Control+v',
    'Control+a',
    'Control+x',
    'Control+v',
  ])
    await page.keyboard.press(keys);
  assert.equal(await composer(page).inputValue(), 'hello there'.repeat(2));
  await page.getByRole('button', { name: 'Send' }).click();
  await page.getByText('Sent', { exact: true }).waitFor();
  assert.deepEqual(bodies(conversationOf(server)), ['hello there'.repeat(2)]);
  for (let seq = 2; seq < 40; seq++) server.speak(conversationOf(server), said(seq, `line ${seq}`));
  await page.getByText('line 39').waitFor();
  const log = page.getByRole('log');
  const top = (): Promise<number> => log.evaluate((log) => log.scrollTop);
  const before = await top();
  await page.getByText('line 39').hover();
  await page.mouse.wheel(0, -300);
  await eventually(async () => (await top()) < before - 100);
  const box = await log.boundingBox();
  assert.ok(box);
  await page.mouse.move(box.x + 40, box.y + 100);
  await page.mouse.down();
  await page.mouse.move(box.x + 60, box.y + 200, { steps: 3 });
  await page.mouse.up();
  await page.keyboard.press('Escape');
  await page.getByRole('dialog').waitFor({ state: 'detached' });
}

test('nothing that is done in the chat reaches the page, which can forbid none of it', async () => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: shopOrigin });
  server.site = { form: { name: 'required' } };
  const page = await visit();
  await launcher(page).waitFor();
  await page.evaluate(`${FORBID}; undefined`);
  await use(page);
  assert.deepEqual(await page.evaluate('[...new Set(heard)]'), []);
  // The page's own still come.
  await page.evaluate(`window.clicks = 0; addEventListener('click', () => clicks++); undefined`);
  await page.mouse.click(20, 300);
  assert.equal(await page.evaluate('clicks'), 1);
});

test('of each kind the page hears what happens to it, and nothing of the chat', async () => {
  const page = await visit();
  await open(page);
  await page.evaluate(`${FORBID}; window.own = [];
    for (const kind of ${JSON.stringify(KINDS)}) {
      addEventListener(kind, ({ target }) => { if (target === document.body) own.push(kind); });
    } undefined`);
  const happens = (node: Element, kinds: string[]): boolean[] => {
    const how = { bubbles: true, composed: true, cancelable: true };
    return kinds.map((kind) => node.dispatchEvent(new Event(kind, how)));
  };
  assert.deepEqual(new Set(await composer(page).evaluate(happens, KINDS)), new Set([true]));
  assert.deepEqual(await page.evaluate('heard'), []);
  await page.locator('body').evaluate(happens, KINDS);
  assert.deepEqual(await page.evaluate('own'), KINDS);
});

test('what is composed reaches none of the page’s listeners', async () => {
  const page = await visit();
  await open(page);
  await page.evaluate(`${FORBID}; undefined`);
  await composer(page).click();
  const line = await context.newCDPSession(page);
  await line.send('Input.imeSetComposition', { text: 'にほ', selectionStart: 2, selectionEnd: 2 });
  await line.send('Input.insertText', { text: '日本' });
  assert.equal(await composer(page).inputValue(), '日本');
  assert.deepEqual(await page.evaluate('[...new Set(heard)]'), []);
});

test('nor does it where the page forbids all that is selected, pressed or copied', async () => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'], { origin: shopOrigin });
  server.site = { form: { name: 'required' } };
  await context.addInitScript(`for (const kind of ['mousedown', 'pointerdown', 'selectstart', 'copy', 'cut', 'paste', 'contextmenu', 'dragstart', 'keydown', 'wheel', 'touchstart', 'touchmove'])
    document['on' + kind] = () => false;`);
  await use(await visit());
});

test('what a page listens to in the window is not before the widget, once the tag has run', async () => {
  const page = await context.newPage();
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => (go = resolve));
  await page.route('**/assets/main-*', (route) => held.then(() => route.continue()));
  const asked = page.waitForRequest('**/assets/main-*');
  await page.goto(shopOrigin);
  await asked;
  await page.evaluate(`{ ${FORBID} } undefined`);
  go();
  await open(page);
  await composer(page).click();
  await page.keyboard.type('s / k?');
  assert.equal(await composer(page).inputValue(), 's / k?');
  assert.deepEqual(await page.evaluate('[...new Set(heard)]'), []);
});

for (const [trap, kind] of [
  ['focusin', 'focusin'],
  ['focus on the way down', 'focus'],
] as const) {
  test(`a dialog of the page that holds the focus (${trap}) takes none out of the chat`, async () => {
    const page = await visit();
    await launcher(page).waitFor();
    await page.evaluate(`document.body.insertAdjacentElement('afterbegin', Object.assign(document.createElement('input'), { id: 'held' }));
      held.focus(); document.addEventListener('${kind}', (event) => { if (event.target !== held) held.focus(); }, true); undefined`);
    await open(page);
    await composer(page).click();
    await page.keyboard.type('hello');
    assert.deepEqual(
      [await composer(page).inputValue(), await page.evaluate('held.value')],
      ['hello', ''],
    );
    await page.keyboard.press('Enter');
    await page.getByText('Sent', { exact: true }).waitFor();
  });
}

const MOVES = {
  'wraps what is in it': `{ const wrap = document.createElement('div'); wrap.style.cssText = 'transform: translateY(0); position: relative; z-index: 0'; wrap.append(...document.body.childNodes); document.body.append(wrap) }`,
  'moves all to another place': `document.body.append(...[...document.body.children].reverse())`,
  'wraps and swaps the wrap later': `{ const wrap = document.createElement('div'); wrap.append(...document.body.childNodes); document.body.append(wrap); setTimeout(() => wrap.replaceWith(document.createElement('main')), 20) }`,
  'swaps its body': `{ const body = document.createElement('body'); body.innerHTML = '<h1>2</h1>'; document.documentElement.replaceChild(body, document.body) }`,
  'empties its body': `document.body.replaceChildren()`,
};
for (const [words, move] of Object.entries(MOVES)) {
  test(`on a page that ${words} the chat is in front of all again, and who was writing goes on`, async () => {
    const page = await visit();
    await open(page);
    await composer(page).click();
    await page.keyboard.type('helo');
    await page.keyboard.press('ArrowLeft');
    await page.evaluate(
      `${move.replace(/body\.innerHTML = '<h1>2<\/h1>'/, `body.append('2')`)}; undefined`,
    );
    const stands = (): Promise<unknown> =>
      page.evaluate(`${HOST}?.matches(':popover-open') && ${HOST}.parentNode === document.body`);
    await page.waitForTimeout(60);
    await eventually(async () => (await stands()) === true);
    await page.evaluate(
      `{ const over = document.createElement('div'); over.style.cssText = 'position: fixed; inset: 0; z-index: 2147483647'; document.body.append(over) }`,
    );
    assert.equal(
      await page.evaluate(
        `document.elementFromPoint(innerWidth - 50, innerHeight - 50) === ${HOST}`,
      ),
      true,
    );
    await page.keyboard.type('l');
    assert.equal(await composer(page).inputValue(), 'hello');
    await page.keyboard.press('Enter');
    await page.getByText('Sent', { exact: true }).waitFor();
  });
}

test('a page that swaps its body takes no focus into the chat that was not there, or that it has given itself', async () => {
  const page = await visit();
  await open(page);
  await composer(page).click();
  await page.keyboard.type('hello');
  const swap = `{ const body = document.createElement('body'); const field = document.createElement('input'); field.id = 'field'; body.append(field); document.body = body; GO }`;
  const focused = (): Promise<unknown> =>
    page.evaluate(`document.activeElement.id || document.activeElement.localName`);
  await page.evaluate(swap.replace('GO', 'field.focus()'));
  await eventually(async () => (await page.evaluate(`${HOST}?.matches(':popover-open')`)) === true);
  assert.equal(await focused(), 'field');
  await page.evaluate(swap.replace('GO', ''));
  await eventually(async () => (await page.evaluate(`${HOST}?.matches(':popover-open')`)) === true);
  assert.equal(await focused(), 'body');
});

test('a page that moves the chat again and again is let be', async () => {
  const page = await visit();
  await launcher(page).waitFor();
  await page.evaluate(`window.moves = 0; window.keeper = new MutationObserver(() => { if (${HOST}?.parentNode === document.body) { moves++; document.querySelector('main, header').append(${HOST}) } });
    keeper.observe(document.body, { childList: true }); document.body.append('x'); undefined`);
  await eventually(async () => complaints.some((one) => one.includes('removes the chat')));
  assert.ok(Number(await page.evaluate('moves')) <= 8);
  complaints.length = 0;
});

const BUILT_INS = {
  'listeners that are called as functions': `{ const add = EventTarget.prototype.addEventListener;
    EventTarget.prototype.addEventListener = function (kind, listener, options) { return add.call(this, kind, function () { return listener.apply(this, arguments); }, options); }; }`,
  'an append, prepend, after and replaceChildren of its own': `for (const name of ['append', 'prepend', 'before', 'after', 'replaceChildren', 'replaceWith'])
    Element.prototype[name] = function (markup) { this.setAttribute('data-markup', String(markup)); };`,
  'no top layer that works': `HTMLElement.prototype.showPopover = () => { throw new DOMException('no', 'InvalidStateError'); };`,
};
for (const [words, script] of Object.entries(BUILT_INS)) {
  test(`a page with ${words} has the whole chat`, async () => {
    await context.addInitScript(script);
    server.site = {
      form: { name: 'required', email: 'optional' },
      notice: { text: 'Kept for 60 days.', url: 'https://example.test/', hash: 'ab'.repeat(32) },
    };
    const page = await visit();
    await open(page);
    await page.getByLabel('Your name').fill('Ada');
    await write(page, 'hello');
    await page.getByText('Sent', { exact: true }).waitFor();
    server.speak(conversationOf(server), said(2, 'See https://a.test'));
    await page.getByRole('link', { name: 'https://a.test' }).waitFor();
    // What a page's life has to do with the line.
    await page.evaluate(`dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))`);
    await eventually(async () => server.lines.size === 0);
    await page.evaluate(`dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))`);
    await eventually(async () => server.lines.size === 1);
    await write(page, 'again');
    await eventually(async () => bodies(conversationOf(server)).at(-1) === 'again');
    // A body that changes is no reason to put the chat anywhere else.
    for (let change = 0; change < 9; change++)
      await page.evaluate(`document.body.appendChild(document.createElement('p')); undefined`);
    assert.ok(await page.getByRole('dialog').isVisible());
  });
}
