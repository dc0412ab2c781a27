import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Locator, Page } from 'playwright-core';
import { AGENT, card, COLLEAGUE, FakeServer, hex, ME, said } from './fake_server.ts';
import { at, PAGES, scene, thread, waiting } from './scene.ts';

test('an agent works from offer to close without a mouse', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [];
    await page.goto(at(base, '/'));
    await page.getByText('No conversation is yours right now.').waitFor();
    const offered = card(7, { state: 'offered', offered_to: ME.agent, waiting_since: Date.now() });
    delete (offered as { assignee?: unknown }).assignee;
    server.history.set(offered.conversation, [said(1, 'Hello?')]);
    server.push({
      kind: 'offer',
      conversation: offered.conversation,
      deadline: Date.now() + 30_000,
      card: offered,
    });
    await page.getByRole('button', { name: 'Decline' }).waitFor();
    assert.match(await page.title(), /^\(1\)/);
    await page.keyboard.press('a');
    await server.until((frame) => frame.kind === 'accept');
    server.push({ kind: 'offer-over', conversation: offered.conversation });
    server.push({ kind: 'conversation', card: card(7, { version: 2 }) });
    await page.getByText('Hello?', { exact: true }).last().waitFor();
    await server.until((frame) => frame.kind === 'seen');
    await page.keyboard.type('Here I am');
    await server.until((frame) => frame.kind === 'typing' && frame.typing);
    await page.keyboard.press('Enter');
    await page.getByRole('img', { name: 'Sent' }).waitFor();
    await page.keyboard.press('Escape');
    await page.keyboard.press('n');
    await page.keyboard.type('a regular');
    await page.keyboard.press('Enter');
    const note = await server.until(
      (frame) => frame.kind === 'send' && frame.visibility === 'agents',
    );
    assert.ok(note.kind === 'send' && note.body.kind === 'text' && note.body.text === 'a regular');
    await page.keyboard.press('Escape');
    await page.keyboard.press('t');
    await page.getByRole('dialog').waitFor();
    await page.keyboard.press('Tab');
    await page.getByRole('button', { name: COLLEAGUE.name }).press('Enter');
    const given = await server.until((frame) => frame.kind === 'transfer');
    assert.equal(given.kind === 'transfer' && given.agent, COLLEAGUE.agent);
    await page.getByRole('dialog').waitFor({ state: 'detached' });
    await page.keyboard.press('Escape');
    await page.keyboard.press('e');
    await server.until((frame) => frame.kind === 'close');
    server.push({
      kind: 'conversation',
      card: card(7, { version: 3, state: 'closed', closed_at: Date.now() }),
    });
    await page.getByRole('button', { name: 'Reopen' }).waitFor();
  }));

test('what was written survives a broken line and a reload, and is the same message when it is sent again', () =>
  scene(async ({ server, page, base }) => {
    server.instead = (frame) => {
      if (frame.kind !== 'send') return false;
      server.breakLine(4100);
      return true;
    };
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    for (const text of ['first', 'second']) {
      await page.locator('#composer').fill(text);
      await page.locator('#composer').press('Enter');
    }
    await server.until((frame) => frame.kind === 'send');
    assert.equal(await page.locator('.pending').count(), 2);
    await page.reload();
    await page.getByText('first', { exact: true }).waitFor();
    server.instead = () => false;
    await page.locator('.pending').first().waitFor({ state: 'detached' });
    await page.waitForFunction(() => document.querySelectorAll('.pending').length === 0);
    assert.deepEqual((await page.locator('.bubble p').allInnerTexts()).slice(-2), [
      'first',
      'second',
    ]);
    const tries = server.heard.filter(
      (frame) => frame.kind === 'send' && frame.body.kind === 'text' && frame.body.text === 'first',
    );
    assert.ok(tries.length > 1);
    assert.equal(
      new Set(
        tries.map((frame) => (frame.kind === 'send' ? `${frame.message} ${frame.seen_seq}` : '')),
      ).size,
      1,
    );
  }));

test('a refusal of a newer server for a while is tried again, and one for good is not', () =>
  scene(async ({ server, page, base }) => {
    const codes = [200, 100];
    server.instead = (frame) => {
      const code = frame.kind === 'send' ? codes.shift() : undefined;
      if (code !== undefined && frame.kind === 'send') server.refuse(frame.request, code);
      return code !== undefined;
    };
    await page.goto(at(base, thread));
    await page.locator('#composer').fill('once more');
    await page.locator('#composer').press('Enter');
    await page
      .getByRole('alert')
      .filter({ hasText: 'The server refused this. (not now)' })
      .waitFor();
    assert.equal(server.heard.filter((frame) => frame.kind === 'send').length, 2);
  }));

