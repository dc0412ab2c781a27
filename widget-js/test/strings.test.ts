// The languages: each has every text, and which one is spoken.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import * as de from '../src/strings/de.ts';
import * as en from '../src/strings/en.ts';
import * as es from '../src/strings/es.ts';
import * as fr from '../src/strings/fr.ts';
import { LAUNCHER, choose } from '../src/strings/launcher.ts';

/** What each language must have, and of which type. */
type Words = {
  readonly [name in keyof typeof en]: (typeof en)[name] extends string ? string : (typeof en)[name];
};
const others: readonly Words[] = [de, fr, es];

test('every language has every text, in words of its own', () => {
  for (const strings of others) {
    assert.deepEqual(Object.keys(strings), Object.keys(en));
    assert.deepEqual(Object.keys(strings.reasons), Object.keys(en.reasons));
    const same = Object.entries(strings).filter(
      ([name, text]) => typeof text === 'string' && text === en[name as keyof typeof en],
    );
    assert.ok(same.length <= 3, same.join(', '));
    for (const said of [
      strings.queue(1),
      strings.queue(7),
      strings.queueWait(1),
      strings.queueWait(5),
      strings.isTyping('Ann'),
    ])
      assert.ok(said.length > 5);
    assert.ok(strings.queue(7).includes('7') && strings.isTyping('Ann').includes('Ann'));
  }
  assert.deepEqual(Object.keys(LAUNCHER), ['en', 'de', 'fr', 'es']);
  const news = [1, 2].map(fr.unreadMessages);
  assert.deepEqual(news, ['un message non lu', '2 messages non lus']);
});

test('the first language that there are words for is spoken, otherwise English', () => {
  assert.deepEqual(choose('de-AT', 'fr'), ['de', 'de-AT']);
  assert.deepEqual(choose('', 'FR'), ['fr', 'FR']);
  assert.deepEqual(choose('sv', undefined), ['en', 'en']);
  assert.deepEqual(choose('constructor', 'es-419'), ['es', 'es-419']);
});
