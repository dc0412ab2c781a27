// The built widget in a real browser: what a visitor does and sees.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import axe from 'axe-core';
import type { Page } from 'playwright-core';

import { encodeFrame } from '../../protocol/ts/src/wire/codec.ts';
import {
  DEPTH_MAX,
  SERVER_DELIVERED,
  SERVER_MESSAGE,
  SERVER_QUEUE,
  SERVER_SEEN,
  SERVER_TYPING,
} from '../../protocol/ts/src/wire/frames.ts';
import { decode, encode } from '../../protocol/ts/src/wire/msgpack.ts';
import type { Value } from '../../protocol/ts/src/wire/msgpack.ts';
import { AGENT } from './fake_server.ts';
import {
  ANNA,
  bodies,
  complaints,
  context,
  conversationOf,
  eventually,
  open,
  said,
  server,
  shoot,
  shopOrigin,
  texts,
  visit,
  write,
} from './rig.ts';

test('nothing is stored and no line is opened before the visitor acts', async () => {
  const page = await visit();
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  assert.equal(server.connections, 0);
  assert.equal(
    await page.evaluate('localStorage.length + sessionStorage.length + document.cookie.length'),
    0,
  );
});

test('a conversation goes from the first word to seen', async () => {
  server.site = {
    form: { name: 'required', email: 'optional' },
    notice: {
      text: 'We keep this chat for 60 days.',
      url: 'https://example.test/privacy',
      hash: 'ab'.repeat(32),
    },
  };
  const page = await visit();
  await open(page);
  await page.evaluate(
    'Promise.all(document.querySelector("body > div:last-child").shadowRoot.getAnimations().map((one) => one.finished))',
  );
  await shoot(page, 'form');
  await page.getByLabel('Your name').fill('Ada');
  await write(page, 'Do you have Sencha?');
  const { form, notice, conversation } = await server.hears('open');
  assert.deepEqual(form, [{ field: 'name', answer: 'Ada' }]);
  assert.equal(notice, 'ab'.repeat(32));
  await page.getByText('Sent', { exact: true }).waitFor();
  server.tellCard(conversation, { position: 3 });
  server.say(SERVER_QUEUE, { conversation, position: 2, wait_ms: 170_000 });
  await page.getByText('You are number 2 in line. About 3 minutes to wait.').waitFor();
  await shoot(page, 'queue');
  server.tellCard(conversation, { state: 'active', assignee: AGENT, agents: ANNA });
  await page.getByRole('heading', { name: 'Anna Brandt' }).waitFor();
  server.say(SERVER_TYPING, {
    conversation,
    author: { kind: 'agent', agent: AGENT },
    typing: true,
  });
  await page.getByText('Anna Brandt is typing…').waitFor();
  server.speak(conversation, said(2, 'We do: see https://example.test/sencha. Grüße!'));
  await page.getByRole('link', { name: 'https://example.test/sencha' }).waitFor();
  await server.hears('delivered', ({ seq }) => seq === 2);
  await server.hears('seen', ({ seq }) => seq === 2);
  server.say(SERVER_DELIVERED, { conversation, author: { kind: 'agent', agent: AGENT }, seq: 1 });
  await page.getByText('Delivered', { exact: true }).waitFor();
  server.say(SERVER_SEEN, { conversation, author: { kind: 'agent', agent: AGENT }, seq: 1 });
  await page.getByText('Seen', { exact: true }).waitFor();
  await shoot(page, 'chat');
  await page.emulateMedia({ colorScheme: 'dark' });
  await shoot(page, 'chat-dark');
  await page.getByRole('button', { name: 'End the conversation' }).click();
  await page.getByRole('button', { name: 'End it' }).click();
  await page.getByText('This conversation has ended.').waitFor();
  await write(page, 'One more thing');
  await server.hears('reopen');
  await server.hears('send', ({ body }) => body.kind === 'text' && body.text === 'One more thing');
});

test('words written without a line survive a reload and arrive once, in order', async () => {
  let page = await visit();
  await open(page);
  await write(page, 'first');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.acks = false;
  for (const line of server.lines) line.terminate();
  await page.getByText('The connection is lost.').waitFor();
  for (const text of ['second', 'third', 'fourth']) await write(page, text);
  await shoot(page, 'offline');
  await page.close();
  server.acks = true;
  page = await visit('/delivery.html');
  const conversation = conversationOf(server);
  await eventually(async () => server.kept.get(conversation)?.length === 4);
  assert.deepEqual(
    server.kept.get(conversation)?.map(({ body }) => body.kind === 'text' && body.text),
    ['first', 'second', 'third', 'fourth'],
  );
  await open(page);
  await eventually(
    async () => (await page.locator('.meta').last().textContent())?.includes('Sent') === true,
  );
  assert.deepEqual(await texts(page), ['first', 'second', 'third', 'fourth']);
});

test('a first message written while the server dies is sent again with its conversation', async () => {
  server.acks = false;
  const page = await visit();
  await open(page);
  await write(page, 'hello?');
  await server.hears('send');
  server.acks = true;
  for (const line of server.lines) line.terminate();
  await page.getByText('Sent', { exact: true }).waitFor();
  const opens = server.heard.flatMap((frame) =>
    frame.kind === 'open' ? [frame.conversation] : [],
  );
  assert.equal(new Set(opens).size, 1);
  assert.deepEqual(await texts(page), ['hello?']);
});

for (const code of ['store-unavailable', 'overload', 200] as const)
  test(`what is refused for a while (${code}) is said again, and nothing overtakes it`, async () => {
    server.refuses = { kinds: ['open', 'send'], times: 5, code };
    const page = await visit();
    await open(page);
    const words = ['one', 'two', 'three', 'four'];
    for (const word of words) await write(page, word);
    await eventually(async () => bodies(conversationOf(server)).length === 4);
    assert.deepEqual(bodies(conversationOf(server)), words);
    await eventually(
      async () => (await page.locator('.meta').last().textContent())?.includes('Sent') === true,
    );
  });

test('what a later server adds to a frame, of whatever type, is passed over', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const message = { conversation: conversationOf(server), ...said(2, 'Good morning') };
  const frame = decode(encodeFrame(SERVER_MESSAGE, message), DEPTH_MAX) as Value[];
  const maps = [{ a: { b: 0.1 }, c: [null, true] }, [{ d: {} }]];
  const more = [1.5, -7, -300, -70_000, 2 ** 40, ...maps, new Uint8Array(3), 'words'];
  for (const line of server.lines) line.send(encode([...frame, ...more]));
  await page.getByText('Good morning').waitFor();
  assert.equal(server.connections, 1);
});

