// The server dies again and again while everyone writes. Afterwards every screen shows what is
// stored, and all that was acked is.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { newPerson, startBrowser } from './rig/browser.mjs';
import { Journal } from './rig/journal.mjs';
import { Agent, Visitor } from './rig/people.mjs';
import { Server } from './rig/server.mjs';

/**
 * What happens when a life ends. After half of them the pages are helped to come back, after the
 * others they find out by themselves.
 */
const MOMENTS = [
  {
    at: 'a message is on its way and nobody knows yet whether it is stored',
    helped: false,
    until: ({ journal }) => journal.next('sent'),
  },
  {
    at: 'an ack was heard this very moment',
    helped: true,
    until: ({ journal }) => journal.next('acked'),
  },
  {
    at: 'connections come back and what was written meanwhile is sent again',
    helped: false,
    early: true,
    until: ({ journal }) => journal.next('sent'),
  },
  { at: 'any moment', helped: true, until: () => pause(Math.random() * LIFE_MS_MAX) },
  {
    at: 'a page is loaded anew',
    helped: false,
    reload: true,
    until: ({ journal }) => journal.next('open'),
  },
  {
    at: 'the first ack after coming back was heard',
    helped: true,
    early: true,
    until: ({ journal }) => journal.next('acked'),
  },
];
const KILLS = 50;
const NAMES = ['Ann Archer', 'Ben Baker', 'Cleo Cole'];
/** Messages that one writer says at once, and how long they rest after that. */
const ROUND = 4;
const REST_MS = 250;
/**
 * After so many rounds in one life they rest longer: a life lasts until the pages that wait for
 * their next try, up to 30 seconds, have come back, and each would else have thousands of messages
 * in the end.
 */
const ROUNDS_OF_A_LIFE = 6;
const LONG_REST_MS = 2_000;
/** A server lives so long at most under load. */
const LIFE_MS_MAX = 700;

let server, browser, ada;
let visitors;
/** How many servers there were. */
let life = 0;