test('addresses in what was said are links that lead where they say', () =>
  scene(async ({ server, page, base }) => {
    server.history.set(card(1).conversation, [
      said(1, 'See (https://a.test/x). Or https://bank.example@evil.example'),
      said(2, 'www.b.test。', { visibility: 'agents', author: { kind: 'agent', agent: ME.agent } }),
    ]);
    await page.goto(at(base, thread));
    await page.getByRole('link', { name: 'www.b.test' }).waitFor();
    const links = page.locator('.bubble a');
    assert.deepEqual(await links.allTextContents(), ['https://a.test/x', 'www.b.test']);
    assert.deepEqual(await links.evaluateAll((all) => all.map((one) => one.getAttribute('href'))), [
      'https://a.test/x',
      'http://www.b.test',
    ]);
    assert.equal(await links.first().getAttribute('rel'), 'noopener noreferrer nofollow ugc');
    assert.equal(await links.first().getAttribute('target'), '_blank');
  }));

test('one’s own words are the last line in the list, with what was hidden on arrival hidden here too', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, thread));
    await page.locator('#composer').fill('Your card 4111 1111 1111 1111?');
    await page.locator('#composer').press('Enter');
    await page.locator('.row-preview', { hasText: 'You: [hidden]' }).waitFor();
    assert.equal((await page.locator('.bubble p').allInnerTexts()).at(-1), '[hidden]');
    assert.equal(await page.getByText('4111').count(), 0);
  }));

test('a refusal is a sentence, and the message can be tried again or thrown away', () =>
  scene(async ({ server, page, base }) => {
    server.instead = (frame) => {
      if (frame.kind !== 'send') return false;
      server.push({ kind: 'reject', request: frame.request, code: 'closed', words: '' });
      return true;
    };
    await page.goto(at(base, thread));
    await page.locator('#composer').fill('too late');
    await page.locator('#composer').press('Enter');
    await page.getByText('The conversation is closed. Reopen it first.').waitFor();
    server.instead = () => false;
    await page.getByRole('button', { name: 'Try again' }).click();
    await page.getByRole('img', { name: 'Sent' }).waitFor();
  }));

test('a message that was void or erased leaves the screen', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    server.push({
      kind: 'message',
      conversation: card(1).conversation,
      ...said(3, 'never stored'),
    });
    await page.locator('.bubble', { hasText: 'never stored' }).waitFor();
    server.push({
      kind: 'void',
      conversation: card(1).conversation,
      seq: 3,
      message: said(3, '').message,
    });
    await page.locator('.bubble', { hasText: 'never stored' }).waitFor({ state: 'detached' });
    server.push({
      kind: 'forget',
      conversation: card(1).conversation,
      messages: [said(2, '').message],
    });
    await page
      .locator('.bubble', { hasText: 'Is the desk in stock?' })
      .waitFor({ state: 'detached' });
    await page.locator('.bubble', { hasText: 'Good day' }).waitFor();
  }));

test('a draft from another window comes into the composer, and one’s own goes out', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    server.push({ kind: 'draft', conversation: card(1).conversation, text: 'from there' });
    await page.waitForFunction(() => document.querySelector('textarea')?.value === 'from there');
    await page.locator('#composer').fill('from here');
    await server.until((frame) => frame.kind === 'draft' && frame.text === 'from here');
    await page.reload();
    await page.waitForFunction(() => document.querySelector('textarea')?.value === 'from here');
  }));

test('a session that ended leads to the door, and says nothing of what was there', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    server.signedIn = false;
    server.breakLine(4001);
    await page.getByText('Your session ended.').waitFor();
    assert.equal(await page.title(), 'livehelp');
    assert.equal((await page.locator('body').innerText()).includes('desk'), false);
    await page.getByLabel('E-mail').fill('a@b.test');
    await page.getByLabel('Password').fill('wrong');
    await page.keyboard.press('Enter');
    await page.getByText('E-mail or password is wrong.').waitFor();
  }));

const composer = (page: Page): Locator => page.locator('#composer');
const text = (page: Page): Promise<string> => composer(page).inputValue();
const isNote = (page: Page): Promise<boolean> =>
  page.getByRole('radio', { name: 'Note' }).isChecked();
const sent = (server: FakeServer): string[] =>
  server.heard.flatMap((frame) =>
    frame.kind === 'send' && frame.body.kind === 'text'
      ? [`${frame.visibility ?? 'everyone'}: ${frame.body.text}`]
      : [],
  );
const pause = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));

test('a half-written note stays a note when the conversation becomes one’s own', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [waiting(1)];
    await page.goto(at(base, thread));
    await page.getByText('Nobody has this conversation.').waitFor();
    await composer(page).pressSequentially('he is a thief');
    server.push({ kind: 'conversation', card: card(1, { version: 2 }) });
    await page.getByText('Nobody has this conversation.').waitFor({ state: 'detached' });
    assert.ok(await isNote(page));
    assert.equal(await text(page), 'he is a thief');
    await composer(page).press('Enter');
    await server.until((frame) => frame.kind === 'send');
    assert.deepEqual(sent(server), ['agents: he is a thief']);
    await pause(800);
    assert.ok(
      server.heard.every((frame) => frame.kind !== 'draft' && frame.kind !== 'typing'),
      'a note was told to others',
    );
  }));

