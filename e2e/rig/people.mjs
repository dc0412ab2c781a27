// What people do and see: a visitor in the demo shop, an agent in the console. By roles and labels,
// as they would find things.
//
// Lives here: their acts and what they look for. Not here: what a test asks of them.

import assert from 'node:assert/strict';
import { isDeepStrictEqual } from 'node:util';

import { PATIENCE_MS, picture } from './browser.mjs';
import { ADMIN_EMAIL } from './server.mjs';

/** A page that lost its connection tries again after 30 seconds at the latest. */
const BACK_MS = 40_000;
/** A password as the console wants it of someone who joins. */
const PASSWORD = 'a password for one test only';

class Person {
  constructor({ context, faults }) {
    this.context = context;
    this.faults = faults;
  }

  /** The list of messages, whoever's. */
  get log() {
    return this.page.getByRole('log', { name: 'Messages' });
  }

  /** Looks at a message in the thread. */
  async sees(text) {
    await this.log.getByText(text, { exact: true }).first().waitFor();
  }

  /** Every message's text in the order on the screen. */
  async transcript() {
    return this.log.locator(this.bubble).allTextContents();
  }

  /** The thread comes to show exactly these, once each and in this order. */
  async shows(texts) {
    await this.sees(texts.at(-1));
    const until = Date.now() + PATIENCE_MS;
    while (!isDeepStrictEqual(await this.transcript(), texts) && Date.now() < until) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    assert.deepEqual(await this.transcript(), texts);
  }

  /** Goes back to the very first message. */
  async showsAll() {
    const earlier = this.log.getByRole('button', { name: /^(Load e|E)arlier messages$/ });
    const beginning = this.log.getByText(this.beginning);
    try {
      await beginning.or(earlier).first().waitFor({ timeout: BACK_MS });
      const until = Date.now() + BACK_MS;
      while (!(await beginning.isVisible())) {
        assert.ok(Date.now() < until, 'the beginning did not come');
        const before = await this.log.locator(this.bubble).count();
        // It may be gone by now: whoever is at the top is brought the page before without asking.
        await earlier
          .first()
          .click({ timeout: 1_000 })
          .catch(() => {});
        await this.#comesToHaveOthersThan(before, beginning);
      }
    } catch (error) {
      await picture(this.page, 'no-way-to-the-beginning');
      throw error;
    }
  }

