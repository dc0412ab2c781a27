// What a conversation survives: reload, a closed tab, no network, a killed server.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { newPerson, picture, startBrowser } from './rig/browser.mjs';
import { Agent, Visitor } from './rig/people.mjs';
import { Server } from './rig/server.mjs';

let server, browser, ada, ann;
/** Every word said so far, in order. */
const said = [];

/** Both ends show exactly what was said, once and in order. */
async function nothingIsLost() {
  for (const person of [ann, ada]) await person.shows(said);
}

async function annSays(text) {
  said.push(text);
  await ann.say(text);
}

async function adaSays(text) {
  said.push(text);
  await ada.say(text);
}

before(async () => {
  server = await Server.fresh();
  browser = await startBrowser();
  ada = await Agent.signIn(await newPerson(browser), server);
  const { items } = await ada.asks('GET', '/v1/sites');
  await ada.asks('PATCH', `/v1/sites/${items[0].site_id}`, {
    form: { name: 'required', email: 'optional' },
  });
  await ada.beAvailable(3);
  ann = await Visitor.arrive(await newPerson(browser), server);
  await ann.openWidget();
  said.push('Good morning.');
  await ann.begin({ name: 'Ann Archer', email: 'ann@example.test', text: 'Good morning.' });
  await ada.accept('Ann Archer');
  await adaSays('Good morning, Ann.');
  await nothingIsLost();
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

test('a reload at either end loses nothing', async () => {
  await ann.page.reload();
  await ann.composer.waitFor();
  await nothingIsLost();
  await annSays('I had to reload.');
  await ada.page.reload();
  await nothingIsLost();
});

test('a reload right after the key that sends loses nothing, whenever it comes', async () => {
  for (const waitMs of [0, 1, 3, 8, 20]) {
    for (const person of [ann, ada]) {
      const text = `${person === ann ? 'Ann' : 'Ada'} reloads after ${waitMs} ms.`;
      await person.composer.fill(text);
      await person.composer.press('Enter');
      await new Promise((resolve) => setTimeout(resolve, waitMs));
      await person.page.reload();
      said.push(text);
      await nothingIsLost();
    }
  }
});

test('a tab that is closed and opened again shows what was said meanwhile', async () => {
  await ann.page.close();
  await adaSays('Are you still there?');
  ann = await ann.secondTab(server);
  await ann.openWidget();
  await nothingIsLost();
});

test('a second tab shows the same conversation and speaks in it', async () => {
  const other = await ann.secondTab(server);
  await other.openWidget();
  await other.sees(said.at(-1));
  said.push('This is my other tab.');
  await other.say('This is my other tab.');
  await nothingIsLost();
  await other.page.close();
  await annSays('And this the first one.');
  await nothingIsLost();
});

test('what is written without network arrives when it is back', async () => {
  await ann.context.setOffline(true);
  await annSays('Written in a tunnel.');
  await adaSays('I wait.');
  // Before the tunnel ends: the order of both is what is looked at.
  await ada.isStored();
  assert.ok(!(await ada.transcript()).includes('Written in a tunnel.'));
  await picture(ann.page, '20-widget-offline');
  await ann.context.setOffline(false);
  const [tunnel, wait] = said.splice(-2);
  said.push(wait, tunnel);
  await nothingIsLost();
});

test('a server that is killed comes back with every word, and so do its clients', async () => {
  await adaSays('Now the lights go out.');
  await ada.isStored();
  await server.kill();
  await ann.isTold('The connection is lost.');
  await picture(ann.page, '21-widget-server-gone');
  await annSays('Hello? Anyone?');
  await server.start();
  await nothingIsLost();
  await adaSays('Here we are again.');
  await nothingIsLost();
});

test('no page threw anything', () => {
  for (const person of [ada, ann]) assert.deepEqual(person.faults, []);
});
