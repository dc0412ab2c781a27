import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId } from '../../protocol/ts/src/wire/frames.ts';
import { EMPTY_COMPOSER, modeOf, reduceComposers, textOf } from '../src/state/composer.ts';
import type { Composer, ComposerInput, Composers } from '../src/state/composer.ts';

const ID: ConversationId = 'cnv_a';
const after = (...inputs: ComposerInput[]): Composers =>
  inputs.reduce<Composers>((composers, input) => reduceComposers(composers, ID, input), new Map());
const of = (...inputs: ComposerInput[]): Composer => after(...inputs).get(ID) ?? EMPTY_COMPOSER;
const note = (text: string): ComposerInput => ({ kind: 'written', mode: 'agents', text });
const reply = (text: string): ComposerInput => ({ kind: 'written', mode: 'everyone', text });
const heard = (text: string): ComposerInput => ({ kind: 'heard', text });

test('where no reply is allowed a note is written, and what was begun as one stays one', () => {
  assert.equal(modeOf(EMPTY_COMPOSER, true), 'agents');
  assert.equal(modeOf(EMPTY_COMPOSER, false), 'everyone');
  const begun = of(note('between us'));
  assert.equal(modeOf(begun, false), 'agents');
  assert.equal(textOf(begun, 'everyone'), '');
});

test('only a choice turns a note into a reply, and takes none of its words along', () => {
  const chosen = of(note('between us'), { kind: 'chosen', mode: 'everyone' });
  assert.equal(modeOf(chosen, false), 'everyone');
  assert.equal(textOf(chosen, 'everyone'), '');
  assert.equal(textOf(chosen, 'agents'), 'between us');
});

test('a draft from another window is a reply, whatever is being written here', () => {
  const both = of(note('between us'), heard('Good day'));
  assert.deepEqual([both.mode, both.note, both.reply], ['agents', 'between us', 'Good day']);
});

test('what the server was not told is not overwritten by what it has', () => {
  assert.equal(of(reply('new'), heard('old')).reply, 'new');
  assert.equal(of(reply('new'), { kind: 'sent', mode: 'everyone' }, heard('new')).reply, '');
  assert.equal(
    of(reply('new'), { kind: 'told', text: 'new' }, heard('from there')).reply,
    'from there',
  );
});

test('an answer to an older text does not stand for the newer one', () => {
  assert.equal(of(reply('a'), reply('ab'), { kind: 'told', text: 'a' }).untold, true);
  assert.equal(of(reply('a'), { kind: 'told', text: 'a' }).untold, false);
});

test('a note is nothing to tell the server, and sending one leaves a reply alone', () => {
  assert.equal(of(note('between us')).untold, false);
  const sent = of(heard('Good day'), note('between us'), { kind: 'sent', mode: 'agents' });
  assert.deepEqual([sent.note, sent.reply, sent.mode], ['', 'Good day', 'agents']);
});

test('what is empty, told and unchosen leaves nothing behind', () => {
  assert.equal(after(heard('x'), heard('')).size, 0);
  assert.equal(after(reply('x'), { kind: 'erased' }).size, 0);
});