test('a field that was entered for a note is one for a note, before its first letter and after taking the conversation by key', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [waiting(1)];
    await page.goto(at(base, thread));
    await composer(page).click();
    server.push({ kind: 'conversation', card: card(1, { version: 2 }) });
    await page.getByText('Nobody has this conversation.').waitFor({ state: 'detached' });
    assert.ok(await isNote(page));
    server.push({ kind: 'conversation', card: { ...waiting(1), version: 3 } });
    await page.getByText('Nobody has this conversation.').waitFor();
    await composer(page).fill('odd');
    await composer(page).press('Escape');
    await page.keyboard.press('a');
    await server.until((frame) => frame.kind === 'assign');
    server.push({ kind: 'conversation', card: card(1, { version: 4 }) });
    await page.getByText('Nobody has this conversation.').waitFor({ state: 'detached' });
    assert.ok(await isNote(page));
    await page.getByText('Reply', { exact: true }).click();
    assert.equal(await text(page), '');
  }));

test('each conversation keeps its own kind and its own two texts, over a reload too', () =>
  scene(async ({ server, page, base }) => {
    server.cards = [card(1), card(2)];
    await page.goto(at(base, thread));
    await composer(page).fill('Good day to you');
    await page.getByText('Note', { exact: true }).click();
    assert.equal(await text(page), '');
    await composer(page).fill('slow payer');
    await page.goto(at(base, `/conversations/${card(2).conversation}`));
    await page.getByRole('heading', { name: 'Visitor Number 2', level: 1 }).waitFor();
    assert.equal(await isNote(page), false);
    await page.goto(at(base, thread));
    await page.reload();
    await page.getByRole('heading', { name: 'Visitor Number 1', level: 1 }).waitFor();
    assert.ok(await isNote(page));
    assert.equal(await text(page), 'slow payer');
    await page.getByText('Reply', { exact: true }).click();
    assert.equal(await text(page), 'Good day to you');
  }));

test('a draft from another window does not stand where a note is written', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    await composer(page).press('Escape');
    await page.keyboard.press('n');
    await page.keyboard.type('slow payer');
    server.push({ kind: 'draft', conversation: card(1).conversation, text: 'from there' });
    server.push({ kind: 'message', conversation: card(1).conversation, ...said(3, 'after it') });
    await page.locator('.bubble', { hasText: 'after it' }).waitFor();
    assert.equal(await text(page), 'slow payer');
    await page.getByText('Reply', { exact: true }).click();
    assert.equal(await text(page), 'from there');
  }));

/** The line is down until the answer is called. */
async function cut(server: FakeServer, page: Page): Promise<() => void> {
  server.instead = (frame) => frame.kind === 'hello';
  server.breakLine(4100);
  await page.getByText(/^(The line to the server broke|Connecting)/).waitFor();
  return () => {
    server.instead = () => false;
    server.breakLine(4200);
  };
}

test('what was typed while the line was down is told to the server first, and not overwritten by what it has', () =>
  scene(async ({ server, page, base }) => {
    server.drafts.set(card(1).conversation, 'old');
    await page.goto(at(base, thread));
    await page.waitForFunction(() => document.querySelector('textarea')?.value === 'old');
    const mend = await cut(server, page);
    await composer(page).fill('new, and longer');
    await pause(800);
    mend();
    await server.until((frame) => frame.kind === 'draft' && frame.text === 'new, and longer');
    await page.locator('.line-bar').waitFor({ state: 'detached' });
    server.push({ kind: 'message', conversation: card(1).conversation, ...said(3, 'after it') });
    await page.locator('.bubble', { hasText: 'after it' }).waitFor();
    assert.equal(await text(page), 'new, and longer');
    const all = server.heard.map((frame) => frame.kind);
    const kinds = all.slice(all.lastIndexOf('hello'));
    assert.ok(kinds.indexOf('draft') < kinds.indexOf('watch'), kinds.join(' '));
  }));

test('the draft of a message that was sent while the line was down does not come back, not even after a reload', () =>
  scene(async ({ server, page, base }) => {
    server.drafts.set(card(1).conversation, 'Here I am');
    await page.goto(at(base, thread));
    await page.waitForFunction(() => document.querySelector('textarea')?.value === 'Here I am');
    await cut(server, page);
    await composer(page).press('Enter');
    await page.locator('.pending', { hasText: 'Here I am' }).waitFor();
    server.instead = () => false;
    await page.reload();
    await page.getByRole('img', { name: 'Sent' }).waitFor();
    server.push({ kind: 'message', conversation: card(1).conversation, ...said(9, 'after it') });
    await page.locator('.bubble', { hasText: 'after it' }).waitFor();
    assert.equal(await text(page), '');
    assert.equal(server.drafts.size, 0);
    assert.deepEqual(sent(server), ['everyone: Here I am']);
  }));

/** Signs in again, whoever it is. */
async function signIn(server: FakeServer, page: Page): Promise<void> {
  server.signedIn = true;
  server.rest.set('POST /v1/sessions', server.rest.get('/v1/sessions/current'));
  await page.getByLabel('E-mail').fill('nora@example.test');
  await page.getByLabel('Password').fill('her password');
  await page.getByRole('button', { name: 'Sign in' }).click();
}

