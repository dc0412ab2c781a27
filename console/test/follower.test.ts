// The follower: what is wanted is watched, what is refused for now is asked again, and pages meet.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type {
  ConversationId,
  RejectCode,
  ServerFrame,
  ServerHistory,
} from '../../protocol/ts/src/wire/frames.ts';
import type { Answer, Socket } from '../../protocol/ts/src/wire/socket.ts';
import { Follower } from '../src/state/follower.ts';

const ONE: ConversationId = 'cnv_1';
const OTHER: ConversationId = 'cnv_2';

const history = (conversation: ConversationId): ServerHistory => ({
  kind: 'history',
  request: 1,
  conversation,
  reset: false,
  more: true,
  messages: [],
});
const board: Answer = { kind: 'board', request: 1, conversations: [], agents: [] };
const reject = (code: RejectCode): Answer => ({ kind: 'reject', request: 1, code, words: 'no' });

interface Asked {
  readonly word: string;
  readonly answer: (answer: Answer) => Promise<void>;
}

/** A follower, its line, and what it told. */
class World {
  readonly asked: Asked[] = [];
  readonly told: string[] = [];
  wanted = new Set<ConversationId>([ONE]);
  edge: number | null = 30;
  beyond: string | null = null;
  line: Socket | null = this.#newLine();
  readonly follower = new Follower({
    line: () => this.line,
    wanted: () => this.wanted,
    resume: (id) => ({ conversation: id, seq: 0 }),
    beyond: () => this.beyond,
    edge: () => this.edge,
    heard: (frame: ServerFrame, before) =>
      this.told.push(`heard ${frame.kind} ${before ?? ''}`.trim()),
    absent: (id, absent) => this.told.push(`${id} ${absent ? 'absent' : 'there'}`),
    refused: ({ code }) => this.told.push(`refused ${code}`),
    dropped: (kept) => this.told.push(`kept ${[...kept].join(' ')}`),
  });

  #newLine(): Socket {
    const ask = (
      _: unknown,
      fields: { topic?: string; conversation?: string; after?: string; before?: number },
    ): Promise<Answer> =>
      new Promise((resolve) => {
        const { topic = 'history', conversation = '', after = '', before = '' } = fields;
        const word = `${topic} ${conversation}${after}${before === '' ? '' : ` before ${before}`}`;
        this.asked.push({
          word: word.trim(),
          answer: async (given) => {
            resolve(given);
            // Whatever follows from it is done.
            await new Promise(setImmediate);
          },
        });
      });
    return { ask } as unknown as Socket;
  }

  /** Answers the oldest question of these words that is open. */
  async answer(word: string, answer: Answer): Promise<void> {
    const at = this.asked.findIndex((one) => one.word === word);
    const [one] = this.asked.splice(at, at < 0 ? 0 : 1);
    assert.ok(one, `${word} was not asked`);
    await one.answer(answer);
  }

  get words(): string[] {
    return this.asked.map(({ word }) => word);
  }
}

/** Runs with timers that are run by hand. */
async function timed(
  run: (timers: { act: () => void; ms: number }[]) => Promise<void>,
): Promise<void> {
  const timers: { act: () => void; ms: number }[] = [];
  const { setTimeout: later } = globalThis;
  globalThis.setTimeout = ((act: () => void, ms: number) =>
    timers.push({ act, ms })) as unknown as typeof setTimeout;
  try {
    await run(timers);
  } finally {
    globalThis.setTimeout = later;
  }
}

test('a new line watches the board and what is wanted, once; what is not wanted any more is left', async () => {
  const world = new World();
  world.follower.begin();
  assert.deepEqual(world.words, ['board', `conversation ${ONE}`]);
  world.follower.follow();
  assert.equal(world.words.length, 2);
  world.wanted = new Set([OTHER]);
  world.follower.follow();
  assert.deepEqual(world.words.slice(2), [`conversation ${OTHER}`, `conversation ${ONE}`]);
  assert.equal(world.told.at(-1), `kept ${OTHER}`);
});

test('parts of the board are asked for one after the other, as long as there are more', async () => {
  const world = new World();
  world.follower.begin();
  world.beyond = 'next';
  world.follower.watchBeyond();
  assert.ok(!world.words.includes('board next'), 'the first part is still to come');
  await world.answer('board', board);
  assert.ok(world.words.includes('board next'));
  world.beyond = null;
  await world.answer('board next', board);
  assert.deepEqual(
    world.words.filter((word) => word.startsWith('board')),
    [],
  );
});

test('what is refused for now is asked again after a rest that grows, and said once', () =>
  timed(async (timers) => {
    const world = new World();
    world.follower.begin();
    const waits: number[] = [];
    for (const code of ['too-fast', 'overload', 'unknown-retryable', 'limit-reached'] as const) {
      await world.answer(`conversation ${ONE}`, reject(code));
      world.follower.follow();
      assert.ok(!world.words.includes(`conversation ${ONE}`), 'it rests');
      const timer = timers.pop();
      assert.ok(timer);
      waits.push(timer.ms);
      timer.act();
    }
    assert.deepEqual(waits, [1_000, 2_000, 4_000, 8_000]);
    assert.deepEqual(
      world.told.filter((word) => word.startsWith('refused')),
      ['refused too-fast'],
    );
  }));

test('what is refused for good is absent, and not asked again', async () => {
  const world = new World();
  world.follower.begin();
  await world.answer(`conversation ${ONE}`, reject('not-found'));
  world.follower.follow();
  assert.ok(world.told.includes(`${ONE} absent`));
  assert.ok(!world.words.includes(`conversation ${ONE}`));
  world.follower.unmiss(ONE);
  world.follower.follow();
  assert.ok(world.words.includes(`conversation ${ONE}`));
});

test('an earlier page is asked for once, before the edge, and told with what it was asked for', async () => {
  const world = new World();
  void world.follower.loadEarlier(ONE);
  void world.follower.loadEarlier(ONE);
  assert.deepEqual(world.words, [`history ${ONE} before 30`]);
  await world.answer(`history ${ONE} before 30`, history(ONE));
  assert.equal(world.told.at(-1), 'heard history 30');
  world.edge = null;
  void world.follower.loadEarlier(ONE);
  assert.deepEqual(world.words, []);
});

test('an earlier page that was asked for without a line comes when there is one, after what was missed', async () => {
  const world = new World();
  const { line } = world;
  world.line = null;
  void world.follower.loadEarlier(ONE);
  world.line = line;
  world.follower.begin();
  assert.ok(!world.words.includes(`history ${ONE} before 30`));
  await world.answer(`conversation ${ONE}`, history(ONE));
  assert.ok(world.words.includes(`history ${ONE} before 30`));
});
