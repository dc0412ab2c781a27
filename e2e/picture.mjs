// Makes docs/screenshots/side-by-side.png anew: a visitor in the shop and an agent in the console,
// in the middle of a conversation.

import { fileURLToPath } from 'node:url';

import { newPerson, startBrowser } from './rig/browser.mjs';
import { Agent, Visitor } from './rig/people.mjs';
import { Server } from './rig/server.mjs';

const PICTURE = fileURLToPath(new URL('../docs/screenshots/side-by-side.png', import.meta.url));
const SHOP = { width: 560, height: 700 };
const CONSOLE = { width: 1140, height: 700 };

const server = await Server.fresh();
const browser = await startBrowser();
try {
  const ada = await Agent.signIn(await newPerson(browser, CONSOLE), server);
  await ada.asks('POST', '/v1/tags', { name: 'order' });
  await ada.beAvailable(3);
  const others = [
    ['Ben Baker', 'Where is my order?'],
    ['Cleo Cole', 'Do you ship to Norway?'],
  ];
  for (const [name, text] of others) {
    const visitor = await Visitor.arrive(await newPerson(browser), server);
    await visitor.openWidget();
    await visitor.begin({ name, email: '', text });
    await ada.accept(name);
  }
  const ann = await Visitor.arrive(await newPerson(browser, SHOP), server);
  await ann.openWidget();
  await ann.begin({
    name: 'Ann Archer',
    email: 'ann@example.test',
    text: 'Hello! Is the Sencha from this year?',
  });
  await ada.accept('Ann Archer');
  await ada.say('Good morning, Ann. Yes: the first harvest, picked in April.');
  await ann.sees('Good morning, Ann. Yes: the first harvest, picked in April.');
  await ann.composer.fill('Lovely. My card is 4111 1111 1111 1111, can you take two?');
  await ann.send();
  await ada.sees('Lovely. My card is [hidden], can you take two?');
  await ada.note('Never take cards in the chat: send her the link to the till.');
  await ada.say('I put two aside. Please pay at the till, not here.');
  await ann.sees('I put two aside. Please pay at the till, not here.');
  await ada.seesMark('I put two aside.', 'Seen');
  await ann.type('Thank y');
  await ada.seesTyping('Ann Archer');

  const shots = [];
  for (const { page } of [ann, ada]) shots.push((await page.screenshot()).toString('base64'));
  const board = await browser.newPage({
    viewport: { width: SHOP.width + CONSOLE.width + 48, height: CONSOLE.height + 32 },
  });
  await board.setContent(
    `<body style="margin:0;padding:16px;display:flex;gap:16px;background:#dfe2ea">${shots
      .map((shot) => `<img style="border-radius:10px" src="data:image/png;base64,${shot}">`)
      .join('')}</body>`,
  );
  await board.screenshot({ path: PICTURE });
} finally {
  await browser.close();
  await server.stop();
}
