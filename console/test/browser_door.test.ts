// The way back from a forgotten password: who makes the link, where it leads, and what the door
// says of it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { AGENT, COLLEAGUE, hex, list } from './fake_server.ts';
import { at, scene } from './scene.ts';

const LINK = 'https://chat.test/#/password-resets/lhp_secret';

test('an admin makes a link for a colleague, which is shown once and not lost by a slip', () =>
  scene(async ({ server, page, base }) => {
    server.rest.set(
      '/v1/agents',
      list(AGENT, { ...AGENT, agent_id: COLLEAGUE.agent, name: COLLEAGUE.name }),
    );
    const path = `POST /v1/agents/${COLLEAGUE.agent}/password-reset`;
    server.rest.set(path, {
      agent_id: COLLEAGUE.agent,
      link: LINK,
      expires_at: Date.now() + 86_400_000,
    });
    await page.goto(at(base, '/agents'));
    const open = page.getByRole('button', { name: 'Link to set a new password: Jonas Berg' });
    await open.waitFor();
    assert.equal(
      await page.getByRole('button', { name: /^Link to set a new password/ }).count(),
      1,
    );
    await open.click();
    assert.ok(!server.asked.includes(path));
    await page.getByRole('button', { name: 'Make the link' }).dblclick();
    await page.getByText(LINK, { exact: true }).waitFor();
    assert.equal(server.asked.filter((one) => one === path).length, 1);
    await page.keyboard.press('Escape');
    await page.getByRole('button', { name: 'Stay here' }).click();
    await page.getByText(LINK, { exact: true }).waitFor();
    await page.getByRole('dialog').getByRole('button', { name: 'Close' }).click();
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    assert.equal(await page.getByText(LINK).count(), 0);
  }));

test('the link leads to a new password and in; a link that is over says so', () =>
  scene(
    async ({ server, page, base }) => {
      const granted = server.rest.get('/v1/sessions/current');
      server.rest.delete('/v1/sessions/current');
      server.rest.set('POST /v1/password-resets/lookup', {
        tenant_name: 'Shop',
        email: 'nora@example.test',
      });
      await page.goto(at(base, '/password-resets/lhp_secret'));
      await page.getByText('For nora@example.test at Shop.').waitFor();
      const field = page.getByLabel('Choose a password');
      await field.fill('short');
      await field.press('Enter');
      assert.ok(!server.asked.includes('POST /v1/password-resets/use'));
      await field.fill('a password of some length');
      await field.press('Enter');
      await page.getByText('This link is not valid.').waitFor();
      server.rest.set('POST /v1/password-resets/use', granted);
      const used = page.waitForRequest('**/v1/password-resets/use');
      await field.press('Enter');
      assert.deepEqual((await used).postDataJSON(), {
        token: 'lhp_secret',
        password: 'a password of some length',
      });
      await page.getByRole('tab', { name: 'Mine' }).waitFor();
      await page.locator('.notice', { hasText: 'The password was set.' }).waitFor();
      assert.equal(await page.evaluate(() => location.hash), '#/');
      server.rest.delete('POST /v1/password-resets/lookup');
      await page.goto(at(base, '/password-resets/lhp_old'));
      await page.getByText('This link is not valid.').waitFor();
      assert.equal(await page.getByLabel('Choose a password').count(), 0);
    },
    { expects: /401|404/ },
  ));

test('the door says where a new password comes from', () =>
  scene(async ({ server, page, base }) => {
    server.signedIn = false;
    await page.goto(at(base, '/'));
    await page.getByText('Forgot your password? An admin of your team makes you a link').waitFor();
  }));

