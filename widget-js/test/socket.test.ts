// The line: verdicts, waiting, and a real socket against the small server.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';
import { WebSocket } from 'ws';

import type { FrameSchema } from '../../protocol/ts/src/wire/codec.ts';
import {
  CLIENT_PING,
  CLIENT_TYPING,
  SERVER_BYE,
  SERVER_FRAMES,
} from '../../protocol/ts/src/wire/frames.ts';
import type { ServerFrame } from '../../protocol/ts/src/wire/frames.ts';
import { Socket, retryDelayMs } from '../../protocol/ts/src/wire/socket.ts';
import { verdict } from '../../protocol/ts/src/wire/verdict.ts';
import type { ConnectionState } from '../../protocol/ts/src/wire/socket.ts';
import { FakeServer, SITE_KEY } from './fake_server.ts';

// Node 18 and 20 have no WebSocket of their own.
globalThis.WebSocket ??= WebSocket as unknown as typeof globalThis.WebSocket;

const CNV = `cnv_${'1'.repeat(32)}` as const;

interface Ends {
  server: FakeServer;
  socket: Socket;
  states: ConnectionState[];
  frames: ServerFrame[];
  /** Resolves when the line has been welcomed so often. */
  welcomed: (times: number) => Promise<void>;
  /** Resolves when the line is in this state. */
  becomes: (kind: ConnectionState['kind']) => Promise<ConnectionState>;
}

async function ends(run: (ends: Ends) => Promise<void>): Promise<void> {
  const server = new FakeServer();
  const origin = await server.listen();
  const states: ConnectionState[] = [];
  const frames: ServerFrame[] = [];
  let welcomes = 0;
  const waiting: { met: () => boolean; go: () => void }[] = [];
  const happened = (): void => waiting.filter(({ met }) => met()).forEach(({ go }) => go());
  const until = (met: () => boolean): Promise<void> =>
    met() ? Promise.resolve() : new Promise((go) => waiting.push({ met, go }));
  const socket = new Socket({
    url: `${origin.replace('http', 'ws')}/v1/socket`,
    hears: SERVER_FRAMES as readonly FrameSchema<ServerFrame>[],
    hello: () => ({ role: 'visitor', client: 'test/1', locale: 'en', resume: [], site: SITE_KEY }),
    onWelcome: () => {
      welcomes += 1;
      happened();
    },
    onFrame: (frame) => frames.push(frame),
    onState: (state) => {
      states.push(state);
      happened();
    },
  });
  const becomes = async (kind: ConnectionState['kind']): Promise<ConnectionState> => {
    await until(() => states.some((state) => state.kind === kind));
    const state = states.find((state) => state.kind === kind);
    assert.ok(state);
    return state;
  };
  try {
    await run({
      server,
      socket,
      states,
      frames,
      welcomed: (times) => until(() => welcomes >= times),
      becomes,
    });
  } finally {
    socket.stop();
    await server.end();
  }
}

test('the range of a close code is the verdict', () => {
  const verdicts = {
    1000: 'done',
    1001: 'retry',
    1002: 'stop',
    1003: 'stop',
    1006: 'retry',
    1007: 'stop',
    1008: 'retry',
    1009: 'stop',
    1011: 'retry',
    4000: 'stop',
    4003: 'stop',
    4099: 'stop',
    4100: 'retry',
    4199: 'retry',
    4200: 'now',
    4201: 'retry',
  };
  for (const [code, expected] of Object.entries(verdicts))
    assert.equal(verdict(Number(code)), expected, code);
});

test('the wait is anywhere below a bound that doubles up to thirty seconds', () => {
  fc.assert(
    fc.property(
      fc.nat({ max: 2_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempts, chance) => {
        const wait = retryDelayMs(attempts, chance);
        assert.ok(wait >= 0 && wait <= Math.min(30_000, 500 * 2 ** attempts));
      },
    ),
  );
  assert.equal(retryDelayMs(0, 1), 500);
  assert.equal(retryDelayMs(9, 1), 30_000);
});

test('answers find their questions', () =>
  ends(async ({ server, socket, welcomed }) => {
    assert.equal((await socket.ask(CLIENT_PING, {})).kind, 'lost');
    assert.equal(socket.say(CLIENT_TYPING, { conversation: CNV, typing: true }), false);
    socket.start();
    await welcomed(1);
    const answers = await Promise.all([1, 2, 3].map(() => socket.ask(CLIENT_PING, {})));
    assert.deepEqual(
      answers.map((answer) => answer.kind),
      ['pong', 'pong', 'pong'],
    );
    assert.equal(socket.say(CLIENT_TYPING, { conversation: CNV, typing: true }), true);
    await server.hears('typing');
  }));

test('a broken line loses its questions and comes back', () =>
  ends(async ({ server, socket, welcomed, becomes }) => {
    server.acks = false;
    socket.start();
    await welcomed(1);
    const lost = socket.ask({ ...CLIENT_PING, code: 250 }, {});
    for (const line of server.lines) line.terminate();
    assert.equal((await lost).kind, 'lost');
    await becomes('waiting');
    await welcomed(2);
    assert.equal(server.connections, 2);
  }));

test('a question that stays open asks whether the line is alive', () =>
  ends(async ({ server, socket, welcomed }) => {
    server.acks = false;
    socket.start();
    await welcomed(1);
    const late: (() => void)[] = [];
    const real = globalThis.setTimeout;
    globalThis.setTimeout = ((act: () => void, ms: number) =>
      ms === 5_000 ? late.push(act) : real(act, ms)) as typeof setTimeout;
    void socket.ask({ ...CLIENT_PING, code: 250 }, {});
    globalThis.setTimeout = real;
    assert.equal(late.length, 1);
    late.forEach((act) => act());
    await server.hears('ping');
    assert.equal(socket.state.kind, 'online');
  }));

test('a line is told when to come back', () =>
  ends(async ({ server, socket, welcomed, becomes, frames }) => {
    socket.start();
    await welcomed(1);
    server.say(SERVER_BYE, { retry_after_ms: 40 });
    for (const line of server.lines) line.close(4100);
    assert.deepEqual(await becomes('waiting'), { kind: 'waiting', retryInMs: 40 });
    await welcomed(2);
    assert.deepEqual(frames, [{ kind: 'bye', retry_after_ms: 40 }]);
  }));

test('a line that is told to stop stays down', () =>
  ends(async ({ server, socket, welcomed, becomes }) => {
    socket.start();
    await welcomed(1);
    for (const line of server.lines) line.close(4003, 'origin not allowed');
    assert.deepEqual(await becomes('stopped'), {
      kind: 'stopped',
      code: 4003,
      reason: 'origin not allowed',
    });
    assert.equal(server.connections, 1);
    socket.probe();
    assert.equal(socket.state.kind, 'stopped');
  }));

test('bytes that are no frame end the line, and it comes back', () =>
  ends(async ({ server, socket, welcomed }) => {
    socket.start();
    await welcomed(1);
    for (const line of server.lines) line.send(Buffer.from('c1', 'hex'));
    await welcomed(2);
  }));
