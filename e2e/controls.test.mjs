// Every control of the console and the widget is used, and each does what it says: seen in the data
// by REST, or on another screen.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';

import { newPerson, picture, startBrowser } from './rig/browser.mjs';
import { watchControls } from './rig/controls.mjs';
import { Agent, Visitor } from './rig/people.mjs';
import { Server } from './rig/server.mjs';

let server, browser, ada, grace, ann, site;
let consoleControls, widgetControls;
const PASSWORD_2 = 'another password for this test';

before(async () => {
  server = await Server.fresh(['--offer-ms', '60000']);
  browser = await startBrowser();
  const person = await newPerson(browser);
  await person.context.grantPermissions(['clipboard-read', 'clipboard-write'], {
    origin: server.addresses.public,
  });
  await person.context.addInitScript(countTones);
  consoleControls = await watchControls(person.context, server.addresses.public);
  ada = await Agent.signIn(person, server);
  site = (await ada.asks('GET', '/v1/sites')).items[0];
  grace = await ada.invites(await newPerson(browser), 'Grace Green', 'grace@example.test');
});

after(async () => {
  await browser?.close();
  await server?.stop();
});

/** Runs in the page: a tone that is started is a sound that is heard. */
function countTones() {
  window.tones = 0;
  const start = OscillatorNode.prototype.start;
  OscillatorNode.prototype.start = function (...when) {
    if (this.context.state === 'running') window.tones += 1;
    return start.apply(this, when);
  };
}

/** Whether a sound is played on Ada's page while this is done. */
async function sounds(act) {
  const tones = () => ada.page.evaluate(() => window.tones);
  const before = await tones();
  await act();
  await new Promise((resolve) => setTimeout(resolve, 300));
  return (await tones()) > before;
}

/** One of the choices in the account. */
async function chooses(group, name) {
  await ada.page.getByRole('radiogroup', { name: group }).getByText(name, { exact: true }).click();
}

const button = (name, options = {}) =>
  ada.page.getByRole('button', { name, exact: true, ...options });
const dialog = (name) => ada.page.getByRole('dialog', { name });
const copied = () => ada.page.evaluate(() => navigator.clipboard.readText());
/** What REST says of the website now. */
const siteNow = () => ada.asks('GET', `/v1/sites/${site.site_id}`);

async function told(words) {
  await ada.page.locator('.notice', { hasText: words }).last().waitFor();
}

async function pictures(name) {
  await picture(ada.page, name);
  await ada.page.setViewportSize({ width: 390, height: 780 });
  await picture(ada.page, `${name}-phone`);
  await ada.page.setViewportSize({ width: 1200, height: 800 });
}