test('a conversation that is refused for good says why, and can be tried again', async () => {
  server.refuses = { kinds: ['open'], times: 1, code: 'limit-reached' };
  server.site = { form: { name: 'required' } };
  const page = await visit();
  await open(page);
  await page.getByLabel('Your name').fill('Ada');
  await write(page, 'hello');
  await page
    .getByText('The conversation could not be started: there are too many already')
    .waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('Sent', { exact: true }).waitFor();
  assert.deepEqual(await texts(page), ['hello']);
  const forms = server.heard.flatMap((frame) =>
    frame.kind === 'open' ? [frame.form[0]?.answer] : [],
  );
  assert.deepEqual(forms, ['Ada', 'Ada']);
});

test('what is refused for a while is done later, whatever it is', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.refuses = { kinds: ['send'], times: 1, code: 'closed' };
  const refused = server
    .hears('send', ({ body }) => body.kind === 'text' && body.text === 'one more')
    .then(() => {
      server.refuses = { kinds: ['reopen'], times: 1, code: 'too-fast' };
    });
  await write(page, 'one more');
  await refused;
  await eventually(async () => bodies(conversationOf(server)).join() === 'hello,one more');
  assert.equal(server.refuses.times, 0);
  assert.equal(await page.getByText('Not sent').count(), 0);
  server.refuses = { kinds: ['close'], times: 2, code: 'too-fast' };
  await page.getByRole('button', { name: 'End the conversation' }).click();
  await page.getByRole('button', { name: 'End it' }).click();
  await page.getByText('This conversation has ended.').waitFor();
});

/** Asks for the end of the conversation, which is refused for a while. */
async function endInVain(page: Page): Promise<void> {
  const { times } = server.refuses;
  await page.getByRole('button', { name: 'End the conversation' }).click();
  await page.getByRole('button', { name: 'End it' }).click();
  await eventually(async () => server.refuses.times < times);
}
const closes = (): number => server.heard.filter(({ kind }) => kind === 'close').length;

for (const first of ['the words', 'the end'] as const) {
  test(`words and an end that are refused do not wait for each other, ${first} first`, async () => {
    const page = await visit();
    await open(page);
    await write(page, 'hello');
    await page.getByText('Sent', { exact: true }).waitFor();
    server.refuses = { kinds: ['send', 'close'], times: 2, code: 'too-fast', afterMs: 800 };
    if (first === 'the end') await endInVain(page);
    await write(page, 'one more');
    await server.hears('send', ({ body }) => body.kind === 'text' && body.text === 'one more');
    if (first === 'the words') await endInVain(page);
    await eventually(
      async () => closes() === 2 && bodies(conversationOf(server)).join() === 'hello,one more',
    );
  });
}

for (const then of ['begun anew', 'opened again'] as const) {
  test(`an end that is refused for a while closes nothing that is ${then} meanwhile`, async () => {
    const page = await visit();
    await open(page);
    await write(page, 'hello');
    await page.getByText('Sent', { exact: true }).waitFor();
    const former = conversationOf(server);
    server.refuses = { kinds: ['close'], times: 1, code: 'too-fast', afterMs: 1_500 };
    await endInVain(page);
    server.tellCard(former, { state: 'closed' });
    await page.getByText('This conversation has ended.').waitFor();
    server.card = {};
    if (then === 'begun anew') await page.getByRole('button', { name: 'Start a new one' }).click();
    await write(page, 'again');
    await eventually(async () => bodies(conversationOf(server)).includes('again'));
    assert.equal(conversationOf(server) === former, then === 'opened again');
    await page.waitForTimeout(1_600);
    assert.equal(closes(), 1);
  });
}

test('what failed with its conversation is sent in its order with the next one', async () => {
  server.refuses = { kinds: ['open'], times: 3, code: 'limit-reached' };
  const page = await visit();
  await open(page);
  for (const [place, word] of ['one', 'two', 'three'].entries()) {
    await write(page, word);
    await eventually(
      async () =>
        server.refuses.times === 2 - place &&
        (await page.getByRole('button', { name: 'Try again' }).count()) === place + 1,
    );
  }
  await page.getByRole('button', { name: 'Try again' }).nth(1).click();
  await eventually(async () => bodies(conversationOf(server)).length === 3);
  assert.deepEqual(bodies(conversationOf(server)), ['one', 'two', 'three']);
  assert.deepEqual(await texts(page), ['one', 'two', 'three']);
  server.refuses = { kinds: ['send'], times: 2, code: 'too-long' };
  await write(page, 'four');
  await page.getByText('Not sent: it is too long. Send it in parts.').waitFor();
  server.tellCard(conversationOf(server), { state: 'closed' });
  await page.getByRole('button', { name: 'Start a new one' }).click();
  assert.deepEqual(await texts(page), ['four']);
  server.refuses.times = 0;
  server.card = {};
  await write(page, 'five');
  await eventually(async () => bodies(conversationOf(server)).length === 2);
  assert.deepEqual(bodies(conversationOf(server)), ['four', 'five']);
});

test('what failed stays on the next page, until it is sent or deleted', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.refuses = { kinds: ['send'], times: 2, code: 'forbidden' };
  await write(page, 'one');
  await write(page, 'two');
  await eventually(async () => (await page.getByText('Not sent: ').count()) === 2);
  await page.goto(`${shopOrigin}/about.html`);
  await eventually(async () => (await page.getByText('Not sent: ').count()) === 2);
  await page.getByRole('button', { name: 'Delete' }).first().click();
  await page.getByRole('button', { name: 'Try again' }).click();
  await eventually(async () => bodies(conversationOf(server)).join() === 'hello,two');
  await page.reload();
  await eventually(async () => (await texts(page)).join() === 'hello,two');
  assert.equal(await page.getByText('Not sent: ').count(), 0);
});

test('words for a conversation that is gone are kept, and begin another', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.acks = false;
  await write(page, 'still there?');
  await server.hears('send', ({ body }) => body.kind === 'text' && body.text === 'still there?');
  const gone = conversationOf(server);
  server.kept.clear();
  for (const line of server.lines) line.terminate();
  await page.getByText('Not sent: the conversation is no longer there.').waitFor();
  server.acks = true;
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('Sent', { exact: true }).waitFor();
  assert.notEqual(conversationOf(server), gone);
  assert.deepEqual(bodies(conversationOf(server)), ['still there?']);
});

test('a conversation that was refused for its notice shows the new one, and is begun with it', async () => {
  server.site = { notice: { text: 'The old words.', url: '', hash: 'ab'.repeat(32) } };
  const page = await visit();
  await open(page);
  server.site = { notice: { text: 'The new words.', url: '', hash: 'cd'.repeat(32) } };
  server.refuses = { kinds: ['open'], times: 1, code: 'consent-required' };
  await write(page, 'hello');
  await page.getByText('The new words.').waitFor();
  await page.getByRole('button', { name: 'Try again' }).click();
  await page.getByText('Sent', { exact: true }).waitFor();
  assert.deepEqual(
    server.heard.flatMap((frame) => (frame.kind === 'open' ? [frame.notice] : [])),
    ['ab'.repeat(32), 'cd'.repeat(32)],
  );
});

