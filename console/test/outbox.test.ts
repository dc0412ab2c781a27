// The outbox: what was written goes out once, in its order, and stays until it is answered.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ConversationId, MessageId, RejectCode } from '../../protocol/ts/src/wire/frames.ts';
import type { Answer, Socket } from '../../protocol/ts/src/wire/socket.ts';
import { Outbox } from '../src/state/outbox.ts';
import type { Unsent } from '../src/state/outbox.ts';

const ONE: ConversationId = 'cnv_1';
const OTHER: ConversationId = 'cnv_2';
const unsent = (name: string): Unsent => ({
  message: `msg_${name}`,
  text: name,
  visibility: 'everyone',
  seen_seq: 0,
  at: 5,
  refused: null,
});
const ack: Answer = { kind: 'ack', request: 1, seq: 7, at: 9 };
const reject = (code: RejectCode): Answer => ({ kind: 'reject', request: 1, code, words: 'no' });

/** An outbox, its line, and what became of what was written. */
class World {
  /** What was sent and is not answered, the oldest first. */
  readonly sent: { readonly text: string; readonly answer: (answer: Answer) => Promise<void> }[] =
    [];
  readonly told: string[] = [];
  line: Socket | null = this.newLine();
  readonly outbox = new Outbox({
    line: () => this.line,
    written: (_, { text }) => this.told.push(`written ${text}`),
    stored: (_, { text }, { seq }) => this.told.push(`stored ${text} at ${seq}`),
    refused: (_, message, words) => this.told.push(`refused ${message.slice(4)}: ${words !== ''}`),
    answered: () => undefined,
  });

  newLine(): Socket {
    const ask = (_: unknown, { body }: { body: { text: string } }): Promise<Answer> =>
      new Promise((resolve) => {
        const answer = async (given: Answer): Promise<void> => {
          resolve(given);
          // Whatever follows from it is done.
          await new Promise(setImmediate);
        };
        this.sent.push({ text: body.text, answer });
      });
    return { ask } as unknown as Socket;
  }

  write(...names: string[]): void {
    for (const name of names) this.outbox.write(ONE, unsent(name));
  }

  get texts(): string {
    return this.sent.map(({ text }) => text).join(' ');
  }

  async answer(at: number, answer: Answer): Promise<void> {
    await this.sent[at]?.answer(answer);
  }
}

test('messages of one conversation go out one after the other, those of others beside them', async () => {
  const world = new World();
  world.write('a', 'b');
  world.outbox.write(OTHER, unsent('x'));
  assert.equal(world.texts, 'a x');
  await world.answer(0, ack);
  assert.equal(world.texts, 'a x b');
  assert.deepEqual(world.told, ['written a', 'written b', 'written x', 'stored a at 7']);
});

test('what is answered is not kept; what is not waits for the next line', async () => {
  const world = new World();
  world.write('a', 'b');
  await world.answer(0, ack);
  await world.answer(1, { kind: 'lost' });
  world.line = world.newLine();
  world.outbox.resume();
  assert.equal(world.texts, 'a b b');
  await world.answer(2, ack);
  assert.equal(world.outbox.has(ONE), false);
});

test('an answer on a line that is gone says nothing', async () => {
  const world = new World();
  world.write('a');
  world.line = world.newLine();
  await world.answer(0, ack);
  assert.deepEqual(world.told, ['written a']);
  assert.equal(world.outbox.has(ONE), true);
});

test('without a line it waits', () => {
  const world = new World();
  world.line = null;
  world.write('a');
  assert.equal(world.texts, '');
  assert.equal(world.outbox.has(ONE), true);
});

test('a refusal for good lets the next one go, and is tried again when it is said to', async () => {
  const world = new World();
  world.write('a', 'b');
  await world.answer(0, reject('invalid'));
  assert.deepEqual(world.told.slice(-1), ['refused a: true']);
  assert.equal(world.texts, 'a b');
  await world.answer(1, ack);
  assert.equal(world.outbox.has(ONE), true);
  world.outbox.retry(ONE, 'msg_a');
  assert.equal(world.texts, 'a b a');
});

test('whatever may succeed later is said again, and nothing overtakes it', async () => {
  const timers: { readonly act: () => void; readonly ms: number }[] = [];
  const { setTimeout: later } = globalThis;
  globalThis.setTimeout = ((act: () => void, ms: number) =>
    timers.push({ act, ms })) as unknown as typeof setTimeout;
  try {
    for (const code of [
      'too-fast',
      'store-unavailable',
      'overload',
      'unknown-retryable',
    ] as const) {
      const world = new World();
      world.write('a', 'b');
      await world.answer(0, {
        kind: 'reject',
        request: 1,
        code,
        words: 'later',
        retry_after_ms: 4_000,
      });
      assert.equal(world.texts, 'a', code);
      const timer = timers.pop();
      assert.equal(timer?.ms, 4_000);
      timer?.act();
      assert.equal(world.texts, 'a a', code);
    }
  } finally {
    globalThis.setTimeout = later;
  }
});

test('what was dropped is not said again, and its answer is nothing', async () => {
  const world = new World();
  world.write('a', 'b', 'c');
  const gone: MessageId[] = ['msg_a', 'msg_b'];
  world.outbox.drop(ONE, gone);
  await world.answer(0, ack);
  assert.equal(world.texts, 'a c');
  assert.doesNotMatch(world.told.join(), /stored a/);
  world.outbox.drop(ONE);
  assert.equal(world.outbox.has(ONE), false);
});