test('websites: one is added, and each part of one is saved by itself', async () => {
  await ada.goesTo('Websites');
  await button('Add a website').click();
  await button('Cancel').click();
  await button('Add a website').click();
  await button('Close', {}).click();
  await button('Add a website').click();
  await dialog('Add a website').getByLabel('Name').fill('Second shop');
  await dialog('Add a website').getByLabel('Origins').fill('https://second.example');
  await picture(ada.page, '50-console-add-website');
  await dialog('Add a website').getByRole('button', { name: 'Add a website' }).click();
  await ada.page.getByRole('heading', { name: 'Second shop' }).waitFor();
  await told('The website was added.');
  await ada.page.locator('.notice').getByRole('button', { name: 'Dismiss' }).click();
  await ada.page.getByRole('main').getByRole('link', { name: 'Websites' }).click();
  await pictures('51-console-websites');
  await ada.page.getByRole('main').getByRole('link', { name: 'Kettle & Leaf' }).click();

  await button('Copy').click();
  assert.equal(await copied(), site.embed_tag);
  const panel = (title) =>
    ada.page.locator('section.panel', {
      has: ada.page.getByRole('heading', { name: title, exact: true }),
    });
  const save = async (title) => {
    await panel(title)
      .getByRole('button', { name: `Save: ${title}` })
      .click();
    await told('The website was saved.');
  };
  await panel('General').getByLabel('Name').fill('Kettle & Leaf, London');
  await panel('General').getByLabel('Origins').fill(`${site.origins[0]}\nhttps://www.example.test`);
  await save('General');
  await panel('Texts').getByLabel('Title').fill('Ask about tea');
  await panel('Texts').getByLabel('Greeting').fill('Which tea is it to be?');
  await panel('Texts').getByLabel('When no agent is there').fill('We sleep. Write to us.');
  await save('Texts');
  await panel('Form before a conversation').getByLabel('Name').selectOption('required');
  await panel('Form before a conversation').getByLabel('E-mail').selectOption('hidden');
  await save('Form before a conversation');
  await panel('Privacy notice').getByLabel('Text').fill('We keep this chat for 60 days.');
  await panel('Privacy notice').getByLabel('Address').fill('https://www.example.test/privacy');
  await save('Privacy notice');
  await panel('Hide on arrival').getByRole('textbox').fill('CUST-\\d{6}');
  await save('Hide on arrival');
  await pictures('52-console-website');

  const { name, origins, texts, form, notice, redaction_patterns } = await siteNow();
  assert.equal(name, 'Kettle & Leaf, London');
  assert.equal(origins.length, 2);
  assert.deepEqual(texts, {
    title: 'Ask about tea',
    greeting: 'Which tea is it to be?',
    offline: 'We sleep. Write to us.',
  });
  assert.deepEqual([form.name, form.email], ['required', 'hidden']);
  assert.equal(notice.text, 'We keep this chat for 60 days.');
  assert.deepEqual(redaction_patterns, ['CUST-\\d{6}']);
});

test('tags, and keys for programs', async () => {
  await ada.goesTo('Tags');
  for (const name of ['order', 'returns']) {
    await ada.page.getByLabel('Name').fill(name);
    await button('Add a tag').click();
    await button(`Remove: ${name}`).waitFor();
  }
  await button('Remove: returns').click();
  await button('Cancel').click();
  await button('Remove: returns').click();
  await dialog('Remove').getByRole('button', { name: 'Remove', exact: true }).click();
  await button('Remove: returns').waitFor({ state: 'detached' });
  await pictures('53-console-tags');
  assert.deepEqual(
    (await ada.asks('GET', '/v1/tags')).items.map(({ name }) => name),
    ['order'],
  );

  await ada.goesTo('API keys');
  await button('Create a key').click();
  await button('Cancel').click();
  await button('Create a key').click();
  await dialog('Create a key').getByLabel('Name').fill("Shop's backend");
  const scopes = dialog('Create a key').getByRole('checkbox');
  for (const scope of await scopes.all()) await scope.check();
  await picture(ada.page, '54-console-create-key');
  await dialog('Create a key').getByRole('button', { name: 'Create a key' }).click();
  await dialog('The new key').getByRole('button', { name: 'Copy' }).click();
  const key = await copied();
  await button('Close').click();
  const asks = () =>
    fetch(`${server.addresses.public}/v1/conversations`, {
      headers: { authorization: `Bearer ${key}` },
    });
  assert.equal((await asks()).status, 200);
  await pictures('55-console-keys');
  await button('Revoke').click();
  await button('Cancel').click();
  await button('Revoke').click();
  await dialog('Revoke').getByRole('button', { name: 'Revoke' }).click();
  await told('The key was revoked.');
  assert.equal((await asks()).status, 401);
});