test('that too much is waiting is said until it is gone', async () => {
  const page = await visit();
  await open(page);
  server.acks = false;
  const full = page.getByText('Too much is waiting to be sent.');
  for (let place = 0; place < 20 && !(await full.isVisible()); place++)
    await write(page, 'x'.repeat(4_000));
  await full.waitFor();
  server.acks = true;
  for (const line of server.lines) line.terminate();
  await full.waitFor({ state: 'detached' }).catch(() => full.waitFor({ state: 'hidden' }));
  await eventually(
    async () => (await page.locator('.meta').last().textContent())?.includes('Sent') === true,
  );
});

test('the chat is in the letters of the system, whatever those of the page', async () => {
  const page = await visit();
  await open(page);
  const { fontFamily, fontSize, colorScheme } = await page
    .getByRole('dialog')
    .evaluate((panel) => ({ ...getComputedStyle(panel) }));
  assert.deepEqual(
    [fontFamily, fontSize, colorScheme],
    ['system-ui, sans-serif', '15px', 'light dark'],
  );
});

test('an Enter that ends a composition sends nothing', async () => {
  const page = await visit();
  await open(page);
  const composer = page.getByRole('textbox', { name: 'Your message' });
  await composer.fill('にほんご');
  // Safari tells only by the code of the key that the composition is over with it.
  for (const told of [{ keyCode: 229 }, { isComposing: true }]) {
    await composer.evaluate(
      (field, told) =>
        field.dispatchEvent(
          new KeyboardEvent('keydown', {
            key: 'Enter',
            bubbles: true,
            composed: true,
            cancelable: true,
            ...told,
          }),
        ),
      told,
    );
    assert.deepEqual([await composer.inputValue(), await texts(page)], ['にほんご', []]);
  }
  await composer.press('Enter');
  await page.getByText('Sent', { exact: true }).waitFor();
});

test('ten tabs have one line, and the next leads when the first goes', async () => {
  const tabs: Page[] = [];
  for (let tab = 0; tab < 10; tab++) {
    const page = await visit();
    await open(page);
    tabs.push(page);
    if (tab === 0) await write(page, 'hello');
    await page.getByText('hello', { exact: true }).waitFor();
  }
  assert.equal(server.atOnce, 1);
  assert.equal(server.connections, 1);
  const began = Date.now();
  await tabs[0]?.close();
  await eventually(async () => server.connections === 2 && server.lines.size === 1);
  assert.ok(Date.now() - began < 5_000);
  server.speak(conversationOf(server), said(2, 'Good morning'));
  await Promise.all(tabs.slice(1).map((tab) => tab.getByText('Good morning').waitFor()));
  // The line of a tab that was closed may end a moment after the next one is there.
  assert.equal(server.connections, 2);
  assert.equal(server.lines.size, 1);
});

test('a leader that does not answer loses the line', async () => {
  const first = await visit();
  await open(first);
  await write(first, 'hello');
  await first.getByText('Sent', { exact: true }).waitFor();
  // A script of its page that does not come to an end for a while; a frozen tab is no different.
  const until = Date.now() + 8_000;
  await first.evaluate(`setTimeout(() => { while (Date.now() < ${until}); })`);
  const second = await visit('/about.html');
  await open(second);
  await write(second, 'anyone?');
  await eventually(async () => bodies(conversationOf(server)).join() === 'hello,anyone?');
  assert.ok(Date.now() < until);
  await eventually(async () => server.lines.size === 1);
  // The former one follows now, and hears the other.
  await eventually(async () => (await texts(first)).includes('anyone?'));
});

test('a line that came to its end is opened again by a tab that is looked at', async () => {
  const leader = await visit();
  await open(leader);
  await write(leader, 'hello');
  await leader.getByText('Sent', { exact: true }).waitFor();
  const follower = await visit('/about.html');
  await open(follower);
  await follower.getByText('hello', { exact: true }).waitFor();
  for (const line of server.lines) line.close(1000);
  await follower.getByText('The chat cannot be reached from this page.').waitFor();
  await follower.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
  await eventually(async () => server.connections === 2 && server.lines.size === 1);
  for (const line of server.lines) line.close(4003);
  await follower.getByText('The chat cannot be reached from this page.').waitFor();
  await follower.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
  // Told to stay away, it does; the visitor may ask all the same.
  await follower.getByRole('button', { name: 'Close the chat' }).first().click();
  assert.equal(server.connections, 2);
  await open(follower);
  await eventually(async () => server.connections === 3);
  complaints.length = 0;
});

test('tabs share one line and one conversation, and the next leads when the first goes', async () => {
  const first = await visit();
  await open(first);
  await write(first, 'from the first tab');
  await first.getByText('Sent', { exact: true }).waitFor();
  const second = await visit('/about.html');
  await open(second);
  await eventually(async () => (await texts(second)).includes('from the first tab'));
  await write(second, 'from the second tab');
  await eventually(async () => (await texts(first)).includes('from the second tab'));
  await eventually(
    async () => (await second.locator('.meta').last().textContent())?.includes('Sent') === true,
  );
  assert.deepEqual(await texts(second), ['from the first tab', 'from the second tab']);
  assert.equal(server.lines.size, 1);
  await first.close();
  await eventually(async () => server.connections === 2 && server.lines.size === 1);
  await write(second, 'still here');
  await server.hears('send', ({ body }) => body.kind === 'text' && body.text === 'still here');
  await eventually(
    async () => (await second.locator('.meta').last().textContent())?.includes('Sent') === true,
  );
});

test('a conversation that a following tab begins is the same visitor after a reload', async () => {
  const first = await visit();
  await open(first);
  await eventually(async () => server.lines.size === 1);
  const second = await visit('/about.html');
  await open(second);
  await write(second, 'begun in the second tab');
  await first.getByText('Sent', { exact: true }).waitFor();
  assert.equal(server.connections, 1);
  await first.close();
  await second.close();
  const third = await visit();
  await server.hears(
    'hello',
    ({ token, resume }) => token === 'token-of-this-visitor' && resume.length === 1,
  );
  await open(third);
  await eventually(async () => (await texts(third)).includes('begun in the second tab'));
});

test('unread messages are counted on the launcher and in the title', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  await page.keyboard.press('Escape');
  assert.equal(
    await page.evaluate(
      `document.querySelector('body > div:last-child').shadowRoot.activeElement.className`,
    ),
    'launcher',
  );
  server.tellCard(conversation, { state: 'active', assignee: AGENT, agents: ANNA });
  server.speak(conversation, said(2, 'Good morning'));
  server.speak(conversation, said(3, 'How can I help?'));
  await page.getByRole('button', { name: '2 unread messages' }).waitFor();
  assert.match(await page.title(), /^\(2\) /);
  await shoot(page, 'unread');
  await page.getByRole('button', { name: /open the chat/i }).click();
  await server.hears('seen', ({ seq }) => seq === 3);
  assert.doesNotMatch(await page.title(), /^\(/);
});