  /**
   * More messages, or fewer: a connection that comes back may bring the last page anew. Who sees
   * nothing for a while clicks again.
   */
  async #comesToHaveOthersThan(before, beginning) {
    const until = Date.now() + PATIENCE_MS;
    while (
      (await this.log.locator(this.bubble).count()) === before &&
      !(await beginning.isVisible()) &&
      Date.now() < until
    ) {
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

export class Visitor extends Person {
  bubble = '.bubble';
  beginning = 'Hello! How can we help you?';

  /** Comes to the shop; nothing of the chat but its button is there. */
  static async arrive(person, server) {
    const visitor = new Visitor(person);
    visitor.page = await visitor.context.newPage();
    await visitor.page.goto(server.addresses.demo);
    return visitor;
  }

  /** The same visitor in another tab of the same browser. */
  async secondTab(server) {
    return Visitor.arrive(this, server);
  }

  get panel() {
    return this.page.getByRole('dialog');
  }

  get composer() {
    return this.panel.getByRole('textbox', { name: 'Your message' });
  }

  async closeWidget() {
    await this.panel.getByRole('button', { name: 'Close the chat' }).click();
    await this.panel.waitFor({ state: 'hidden' });
  }

  async openWidget() {
    await this.page.getByRole('button', { name: /^Open the chat/ }).click();
    await this.composer.waitFor();
  }

  /** Fills the form in and says the first thing. */
  async begin({ name, email, text }) {
    await this.panel.getByLabel('Your name').fill(name);
    await this.panel.getByLabel('Your e-mail').fill(email);
    await this.say(text);
  }

  async type(text) {
    await this.composer.pressSequentially(text);
  }

  async send() {
    await this.panel.getByRole('button', { name: 'Send', exact: true }).click();
  }

  /** Says something and sees it in the thread. */
  async say(text) {
    await this.composer.fill(text);
    await this.send();
    await this.sees(text);
  }

  /** `Sent`, `Delivered` or `Seen` under a message of their own that is the last of its kind. */
  async seesMark(text, mark) {
    await this.log.locator('.row', { hasText: text }).getByText(mark).waitFor();
  }

  async seesTyping() {
    await this.panel.getByText(/ is typing…$/).waitFor();
  }

  async isTold(words) {
    await this.panel.getByRole('status').filter({ hasText: words }).first().waitFor();
  }
}

export class Agent extends Person {
  bubble = '.bubble > p';
  beginning = 'The conversation begins here';

  /** The admin of a fresh server, signed in. */
  static async signIn(person, server) {
    const agent = new Agent(person);
    agent.page = await agent.context.newPage();
    agent.server = server;
    await agent.page.goto(server.addresses.public);
    await agent.signInAs(ADMIN_EMAIL, server.password);
    return agent;
  }

  /** Signs in. */
  async signInAs(email, password = PASSWORD) {
    await this.page.getByLabel('E-mail').fill(email);
    await this.page.getByLabel('Password').fill(password);
    await this.page.getByRole('button', { name: 'Sign in' }).click();
    await this.availability.waitFor();
  }

  async signOut() {
    await this.goesTo('Account');
    await this.page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await this.page.getByRole('heading', { name: 'Sign in' }).waitFor();
  }

  /** Goes to a page that the rail names. */
  async goesTo(name) {
    const link = this.page.getByRole('navigation', { name: 'Main' }).getByRole('link', { name });
    await link.click();
    await link.and(this.page.locator('[aria-current]')).waitFor();
  }

  /** Someone whom this admin invites and who joins by the link. */
  async invites(person, name, email) {
    const { link } = await this.asks('POST', '/v1/invitations', { email, role: 'agent' });
    return Agent.joins(person, this.server, link, name);
  }

  /** Invites someone as an admin does it on the screen; answers the link. */
  async makesInvitation(email) {
    await this.goesTo('Agents');
    await this.page.getByRole('button', { name: 'Invite' }).click();
    const dialog = this.page.getByRole('dialog', { name: 'Invite' });
    await dialog.getByLabel('E-mail').fill(email);
    await dialog.getByRole('button', { name: 'Invite' }).click();
    const link = await dialog.getByLabel('Invitation link').textContent();
    await dialog.getByRole('button', { name: 'Close' }).click();
    return link;
  }

  /** Someone who follows the link of an invitation. */
  static async joins(person, server, link, name) {
    const agent = new Agent(person);
    agent.page = await agent.context.newPage();
    agent.server = server;
    await agent.page.goto(link);
    await agent.page.getByLabel('Your name').fill(name);
    await agent.page.getByLabel('Choose a password').fill(PASSWORD);
    await agent.page.getByRole('button', { name: 'Join' }).click();
    await agent.availability.waitFor();
    return agent;
  }

  /** Follows a link to set a new password, which leads in. */
  async setsPassword(link) {
    await this.page.goto(link);
    await this.page.getByLabel('Choose a password').fill(PASSWORD);
    await this.page.getByRole('button', { name: 'Set the password' }).click();
    await this.availability.waitFor();
  }

  /** REST with this agent's session. */
  async asks(method, path, data) {
    const origin = this.server.addresses.public;
    const answer = await this.context.request.fetch(origin + path, {
      method,
      data,
      headers: { origin },
    });
    assert.ok(answer.ok(), `${method} ${path}: ${answer.status()} ${await answer.text()}`);
    return answer.json();
  }

  get availability() {
    return this.page.getByRole('button', { name: /^Your availability/ });
  }

  get composer() {
    return this.page.getByRole('textbox', { name: 'Message', exact: true });
  }

  get offers() {
    return this.page.getByRole('region', { name: /^New conversation/ });
  }

  /** Says that they are there, for so many conversations at a time. */
  async beAvailable(capacity) {
    await this.availability.click();
    await this.page.getByRole('radio', { name: /^Available/ }).click();
    await this.page.getByRole('button', { name: /^Your availability: Available/ }).waitFor();
    await this.availability.click();
    const shown = this.page.getByRole('status', { name: 'Conversations at most' });
    for (let now = Number(await shown.textContent()); now !== capacity; ) {
      const step = now > capacity ? -1 : 1;
      await this.page
        .getByRole('button', { name: step < 0 ? 'Fewer' : 'More', exact: true })
        .click();
      now += step;
      await shown.filter({ hasText: new RegExp(`^${now}$`) }).waitFor();
    }
    await this.availability.click();
  }

  /** Goes away or home. */
  async be(availability) {
    await this.availability.click();
    await this.page.getByRole('radio', { name: new RegExp(`^${availability}`) }).click();
    await this.page
      .getByRole('button', { name: new RegExp(`^Your availability: ${availability}`) })
      .waitFor();
  }

  /** Chooses a tab of the list. */
  async looksAt(tab) {
    await this.page.getByRole('tab', { name: tab }).click();
  }

  /** A visitor's row in the list. */
  row(visitor) {
    return this.page.getByRole('tabpanel').getByRole('link').filter({ hasText: visitor });
  }

  /** Opens a conversation from the list. */
  async opens(visitor) {
    await this.row(visitor).click();
    await this.page.getByRole('heading', { name: visitor, level: 1 }).waitFor();
  }

  async isOffered(visitor) {
    await this.offers.getByRole('article').filter({ hasText: visitor }).waitFor();
  }

  async decline(visitor) {
    const offer = this.offers.getByRole('article').filter({ hasText: visitor });
    await offer.getByRole('button', { name: 'Decline' }).click();
    await offer.waitFor({ state: 'detached' });
  }

  /** Takes what is offered; its thread opens. */
  async accept(visitor) {
    const offer = this.offers.getByRole('article').filter({ hasText: visitor });
    await offer.getByRole('button', { name: 'Accept' }).click();
    await this.page.getByRole('heading', { name: visitor }).waitFor();
    await this.composer.waitFor();
  }

  async type(text) {
    await this.writes('Reply');
    await this.composer.pressSequentially(text);
  }

  async send() {
    await this.page.getByRole('button', { name: 'Send', exact: true }).click();
  }

  async say(text) {
    await this.writes('Reply');
    await this.composer.fill(text);
    await this.send();
    await this.sees(text);
  }

  /** Nothing of theirs is on its way any more. */
  async isStored() {
    await this.log.getByText('Sending…').waitFor({ state: 'detached' });
  }

  async note(text) {
    await this.writes('Note');
    await this.composer.fill(text);
    await this.page.getByRole('button', { name: 'Add note' }).click();
    await this.sees(text);
  }

  /** Chooses what the composer makes: `Reply` or `Note`. */
  async writes(mode) {
    const modes = this.page.getByRole('radiogroup', { name: 'Kind of message' });
    await modes.getByText(mode, { exact: true }).click();
  }

  async seesMark(text, mark) {
    await this.log
      .getByRole('article')
      .filter({ hasText: text })
      .getByRole('img', { name: mark })
      .waitFor();
  }

  async seesTyping(visitor) {
    await this.log.getByText(`${visitor} is typing…`).waitFor();
  }

  async isNotified(words) {
    await this.page.locator('.notice').filter({ hasText: words }).first().waitFor();
  }

  async transferTo(name) {
    await this.page.getByRole('button', { name: 'Transfer' }).click();
    const dialog = this.page.getByRole('dialog', { name: 'Hand over to a colleague' });
    await dialog.getByRole('button', { name: new RegExp(name) }).click();
    await dialog.waitFor({ state: 'hidden' });
  }

  async close() {
    await this.page.getByRole('main').getByRole('button', { name: 'Close', exact: true }).click();
    await this.page.getByRole('button', { name: 'Reopen' }).waitFor();
  }

  async reopen() {
    await this.page.getByRole('button', { name: 'Reopen' }).click();
    await this.page.getByRole('main').getByRole('button', { name: 'Close', exact: true }).waitFor();
  }
}
