// Half a minute in a tunnel: the connection is neither closed nor alive.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { newPerson, picture, startBrowser } from './rig/browser.mjs';
import { Agent, Visitor } from './rig/people.mjs';
import { Server } from './rig/server.mjs';
import { Wire } from './rig/wire.mjs';

const TUNNEL_MS = 30_000;

let server, wire, browser, ada, ann;

before(async () => {
  server = await Server.fresh([], async (port) => (wire = await Wire.to(port)));
  browser = await startBrowser();
  ada = await Agent.signIn(await newPerson(browser), server);
  await ada.beAvailable(1);
  ann = await Visitor.arrive(await newPerson(browser), server);
  await ann.openWidget();
  await ann.begin({ name: 'Ann Archer', email: '', text: 'I am on a train.' });
  await ada.accept('Ann Archer');
  await ada.say('Have a good journey.');
  await ann.sees('Have a good journey.');
});

after(async () => {
  await browser?.close();
  await wire?.stop();
  await server?.stop();
});

test('what both say during 30 seconds without network arrives, once and in order', async () => {
  const shop = new URL(server.addresses.demo).origin;
  const begun = Date.now();
  wire.cut(shop);
  const missed = ['A tunnel, I think.', 'Are you there?', 'I write on all the same.'];
  for (const text of missed) await ann.say(text);
  await ada.say('Are you there, Ann?');
  // The page finds out by itself that nobody answers, and says so.
  await ann.page.getByText('The connection is lost.').waitFor({ timeout: TUNNEL_MS + 15_000 });
  await picture(ann.page, '40-widget-in-a-tunnel');
  assert.deepEqual(await ada.transcript(), [
    'I am on a train.',
    'Have a good journey.',
    'Are you there, Ann?',
  ]);
  await new Promise((resolve) => setTimeout(resolve, Math.max(0, begun + TUNNEL_MS - Date.now())));

  wire.mend(shop);
  await ann.page.evaluate(() => dispatchEvent(new Event('online')));
  const all = ['I am on a train.', 'Have a good journey.', 'Are you there, Ann?', ...missed];
  for (const person of [ann, ada]) await person.shows(all);
  await ann.seesMark(all.at(-1), 'Seen');
  await ada.say('There you are.');
  await ann.sees('There you are.');
});

test('no page threw anything', () => {
  for (const person of [ada, ann]) assert.deepEqual(person.faults, []);
});