test('the panel stays open from page to page of its tab, without taking the cursor, until it is closed', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  await page.goto(`${shopOrigin}/delivery.html`);
  await page.getByRole('dialog').waitFor();
  await eventually(async () => (await texts(page)).includes('hello'));
  assert.equal(await page.evaluate('document.activeElement === document.body'), true);
  const other = await visit('/about.html');
  await other.getByRole('button', { name: 'Open the chat' }).waitFor();
  await other.close();
  await page.keyboard.press('Tab');
  await page.getByRole('button', { name: 'Close the chat' }).first().click();
  await page.reload();
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  assert.equal(await page.getByRole('dialog').count(), 0);
});

test('what was said before a conversation closed is unread on the next page, until it is read', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  await page.keyboard.press('Escape');
  server.speak(conversation, said(2, 'Your order is on its way. Goodbye.'));
  server.tellCard(conversation, { state: 'closed', agents: ANNA });
  await page.getByRole('button', { name: 'one unread message' }).waitFor();
  await page.goto(`${shopOrigin}/delivery.html`);
  await page.getByRole('button', { name: 'one unread message' }).click();
  await page.getByText('Your order is on its way. Goodbye.').waitFor();
  await server.hears('seen', ({ seq }) => seq === 2);
  await page.getByRole('button', { name: 'Close the chat' }).first().click();
  const lines = server.connections;
  await page.goto(`${shopOrigin}/about.html`);
  await page.getByRole('button', { name: 'Open the chat', exact: true }).waitFor();
  assert.equal(server.connections, lines);
});

test('earlier messages are fetched page by page', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  for (let seq = 2; seq <= 90; seq++) server.kept.get(conversation)?.push(said(seq, `line ${seq}`));
  await page.reload();
  await eventually(async () => (await texts(page)).length === 20);
  await page.getByRole('log').evaluate((log) => log.scrollTo(0, 0));
  await eventually(async () => (await texts(page)).length === 70);
  // What was being read stays where it was.
  assert.ok((await page.getByRole('log').evaluate((log) => log.scrollTop)) > 1_000);
  await page.getByRole('button', { name: 'Earlier messages' }).dispatchEvent('click');
  await eventually(async () => (await texts(page)).length === 90);
  assert.equal((await texts(page))[0], 'hello');
  assert.equal(await page.getByRole('button', { name: 'Earlier messages' }).count(), 0);
});

test('earlier messages cannot be asked for without a line, and come when there is one again', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  for (let seq = 2; seq <= 40; seq++) server.kept.get(conversation)?.push(said(seq, `line ${seq}`));
  await page.reload();
  await eventually(async () => (await texts(page)).length === 20);
  await page.context().setOffline(true);
  for (const line of server.lines) line.terminate();
  await page.getByText('The connection is lost.').waitFor();
  const earlier = page.getByRole('button', { name: 'Earlier messages' });
  assert.ok(await earlier.isDisabled());
  await page.context().setOffline(false);
  await eventually(() => earlier.isEnabled());
  // Without the scrolling of a click by hand, which asks for them too.
  await earlier.dispatchEvent('click');
  await eventually(async () => (await texts(page)).length === 40);
  assert.equal((await texts(page))[0], 'hello');
});

test('a message that comes leaves the rows of the others as they are', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  for (let seq = 2; seq <= 20; seq++) server.kept.get(conversation)?.push(said(seq, `line ${seq}`));
  await page.reload();
  await eventually(async () => (await texts(page)).length === 20);
  const log = page.getByRole('log');
  await log.evaluate((log) => {
    const touched = new Set<Node>();
    Object.assign(log, { touched });
    new MutationObserver((changes) => {
      for (const { target } of changes) if (target !== log) touched.add(target);
    }).observe(log, { subtree: true, childList: true, attributes: true, characterData: true });
  });
  server.speak(conversation, said(21, 'line 21'));
  server.speak(conversation, said(22, 'line 22'));
  await page.getByText('line 22').waitFor();
  const rows = await log.evaluate((log) => {
    const { touched } = log as HTMLElement & { touched: Set<Node> };
    return [
      ...new Set(
        [...touched].map(
          (node) =>
            (node instanceof Element ? node : node.parentElement)?.closest('.row')?.textContent,
        ),
      ),
    ];
  });
  // The former newest is no longer the last of its author's, and loses its time; so does the one
  // between.
  assert.ok(rows.length <= 3, rows.join(' | '));
});

test('the newest message stays in sight when a banner takes its room', async () => {
  const page = await visit();
  await open(page);
  for (let line = 1; line <= 12; line++) await write(page, `line ${line}`);
  await eventually(
    async () => (await page.locator('.meta').last().textContent())?.includes('Sent') === true,
  );
  for (const line of server.lines) line.terminate();
  await page.getByText('The connection is lost.').waitFor();
  const below = (): Promise<number> =>
    page.getByRole('log').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
  await eventually(async () => (await below()) < 2);
});

/**
 * What a page hears that goes into the back/forward cache and comes out of it; `meanwhile` happens
 * in between. The browser without a window keeps no page, whatever its switches, so the events are
 * told by hand.
 */
async function awayAndBack(page: Page, meanwhile: () => Promise<void>): Promise<void> {
  await page.evaluate(`dispatchEvent(new PageTransitionEvent('pagehide', { persisted: true }))`);
  await meanwhile();
  await page.evaluate(`dispatchEvent(new PageTransitionEvent('pageshow', { persisted: true }))`);
}

test('what was read without a line is seen when the line is back', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  server.speak(conversationOf(server), said(2, 'Good morning'));
  await page.getByRole('button', { name: 'one unread message' }).waitFor();
  await context.setOffline(true);
  for (const line of server.lines) line.terminate();
  await page.getByRole('button', { name: 'one unread message' }).click();
  await page.getByText('The connection is lost.').waitFor();
  assert.equal(
    server.heard.some((frame) => frame.kind === 'seen' && frame.seq === 2),
    false,
  );
  await context.setOffline(false);
  await eventually(async () =>
    server.heard.some((frame) => frame.kind === 'seen' && frame.seq === 2),
  );
});

