import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  ConversationId,
  Message,
  MessageId,
  ServerFrame,
} from '../../protocol/ts/src/wire/frames.ts';
import type { Unsent } from '../src/state/outbox.ts';
import { EMPTY_THREAD, halves, isLoaded, newestSeq, reduceThread } from '../src/state/thread.ts';
import type { Thread, ThreadInput } from '../src/state/thread.ts';

const CONVERSATION: ConversationId = 'cnv_1';
const AGENT = 'agt_1';
const id = (name: string): MessageId => `msg_${name}`;

function message(seq: number, name: string, more: Partial<Message> = {}): Message {
  return {
    seq,
    message: id(name),
    author: { kind: 'visitor' },
    at: 1000 + seq,
    body: { kind: 'text', text: name },
    expires: null,
    ...more,
  };
}

function written(name: string, seenSeq = 0): ThreadInput {
  const unsent: Unsent = {
    message: id(name),
    text: name,
    visibility: 'everyone',
    seen_seq: seenSeq,
    at: 5,
    refused: null,
  };
  return { kind: 'written', unsent, agent: AGENT };
}

const frame = (frame: ServerFrame, before?: number): ThreadInput => ({
  kind: 'frame',
  frame,
  ...(before === undefined ? {} : { before }),
});
const page = (messages: Message[], reset = false, more = false, before?: number): ThreadInput =>
  frame({ kind: 'history', request: 3, conversation: CONVERSATION, messages, reset, more }, before);
const said = (one: Message): ThreadInput =>
  frame({ kind: 'message', conversation: CONVERSATION, ...one });
const stored = (one: Message): ThreadInput => ({ kind: 'stored', message: one });
const voided = (seq: number, name: string): ThreadInput =>
  frame({ kind: 'void', conversation: CONVERSATION, seq, message: id(name) });
const forget = (messages?: MessageId[]): ThreadInput =>
  frame({
    kind: 'forget',
    conversation: CONVERSATION,
    ...(messages === undefined ? {} : { messages }),
  });
const after = (...inputs: ThreadInput[]): Thread => inputs.reduce(reduceThread, EMPTY_THREAD);
const shown = (thread: Thread): string[] =>
  halves(thread)[0].map((entry) => `${entry.seq}:${entry.message.slice(4)}`);
const waiting = (thread: Thread): string[] =>
  halves(thread)[1].map((entry) => entry.message.slice(4));

test('messages stand in the order of their places, however they come', () => {
  assert.deepEqual(
    shown(after(said(message(3, 'c')), said(message(1, 'a')), said(message(2, 'b')))),
    ['1:a', '2:b', '3:c'],
  );
});

test('a message that comes twice is shown once', () => {
  assert.deepEqual(shown(after(page([message(1, 'a')]), said(message(1, 'a')))), ['1:a']);
});

test('a known message at a new place moves', () => {
  assert.deepEqual(shown(after(page([message(1, 'a'), message(2, 'b')]), said(message(3, 'a')))), [
    '2:b',
    '3:a',
  ]);
});

test('a place that is given again shows the later message', () => {
  assert.deepEqual(shown(after(page([message(1, 'a'), message(2, 'b')]), said(message(2, 'x')))), [
    '1:a',
    '2:x',
  ]);
});

test('a void takes the message off the screen, but not another one in its place', () => {
  const base = [page([message(1, 'a'), message(2, 'b')])];
  assert.deepEqual(shown(after(...base, voided(2, 'b'))), ['1:a']);
  assert.deepEqual(shown(after(...base, voided(2, 'x'))), ['1:a', '2:b']);
});

test('a reset page replaces what was here', () => {
  const thread = after(
    page([message(1, 'a'), message(2, 'lost')]),
    page([message(7, 'g'), message(8, 'h')], true, true),
  );
  assert.deepEqual(shown(thread), ['7:g', '8:h']);
  assert.equal(thread.more, true);
});