for (const typed of [
  'mailto:nora@shop.example',
  'Nora <nora@shop.example>',
  'nora@shop.example,',
  '\u200Bnora@shop.example.',
  'nöra@shop.example',
]) {
  test(`the address “${typed}” is the server’s to understand, at the door and in an invitation`, () =>
    scene(async ({ server, page, base }) => {
      server.signedIn = false;
      await page.goto(at(base, '/'));
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      server.signedIn = true;
      server.rest.set('POST /v1/sessions', server.rest.get('/v1/sessions/current'));
      await page.getByLabel('E-mail').fill(typed);
      await page.getByLabel('Password').fill('a password of some length');
      const signsIn = page.waitForRequest((request) => request.method() === 'POST', {
        timeout: 5_000,
      });
      await page.getByLabel('Password').press('Enter');
      assert.deepEqual((await signsIn).postDataJSON(), {
        email: typed,
        password: 'a password of some length',
      });
      await page.getByRole('tab', { name: 'Mine' }).waitFor();
      await page.goto(at(base, '/agents'));
      await page.getByRole('main').getByRole('button', { name: 'Invite' }).click();
      const field = page.getByRole('dialog').getByLabel('E-mail');
      await field.fill(typed);
      server.rest.set('POST /v1/invitations', {
        invitation_id: 'x',
        email: typed,
        role: 'agent',
        link: 'https://x.test',
        expires_at: 9e12,
      });
      const invites = page.waitForRequest((request) => request.method() === 'POST', {
        timeout: 5_000,
      });
      await field.press('Enter');
      assert.deepEqual((await invites).postDataJSON(), { email: typed, role: 'agent' });
      await page.getByRole('dialog').getByRole('button', { name: 'Copy' }).waitFor();
    }));
}

for (const which of ['the one that was opened', 'another'] as const) {
  test(`whoever works for several Organizations is asked which one, and gets ${which}`, () =>
    scene(async ({ server, page, base }) => {
      server.signedIn = false;
      await page.goto(at(base, '/'));
      await page.getByRole('heading', { name: 'Sign in' }).waitFor();
      server.signedIn = true;
      const granted = server.rest.get('/v1/sessions/current') as object;
      const cafe = { tenant_id: `ten_${hex(2)}`, name: 'Café' };
      server.rest.set('POST /v1/sessions', { ...granted, other_tenants: [cafe] });
      await page.getByLabel('E-mail').fill('nora@shop.example');
      await page.getByLabel('Password').fill('one for all of them');
      await page.getByLabel('Password').press('Enter');
      await page.getByRole('heading', { name: 'You work for several: which one now?' }).waitFor();
      assert.deepEqual(await page.getByRole('button').allInnerTexts(), ['Shop', 'Café']);
      assert.equal(server.heard.length, 0);
      server.asked.length = 0;
      server.rest.set('POST /v1/sessions', { ...granted, tenant: cafe });
      const first = which === 'the one that was opened';
      const asks = page.waitForRequest((request) => request.method() === 'POST');
      await page.getByRole('button', { name: first ? 'Shop' : 'Café' }).click();
      if (!first)
        assert.deepEqual((await asks).postDataJSON(), {
          email: 'nora@shop.example',
          password: 'one for all of them',
          tenant_id: cafe.tenant_id,
        });
      else asks.catch(() => undefined);
      await page.getByRole('img', { name: first ? 'Shop' : 'Café' }).waitFor();
      // The session of the first is not left behind.
      assert.deepEqual(
        server.asked.filter((one) => !one.startsWith('GET')),
        first ? [] : ['DELETE /v1/sessions/current', 'POST /v1/sessions'],
      );
    }));
}

for (const [name, path, posts, button] of [
  ['a password link of one’s own', '/password-resets/x', 'password-resets/use', 'Set the password'],
  ['an invitation of somebody else', '/invitations/x', 'invitations/accept', 'Join'],
] as const) {
  test(`${name} that is used where one is signed in begins anew, and leaves nothing of before`, () =>
    scene(async ({ server, page, base }) => {
      const granted = server.rest.get('/v1/sessions/current') as object;
      const other = { ...AGENT, agent_id: `agt_${hex(9)}`, name: 'Grace' };
      server.rest.set(`POST /v1/${posts.replace(/\w+$/, 'lookup')}`, {
        tenant_name: 'Shop',
        email: 'a@b.test',
        role: 'agent',
      });
      server.rest.set(
        `POST /v1/${posts}`,
        button === 'Join' ? { ...granted, agent: other } : granted,
      );
      await page.goto(at(base, '/'));
      await page.locator('.row-card').waitFor();
      await page.goto(at(base, path));
      if (button === 'Join') await page.getByLabel('Your name').fill('Grace');
      await page.getByLabel('Choose a password').fill('a password of some length');
      server.push({ kind: 'reject', request: 0, code: 'invalid', words: 'of before' });
      await page.getByText('of before').waitFor();
      await page.getByRole('button', { name: button }).click();
      await page.getByRole('tab', { name: 'Mine' }).waitFor();
      await page.waitForTimeout(300);
      // The line of before ends by itself, and takes nobody with it.
      assert.equal(server.heard.filter(({ kind }) => kind === 'hello').length, 2);
      assert.equal(await page.getByText('of before').count(), 0);
    }));
}