test('what comes out of sight is not seen before the visitor goes down to it', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  for (let seq = 2; seq <= 30; seq++) server.speak(conversation, said(seq, `line ${seq}`));
  await server.hears('seen', ({ seq }) => seq === 30);
  // The widget hears of it with the next frame: what comes before that is still in sight.
  await page.getByRole('log').evaluate(
    (log) =>
      new Promise((heard) => {
        log.addEventListener('scroll', () => setTimeout(heard), { once: true });
        log.scrollTo(0, 100);
      }),
  );
  assert.equal(await page.getByRole('button', { name: 'New message' }).count(), 0);
  server.speak(conversation, said(31, 'And one more'));
  await server.hears('delivered', ({ seq }) => seq === 31);
  await page.getByRole('button', { name: 'New message' }).waitFor();
  assert.equal(
    server.heard.some((frame) => frame.kind === 'seen' && frame.seq === 31),
    false,
  );
  await shoot(page, 'new-message');
  await page.getByRole('button', { name: 'New message' }).click();
  await server.hears('seen', ({ seq }) => seq === 31);
  await eventually(
    async () => (await page.getByRole('button', { name: 'New message' }).count()) === 0,
  );
});

test('a screen reader hears what others say now, and nothing twice', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  for (let seq = 2; seq <= 40; seq++) server.kept.get(conversation)?.push(said(seq, `line ${seq}`));
  await page.reload();
  await eventually(async () => (await texts(page)).length === 20);
  /** What of these words is read out: the nearest element that says so decides. */
  const live = (words: string): Promise<string | null | undefined> =>
    page
      .getByRole('log')
      .getByText(words, { exact: true })
      .last()
      .evaluate((one) => one.closest('[aria-live]')?.getAttribute('aria-live'));
  assert.equal(await live('line 40'), 'off');
  server.speak(conversation, said(41, 'Something new'));
  await page.getByText('Something new').waitFor();
  assert.equal(await live('Something new'), 'polite');
  await page.getByRole('button', { name: 'Earlier messages' }).dispatchEvent('click');
  await page.getByText('hello', { exact: true }).waitFor();
  assert.equal(await live('line 5'), 'off');
  await write(page, 'thank you');
  await eventually(async () => (await page.getByText('Sent', { exact: true }).count()) === 2);
  assert.deepEqual([await live('thank you'), await live('Sent')], ['off', 'off']);
  assert.equal(
    await page
      .locator('time')
      .last()
      .evaluate((one) => one.closest('[aria-live]')?.className),
    'meta',
  );
  server.refuses = { kinds: ['send'], times: 1, code: 'too-long' };
  await write(page, 'too much');
  await page.getByText('Not sent: ').waitFor();
  assert.equal(await page.locator('.failed .meta').getAttribute('aria-live'), 'polite');
  // The line above the messages is there to be heard before there is anything to say.
  const banner = page.locator('.banner').getByRole('status');
  assert.deepEqual([await banner.count(), await banner.textContent()], [1, '']);
});

test('a page from the back/forward cache has its line again', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  await awayAndBack(page, () => eventually(async () => server.lines.size === 0));
  await eventually(async () => server.lines.size === 1);
  await write(page, 'here again');
  await server.hears('send', ({ body }) => body.kind === 'text' && body.text === 'here again');
});

test('out of the back/forward cache nobody is with the visitor before the line', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.tellCard(conversationOf(server), { state: 'active', assignee: AGENT, agents: ANNA });
  const under = page.locator('.under');
  await under.getByText('Here with you').waitFor();
  await awayAndBack(page, async () => {
    await eventually(async () => server.lines.size === 0);
    await under.getByText('Waiting for the connection').waitFor();
    assert.equal(await page.locator('.dot').getAttribute('class'), 'dot ');
  });
  await under.getByText('Here with you').waitFor();
  assert.equal(await page.locator('.dot').getAttribute('class'), 'dot available');
});

test('a following tab from the back/forward cache has what was said meanwhile', async () => {
  const leader = await visit();
  await open(leader);
  await write(leader, 'hello');
  await leader.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  const follower = await visit('/about.html');
  await open(follower);
  await eventually(async () => (await texts(follower)).includes('hello'));
  await awayAndBack(follower, async () => {
    server.speak(conversation, said(2, 'Good morning'));
    await leader.getByText('Good morning').waitFor();
  });
  await follower.getByText('Good morning').waitFor();
  assert.equal(server.connections, 1);
});

test("the page's own hostile rules do not reach the chat", async () => {
  const page = await visit('/index.html?hostile');
  const launcher = page.getByRole('button', { name: 'Open the chat' });
  await launcher.waitFor();
  assert.deepEqual(await launcher.boundingBox().then((box) => [box?.width, box?.height]), [60, 60]);
  await open(page);
  await write(page, 'still works');
  await page.getByText('Sent', { exact: true }).waitFor();
});

test('on a phone the chat is all there is, and a keyboard cannot leave it', async () => {
  const page = await visit();
  await page.setViewportSize({ width: 390, height: 780 });
  await open(page);
  assert.equal(await page.getByRole('dialog').getAttribute('aria-modal'), 'true');
  assert.equal(await page.locator('.launcher').isVisible(), false);
  for (let press = 0; press < 8; press++) {
    await page.keyboard.press('Tab');
    assert.ok(
      await page.evaluate(
        `document.querySelector('body > div:last-child').shadowRoot.activeElement?.closest('.panel') instanceof Element`,
      ),
    );
  }
  assert.equal(
    await page
      .getByRole('textbox', { name: 'Your message' })
      .evaluate((field) => getComputedStyle(field).fontSize),
    '16px',
  );
  await shoot(page, 'phone');
});