test('a session that ended keeps what was unsent for its agent; signing out throws it away', () =>
  scene(async ({ server, page, base }) => {
    server.instead = (frame) => frame.kind === 'send';
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    await composer(page).fill('A long answer');
    await composer(page).press('Enter');
    await composer(page).fill('and the next');
    const first = await server.until((frame) => frame.kind === 'send');
    server.signedIn = false;
    server.breakLine(4001);
    await page.getByText('Your session ended.').waitFor();
    server.instead = () => false;
    await signIn(server, page);
    await page.getByRole('img', { name: 'Sent' }).waitFor();
    assert.equal(await text(page), 'and the next');
    const last = server.heard.filter((frame) => frame.kind === 'send').at(-1);
    assert.ok(first.kind === 'send' && last?.kind === 'send' && first.message === last.message);

    await page.goto(at(base, '/account'));
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    assert.deepEqual(await page.evaluate(() => Object.keys(sessionStorage)), []);
  }));

test('an offer is announced once, in one sentence, and its clock is not read out; its ring is full when it comes', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/'));
    await page.locator('.row-card').waitFor();
    server.push({
      kind: 'offer',
      conversation: card(8).conversation,
      deadline: Date.now() + 9_000,
      card: card(8, { state: 'offered' }),
    });
    await page.getByRole('button', { name: 'Decline' }).waitFor();
    const ring = (await page.locator('.countdown-left').getAttribute('stroke-dasharray')) ?? '';
    const [lit = 0, whole = 1] = ring.split(' ').map(Number);
    assert.ok(lit / whole > 0.8, ring);
    const alert = page.locator('.offers').getByRole('alert');
    const words = 'New conversation: Visitor Number 8. Press A to accept.';
    assert.equal(await alert.innerText(), words);
    const changes = await page.evaluate(async () => {
      const live = document.querySelectorAll(
        '[aria-live], [role=alert], [role=status], [role=log]',
      );
      let changes = 0;
      const watch = new MutationObserver((found) => (changes += found.length));
      for (const one of live)
        watch.observe(one, {
          subtree: true,
          childList: true,
          characterData: true,
          attributes: true,
        });
      await new Promise((done) => setTimeout(done, 2500));
      return changes;
    });
    assert.equal(changes, 0);
  }));

test('Enter that only ends what an input method composed sends nothing, in Safari too', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await composer(page).fill('日本');
    await composer(page).evaluate((field) =>
      field.dispatchEvent(
        new KeyboardEvent('keydown', {
          key: 'Enter',
          keyCode: 229,
          bubbles: true,
          cancelable: true,
        }),
      ),
    );
    await pause(200);
    assert.equal(await text(page), '日本');
    assert.deepEqual(sent(server), []);
    await composer(page).press('Enter');
    await server.until((frame) => frame.kind === 'send');
  }));

test('a board that cannot be had is asked for again, after a rest that grows', () =>
  scene(async ({ server, page, base }) => {
    const asked: number[] = [];
    server.instead = (frame) => {
      if (frame.kind !== 'watch' || frame.topic !== 'board') return false;
      asked.push(Date.now());
      if (asked.length > 2) return false;
      server.push({ kind: 'reject', request: frame.request, code: 'store-unavailable', words: '' });
      return true;
    };
    await page.goto(at(base, '/'));
    await page.getByText('The server cannot store anything right now.').waitFor();
    await page.getByRole('tabpanel').getByText('Visitor Number 1').waitFor();
    const [first = 0, second = 0, third = 0] = asked;
    assert.ok(
      second - first >= 950 && third - second >= 1_950,
      asked.map((moment) => moment - first).join(' '),
    );
  }));

test('what lies beyond the bound of the board is not denied, and comes when there is room for it', () =>
  scene(async ({ server, page, base }) => {
    const many = Array.from({ length: 2_000 }, (_, at) =>
      card(at + 1, { assignee: COLLEAGUE.agent, agents: [] }),
    );
    const asked: (string | undefined)[] = [];
    server.instead = (frame) => {
      if (frame.kind !== 'watch' || frame.topic !== 'board') return false;
      asked.push(frame.after);
      const { request, after } = frame;
      const all = { kind: 'board', request, live: 2_001, waiting: 0 } as const;
      if (after === undefined)
        server.push({ ...all, conversations: many, agents: [ME, COLLEAGUE], next: 'more' });
      else
        server.push({
          ...all,
          after,
          conversations: [card(2_001, { assignee: COLLEAGUE.agent, preview: 'the needle' })],
          agents: [],
        });
      return true;
    };
    await page.goto(at(base, '/'));
    await page.getByRole('tab', { name: 'All 2001' }).click();
    await page.locator('#filter').fill('needle');
    await page.getByText('Nothing matches the filter.').waitFor();
    await page.getByText('Only the 2000 most urgent conversations were searched.').waitFor();
    await pause(1_200);
    assert.deepEqual(asked, [undefined]);
    server.push({
      kind: 'conversation',
      card: { ...card(1, { agents: [] }), version: 2, state: 'closed', closed_at: Date.now() },
    });
    await page.locator('.row-card', { hasText: 'the needle' }).waitFor({ timeout: 5_000 });
    assert.equal(await page.getByText('were searched').count(), 0);
    await pause(1_200);
    assert.deepEqual(asked, [undefined, 'more']);
  }));