before(async () => {
  const rates = [
    '--messages-per-minute',
    '100000',
    '--messages-burst',
    '10000',
    '--frames-per-second',
    '1000',
    '--frames-burst',
    '5000',
  ];
  server = await Server.fresh(rates);
  browser = await startBrowser();
  ada = await Agent.signIn(await newPerson(browser), server);
  ada.journal = new Journal(ada.page);
  await ada.page.reload();
  await ada.beAvailable(NAMES.length);
  visitors = [];
  for (const name of NAMES) {
    const visitor = await Visitor.arrive(
      await newPerson(browser, { width: 700, height: 700 }),
      server,
    );
    visitor.journal = new Journal(visitor.page);
    visitor.name = name;
    await visitor.openWidget();
    await visitor.begin({ name, email: '', text: `${name} is here.` });
    await ada.accept(name);
    visitors.push(visitor);
  }
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Writes until told to stop; answers what was taken, in order. */
async function writes(person, name, stopped) {
  const said = [];
  let lived = { life, rounds: 0 };
  for (let round = 1; !stopped(); round += 1) {
    if (lived.life !== life) lived = { life, rounds: 0 };
    lived.rounds += 1;
    if (person.reloaded !== undefined) {
      await person.page.reload();
      await person.composer.waitFor();
      person.reloaded();
      person.reloaded = undefined;
    }
    const texts = Array.from({ length: ROUND }, (_, index) => `${name} ${round}.${index + 1}`);
    said.push(...(await person.composer.evaluate(typeAndSend, texts)));
    await pause(lived.rounds > ROUNDS_OF_A_LIFE ? LONG_REST_MS : REST_MS);
  }
  return said;
}

/**
 * Runs in the page: faster than keys, by the same events. What a full outbox does not take stays in
 * the composer: it was not sent.
 */
async function typeAndSend(field, texts) {
  const said = [];
  for (const text of texts) {
    field.value = text;
    field.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
    // The widget has no form: a page in a sandbox may not have one.
    if (field.form) field.form.requestSubmit();
    else field.parentElement.querySelector('button').click();
    await new Promise(requestAnimationFrame);
    if (field.value !== '') break;
    said.push(text);
  }
  return said;
}

/** Fails after more than the longest wait between two tries; it keeps nobody waiting itself. */
function late(what) {
  return new Promise((_, reject) =>
    setTimeout(() => reject(new Error(`it never happened: ${what}`)), 40_000).unref(),
  );
}

const acks = () => [ada, ...visitors].reduce((sum, { journal }) => sum + journal.acked.length, 0);

async function until(condition, what) {
  // The longest wait between two tries is 30 seconds.
  const end = Date.now() + 40_000;
  while (!(await condition())) {
    assert.ok(Date.now() < end, what);
    await pause(50);
  }
}

test('nothing that was acked is lost or doubled, however often the server is killed', async () => {
  let stop = false;
  const writers = visitors.map((visitor) => writes(visitor, visitor.name, () => stop));
  writers.push(writes(ada, 'Ada', () => stop));

  for (let kill = 0; kill < KILLS; kill += 1) {
    const { at, helped, early, reload, until: moment } = MOMENTS[kill % MOMENTS.length];
    const before = acks();
    if (!early)
      await until(() => acks() > before, `nothing was acked before the life that ends when ${at}`);
    const victim = reload ? visitors[1] : [ada, ...visitors][Math.floor(Math.random() * 4)];
    const comes = moment(victim);
    const reloaded = reload ? new Promise((resolve) => (victim.reloaded = resolve)) : undefined;
    await Promise.race([comes, late(at)]);
    await server.kill();
    await server.start();
    life += 1;
    await reloaded;
    // Those that wait for their next try hear that the network is back.
    if (helped)
      for (const { page } of [ada, ...visitors])
        await page.evaluate(() => dispatchEvent(new Event('online')));
  }
  stop = true;
  const said = await Promise.all(writers);

  for (const [index, visitor] of visitors.entries()) {
    const listed = await ada.asks('GET', '/v1/conversations?limit=100');
    const conversation = listed.items.find(
      ({ visitor: { name } }) => name === visitor.name,
    ).conversation_id;
    const stored = async () =>
      (await ada.asks('GET', `/v1/conversations/${conversation}/transcript`)).messages.filter(
        ({ body }) => body.kind === 'text',
      );
    const texts = async () => (await stored()).map(({ body }) => body.text);
    const here = [said[index], index === visitors.length - 1 ? said.at(-1) : []];
    const count = 1 + here[0].length + here[1].length;
    await until(
      async () => (await texts()).length >= count,
      `${visitor.name}: less is stored than was said`,
    );

    // Once each, and each writer's words in the order of their writing.
    const all = await texts();
    assert.equal(all.length, count);
    assert.deepEqual(
      all.filter((text) => text.startsWith(visitor.name)),
      [`${visitor.name} is here.`, ...here[0]],
    );
    assert.deepEqual(
      all.filter((text) => text.startsWith('Ada')),
      here[1],
    );
    const ids = (await stored()).map(({ message_id }) => message_id);
    const acked = visitor.journal.acked.filter((message) => !ids.includes(message));
    assert.deepEqual(acked, [], `${visitor.name} was told of messages that are not there`);

    await visitor.showsAll();
    await ada.opens(visitor.name);
    await ada.showsAll();
    for (const person of [visitor, ada]) await person.shows(all);
  }
  const everywhere = new Set();
  for (const { conversation_id } of (await ada.asks('GET', '/v1/conversations?limit=100')).items) {
    const { messages } = await ada.asks('GET', `/v1/conversations/${conversation_id}/transcript`);
    for (const { message_id } of messages) everywhere.add(message_id);
  }
  assert.ok(ada.journal.acked.length > 0);
  assert.deepEqual(
    ada.journal.acked.filter((message) => !everywhere.has(message)),
    [],
  );
});

test('no page threw anything', () => {
  // A page that is loaded anew while the server is away says so to its keeper.
  const thrown = (fault) => !fault.startsWith('LiveHelp: no WebSocket connection');
  for (const person of [ada, ...visitors]) assert.deepEqual(person.faults.filter(thrown), []);
});