/** What axe has to say about the widget as it is now. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(
    'Promise.all(document.querySelector("body > div:last-child").shadowRoot.getAnimations().map((one) => one.effect.getTiming().iterations === Infinity || one.finished))',
  );
  await page.evaluate(`${axe.source}; undefined`);
  return page.evaluate(`axe.run('body > div:last-child', { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] })
    .then(({ violations }) => violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html, failureSummary }) => html + ' ' + failureSummary).join(' | ')))`);
}

test('no state of the chat has a flaw that axe finds, in light and in dark', async () => {
  server.site = {
    form: { name: 'required', email: 'optional' },
    notice: { text: 'Kept for 60 days.', url: 'https://example.test/', hash: 'ab'.repeat(32) },
  };
  const page = await visit();
  for (const colorScheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme, reducedMotion: 'reduce' });
    await page.getByRole('button', { name: 'Open the chat' }).waitFor();
    assert.deepEqual(await violations(page), []);
  }
  await open(page);
  assert.deepEqual(await violations(page), []);
  await page.getByLabel('Your name').fill('Ada');
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  server.tellCard(conversation, { state: 'active', assignee: AGENT, agents: ANNA });
  server.speak(conversation, said(2, 'Good morning, see https://example.test/'));
  server.say(SERVER_TYPING, {
    conversation,
    author: { kind: 'agent', agent: AGENT },
    typing: true,
  });
  await page.getByText('Anna Brandt is typing…').waitFor();
  server.acks = false;
  for (const line of server.lines) line.terminate();
  await write(page, 'and one that waits');
  for (const colorScheme of ['dark', 'light'] as const) {
    await page.emulateMedia({ colorScheme });
    assert.deepEqual(await violations(page), []);
  }
});

test('the chat speaks the language of the page, or of its site, and fits the smallest phone in each', async () => {
  const words = {
    de: 'Chat öffnen',
    fr: 'Ouvrir le chat',
    es: 'Abrir el chat',
    sv: 'Open the chat',
  };
  const composers = {
    de: 'Ihre Nachricht',
    fr: 'Votre message',
    es: 'Su mensaje',
    sv: 'Your message',
  };
  server.availability = 'busy';
  server.site = { form: { name: 'required', email: 'optional' } };
  for (const language of ['de', 'fr', 'es', 'sv'] as const) {
    const page = await visit(`/index.html?lang=${language}-XX`);
    await page.setViewportSize({ width: 320, height: 640 });
    await page.getByRole('button', { name: words[language] }).click();
    await page.getByRole('textbox', { name: composers[language] }).waitFor();
    const panel = page.getByRole('dialog');
    assert.equal(
      await panel.evaluate((panel) => panel.closest('[lang]')?.getAttribute('lang')),
      language === 'sv' ? 'en' : language,
    );
    assert.ok(
      await panel.evaluate((panel) =>
        [...panel.querySelectorAll('*')].every(
          (one) => one.getBoundingClientRect().right <= innerWidth,
        ),
      ),
    );
    await shoot(page, `language-${language}`);
    await page.close();
  }
  server.site = { locale_default: 'de' };
  const page = await visit('/index.html?lang=');
  await page.getByRole('button', { name: 'Chat öffnen' }).waitFor();
});

for (const [words, script, left] of [
  ['is written from right to left', `document.documentElement.dir = 'rtl'`, true],
  ['has a body that is', `document.body.dir = 'rtl'`, true],
  [
    'turns round all that it does not know',
    `const sheet = new CSSStyleSheet(); sheet.replaceSync('html, div, * { direction: rtl !important; unicode-bidi: bidi-override !important }'); document.adoptedStyleSheets = [sheet]`,
    false,
  ],
] as const) {
  test(`on a page that ${words} the chat is on its ${left ? 'left' : 'right'}, and reads from left to right`, async () => {
    const page = await visit();
    await page.getByRole('button', { name: 'Open the chat' }).waitFor();
    await page.evaluate(`{ ${script} }`);
    const button = await page.getByRole('button', { name: 'Open the chat' }).boundingBox();
    await open(page);
    await write(page, 'שלום');
    await page.getByText('Sent', { exact: true }).waitFor();
    const [panel, bubble, go] = [
      await page.getByRole('dialog').boundingBox(),
      await page.locator('.bubble').boundingBox(),
      await page.getByRole('button', { name: 'Send' }).boundingBox(),
    ];
    assert.ok(panel && bubble && button && go);
    assert.deepEqual([panel.x < 40, button.x < 40], [left, left]);
    // One's own words stand at the end of the line, and so does what sends them.
    assert.ok(panel.x + panel.width - bubble.x - bubble.width < 40);
    assert.ok(panel.x + panel.width - go.x - go.width < 40);
    assert.ok(
      await page
        .getByRole('dialog')
        .evaluate((panel) =>
          [
            ...panel.querySelectorAll('.title, .under, .greeting, .banner p, .meta, textarea'),
          ].every(
            (one) =>
              getComputedStyle(one).direction ===
                (one.localName === 'textarea' && one.matches(':dir(rtl)') ? 'rtl' : 'ltr') &&
              getComputedStyle(one).unicodeBidi !== 'bidi-override',
          ),
        ),
    );
    // What is written in another direction has its own.
    assert.equal(
      await page.locator('.bubble').evaluate((one) => getComputedStyle(one).direction),
      'rtl',
    );
    await shoot(page, 'rtl');
    await page.setViewportSize({ width: 390, height: 780 });
    assert.deepEqual(await page.getByRole('dialog').boundingBox(), {
      x: 0,
      y: 0,
      width: 390,
      height: 780,
    });
  });
}

test('a site that is closed shows nothing', async () => {
  const page = await context.newPage();
  await page.route('**/v1/widget/**', (route) =>
    route.fulfill({ status: 404, headers: { 'access-control-allow-origin': '*' }, body: '{}' }),
  );
  const answered = page.waitForResponse(/v1\/widget/);
  await page.goto(shopOrigin);
  await answered;
  await page.waitForLoadState('networkidle');
  assert.equal(await page.getByRole('button').count(), 0);
});

test('a page that opens the chat makes no line and keeps nothing, until the visitor acts in it', async () => {
  const page = await context.newPage();
  await page.addInitScript(
    `window.LiveHelp = (...call) => (LiveHelp.q ??= []).push(call); LiveHelp('open')`,
  );
  await page.goto(shopOrigin);
  await page.getByRole('dialog').waitFor();
  const traces = (): Promise<unknown> =>
    page.evaluate(`navigator.locks.query().then(({ held, pending }) =>
    [document.activeElement === document.body, held.length + pending.length, localStorage.length + sessionStorage.length])`);
  assert.deepEqual(await traces(), [true, 0, 0]);
  await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
  assert.equal(server.connections, 0);
  await page.getByRole('textbox', { name: 'Your message' }).click();
  await eventually(async () => server.lines.size === 1);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  // Who has been here before is heard from the start.
  await page.close();
  const again = await context.newPage();
  await again.addInitScript(
    `window.LiveHelp = (...call) => (LiveHelp.q ??= []).push(call); LiveHelp('open')`,
  );
  await again.goto(shopOrigin);
  await again.getByText('hello', { exact: true }).waitFor();
});

test("a page's call takes the cursor only out of a panel that closes", async () => {
  const page = await visit();
  const focused = (): Promise<unknown> =>
    page.evaluate(
      `document.activeElement.shadowRoot?.activeElement?.className ?? document.activeElement.id`,
    );
  await page.evaluate(
    `document.body.append(Object.assign(document.createElement('input'), { id: 'field' })); field.focus()`,
  );
  await page.evaluate(`LiveHelp('open')`);
  await page.getByRole('dialog').waitFor();
  assert.equal(await focused(), 'field');
  await page.evaluate(`LiveHelp('close')`);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await focused(), 'field');
  await open(page);
  await page.evaluate(`LiveHelp('close')`);
  await page.getByRole('dialog').waitFor({ state: 'detached' });
  assert.equal(await focused(), 'launcher');
});

test('a page that empties or swaps its body keeps the chat', async () => {
  const page = await visit();
  const launcher = page.getByRole('button', { name: 'Open the chat' });
  await launcher.waitFor();
  for (const swap of [
    'document.body.replaceChildren()',
    `document.body = document.createElement('body')`,
    'document.body.replaceChildren()',
  ]) {
    await page.evaluate(swap);
    await launcher.waitFor();
  }
});

test('what is half written is there on the next page, and nowhere once the panel is closed', async () => {
  const page = await visit();
  await open(page);
  const composer = page.getByRole('textbox', { name: 'Your message' });
  await composer.fill('Do you have');
  await page.goto(`${shopOrigin}/about.html`);
  await eventually(async () => (await composer.inputValue()) === 'Do you have');
  await page.getByRole('button', { name: 'Close the chat' }).first().click();
  assert.equal(await page.evaluate('sessionStorage.length'), 0);
});

test('a page that changes its address without a load is told, once for each', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const told = (): (string | undefined)[] =>
    server.heard.flatMap((frame) =>
      frame.kind === 'page' ? [frame.page.url.replace(shopOrigin, '')] : [],
    );
  for (const address of ['/a', '/a?of=it', '/b'])
    await page.evaluate(`history.pushState(null, '', '${address}')`);
  await eventually(async () => told().at(-1) === '/b');
  assert.deepEqual(
    told().filter((path) => path?.length === 2),
    ['/a', '/b'],
  );
});

/** The page's title as it is seen. */
const title = async (page: Page): Promise<string> => (await page.title()).replaceAll('\u2063', '');