test('a conversation that is not there says so, and is not asked for again at every change of the board', () =>
  scene(
    async ({ server, page, base }) => {
      const lost = card(5).conversation;
      const asked = (): number =>
        server.heard.filter((frame) => frame.kind === 'watch' && frame.conversation === lost)
          .length;
      server.instead = (frame) => {
        if (frame.kind !== 'watch' || frame.conversation !== lost) return false;
        server.push({ kind: 'reject', request: frame.request, code: 'not-found', words: '' });
        return true;
      };
      await page.goto(at(base, `/conversations/${lost}`));
      await page.getByText('This conversation is not there.').waitFor();
      for (let version = 2; version < 8; version += 1) {
        server.push({
          kind: 'conversation',
          card: card(1, { version, preview: `change ${version}` }),
        });
        await page.getByText(`change ${version}`).waitFor();
      }
      assert.equal(asked(), 1);
      assert.equal(await page.locator('.spinner').count(), 0);
      // An offer of it is another matter.
      server.instead = () => false;
      server.history.set(lost, [said(1, 'Found again')]);
      server.push({
        kind: 'offer',
        conversation: lost,
        deadline: Date.now() + 30_000,
        card: card(5, { state: 'offered' }),
      });
      await page.locator('.bubble', { hasText: 'Found again' }).waitFor();
    },
    { expects: /404/ },
  ));

test('a refusal for good to watch something is taken at its word, whatever it is called; a limit is not for good', () =>
  scene(async ({ server, page, base }) => {
    const asked = (count: number): number =>
      server.heard.filter(
        (frame) => frame.kind === 'watch' && frame.conversation === card(count).conversation,
      ).length;
    server.cards = [card(1), card(2), card(3)];
    server.instead = (frame) => {
      if (frame.kind !== 'watch' || frame.conversation === undefined) return false;
      if (frame.conversation === card(1).conversation) server.refuse(frame.request, 77);
      else
        server.push({
          kind: 'reject',
          request: frame.request,
          code: frame.conversation === card(2).conversation ? 'closed' : 'limit-reached',
          words: '',
        });
      return true;
    };
    await page.goto(at(base, thread));
    await page.getByText('This conversation is not there.').waitFor();
    await pause(1_500);
    server.push({ kind: 'conversation', card: card(1, { version: 2 }) });
    await pause(200);
    assert.deepEqual([1, 2, 3].map(asked), [1, 1, 2]);
    server.instead = (frame) => {
      if (frame.kind !== 'watch' || frame.topic !== 'board') return false;
      server.push({ kind: 'reject', request: frame.request, code: 'forbidden', words: '' });
      return true;
    };
    server.heard.length = 0;
    await page.reload();
    await page.getByText('Your role does not allow this.').waitFor();
    await pause(1_500);
    assert.equal(
      server.heard.filter((frame) => frame.kind === 'watch' && frame.topic === 'board').length,
      1,
    );
  }));

test('arrow keys pass the choices of availability without choosing; Enter chooses', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/'));
    await page.getByRole('button', { name: /^Your availability/ }).click();
    await page.keyboard.press('Tab');
    assert.equal(
      await page.getByRole('radio', { name: /^Available/ }).getAttribute('aria-checked'),
      'true',
    );
    await page.keyboard.press('ArrowDown');
    await page.keyboard.press('ArrowDown');
    assert.ok(
      await page
        .getByRole('radio', { name: /^Offline/ })
        .evaluate((radio) => radio === document.activeElement),
    );
    await pause(200);
    assert.ok(server.heard.every((frame) => frame.kind !== 'availability'));
    await page.keyboard.press('ArrowUp');
    await page.keyboard.press('Enter');
    const chosen = await server.until((frame) => frame.kind === 'availability');
    assert.equal(chosen.kind === 'availability' && chosen.availability, 'away');
    await page.getByRole('radio', { name: /^Away/ }).waitFor({ state: 'detached' });
  }));

test('one tab stop leads to the privacy tags of all messages, and arrow keys go on from there', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    const infos = page.getByRole('button', { name: 'Privacy tag' });
    const stops = (): Promise<number[]> =>
      infos.evaluateAll((all) => all.map((one) => (one as HTMLElement).tabIndex));
    assert.deepEqual(await stops(), [-1, 0]);
    await page.getByRole('log').focus();
    await page.keyboard.press('Tab');
    await page.keyboard.press('ArrowUp');
    assert.ok(await infos.first().evaluate((one) => one === document.activeElement));
    assert.deepEqual(await stops(), [0, -1]);
    await page.keyboard.press('Tab');
    assert.ok(await composer(page).evaluate((one) => one === document.activeElement));
  }));

test('a dialog stays when a drag that began in it ends outside; a click outside closes it', () =>
  scene(async ({ page, base }) => {
    await page.goto(at(base, '/'));
    await page.getByRole('tab', { name: 'Mine' }).waitFor();
    await page.keyboard.press('?');
    await page.getByText('This list', { exact: true }).hover();
    await page.mouse.down();
    await page.mouse.move(8, 8);
    await page.mouse.up();
    await pause(200);
    assert.equal(await page.getByRole('dialog').count(), 1);
    await page.mouse.click(8, 8);
    await page.getByRole('dialog').waitFor({ state: 'detached' });
  }));