test('agents: invited, changed, sent away and taken back', async () => {
  await ada.goesTo('Agents');
  await button('Invite').click();
  await button('Cancel').click();
  await button('Invite').click();
  await dialog('Invite').getByLabel('E-mail').fill('hugo@example.test');
  await dialog('Invite').getByLabel('Role').selectOption('supervisor');
  await dialog('Invite').getByRole('button', { name: 'Invite' }).click();
  await dialog('Invite').getByRole('button', { name: 'Copy' }).click();
  assert.match(await copied(), /#\/invitations\//);
  await picture(ada.page, '56-console-invited');
  await button('Close').click();
  await button('Withdraw').click();
  await told('The invitation was withdrawn.');
  assert.deepEqual((await ada.asks('GET', '/v1/invitations')).items, []);

  const graceNow = async () =>
    (await ada.asks('GET', '/v1/agents')).items.find(({ name }) => name === 'Grace Green');
  await ada.page.getByLabel('Role: Grace Green').selectOption('supervisor');
  await told('The agent was changed.');
  assert.equal((await graceNow()).role, 'supervisor');
  for (const name of ['Grace Green', 'Ada Adams']) {
    const saved = ada.page.waitForResponse((answer) => answer.request().method() === 'PATCH');
    await ada.page.getByLabel(`Limit: ${name}`).fill('7');
    await ada.page.getByLabel(`Limit: ${name}`).blur();
    assert.equal((await saved).status(), 200);
  }
  await pictures('57-console-agents');
  await button('Deactivate').click();
  await button('Cancel').click();
  await button('Deactivate').click();
  await dialog('Deactivate').getByRole('button', { name: 'Deactivate' }).click();
  await grace.page.getByText('Your session ended.').waitFor();
  await button('Activate').click();
  await button('Deactivate').waitFor();
  const { state, capacity } = await graceNow();
  assert.deepEqual([state, capacity], ['active', 7]);
  // They have forgotten their password by now: a link lets them in again.
  await button('Link to set a new password: Grace Green').click();
  await button('Cancel').click();
  await button('Link to set a new password: Grace Green').click();
  await button('Make the link').click();
  await dialog('Link to set a new password').getByRole('button', { name: 'Copy' }).click();
  await picture(ada.page, '72-console-password-link');
  await grace.setsPassword(await copied());
  await button('Close').click();
});

test("the account: this browser's habits, name, password, sessions", async () => {
  await ada.goesTo('Account');
  const theme = () => ada.page.evaluate(() => document.documentElement.dataset.theme);
  for (const [words, value] of [
    ['Dark', 'dark'],
    ['Light', 'light'],
    ['As the system', 'system'],
  ]) {
    await chooses('Appearance', words);
    assert.equal(await theme(), value);
    if (value === 'dark') await pictures('58-console-account-dark');
  }
  await chooses('Single-key shortcuts', 'Off');
  await ada.goesTo('Board');
  await ada.page.getByRole('tab', { name: 'Mine', selected: true }).waitFor();
  await ada.page.keyboard.press('2');
  await new Promise((resolve) => setTimeout(resolve, 200));
  await ada.page.getByRole('tab', { name: 'Mine', selected: true }).waitFor();
  await ada.goesTo('Account');
  await chooses('Single-key shortcuts', 'On');
  await ada.goesTo('Board');
  await ada.page.getByRole('tab', { name: 'Mine', selected: true }).waitFor();
  await ada.page.keyboard.press('2');
  await ada.page.getByRole('tab', { name: 'Waiting', selected: true }).waitFor();
  await ada.page.keyboard.press('1');
  await ada.goesTo('Account');

  await chooses('Sound', 'Off');
  await button('Play a sound').waitFor({ state: 'detached' });
  await chooses('Sound', 'On');
  assert.ok(await sounds(() => button('Play a sound').click()), 'no sound was played');
  await chooses('Send with', 'Ctrl+Enter');

  await ada.page.getByLabel('Name', { exact: true }).fill('Ada A.');
  await button('Save').click();
  await told('Saved.');
  assert.equal((await ada.asks('GET', '/v1/sessions/current')).agent.name, 'Ada A.');
  await ada.page.getByLabel('Current password').fill(server.password);
  await ada.page.getByLabel('New password').fill(PASSWORD_2);
  await button('Change password').click();
  await told('The password was changed.');

  const second = new Agent(await newPerson(browser));
  second.page = await second.context.newPage();
  await second.page.goto(server.addresses.public);
  await second.signInAs('ada@example.test', PASSWORD_2);
  await ada.page.reload();
  await button('Sign out there').click();
  await told('That session was ended.');
  await second.page.getByText('Your session ended.').waitFor();
  await second.context.close();
  await pictures('59-console-account');
  await ada.signOut();
  await picture(ada.page, '60-console-door');
  await ada.page.getByLabel('E-mail').fill('ada@example.test');
  await ada.page.getByLabel('Password').fill('not it');
  await button('Sign in').click();
  await ada.page.getByText('E-mail or password is wrong.').waitFor();
  await ada.signInAs('ada@example.test', PASSWORD_2);
});

test("the widget obeys the site's texts, form and notice; each control works", async () => {
  const person = await newPerson(browser);
  widgetControls = await watchControls(person.context, server.addresses.demo);
  ann = await Visitor.arrive(person, server);
  await ann.openWidget();
  await ann.panel.getByRole('heading', { name: 'Ask about tea' }).waitFor();
  await ann.panel.getByText('We sleep. Write to us.').waitFor();
  await ann.panel.getByText('We keep this chat for 60 days.').waitFor();
  assert.equal(await ann.panel.getByLabel('Your e-mail').count(), 0);
  await ann.page.getByRole('button', { name: 'Close the chat' }).last().click();
  await ann.page.getByRole('button', { name: 'Open the chat' }).click();
  const [notice] = await Promise.all([
    ann.context.waitForEvent('page'),
    ann.panel.getByRole('link', { name: 'Privacy notice' }).click(),
  ]);
  await notice.close();
  await ann.panel.getByLabel('Your name').fill('Ann Archer');
  // Without a name nothing goes out; with one it does.
  await ann.composer.fill('I am CUST-123456, see https://www.example.test/tea');
  await ann.send();
  await ann.sees('I am [hidden], see https://www.example.test/tea');
  const [page] = await Promise.all([
    ann.context.waitForEvent('page'),
    ann.log.getByRole('link').click(),
  ]);
  await page.close();
  await picture(ann.page, '61-widget-texts');
});

test('the board: tabs, filter, availability, sound, help, and their keys', async () => {
  await ada.be('Away');
  await ada.be('Offline');
  await ada.availability.click();
  const limit = ada.page.getByRole('status', { name: 'Conversations at most' });
  for (const [name, becomes] of [
    ['More', '8'],
    ['Fewer', '7'],
  ]) {
    await button(name).click();
    await limit.filter({ hasText: becomes }).waitFor();
  }
  await ada.availability.click();
  assert.equal((await ada.asks('GET', '/v1/sessions/current')).agent.capacity, 7);
  const promise = async () =>
    (await (await fetch(`${server.addresses.public}/v1/widget/${site.site_key}`)).json())
      .availability;
  assert.equal(await promise(), 'unavailable');

  await ada.looksAt('Waiting');
  await ada.page.getByLabel('Filter by name').fill('nobody');
  await ada.page.getByText('Nothing matches the filter.').waitFor();
  await ada.page.getByLabel('Filter by name').fill('archer');
  await ada.row('Ann Archer').waitFor();
  await ada.page.getByLabel('Filter by name').press('Escape');
  await ada.looksAt('All');
  await ada.page.getByLabel('All', { exact: true }).selectOption('closed');
  await ada.page.getByText('No closed conversations.').waitFor();
  await ada.page.getByLabel('All', { exact: true }).selectOption('live');
  await ada.looksAt('Mine');
  // The browser keeps a page silent until it is touched, and this one was.
  assert.ok(
    !(await sounds(() => button('Sound is on').click())),
    'a sound was played when sound was turned off',
  );
  await button('Sound is off').waitFor();
  assert.ok(
    await sounds(() => button('Sound is off').click()),
    'no sound was played when sound was turned on',
  );
  await button('Sound is on').waitFor();
  await button('Keys').click();
  await picture(ada.page, '62-console-keys-help');
  await button('Close').click();
  for (const [key, tab] of [
    ['2', 'Waiting'],
    ['3', 'All'],
    ['1', 'Mine'],
  ]) {
    await ada.page.keyboard.press(key);
    await ada.page.getByRole('tab', { name: tab, selected: true }).waitFor();
  }
  await ada.page.keyboard.press('/');
  assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'filter');
  await ada.page.keyboard.press('Escape');
  await ada.page.keyboard.press('?');
  await dialog('Keys').waitFor();
  await ada.page.keyboard.press('Escape');
  await ada.page.keyboard.press('Tab');
  await ada.page.getByText('Skip to content').focus();
  await ada.page.keyboard.press('Enter');
  assert.equal(await ada.page.evaluate(() => document.activeElement.id), 'content');
});