test("the title that agents see is the page's own, and not longer than the server takes", async () => {
  const page = await visit();
  await page.evaluate(`document.title = '(500) ' + '長'.repeat(2_000)`);
  await open(page);
  await write(page, 'hello');
  const { page: seen, conversation } = await server.hears('open');
  assert.equal(seen?.title, `(500) ${'長'.repeat(327)}`);
  await page.getByText('Sent', { exact: true }).waitFor();
  await page.evaluate(`document.title = '(1) (500) Days'`);
  await page.keyboard.press('Escape');
  server.speak(conversation, said(2, 'Good morning'));
  await eventually(async () => (await title(page)) === '(1) (1) (500) Days');
  server.speak(conversation, said(3, 'And hello'));
  await eventually(async () => (await title(page)) === '(2) (1) (500) Days');
  await page.goto(`${shopOrigin}/index.html?on`);
  await page.evaluate(`document.title = '(7) Inbox'`);
  await page.getByRole('button', { name: '2 unread messages' }).click();
  await server.hears('seen', ({ seq }) => seq === 3);
  await eventually(async () => (await page.title()) === '(7) Inbox');
});

test('a chat that could not be fetched says so, and the next click fetches it', async () => {
  const page = await visit();
  const asked: string[] = [];
  await page.route('**/assets/chat_*', (route) =>
    asked.push(route.request().url()) === 1 ? route.abort() : route.continue(),
  );
  await page.getByRole('button', { name: 'Open the chat' }).click();
  await page
    .getByRole('status')
    .getByText('The chat could not be loaded. Please try again.')
    .waitFor();
  assert.equal(await page.evaluate('sessionStorage.length'), 0);
  await shoot(page, 'not-loaded');
  await open(page);
  assert.equal(await page.getByText('The chat could not be loaded.').count(), 0);
  // Some browsers remember for the life of a page that an address failed.
  assert.deepEqual(asked.slice(1), [`${asked[0]}?1`]);
  complaints.length = 0;
});

test('a chat that takes its time shows that it comes', async () => {
  const page = await visit();
  let go = (): void => undefined;
  const held = new Promise<void>((resolve) => (go = resolve));
  await page.route('**/assets/chat_*', (route) => held.then(() => route.continue()));
  await page.getByRole('button', { name: 'Open the chat' }).click();
  await page.getByRole('status').getByText('…').waitFor();
  go();
  await page.getByRole('dialog').waitFor();
  assert.equal(await page.getByText('…', { exact: true }).count(), 0);
});

test('a page that was without a network has its chat as soon as there is one', async () => {
  const page = await context.newPage();
  let fetches = 0;
  await page.route('**/v1/widget/**', (route) =>
    fetches++ === 0 ? route.abort() : route.continue(),
  );
  const failed = page.waitForEvent('requestfailed');
  await page.goto(shopOrigin);
  await failed;
  await page.evaluate(`dispatchEvent(new Event('online'))`);
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
});

test('a reset empties the form and the composer too', async () => {
  server.site = { form: { name: 'required' } };
  const page = await visit();
  await open(page);
  await page.getByLabel('Your name').fill('Ada');
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  await page.getByRole('textbox', { name: 'Your message' }).fill('My card number is');
  await page.evaluate(`LiveHelp('reset')`);
  await open(page);
  assert.deepEqual(
    [
      await page.getByLabel('Your name').inputValue(),
      await page.getByRole('textbox', { name: 'Your message' }).inputValue(),
    ],
    ['', ''],
  );
  assert.deepEqual(await texts(page), []);
});

test('a reset where no chat is loaded closes the line of the tab that has one', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  server.tellCard(conversationOf(server), { state: 'closed' });
  await page.getByText('This conversation has ended.').waitFor();
  const other = await visit();
  await other.getByRole('button', { name: 'Open the chat' }).waitFor();
  await other.evaluate(`LiveHelp('reset')`);
  await eventually(async () => server.lines.size === 0 && (await texts(page)).length === 0);
});

test('a tab in the back/forward cache writes nothing back of what another one erased', async () => {
  const [openOne, cached] = [await visit(), await visit()];
  await open(cached);
  await write(cached, 'hello');
  await cached.getByText('Sent', { exact: true }).waitFor();
  await open(openOne);
  await openOne.getByText('hello', { exact: true }).waitFor();
  server.tellCard(conversationOf(server), { state: 'closed' });
  await openOne.getByText('This conversation has ended.').waitFor();
  const third = await visit();
  await third.getByRole('button', { name: 'Open the chat' }).waitFor();
  await awayAndBack(cached, async () => {
    await eventually(async () => server.connections === 2);
    await third.evaluate(`LiveHelp('reset')`);
    await eventually(async () => server.lines.size === 0);
  });
  await eventually(
    async () => (await texts(openOne)).length === 0 && (await texts(cached)).length === 0,
  );
  server.card = {};
  await third.evaluate('new Promise((resolve) => setTimeout(resolve, 100))');
  assert.equal(await third.evaluate('localStorage.length'), 0);
  assert.equal(server.lines.size, 0);
});

test('a page may call before the chat is there, and reset leaves nothing', async () => {
  server.availability = 'unavailable';
  const page = await context.newPage();
  await page.goto(shopOrigin);
  await page.getByRole('button', { name: 'Open the chat' }).waitFor();
  await page.evaluate(`LiveHelp('open')`);
  await page.getByText('No one is here right now.').waitFor();
  await shoot(page, 'away');
  await write(page, 'Please call me back');
  await page.getByText('Sent', { exact: true }).waitFor();
  assert.ok(Number(await page.evaluate('localStorage.length')) > 0);
  await page.evaluate(`LiveHelp('reset')`);
  await eventually(async () => server.lines.size === 0);
  assert.equal(await page.evaluate('localStorage.length'), 0);
});