test('a page after a resume leaves what is known of earlier ones alone', () => {
  const thread = after(page([message(5, 'e')], false, true), page([message(6, 'f')], false, false));
  assert.deepEqual(shown(thread), ['5:e', '6:f']);
  assert.equal(thread.more, true);
});

test('what comes before the page that is here leaves no hole: an earlier page brings it', () => {
  const newest = [written('mine'), page([message(30, 'x')], true, true)];
  const thread = after(...newest, stored(message(9, 'mine')));
  assert.deepEqual([shown(thread), waiting(thread)], [['30:x'], []]);
  assert.deepEqual(shown(after(...newest, said(message(9, 'other')))), ['30:x']);
  assert.deepEqual(
    shown(
      after(written('mine'), page([message(30, 'x')], true, false), stored(message(9, 'mine'))),
    ),
    ['9:mine', '30:x'],
  );
});

test('an earlier page says whether there are earlier ones still', () => {
  const thread = after(
    page([message(5, 'e')], false, true),
    page([message(4, 'd')], false, false, 5),
  );
  assert.deepEqual(shown(thread), ['4:d', '5:e']);
  assert.equal(thread.more, false);
});

test('an earlier page that was asked of what is not here any more is passed over', () => {
  const thread = after(page([message(5, 'e')], false, true), page([message(90, 'z')], true, true));
  assert.equal(reduceThread(thread, page([message(4, 'd')], false, false, 5)), thread);
});

test('an empty page after a resume forgets nothing', () => {
  assert.equal(isLoaded(after(page([], false, false))), true);
  const thread = after(page([message(5, 'a')], true, true), page([], false, false));
  assert.deepEqual(shown(thread), ['5:a']);
  assert.equal(thread.more, true);
  assert.equal(reduceThread(thread, page([], false, false, 5)).more, false);
});

test('what was written is on its way until it is stored, and then has its place', () => {
  const thread = after(page([message(1, 'a')]), written('mine', 1));
  assert.deepEqual(waiting(thread), ['mine']);
  assert.equal(newestSeq(thread), 1);
  const then = reduceThread(
    thread,
    stored(message(2, 'mine', { author: { kind: 'agent', agent: AGENT } })),
  );
  assert.deepEqual([shown(then), waiting(then)], [['1:a', '2:mine'], []]);
});

test('what was written and comes back as a message stands in its place, and waits for its answer there', () => {
  for (const comes of [said(message(1, 'mine')), page([message(1, 'mine')], true)]) {
    const thread = after(written('mine'), comes);
    assert.deepEqual([shown(thread), waiting(thread)], [['1:mine'], []]);
    assert.deepEqual(waiting(reduceThread(thread, voided(1, 'mine'))), ['mine']);
  }
});

test('a refused message stays, and can be tried again or dropped', () => {
  const refused = after(written('mine', 4), { kind: 'refused', message: id('mine'), words: 'no' });
  assert.equal(refused.entries[0]?.failed, 'no');
  const again = reduceThread(refused, written('mine', 4));
  assert.equal(again.entries[0]?.failed, undefined);
  assert.deepEqual(waiting(reduceThread(again, { kind: 'discarded', message: id('mine') })), []);
});

test('erased messages go, and without a list all of them', () => {
  const base = [page([message(1, 'a'), message(2, 'b')])];
  assert.deepEqual(shown(after(...base, forget([id('a')]))), ['2:b']);
  assert.deepEqual(shown(after(...base, forget())), []);
});

test('a message goes on the first day on which it can no longer be read', () => {
  const thread = after(
    page([message(1, 'a', { expires: 100 }), message(2, 'b', { expires: 101 }), message(3, 'c')]),
  );
  assert.deepEqual(shown(reduceThread(thread, { kind: 'expired', today: 99 })), [
    '1:a',
    '2:b',
    '3:c',
  ]);
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
    const shuffled = all
      .map((one) => ({ one, at: random() }))
      .sort((a, b) => a.at - b.at)
      .map(({ one }) => said(one));
    assert.deepEqual(shown(after(...shuffled)), shown(after(page(all))));
  }
});