test('a conversation: everything that can be done with it', async () => {
  await ada.beAvailable(3);
  await ada.isOffered('Ann Archer');
  await pictures('63-console-offer');
  await ada.decline('Ann Archer');
  await ada.looksAt('Waiting');
  await ada.opens('Ann Archer');
  await button('Take it').click();
  await ada.sees('I am [hidden], see https://www.example.test/tea');
  await pictures('64-console-thread');
  const [tea] = await Promise.all([
    ada.context.waitForEvent('page'),
    ada.log.getByRole('link').click(),
  ]);
  await tea.close();

  await ada.note('A regular.');
  await ada.log.getByRole('button', { name: 'Privacy tag' }).first().dispatchEvent('click');
  await dialog('How long this is kept, and why').getByText('Kind of data').waitFor();
  await picture(ada.page, '65-console-privacy-tag');
  await button('Close').last().click();
  await button('Why?').click();
  await dialog('How long this is kept, and why').getByRole('button', { name: 'Close' }).click();

  await button('Edit tags').click();
  await ada.page.getByRole('checkbox', { name: 'order' }).check();
  await ada.page.locator('.tag', { hasText: 'order' }).waitFor();
  await ada.page.keyboard.press('Escape');
  const [shop] = await Promise.all([
    ada.context.waitForEvent('page'),
    ada.page.getByRole('complementary').getByRole('link').click(),
  ]);
  await shop.waitForURL(`${server.addresses.demo}/**`);
  await shop.close();
  await button('Hide details').first().click();
  await button('Show details').click();
  await ada.page.getByRole('complementary').getByRole('button', { name: 'Hide details' }).click();
  await ada.page.keyboard.press('Escape');
  await ada.page.getByRole('heading', { name: 'Ann Archer', level: 1 }).click();
  await ada.page.keyboard.press('i');
  await ada.page.getByRole('complementary').waitFor();

  await ada.close();
  await pictures('66-console-closed');
  await ada.reopen();
  await ada.writes('Reply');
  await ada.composer.fill('How can');
  await ada.composer.press('Enter');
  assert.equal(await ada.composer.inputValue(), 'How can\n');
  await ada.composer.fill('How can I help?');
  await ada.composer.press('Control+Enter');
  await ann.sees('How can I help?');
  await ada.goesTo('Account');
  await chooses('Send with', 'Enter');
  await ada.goesTo('Board');
  await ada.opens('Ann Archer');
  await ada.composer.fill('With the tea?');
  await ada.composer.press('Enter');
  await ann.sees('With the tea?');

  // A closing by key is undone before anybody hears of it.
  await ada.composer.press('Escape');
  await ada.page.keyboard.press('e');
  await ada.isNotified('The conversation with Ann Archer is being closed.');
  await picture(ada.page, '71-console-closing');
  await button('Undo').click();
  await button('Undo').waitFor({ state: 'detached' });

  // A sound for a message that is not looked at, and none where sound is off.
  await ada.goesTo('Account');
  const annSays = async (text) => {
    await ann.say(text);
    await ann.seesMark(text, 'Delivered');
  };
  assert.ok(await sounds(() => annSays('Yes, with the tea.')), 'no sound was played for a message');
  await chooses('Sound', 'Off');
  assert.ok(!(await sounds(() => annSays('The green one.'))), 'a sound was played with sound off');
  await chooses('Sound', 'On');
  await ada.goesTo('Board');
  await ada.opens('Ann Archer');

  await button('Transfer').click();
  await picture(ada.page, '67-console-transfer');
  await dialog('Hand over to a colleague').getByRole('button', { name: 'Close' }).click();
  await grace.beAvailable(2);
  await ada.transferTo('Grace Green');
  await grace.isOffered('Ann Archer');
  await button('Withdraw').click();
  await grace.offers.getByRole('article').waitFor({ state: 'detached' });
  await ada.transferTo('Grace Green');
  await grace.accept('Ann Archer');
  await button('Take over').click();
  await ada.say('A word from me first.');
  await ann.sees('A word from me first.');
  await ada.transferTo('Grace Green');
  await grace.accept('Ann Archer');
  await grace.say('Grace here.');
  await ada.sees('Grace here.');
  await grace.close();
  await ann.isTold('This conversation has ended.');
  await ann.panel.getByRole('button', { name: 'Start a new one' }).click();
  await ann.panel.getByLabel('Your name').fill('Ann Archer');
  await ann.say('Another thing.');
  await ada.accept('Ann Archer');
  const earlier = ada.page.getByRole('complementary').getByRole('button', { name: /Grace here/ });
  await earlier.waitFor();
  await picture(ada.page, '70-console-earlier');
  await earlier.click();
  await ada.sees('Grace here.');
  await ada.page.reload();
  await ada.sees('Grace here.');
  await button('Reopen').waitFor();
  // A page that nobody has touched yet is silent. A slow click: what the touch changes must not
  // change what it does.
  assert.ok(
    await sounds(() => button('Turn on sound').click({ delay: 200 })),
    'no sound was played when the page was allowed to',
  );
  await button('Sound is on').waitFor();
  await ada.goesTo('Board');
  await ada.opens('Ann Archer');
  await ada.sees('Another thing.');
  await ann.panel.getByRole('button', { name: 'End the conversation' }).click();
  await ann.panel.getByRole('button', { name: 'Keep it' }).click();
  await ada.page.getByRole('main').getByRole('button', { name: 'Close', exact: true }).click();
  await ann.isTold('This conversation has ended.');
});

