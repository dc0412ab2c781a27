// The whole story: visitors in the demo shop, agents in the console, one server, nothing faked.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { newPerson, picture, startBrowser } from './rig/browser.mjs';
import { Agent, Visitor } from './rig/people.mjs';
import { Server } from './rig/server.mjs';

let server, browser, ada, grace, ann, ben;

before(async () => {
  server = await Server.fresh();
  browser = await startBrowser();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('an agent signs in, sets their site up and says that they are there', async () => {
  ada = await Agent.signIn(await newPerson(browser), server);
  const { items } = await ada.asks('GET', '/v1/sites');
  await ada.asks('PATCH', `/v1/sites/${items[0].site_id}`, {
    form: { name: 'required', email: 'optional' },
  });
  await ada.beAvailable(1);
  await picture(ada.page, '01-console-available');
});

test('a page with the widget stores and connects nothing before the visitor acts', async () => {
  const person = await newPerson(browser);
  const page = await person.context.newPage();
  const sockets = [];
  page.on('websocket', (socket) => sockets.push(socket.url()));
  await page.goto(server.addresses.demo);
  await page.getByRole('button', { name: /^Open the chat/ }).waitFor();
  assert.deepEqual(sockets, []);
  assert.equal(await page.evaluate(() => localStorage.length + sessionStorage.length), 0);
  assert.deepEqual(await person.context.cookies(), []);
  await person.context.close();
});

test("the shop runs no script but the widget's, and none that makes markup", async () => {
  const answer = await fetch(server.addresses.demo);
  const policy = answer.headers.get('content-security-policy');
  const origin = server.addresses.public;
  const rules = new Map(
    policy
      .split(';')
      .map((rule) => [rule.trim().split(' ')[0], rule.trim().split(' ').slice(1).join(' ')]),
  );
  assert.equal(rules.get('default-src'), "'none'");
  assert.equal(rules.get('script-src'), origin);
  assert.equal(rules.get('connect-src'), `${origin} ${origin.replace('http', 'ws')}`);
  assert.equal(rules.get('style-src'), "'self'");
  assert.equal(rules.get('require-trusted-types-for'), "'script'");
  assert.equal(rules.get('trusted-types'), "'none'");
  // Everything below happens under it; what it refused would stand among the faults at the end.
});

test('a visitor opens the widget, fills the form in and sends their first words', async () => {
  ann = await Visitor.arrive(await newPerson(browser), server);
  await ann.openWidget();
  await picture(ann.page, '02-widget-form');
  await ann.begin({
    name: 'Ann Archer',
    email: 'ann@example.test',
    text: 'Is the Sencha from this year?',
  });
  await ann.isTold('You are being connected to an agent');
  await picture(ann.page, '03-widget-offered');
});

test('the conversation is offered to the agent, who accepts it', async () => {
  await ada.isOffered('Ann Archer');
  await picture(ada.page, '04-console-offer');
  await ada.accept('Ann Archer');
  await ada.sees('Is the Sencha from this year?');
  await ann.panel.getByText('joined the conversation').first().waitFor();
});

test('the next visitor is told their position in the queue', async () => {
  ben = await Visitor.arrive(await newPerson(browser), server);
  await ben.openWidget();
  await ben.begin({ name: 'Ben Baker', email: 'ben@example.test', text: 'Where is my order?' });
  await ben.isTold('You are next in line.');
  await picture(ben.page, '05-widget-queue');
});

test('each sees the other typing', async () => {
  await ada.type('Yes, picked in April.');
  await ann.seesTyping();
  await picture(ann.page, '06-widget-agent-is-typing');
  await ada.send();
  await ann.sees('Yes, picked in April.');
  await ann.type('Lovely, can I reserve two?');
  await ada.seesTyping('Ann Archer');
  await picture(ada.page, '07-console-visitor-is-typing');
});

test('each sees that the other has seen', async () => {
  await ann.send();
  await ada.sees('Lovely, can I reserve two?');
  await ann.seesMark('Lovely, can I reserve two?', 'Seen');
  await ada.seesMark('Yes, picked in April.', 'Seen');
  await picture(ann.page, '08-widget-seen');
});

test('what reached a screen and was not looked at is delivered, and seen afterwards', async () => {
  await ann.closeWidget();
  await ada.say('Anything else?');
  await ada.seesMark('Anything else?', 'Delivered');
  await picture(ada.page, '13-console-delivered');
  await ann.openWidget();
  await ada.seesMark('Anything else?', 'Seen');
  await ada.goesTo('Account');
  await ann.say('No, thank you.');
  await ann.seesMark('No, thank you.', 'Delivered');
  await picture(ann.page, '14-widget-delivered');
  await ada.goesTo('Board');
  await ada.opens('Ann Archer');
  await ann.seesMark('No, thank you.', 'Seen');
});

test('a card number is hidden at once, from whoever wrote it too', async () => {
  await ann.composer.fill('My card is 4111 1111 1111 1111.');
  await ann.send();
  for (const person of [ann, ada]) {
    await person.sees('My card is [hidden].');
    assert.equal(await person.page.getByText('4111').count(), 0);
  }
  await ada.composer.fill('Never send 4111 1111 1111 1111 here.');
  await ada.send();
  for (const person of [ann, ada]) {
    await person.sees('Never send [hidden] here.');
    assert.equal(await person.page.getByText('4111').count(), 0);
  }
});

test('an internal note never reaches the visitor', async () => {
  await ada.note('She asked twice about the harvest.');
  await ada.say('They are reserved for you.');
  await ann.sees('They are reserved for you.');
  assert.equal(await ann.page.getByText('asked twice').count(), 0);
  await picture(ada.page, '09-console-note');
});

test('a colleague joins by invitation and takes the one who waits', async () => {
  grace = await ada.invites(await newPerson(browser), 'Grace Green', 'grace@example.test');
  await grace.beAvailable(2);
  await grace.accept('Ben Baker');
  await grace.say('It left yesterday.');
  await ben.sees('It left yesterday.');
});

test('a conversation is handed over, closed and opened again', async () => {
  await ada.transferTo('Grace Green');
  await grace.decline('Ann Archer');
  await ada.isNotified('Grace Green did not take over the conversation with Ann Archer.');
  await ada.page.getByText('The conversation is still with you.').waitFor();
  await picture(ada.page, '15-console-transfer-declined');
  await ada.say('A moment, please.');
  await ann.sees('A moment, please.');
  await ada.transferTo('Grace Green');
  await grace.isOffered('Ann Archer');
  await picture(grace.page, '10-console-transfer-offered');
  await grace.accept('Ann Archer');
  await grace.say('Grace here, I have your reservation.');
  await ann.sees('Grace here, I have your reservation.');
  await grace.close();
  await ann.isTold('This conversation has ended.');
  await picture(ann.page, '11-widget-closed');
  await grace.reopen();
  await grace.say('One more thing: mind the steam.');
  await ann.sees('One more thing: mind the steam.');
  await picture(grace.page, '12-console-reopened');
});

test('both ends show the same words in the same order', async () => {
  const notes = ['She asked twice about the harvest.'];
  const theirs = (await grace.transcript()).filter((text) => !notes.includes(text));
  assert.deepEqual(theirs, await ann.transcript());
  assert.equal(theirs.length, 11);
});

test("no page threw anything, and no word is in the server's log", () => {
  for (const person of [ada, grace, ann, ben]) assert.deepEqual(person.faults, []);
  for (const word of ['Archer', 'ann@example.test', 'reserved', 'twice', 'steam', '4111']) {
    assert.ok(!server.log.includes(word), `the log holds ${word}`);
  }
});