test('who signs out and in again finds a conversation of old again', () =>
  scene(async ({ server, page, base }) => {
    const old = card(6).conversation;
    server.rest.set(`/v1/conversations/${old}`, {
      conversation_id: old,
      site_id: `sit_${hex(1)}`,
      state: 'closed',
      created_at: 1,
      visitor: { visitor_id: `vis_${hex(6)}`, name: 'Olga Old' },
    });
    server.history.set(old, [said(1, 'Long ago')]);
    const found = (): Promise<void> =>
      page.getByRole('heading', { name: 'Olga Old', level: 1 }).waitFor();
    await page.goto(at(base, `/conversations/${old}`));
    await found();
    await page.goto(at(base, '/account'));
    await page.getByRole('button', { name: 'Sign out', exact: true }).click();
    await page.getByRole('heading', { name: 'Sign in' }).waitFor();
    await signIn(server, page);
    await page.getByRole('tab', { name: 'Mine' }).waitFor();
    await page.goto(at(base, `/conversations/${old}`));
    await found();
  }));

test('an invitation that cannot be looked up for want of a line is not called invalid', () =>
  scene(
    async ({ page, base }) => {
      await page.route('**/v1/invitations/lookup', (route) => route.abort());
      await page.goto(at(base, '/invitations/abc'));
      await page.getByText('The server cannot be reached.').waitFor();
      assert.equal(await page.getByText('This invitation is not valid.').count(), 0);
      await page.unroute('**/v1/invitations/lookup');
      await page.getByRole('button', { name: 'Try again' }).click();
      await page.getByText('This invitation is not valid.').waitFor();
    },
    { expects: /404|ERR_FAILED/ },
  ));

test('a transfer that is declined or runs out is told to its giver, in the thread until they go on', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    const asked = (version: number): void =>
      server.push({
        kind: 'conversation',
        card: card(1, { version, offered_to: COLLEAGUE.agent }),
      });
    const back = (version: number): void =>
      server.push({ kind: 'conversation', card: card(1, { version }) });
    asked(2);
    await page.getByText('Offered to Jonas Berg').waitFor();
    assert.equal(await page.getByRole('button', { name: 'Transfer' }).count(), 0);
    back(3);
    await page
      .locator('.notice', {
        hasText: 'Jonas Berg did not take over the conversation with Visitor Number 1.',
      })
      .waitFor();
    await page.locator('.untaken', { hasText: 'Jonas Berg did not take it over.' }).waitFor();
    await page.getByRole('button', { name: 'Transfer' }).waitFor();
    await composer(page).fill('I stay with you.');
    await composer(page).press('Enter');
    await page.locator('.untaken').waitFor({ state: 'detached' });
    // Taken this time: nothing to tell.
    asked(4);
    await page.getByText('Offered to Jonas Berg').waitFor();
    server.push({ kind: 'conversation', card: card(1, { version: 5, assignee: COLLEAGUE.agent }) });
    await page.getByText('This conversation is with Jonas Berg.').waitFor();
    assert.equal(await page.locator('.untaken').count(), 0);
  }));

test('an offer that ran out leaves a word that stays; one that was declined does not', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/'));
    await page.locator('.row-card').waitFor();
    const offer = async (count: number, ms: number): Promise<void> => {
      server.push({
        kind: 'offer',
        conversation: card(count).conversation,
        deadline: Date.now() + ms,
        card: card(count, { state: 'offered', assignee: COLLEAGUE.agent }),
      });
      await page.getByRole('button', { name: 'Decline' }).waitFor();
    };
    await offer(7, 900);
    await page.getByRole('button', { name: 'Decline' }).click();
    server.push({ kind: 'offer-over', conversation: card(7).conversation });
    await page.getByRole('button', { name: 'Decline' }).waitFor({ state: 'detached' });
    await offer(8, 500);
    await pause(500);
    server.push({ kind: 'offer-over', conversation: card(8).conversation });
    await page
      .locator('.notice', {
        hasText: 'You missed a conversation that was offered to you: Visitor Number 8.',
      })
      .waitFor();
    await pause(4_500);
    assert.equal(await page.locator('.notice').count(), 1);
    await page.getByRole('button', { name: 'Dismiss' }).click();
    assert.equal(await page.locator('.notice').count(), 0);
  }));

test('a closing by key can be taken back by key, by button, by writing and by the visitor, and happens otherwise', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    await page.getByText('Is the desk in stock?').last().waitFor();
    const notice = page.locator('.notice', { hasText: 'is being closed' });
    const closed = (): number => server.heard.filter((frame) => frame.kind === 'close').length;
    await composer(page).press('Escape');
    await page.keyboard.press('Shift+E');
    await pause(100);
    assert.equal(await notice.count(), 0);
    await page.keyboard.press('e');
    await notice.waitFor();
    await page.keyboard.press('z');
    await notice.waitFor({ state: 'detached' });
    await composer(page).press('Escape');
    await page.keyboard.press('e');
    await notice.getByRole('button', { name: 'Undo' }).click();
    await notice.waitFor({ state: 'detached' });
    await composer(page).press('Escape');
    await page.keyboard.press('e');
    await composer(page).fill('One more thing');
    await notice.waitFor({ state: 'detached' });
    await composer(page).press('Escape');
    await page.keyboard.press('e');
    await notice.waitFor();
    server.push({ kind: 'message', conversation: card(1).conversation, ...said(3, 'And also…') });
    await page.locator('.notice', { hasText: 'Visitor Number 1 wrote something' }).waitFor();
    await pause(5_300);
    assert.equal(closed(), 0);
    await page.keyboard.press('e');
    await pause(4_000);
    assert.equal(closed(), 0);
    await server.until((frame) => frame.kind === 'close');
  }));

