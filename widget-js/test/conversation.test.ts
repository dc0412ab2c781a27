// The reducer: what a visitor sees after anything that can happen, in any order it can happen in.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { initial, newest, progress, reduce, unread } from '../src/state/conversation.ts';
import type { ChatState, Input, Line } from '../src/state/conversation.ts';
import type {
  ConversationCard,
  Message,
  MessageId,
  ServerFrame,
} from '../../protocol/ts/src/wire/frames.ts';

const CNV = `cnv_${'1'.repeat(32)}` as const;
const OTHER = `cnv_${'2'.repeat(32)}` as const;
const AGT = `agt_${'a'.repeat(32)}` as const;
const id = (number: number): MessageId => `msg_${number.toString(16).padStart(32, '0')}`;

const said = (seq: number, number = seq, kind: 'agent' | 'visitor' = 'agent'): Message => ({
  seq,
  message: id(number),
  author: kind === 'agent' ? { kind, agent: AGT } : { kind },
  at: seq,
  body: { kind: 'text', text: `text ${number}` },
  expires: null,
});
const frame = (frame: ServerFrame): Input => ({ kind: 'frame', frame, now: 1_000 });
const message = (...of: Parameters<typeof said>): Input =>
  frame({ kind: 'message', conversation: CNV, ...said(...of) });
const written = (number: number): Input => ({
  kind: 'written',
  message: id(number),
  text: `text ${number}`,
  at: number,
});
const acked = (
  number: number,
  seq: number,
  conversation: typeof CNV | typeof OTHER = CNV,
): Input => ({
  kind: 'acked',
  conversation,
  message: id(number),
  seq,
  at: 1,
  expires: 9,
  text: `text ${number}`,
});
const history = (messages: Message[], reset = false, more = false, request = 0): Input =>
  frame({ kind: 'history', request, conversation: CNV, reset, more, messages });
const card = (change: Partial<ConversationCard>): Input =>
  frame({
    kind: 'conversation',
    card: {
      conversation: CNV,
      version: 1,
      site: `sit_${'5'.repeat(32)}`,
      state: 'queued',
      created_at: 0,
      seq_last: 0,
      agents: [],
      marks: [],
      ...change,
    },
  });
const after = (...inputs: Input[]): ChatState =>
  inputs.reduce(reduce, reduce(initial('available'), { kind: 'began', conversation: CNV }));
const shown = (state: ChatState): [number, MessageId][] =>
  state.entries.map(({ seq, message }) => [seq, message]);

test('messages stand in the order of their seq, whatever order they come in', () => {
  assert.deepEqual(shown(after(message(3), message(1), message(2), message(2))), [
    [1, id(1)],
    [2, id(2)],
    [3, id(3)],
  ]);
});

test('what has no seq yet stands at the end and takes its position when it is acked', () => {
  const state = after(written(50), message(2), message(4));
  assert.deepEqual(shown(state), [
    [2, id(2)],
    [4, id(4)],
    [0, id(50)],
  ]);
  assert.deepEqual(shown(reduce(state, acked(50, 3))), [
    [2, id(2)],
    [3, id(50)],
    [4, id(4)],
  ]);
});

test('an ack for a seq before the page that is here leaves no hole: an earlier page brings the message', () => {
  const state = after(written(50), history([said(30), said(31)], true, true), acked(50, 9));
  assert.deepEqual(shown(state), [
    [30, id(30)],
    [31, id(31)],
  ]);
  const whole = after(written(50), history([said(30), said(31)], true, false), acked(50, 9));
  assert.deepEqual(shown(whole), [
    [9, id(50)],
    [30, id(30)],
    [31, id(31)],
  ]);
});

test('a live message with a seq before the page that is here waits for its page, too', () => {
  const newest = history([said(30), said(31)], true, true);
  assert.deepEqual(shown(after(newest, message(9))), [
    [30, id(30)],
    [31, id(31)],
  ]);
  const whole = after(newest, message(9), history([said(9), said(29)], false, false, 7));
  assert.deepEqual(shown(whole), [
    [9, id(9)],
    [29, id(29)],
    [30, id(30)],
    [31, id(31)],
  ]);
});

