// Who waits and who answers: a message left, an invitation, offers declined and missed, positions
// in the queue, a visitor who comes back.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { newPerson, NOWHERE, picture, startBrowser } from './rig/browser.mjs';
import { Agent, Visitor } from './rig/people.mjs';
import { Server } from './rig/server.mjs';

let server, browser, ada, grace, ann, ben, cleo, dora;

before(async () => {
  // Short, so that missing an offer and losing an agent take no half minute each.
  server = await Server.fresh(['--offer-ms', '6000', '--agent-grace-ms', '1500']);
  browser = await startBrowser();
  ada = await Agent.signIn(await newPerson(browser), server);
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

async function arrives(name, text) {
  const visitor = await Visitor.arrive(await newPerson(browser), server);
  await visitor.openWidget();
  await visitor.begin({ name, email: '', text });
  return visitor;
}

test('with no agent there a message is left, and agents see it as one', async () => {
  const person = await newPerson(browser);
  ann = await Visitor.arrive(person, server);
  await ann.openWidget();
  await ann.panel.getByText('No one is here right now.').waitFor();
  await picture(ann.page, '30-widget-nobody-there');
  await ann.begin({
    name: 'Ann Archer',
    email: 'ann@example.test',
    text: 'Please write to me about the kettle.',
  });
  await ann.isTold('Thank you. We have your message');
  await picture(ann.page, '31-widget-message-left');
  await ada.looksAt('Waiting');
  await ada.row('Ann Archer').getByText('Left a message').waitFor();
  await picture(ada.page, '32-console-message-left');
});

test("a colleague joins by an invitation's link, once, with a password of their own", async () => {
  const link = await ada.makesInvitation('grace@example.test');
  grace = await Agent.joins(await newPerson(browser), server, link, 'Grace Green');
  await grace.signOut();
  await grace.page.goto(link);
  await grace.page.getByText('This invitation is not valid.').waitFor();
  await grace.page.getByRole('link', { name: 'Go to sign in' }).click();
  await grace.signInAs('grace@example.test');
  await ada.page.reload();
  await ada.page.getByRole('main').getByText('Grace Green').waitFor();
  await ada.goesTo('Board');
});

test('what one declines is offered to another, and what they miss waits again', async () => {
  await ada.beAvailable(1);
  await ada.isOffered('Ann Archer');
  await ann.isTold('You are being connected to an agent');
  await grace.beAvailable(1);
  await ada.decline('Ann Archer');
  await grace.isOffered('Ann Archer');
  await picture(grace.page, '33-console-offer-after-decline');
  await ada.looksAt('Waiting');
  await ada.row('Ann Archer').getByText('Grace Green').waitFor();
  // Nobody answers: the offer runs out by itself, on the agent's screen and on the visitor's.
  await grace.offers.getByRole('article').waitFor({ state: 'detached' });
  await grace.isNotified('You missed a conversation that was offered to you: Ann Archer.');
  await picture(grace.page, '36-console-missed');
  await grace.page.locator('.notice').getByRole('button', { name: 'Dismiss' }).click();
  await ann.panel.getByText('You are being connected to an agent').waitFor({ state: 'detached' });
  await ada.row('Ann Archer').getByText('Waiting', { exact: true }).waitFor();
});

test('an agent takes one that waits ahead of others', async () => {
  await ada.opens('Ann Archer');
  assert.equal(await ada.page.getByRole('radio', { name: 'Reply' }).isDisabled(), true);
  await ada.page.getByText('Take it to answer').waitFor();
  await ada.page.getByRole('button', { name: 'Take it' }).click();
  await ada.say('Here I am. Which kettle?');
  await ann.sees('Here I am. Which kettle?');
  await ann.panel.getByRole('heading', { name: 'Ada Adams' }).waitFor();
});

test('positions in the queue reach those who wait as the queue moves', async () => {
  await grace.beAvailable(1);
  ben = await arrives('Ben Baker', 'Where is my order?');
  await grace.isOffered('Ben Baker');
  await grace.accept('Ben Baker');
  dora = await arrives('Dora Dean', 'Do you ship to Norway?');
  await dora.isTold('You are next in line.');
  cleo = await arrives('Cleo Cole', 'Is the shop open?');
  await cleo.isTold('You are number 2 in line.');
  await picture(cleo.page, '34-widget-second-in-line');
  await ada.looksAt('Waiting');
  await ada.row('Cleo Cole').getByText('#2').waitFor();
  await grace.close();
  await grace.accept('Dora Dean');
  await cleo.isTold('You are next in line.');
  await ada.row('Cleo Cole').getByText('#1').waitFor();
});

test('a visitor whose conversation ended writes on, and is heard', async () => {
  await ben.isTold('This conversation has ended.');
  await ben.say('One more question.');
  await ben.isTold('You are number 2 in line.');
  await ada.row('Ben Baker').getByText('#2').waitFor();
});

test('a visitor ends a conversation and starts a new one', async () => {
  await ann.panel.getByRole('button', { name: 'End the conversation' }).click();
  await ann.panel.getByRole('button', { name: 'Keep it' }).click();
  await ann.panel.getByRole('button', { name: 'End the conversation' }).click();
  await ann.panel.getByRole('button', { name: 'End it' }).click();
  await ann.isTold('This conversation has ended.');
  await ada.accept('Cleo Cole');
  await ann.panel.getByRole('button', { name: 'Start a new one' }).click();
  await ann.sees('Hello! How can we help you?');
  assert.deepEqual(await ann.transcript(), []);
  await ann.begin({ name: 'Ann Archer', email: 'ann@example.test', text: 'Something else.' });
  await ann.isTold('You are number 2 in line.');
});

test('an agent who is gone gives back what they had, and the visitor is told', async () => {
  await grace.context.close();
  await dora.sees('Our agent is no longer here. You are first in line again.');
  await dora.isTold('You are next in line.');
  await ada.looksAt('Waiting');
  await ada.row('Dora Dean').getByText('#1').waitFor();
  await ada.row('Ben Baker').getByText('#2').waitFor();
  await ada.opens('Dora Dean');
  await ada.log.getByText(/^The agent was away for too long/).waitFor();
  await picture(ada.page, '35-console-given-back');
});

test('the address of a conversation that never was says so', async () => {
  await ada.page.goto(`${server.addresses.public}/#/conversations/${NOWHERE}`);
  await ada.page.getByText('This conversation is not there.').waitFor();
  await picture(ada.page, '37-console-not-there');
});

test('no page threw anything', () => {
  for (const person of [ada, grace, ann, ben, cleo, dora]) assert.deepEqual(person.faults, []);
});