test('a closing by mouse can be taken back like one by key', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, thread));
    const notice = page.locator('.notice', { hasText: 'is being closed' });
    await page.getByRole('button', { name: 'Close', exact: true }).click();
    await notice.getByRole('button', { name: 'Undo' }).click();
    await notice.waitFor({ state: 'detached' });
    await page.getByRole('button', { name: 'Close', exact: true }).dblclick();
    await notice.waitFor();
    const closed = (): number => server.heard.filter((frame) => frame.kind === 'close').length;
    assert.equal(closed(), 0);
    await server.until((frame) => frame.kind === 'close');
    await pause(100);
    assert.equal(closed(), 1);
  }));

test('a closing ends with what it was meant for: another’s close, a reopening, another’s taking, an erasure', () =>
  scene(
    async ({ server, page, base }) => {
      const ended = { state: 'closed', closed_at: Date.now() } as const;
      const { conversation } = card(1);
      const changes: readonly (() => Promise<void>)[] = [
        async () => server.push({ kind: 'conversation', card: card(1, { version: 2, ...ended }) }),
        async () =>
          server.push({
            kind: 'conversation',
            card: card(1, { version: 4, assignee: COLLEAGUE.agent }),
          }),
        async () => page.getByRole('button', { name: 'Take over' }).click(),
        async () => server.push({ kind: 'forget', conversation }),
      ];
      const notice = page.locator('.notice', { hasText: 'is being closed' });
      await page.goto(at(base, thread));
      await page.getByText('Is the desk in stock?').last().waitFor();
      let version = 2;
      for (const change of changes) {
        await page.getByRole('button', { name: 'Close', exact: true }).click();
        await notice.waitFor();
        await change();
        await notice.waitFor({ state: 'detached', timeout: 2_000 });
        // Opened again, by whomever: it is not closed under their hands.
        if (version === 2) {
          server.push({ kind: 'conversation', card: card(1, { version: (version += 1) }) });
          await page.getByRole('button', { name: 'Close', exact: true }).waitFor();
        }
      }
      await pause(5_300);
      assert.ok(server.heard.every((frame) => frame.kind !== 'close'));
    },
    // What was erased is looked for once.
    { expects: /404/ },
  ));

test('A accepts an offer on every page, and never while something is typed', () =>
  scene(async ({ server, page, base }) => {
    await page.goto(at(base, '/account'));
    const accepts = (): number => server.heard.filter((frame) => frame.kind === 'accept').length;
    await server.until((frame) => frame.kind === 'watch');
    await page.getByLabel('Name', { exact: true }).focus();
    server.push({
      kind: 'offer',
      conversation: card(8).conversation,
      deadline: Date.now() + 30_000,
      card: card(8, { state: 'offered' }),
    });
    await page.getByRole('button', { name: 'Decline' }).waitFor();
    await page.keyboard.press('a');
    await pause(200);
    assert.equal(accepts(), 0);
    await page.getByLabel('Name', { exact: true }).blur();
    await page.keyboard.press('Shift+A');
    await page.evaluate(() => {
      // So fast that no answer comes between.
      for (let press = 0; press < 2; press += 1)
        document.body.dispatchEvent(
          new KeyboardEvent('keydown', { key: 'a', bubbles: true, cancelable: true }),
        );
    });
    await page.getByRole('heading', { name: 'Visitor Number 8', level: 1 }).waitFor();
    assert.equal(accepts(), 1);
  }));

test('a refused message is thrown away at the agent’s word, and does not come back', () =>
  scene(async ({ server, page, base }) => {
    server.instead = (frame) => {
      if (frame.kind !== 'send') return false;
      server.push({ kind: 'reject', request: frame.request, code: 'too-long', words: '' });
      return true;
    };
    await page.goto(at(base, thread));
    await composer(page).fill('never mind');
    await composer(page).press('Enter');
    await page.getByText('The text is too long.').waitFor();
    await page.getByRole('button', { name: 'Discard' }).click();
    await page.locator('.pending').waitFor({ state: 'detached' });
    await page.reload();
    await page.getByText('Is the desk in stock?').last().waitFor();
    assert.equal(await page.getByText('never mind').count(), 0);
    assert.equal(sent(server).length, 1);
  }));

