import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Message, MessageId } from '../../protocol/ts/src/wire/frames.ts';
import { EMPTY_THREAD, entryOf, newestSeq, reduceThread } from '../src/state/thread.ts';
import type { Pending, Thread, ThreadInput } from '../src/state/thread.ts';

const id = (name: string): MessageId => `msg_${name}`;

function message(seq: number, name: string, more: Partial<Message> = {}): Message {
  return { seq, message: id(name), author: { kind: 'visitor' }, at: 1000 + seq, body: { kind: 'text', text: name }, expires: null, ...more };
}

function pending(name: string, seen_seq = 0): Pending {
  return { message: id(name), text: name, visibility: 'everyone', seen_seq, at: 5, refused: null };
}

const page = (messages: Message[], reset = false, more = false): ThreadInput => ({ kind: 'page', messages, reset, more });
const said = (one: Message): ThreadInput => ({ kind: 'said', entry: entryOf(one) });
const after = (...inputs: ThreadInput[]): Thread => inputs.reduce(reduceThread, EMPTY_THREAD);
const shown = (thread: Thread): string[] => thread.entries.map((entry) => `${entry.seq}:${entry.message.slice(4)}`);

test('messages stand in the order of their places, however they come', () => {
  assert.deepEqual(shown(after(said(message(3, 'c')), said(message(1, 'a')), said(message(2, 'b')))), ['1:a', '2:b', '3:c']);
});

test('a message that comes twice is shown once', () => {
  assert.deepEqual(shown(after(page([message(1, 'a')]), said(message(1, 'a')))), ['1:a']);
});

test('a known message at a new place moves', () => {
  assert.deepEqual(shown(after(page([message(1, 'a'), message(2, 'b')]), said(message(3, 'a')))), ['2:b', '3:a']);
});

test('a place that is given again shows the later message', () => {
  assert.deepEqual(shown(after(page([message(1, 'a'), message(2, 'b')]), said(message(2, 'x')))), ['1:a', '2:x']);
});

test('a void takes the message off the screen, but not another one in its place', () => {
  const base = [page([message(1, 'a'), message(2, 'b')])];
  assert.deepEqual(shown(after(...base, { kind: 'void', seq: 2, message: id('b') })), ['1:a']);
  assert.deepEqual(shown(after(...base, { kind: 'void', seq: 2, message: id('x') })), ['1:a', '2:b']);
});

test('a reset page replaces what was here', () => {
  const thread = after(page([message(1, 'a'), message(2, 'lost')]), page([message(7, 'g'), message(8, 'h')], true, true));
  assert.deepEqual(shown(thread), ['7:g', '8:h']);
  assert.equal(thread.more, true);
});

test('a page after a resume leaves what is known of earlier ones alone', () => {
  const thread = after(page([message(5, 'e')], false, true), page([message(6, 'f')], false, false));
  assert.deepEqual(shown(thread), ['5:e', '6:f']);
  assert.equal(thread.more, true);
});

test('what is stored before the page that is here leaves no hole: an earlier page brings it', () => {
  const written: ThreadInput = { kind: 'written', pending: pending('mine') };
  const thread = after(written, page([message(30, 'x')], true, true), said(message(9, 'mine')));
  assert.deepEqual([shown(thread), thread.pending.length], [['30:x'], 0]);
  assert.deepEqual(shown(after(written, page([message(30, 'x')], true, false), said(message(9, 'mine')))), ['9:mine', '30:x']);
});

test('an earlier page says whether there are earlier ones still', () => {
  const thread = after(page([message(5, 'e')], false, true), page([message(4, 'd')], false, false));
  assert.deepEqual(shown(thread), ['4:d', '5:e']);
  assert.equal(thread.more, false);
});

test('an empty page after a resume forgets nothing', () => {
  assert.equal(after(page([], false, false)).loaded, true);
  const thread = after(page([message(5, 'a')], true, true), page([], false, false));
  assert.deepEqual(shown(thread), ['5:a']);
  assert.equal(thread.more, true);
  assert.equal(reduceThread(thread, { kind: 'page', messages: [], reset: false, more: false, earlier: true }).more, false);
});

test('what was written is pending until it is stored, and then has its place', () => {
  const written = after(page([message(1, 'a')]), { kind: 'written', pending: pending('mine', 1) });
  assert.equal(written.pending.length, 1);
  assert.equal(newestSeq(written), 1);
  const stored = reduceThread(written, said(message(2, 'mine', { author: { kind: 'agent', agent: 'agt_1' } })));
  assert.equal(stored.pending.length, 0);
  assert.deepEqual(shown(stored), ['1:a', '2:mine']);
});

test('a pending message that comes back as a message is no longer pending', () => {
  const thread = after({ kind: 'written', pending: pending('mine') }, said(message(1, 'mine')));
  assert.equal(thread.pending.length, 0);
  assert.deepEqual(shown(thread), ['1:mine']);
  const byPage = after({ kind: 'written', pending: pending('mine') }, page([message(1, 'mine')], true));
  assert.equal(byPage.pending.length, 0);
});

test('a refused message stays, keeps the place it had seen, and can be tried again', () => {
  const refused = after({ kind: 'written', pending: pending('mine', 4) }, { kind: 'refused', message: id('mine'), words: 'no' });
  assert.equal(refused.pending[0]?.refused, 'no');
  const again = reduceThread(refused, { kind: 'retried', message: id('mine') });
  assert.equal(again.pending[0]?.refused, null);
  assert.equal(again.pending[0]?.seen_seq, 4);
  assert.equal(reduceThread(again, { kind: 'discarded', message: id('mine') }).pending.length, 0);
});

test('erased messages go, and without a list all of them', () => {
  const base = [page([message(1, 'a'), message(2, 'b')])];
  assert.deepEqual(shown(after(...base, { kind: 'forget', messages: [id('a')] })), ['2:b']);
  assert.deepEqual(shown(after(...base, { kind: 'forget', messages: null })), []);
});

test('a message goes on the first day on which it can no longer be read', () => {
  const thread = after(page([message(1, 'a', { expires: 100 }), message(2, 'b', { expires: 101 }), message(3, 'c')]));
  assert.deepEqual(shown(reduceThread(thread, { kind: 'expired', today: 99 })), ['1:a', '2:b', '3:c']);
  assert.deepEqual(shown(reduceThread(thread, { kind: 'expired', today: 100 })), ['2:b', '3:c']);
});

test('an input that changes nothing gives the same thread', () => {
  const thread = after(page([message(1, 'a')]));
  assert.equal(reduceThread(thread, { kind: 'expired', today: 1 }), thread);
});

test('a conversation that is not there says so until a page of it comes', () => {
  const absent = after({ kind: 'absent', absent: true });
  assert.equal(absent.absent, true);
  assert.equal(reduceThread(absent, page([message(1, 'a')])).absent, false);
});

test('any order of arrival leads to the same screen', () => {
  const all = Array.from({ length: 8 }, (_, at) => message(at + 1, `m${at}`));
  let seed = 7;
  const random = (): number => (seed = (seed * 48271) % 2147483647) / 2147483647;
  for (let round = 0; round < 50; round += 1) {
    const shuffled = all.map((one) => ({ one, at: random() })).sort((a, b) => a.at - b.at).map(({ one }) => said(one));
    assert.deepEqual(shown(after(...shuffled)), shown(after(page(all))));
  }
});