test('what a broken connection leaves undone can be tried again', async () => {
  await grace.be('Offline');
  await ann.say('Are you open on Sunday?');
  // They had it last and are there: it is theirs again without being offered.
  await ada.sees('Are you open on Sunday?');
  await server.kill();
  await ada.page.getByText('The line to the server broke.').waitFor();
  await ada.composer.fill('Yes, from ten.');
  await ada.send();
  await pictures('68-console-line-down');
  // Each try in vain makes the wait for the next one longer, until only the button brings the
  // connection back in time.
  await ada.page.evaluate(() => (Math.random = () => 1));
  for (let attempt = 0; attempt < 6; attempt += 1) await button('Connect now').click();
  await button('Try again').waitFor();
  await server.start();
  await button('Connect now').click();
  await ada.page.getByText('The line to the server broke.').waitFor({ state: 'detached' });
  await button('Try again').click();
  await ada.page.getByRole('complementary').getByText('Grace here.').waitFor();
  await ann.page.evaluate(() => dispatchEvent(new Event('online')));
  await ann.sees('Yes, from ten.');
  await ann.panel.getByRole('button', { name: 'End the conversation' }).click();
  await ann.panel.getByRole('button', { name: 'End it' }).click();
  await ann.isTold('This conversation has ended.');
});

test('on a phone the way back leads to the list', async () => {
  await ada.page.setViewportSize({ width: 390, height: 780 });
  await ada.page.getByRole('link', { name: 'Back' }).click();
  await ada.page.getByRole('tab', { name: 'Mine' }).waitFor();
  await pictures('69-console-list');
});

test('there is no control that nobody used', () => {
  const plain = (name) =>
    name
      .replace(/\d+/g, '#')
      .replace(/Your availability.*/, 'Your availability')
      .replace(/^a: .*(Ann Archer|Kettle & Leaf|Second shop).*/, 'a: to something by its name')
      .replace(/^button: Signing in…$/, 'button: Sign in')
      .replace(/^button: (Active|Closed|Waiting|Offered).*/, 'button: an earlier conversation')
      .replace(/(Ada A\.|Ada Adams|Grace Green|order|returns)/g, '…')
      .replace(/(Offline|Away|Available)(# of #)/, '$2');
  assert.deepEqual(consoleControls.untried(plain), []);
  assert.deepEqual(widgetControls.untried(plain), []);
});

test('no page threw anything', () => {
  for (const person of [ada, grace, ann]) assert.deepEqual(person.faults, []);
});