test('what was hidden on arrival is hidden from its author too', () => {
  const state = after(written(50), {
    kind: 'acked',
    conversation: CNV,
    message: id(50),
    seq: 1,
    at: 1,
    expires: 9,
    text: '[hidden]',
  });
  assert.deepEqual(
    state.entries.map(({ body, expires }) => [body, expires]),
    [[{ kind: 'text', text: '[hidden]' }, 9]],
  );
});

test('a tab that missed what was written in another hears it with the ack', () => {
  const state = after(message(1), acked(50, 2));
  assert.deepEqual(shown(state), [
    [1, id(1)],
    [2, id(50)],
  ]);
  assert.deepEqual(state.entries[1]?.body, { kind: 'text', text: 'text 50' });
  assert.deepEqual(shown(after(message(1), acked(50, 2, OTHER))), [[1, id(1)]]);
});

test('a known message with a new seq moves', () => {
  assert.deepEqual(shown(after(message(1), message(2), message(5, 2))), [
    [1, id(1)],
    [5, id(2)],
  ]);
});

test('a seq that was given again belongs to the new message', () => {
  assert.deepEqual(shown(after(message(1), message(2, 2), message(2, 7))), [
    [1, id(1)],
    [2, id(7)],
  ]);
});

test('a gap means nothing', () => {
  assert.deepEqual(shown(after(message(1), message(9))), [
    [1, id(1)],
    [9, id(9)],
  ]);
});

test('a reset page replaces what was sequenced, and keeps what is on its way', () => {
  const state = after(message(1), message(2), written(50), history([said(5), said(6)], true, true));
  assert.deepEqual(shown(state), [
    [5, id(5)],
    [6, id(6)],
    [0, id(50)],
  ]);
  assert.equal(state.more, true);
});

test('a page after a resume goes on from what was there, and says nothing about earlier ones', () => {
  const state = after(history([said(5)], true, true), history([said(6), said(7)], false, false));
  assert.deepEqual(shown(state), [
    [5, id(5)],
    [6, id(6)],
    [7, id(7)],
  ]);
  assert.equal(state.more, true);
});

test('a page with nothing in it says nothing about earlier ones, unless it was asked for', () => {
  const state = after(history([said(5)], true, true), history([]));
  assert.equal(state.more, true);
  assert.equal(reduce(state, history([], false, false, 7)).more, false);
});

test('an earlier page goes before, and its word on still earlier ones counts', () => {
  const state = after(history([said(5)], true, true), history([said(3), said(4)], false, false, 7));
  assert.deepEqual(shown(state), [
    [3, id(3)],
    [4, id(4)],
    [5, id(5)],
  ]);
  assert.equal(state.more, false);
});

test("a void takes another's message off the screen, and one's own back to its way", () => {
  const gone: Input = frame({ kind: 'void', conversation: CNV, seq: 2, message: id(2) });
  assert.deepEqual(shown(after(message(1), message(2), gone)), [[1, id(1)]]);
  assert.deepEqual(shown(after(message(1), written(2), message(2, 2, 'visitor'), gone)), [
    [1, id(1)],
    [0, id(2)],
  ]);
  assert.deepEqual(shown(after(message(1), message(3, 2), gone)), [
    [1, id(1)],
    [3, id(2)],
  ]);
});

test('what a tab of a later release tells changes nothing', () => {
  const state = after(message(1));
  assert.equal(reduce(state, { kind: 'of tomorrow' } as unknown as Input), state);
});

test('a line that broke is lost until it is online again', () => {
  const lines = (...kinds: Line[]): ChatState =>
    after(...kinds.map((line): Input => ({ kind: 'line', line })));
  assert.equal(lines('connecting').lost, false);
  assert.equal(lines('online', 'waiting', 'connecting').lost, true);
  assert.equal(lines('online', 'waiting', 'connecting', 'online').lost, false);
});

test('a message leaves the screen on the first day on which it can no longer be read', () => {
  const day = (count: number, lessMs = 0): Input => ({
    kind: 'time',
    now: Date.UTC(2020, 0, 1) + count * 86_400_000 - lessMs,
  });
  const state = after(
    history([{ ...said(1), expires: 100 }, { ...said(2), expires: 101 }, said(3)]),
  );
  assert.deepEqual(shown(reduce(state, day(100, 1))), shown(state));
  assert.deepEqual(shown(reduce(state, day(100))), [
    [2, id(2)],
    [3, id(3)],
  ]);
  assert.deepEqual(shown(reduce(state, day(101))), [[3, id(3)]]);
});