test('whoever reads what was said before is told of new messages, and led to them', () =>
  scene(async ({ server, page, base }) => {
    const { conversation } = card(1);
    server.history.set(
      conversation,
      Array.from({ length: 60 }, (_, at) => said(at + 1, `line ${at}`)),
    );
    await page.goto(at(base, thread));
    await page.getByText('line 59', { exact: true }).waitFor();
    const log = page.getByRole('log');
    await log.evaluate((box) => (box.scrollTop = 300));
    await pause(100);
    server.push({ kind: 'message', conversation, ...said(61, 'a new one') });
    await page.getByRole('button', { name: 'New messages' }).waitFor();
    assert.equal(await log.evaluate((box) => box.scrollTop), 300);
    await page.getByRole('button', { name: 'New messages' }).click();
    await page.getByRole('button', { name: 'New messages' }).waitFor({ state: 'detached' });
    assert.ok(await log.evaluate((box) => box.scrollHeight - box.scrollTop - box.clientHeight < 2));
  }));

test('earlier messages that were asked for without a line come when there is one again, before what came anew with it', () =>
  scene(async ({ server, page, base }) => {
    const { conversation } = card(1);
    const all = Array.from({ length: 90 }, (_, at) => said(at + 1, `line ${at}`));
    let reset = false;
    const pages: FakeServer['instead'] = (frame) => {
      if (frame.kind === 'watch' && frame.conversation !== undefined) {
        server.push({
          kind: 'history',
          request: frame.request,
          conversation,
          reset,
          more: true,
          messages: all.slice(-20),
        });
      } else if (frame.kind === 'history') {
        server.push({
          kind: 'history',
          request: frame.request,
          conversation,
          reset: false,
          more: false,
          messages: all.filter(({ seq }) => seq < frame.before),
        });
      } else return false;
      return true;
    };
    server.instead = pages;
    await page.goto(at(base, thread));
    await page.getByText('line 89', { exact: true }).waitFor();
    const mend = await cut(server, page);
    await page.getByRole('button', { name: 'Load earlier messages' }).dispatchEvent('click');
    all.push(said(91, 'line 90'));
    reset = true;
    mend();
    server.instead = pages;
    await page.getByText('The conversation begins here').waitFor();
    assert.deepEqual(
      await page.locator('.bubble > p').allTextContents(),
      all.map((_, at) => `line ${at}`),
    );
  }));

test('closed conversations come page by page', () =>
  scene(async ({ server, page, base }) => {
    const closed = (count: number): object => ({
      conversation_id: card(count).conversation,
      site_id: `sit_${hex(1)}`,
      state: 'closed',
      created_at: count,
      closed_at: count,
      visitor: { visitor_id: `vis_${hex(count)}`, name: `Closed ${count}` },
    });
    server.rest.set('GET /v1/conversations?state=closed&limit=50', {
      items: [closed(30)],
      next_cursor: 'the rest',
    });
    server.rest.set('GET /v1/conversations?state=closed&limit=50&cursor=the%20rest', {
      items: [closed(20)],
      next_cursor: null,
    });
    await page.goto(at(base, '/'));
    await page.getByRole('tab', { name: 'All' }).click();
    await page.getByLabel('All', { exact: true }).selectOption('closed');
    await page.getByText('Closed 30').waitFor();
    assert.equal(await page.getByText('Closed 20').count(), 0);
    await page.getByRole('button', { name: 'Load earlier ones' }).click();
    await page.getByText('Closed 20').waitFor();
    assert.deepEqual(await page.locator('.row-name').allInnerTexts(), ['Closed 30', 'Closed 20']);
    assert.equal(await page.getByRole('button', { name: 'Load earlier ones' }).count(), 0);
  }));

test('an agent without another role moves only what is theirs, and sees no settings but their own', () =>
  scene(async ({ server, page, base }) => {
    server.rest.set('/v1/sessions/current', {
      session_id: `ses_${hex(1)}`,
      agent: { ...AGENT, role: 'agent' },
      tenant: { tenant_id: `ten_${hex(1)}`, name: 'Shop' },
      expires_at: 9e15,
    });
    server.cards = [card(1, { assignee: COLLEAGUE.agent }), card(2)];
    await page.goto(at(base, thread));
    await page.getByText('This conversation is with Jonas Berg.').waitFor();
    assert.deepEqual(
      await page.getByRole('navigation', { name: 'Main' }).getByRole('link').allInnerTexts(),
      ['Board', 'Account'],
    );
    const acts = page.locator('.thread-acts');
    assert.equal(await acts.getByRole('button', { name: /^(Transfer|Close)$/ }).count(), 0);
    for (const key of ['t', 'e']) await page.keyboard.press(key);
    await pause(200);
    assert.equal(await page.getByRole('dialog').count(), 0);
    assert.equal(await page.locator('.notice').count(), 0);
    await page.goto(at(base, `/conversations/${card(2).conversation}`));
    for (const name of ['Transfer', 'Close']) await acts.getByRole('button', { name }).waitFor();
  }));

test('every page fits a screen of 360 pixels', () =>
  scene(
    async ({ page, base }) => {
      for (const path of PAGES) {
        await page.goto(at(base, path));
        await page.waitForFunction(() => document.querySelector('.spinner') === null);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth);
        assert.ok(wide <= 360, `${path} is ${wide} pixels wide`);
      }
    },
    { width: 360, height: 740 },
  ));