test('where the button that was pressed goes, the cursor is in the composer', async () => {
  server.site = { form: { name: 'required' } };
  const page = await visit();
  await open(page);
  const focused = (): Promise<unknown> =>
    page.evaluate(
      `document.activeElement.shadowRoot?.activeElement?.ariaLabel ?? document.activeElement.localName`,
    );
  const press = async (name: string): Promise<void> => {
    await page.getByRole('button', { name }).last().focus();
    await page.keyboard.press('Enter');
    await page.getByRole('button', { name }).waitFor({ state: 'detached' });
    // What is gone loses the cursor with the next frame.
    await page.evaluate(
      'new Promise((resolve) => requestAnimationFrame(() => requestAnimationFrame(resolve)))',
    );
    assert.equal(await focused(), 'Your message', name);
  };
  await page.getByLabel('Your name').fill('Ada');
  server.refuses = { kinds: ['open'], times: 1, code: 'limit-reached' };
  await write(page, 'hello');
  await page.getByText('The conversation could not be started').waitFor();
  await press('Start a new one');
  await press('Try again');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  for (const name of ['Try again', 'Delete']) {
    server.refuses = { kinds: ['send'], times: 1, code: 'too-long' };
    await write(page, 'too much');
    await page.getByRole('button', { name }).waitFor();
    await press(name);
  }
  server.tellCard(conversation, { state: 'active', assignee: AGENT, agents: ANNA });
  // The question whether to end it goes with the line.
  await page.getByRole('button', { name: 'End the conversation' }).click();
  await page.getByRole('button', { name: 'Keep it' }).focus();
  server.tellCard(conversation, { state: 'closed' });
  await page.getByRole('button', { name: 'Start a new one' }).waitFor();
  await eventually(async () => (await focused()) === 'Your message');
  await press('Start a new one');
  // And where it was in a field of a form that is not asked for any more.
  await page.getByLabel('Your name').focus();
  server.closes = 1000;
  for (const line of server.lines) line.close(1000);
  await page.getByLabel('Your name').waitFor({ state: 'hidden' });
  await eventually(async () => (await focused()) === 'Your message');
  // It is not taken from the page.
  await page.evaluate('document.activeElement.blur()');
  server.closes = undefined;
  await page.evaluate(`document.dispatchEvent(new Event('visibilitychange'))`);
  await page.getByLabel('Your name').waitFor();
  assert.equal(await focused(), 'body');
});

/** What pages do to their titles while somebody is waited for: `bump()` is one step of it. */
const TITLES = {
  'puts a sign before it': ['window.bump = () => (document.title = "* " + document.title)', '* '],
  'puts a sign behind it': ['window.bump = () => (document.title += " *")', ' *'],
  'blinks, and puts back what it kept': [
    'window.kept = document.title; window.bump = () => (document.title = document.title === kept ? "Come back!" : kept)',
    '',
  ],
  'counts itself': [
    'window.inbox = 500; window.bump = () => (document.title = `(${++inbox}) Shop`)',
    '',
  ],
} as const;
for (const [words, [script, sign]] of Object.entries(TITLES)) {
  test(`on a page that ${words} the number in the title is the one of now, and goes`, async () => {
    const page = await visit();
    await page.evaluate(`document.title = '(500) Shop'`);
    await open(page);
    await write(page, 'hello');
    await page.getByText('Sent', { exact: true }).waitFor();
    await page.keyboard.press('Escape');
    const conversation = conversationOf(server);
    server.speak(conversation, said(2, 'Good morning'));
    await eventually(async () => (await title(page)) === '(1) (500) Shop');
    await page.evaluate(`${script}; bump(); undefined`);
    server.speak(conversation, said(3, 'And hello'));
    await page.getByRole('button', { name: '2 unread messages' }).waitFor();
    const numbers = async (): Promise<number> =>
      (await page.title()).match(/\(\d+\) \u2063/g)?.length ?? 0;
    assert.equal(await numbers(), 1);
    assert.match(await page.title(), /^\(2\) /);
    await page.evaluate('bump()');
    await page.getByRole('button', { name: '2 unread messages' }).click();
    await server.hears('seen', ({ seq }) => seq === 3);
    await page.evaluate('bump()');
    await eventually(async () => (await numbers()) === 0);
    assert.doesNotMatch(await title(page), /\([12]\)/);
    if (sign) assert.equal((await title(page)).split(sign).join(''), '(500) Shop');
    if (words === 'counts itself') assert.equal(await title(page), '(503) Shop');
    if (words.startsWith('blinks')) {
      await page.evaluate('document.title = kept');
      await eventually(async () => (await title(page)) === '(500) Shop');
    }
  });
}

test('a page that insists on an old number is asked no more than now and then', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  await page.keyboard.press('Escape');
  server.speak(conversationOf(server), said(2, 'Good morning'));
  await eventually(async () => (await page.title()).startsWith('(1) '));
  await page.evaluate(`window.kept = document.title; window.times = 0;
    new MutationObserver(() => { if (document.title !== kept) { times++; document.title = kept } }).observe(document.head, { childList: true, subtree: true, characterData: true }); undefined`);
  await page.getByRole('button', { name: 'one unread message' }).click();
  await server.hears('seen', ({ seq }) => seq === 2);
  await page.waitForTimeout(2_500);
  assert.ok(Number(await page.evaluate('times')) < 6);
});

test('the newest stays in sight, whatever comes with it that takes its room', async () => {
  const page = await visit();
  await open(page);
  await write(page, 'hello');
  await page.getByText('Sent', { exact: true }).waitFor();
  const conversation = conversationOf(server);
  const below = (): Promise<number> =>
    page.getByRole('log').evaluate((log) => log.scrollHeight - log.scrollTop - log.clientHeight);
  const settled = async (): Promise<number> => {
    await page.evaluate(
      'new Promise((resolve) => { let frames = 6; const next = () => (frames-- ? requestAnimationFrame(next) : resolve()); next(); })',
    );
    return below();
  };
  for (let seq = 2; seq < 12; seq++) {
    server.tellCard(conversation, { state: 'active', assignee: AGENT, agents: ANNA });
    await eventually(async () => (await page.locator('.banner.quiet').count()) === 1);
    server.speak(conversation, said(seq * 2, `line ${seq} `.repeat(seq * 3)));
    await page.getByText(`line ${seq}`).last().waitFor();
    assert.ok((await settled()) < 2, `line ${seq}`);
    // A line of the system and a banner of two lines in one go.
    const { at, message } = said(2, '');
    server.speak(conversation, {
      seq: seq * 2 + 1,
      message,
      at,
      author: { kind: 'system' },
      body: { kind: 'event', event: 'closed' },
      expires: 2_600,
    });
    server.tellCard(conversation, { state: 'closed' });
    await page.getByText('This conversation has ended.').waitFor();
    assert.ok((await settled()) < 2, `closed after ${seq}: ${await below()} below`);
  }
});