test('what is forgotten is gone, some or all', () => {
  assert.deepEqual(
    shown(
      after(
        message(1),
        message(2),
        frame({ kind: 'forget', conversation: CNV, messages: [id(1)] }),
      ),
    ),
    [[2, id(2)]],
  );
  const all = after(message(1), frame({ kind: 'forget', conversation: CNV }));
  assert.equal(all.conversation, undefined);
  assert.deepEqual(all.entries, []);
});

test("another conversation's frames change nothing", () => {
  const state = after(message(1));
  assert.equal(reduce(state, frame({ kind: 'message', conversation: OTHER, ...said(2) })), state);
  assert.equal(reduce(state, card({ conversation: OTHER })), state);
});

test('an older card is passed over', () => {
  const state = after(card({ version: 4, state: 'active' }), card({ version: 3, state: 'queued' }));
  assert.equal(state.card?.state, 'active');
});

test('marks say how far a message came, and never go back', () => {
  const mark = (kind: 'delivered' | 'seen', seq: number): Input =>
    frame({ kind, conversation: CNV, author: { kind: 'agent', agent: AGT }, seq });
  const state = after(card({}), written(1), acked(1, 1));
  const of = (state: ChatState): string =>
    state.entries.map((entry) => progress(state, entry)).join();
  assert.equal(of(after(written(1))), 'sending');
  assert.equal(of(state), 'sent');
  assert.equal(of(reduce(state, mark('delivered', 1))), 'delivered');
  assert.equal(of([mark('seen', 3), mark('seen', 0)].reduce(reduce, state)), 'seen');
  assert.equal(of(after(written(1), { kind: 'failed', message: id(1), why: 'invalid' })), 'failed');
});

test('unread is what others said above what was read', () => {
  const state = after(message(1), message(2), message(3, 3, 'visitor'), { kind: 'read', seq: 1 });
  assert.equal(unread(state), 1);
  assert.equal(unread(reduce(state, { kind: 'read', seq: newest(state) })), 0);
  assert.equal(
    unread(
      reduce(state, card({ marks: [{ author: { kind: 'visitor' }, delivered: 9, seen: 9 }] })),
    ),
    0,
  );
});

test('typing ends with the message, with time, and with the line', () => {
  const typing: Input = frame({
    kind: 'typing',
    conversation: CNV,
    author: { kind: 'agent', agent: AGT },
    typing: true,
  });
  assert.ok(after(typing).typing);
  assert.equal(after(typing, message(1)).typing, undefined);
  assert.equal(after(typing, { kind: 'time', now: 99_999 }).typing, undefined);
  assert.equal(after(typing, { kind: 'line', line: 'waiting' }).typing, undefined);
});

test('the position in the queue goes when the waiting does', () => {
  const state = after(
    card({ version: 1, position: 3 }),
    frame({ kind: 'queue', conversation: CNV, position: 2, wait_ms: 60_000 }),
  );
  assert.deepEqual(state.queue, { position: 2, wait_ms: 60_000 });
  assert.equal(reduce(state, card({ version: 2, state: 'active' })).queue, undefined);
});

test('every message is shown once, and in order, after any inputs twice in any order', () => {
  const inputs = fc.array(
    fc.oneof(
      fc
        .tuple(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9 }))
        .map(([seq, number]) => message(seq, number)),
      fc.integer({ min: 1, max: 9 }).map(written),
      fc
        .tuple(fc.integer({ min: 1, max: 9 }), fc.integer({ min: 1, max: 12 }))
        .map(([number, seq]) => acked(number, seq)),
      fc
        .tuple(fc.integer({ min: 1, max: 12 }), fc.boolean())
        .map(([seq, reset]) => history([said(seq), said(seq + 1)], reset)),
    ),
    { maxLength: 40 },
  );
  fc.assert(
    fc.property(inputs, (inputs) => {
      const { entries } = after(...inputs);
      const sequenced = entries.filter(({ seq }) => seq > 0);
      assert.equal(new Set(entries.map(({ message }) => message)).size, entries.length);
      assert.deepEqual(
        sequenced.map(({ seq }) => seq),
        [...new Set(sequenced.map(({ seq }) => seq))].sort((one, other) => one - other),
      );
      assert.deepEqual(entries.slice(0, sequenced.length), sequenced);
    }),
  );
});
