// The client's codec on the golden vectors of the protocol, and against another MessagePack.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { decode as otherDecode, encode as otherEncode } from '@msgpack/msgpack';
import fc from 'fast-check';

import { decodeFrame, encodeFrame, hex } from '../src/wire/codec.ts';
import type { FrameSchema } from '../src/wire/codec.ts';
import {
  CLIENT_FRAMES,
  CLIENT_PING,
  CLIENT_SEND,
  DEPTH_MAX,
  REJECT_CODE,
  SERVER_FRAMES,
  SERVER_HISTORY,
  SERVER_MESSAGE,
  SERVER_REJECT,
  SERVER_WELCOME,
} from '../src/wire/frames.ts';
import { conversationId, messageId } from '../src/wire/ids.ts';
import { decode, encode } from '../src/wire/msgpack.ts';
import { isRetryable } from '../src/wire/verdict.ts';
import type { Value } from '../src/wire/msgpack.ts';

interface Vector {
  name: string;
  json: unknown[];
  msgpack: string;
}
interface Tolerated {
  name: string;
  from: 'client' | 'server';
  json: unknown[];
  reads_as: unknown[];
  reads_as_msgpack: string;
}

function vectors<Kind>(name: string): Kind[] {
  return JSON.parse(
    readFileSync(join(process.cwd(), '../vectors', `${name}.json`), 'utf8'),
  ) as Kind[];
}

const bytes = (digits: string): Uint8Array =>
  Uint8Array.from(digits.match(/../g) ?? [], (pair) => parseInt(pair, 16));

/** Every scalar of a value, in order: what is left of a frame when its shape is taken away. */
function leaves(value: unknown): unknown[] {
  if (value === null || value === undefined) return [];
  if (Array.isArray(value)) return value.flatMap(leaves);
  if (typeof value === 'object') return Object.entries(value).flatMap(([, inner]) => leaves(inner));
  return [value];
}

for (const [side, kinds] of [
  ['client', CLIENT_FRAMES],
  ['server', SERVER_FRAMES],
] as const) {
  const all = kinds as readonly FrameSchema<{ kind: string }>[];
  for (const { name, json, msgpack } of vectors<Vector>(side)) {
    test(`${side} vector "${name}" reads and writes byte for byte`, () => {
      const frame = decodeFrame(all, bytes(msgpack), DEPTH_MAX);
      assert.ok(frame);
      assert.equal(frame.kind, json[0]);
      // A body names its form in the object and with a number, or not at all, on the wire.
      const words = (value: unknown): string[] =>
        leaves(value)
          .map(String)
          .filter((leaf) => !['text', 'event', '1'].includes(leaf))
          .sort();
      assert.deepEqual(words(frame), words(json));
      const schema = all.find((kind) => kind.word === frame.kind);
      assert.ok(schema);
      assert.equal(hex(encodeFrame(schema, frame)), msgpack);
    });
  }
}

test('every kind has a vector', () => {
  for (const [side, kinds] of [
    ['client', CLIENT_FRAMES],
    ['server', SERVER_FRAMES],
  ] as const) {
    const words = new Set(vectors<Vector>(side).map(({ json }) => json[0]));
    for (const { word } of kinds) assert.ok(words.has(word), word);
  }
});

test('what a newer peer adds at the end is passed over', () => {
  for (const { from, reads_as_msgpack } of vectors<Tolerated>('tolerated')) {
    const kinds = (from === 'client' ? CLIENT_FRAMES : SERVER_FRAMES) as readonly FrameSchema<{
      kind: string;
    }>[];
    const plain = decode(bytes(reads_as_msgpack), DEPTH_MAX) as Value[];
    const longer = encode([...plain, null, 'new', { a: [1] }]);
    const read = decodeFrame(kinds, longer, DEPTH_MAX);
    const once = decodeFrame(kinds, bytes(reads_as_msgpack), DEPTH_MAX);
    assert.equal(read?.kind, once?.kind);
  }
});

test('an unknown kind is nothing, an unknown code of a set that grows is `unknown`', () => {
  assert.equal(decodeFrame(SERVER_FRAMES, encode([250, 1]), DEPTH_MAX), undefined);
  const reject = decodeFrame([SERVER_REJECT], encode([SERVER_REJECT.code, 1, 99, 'no']), DEPTH_MAX);
  assert.equal(reject?.code, 'unknown');
});

test('a code that only a newer server knows costs what it stands in, and never the line', () => {
  const id = new Uint8Array(16);
  const read = (values: Value[]): { [field: string]: unknown } | undefined =>
    decodeFrame(SERVER_FRAMES, encode(values), DEPTH_MAX) as never;
  const message = (author: Value): Value[] => [
    SERVER_MESSAGE.code,
    id,
    1,
    id,
    author,
    5,
    'hello',
    null,
  ];
  assert.equal(read(message([0]))?.['seq'], 1);
  assert.equal(read(message([9])), undefined);
  // An item of a list.
  const line = (seq: number, author: Value): Value => [seq, id, author, 5, 'hello', null];
  const page = read([
    SERVER_HISTORY.code,
    7,
    id,
    false,
    false,
    [line(1, [0]), line(2, [9]), line(3, [1, id])],
  ]);
  assert.equal(page?.['request'], 7);
  assert.deepEqual(
    (page?.['messages'] as { seq: number }[]).map(({ seq }) => seq),
    [1, 3],
  );
  // A field that may be absent.
  const welcome = (availability: number): Value[] => [
    SERVER_WELCOME.code,
    1,
    id,
    5,
    20_000,
    [4_000, 1, 1],
    [],
    null,
    null,
    null,
    [id, availability],
  ];
  assert.ok(read(welcome(0))?.['site']);
  assert.ok(!('site' in (read(welcome(9)) ?? { site: 0 })));
  // Another type is still an error.
  assert.throws(() => read(message(['visitor'])));
});

test('a field of another type is an error', () => {
  assert.throws(() =>
    decodeFrame([SERVER_REJECT], encode([SERVER_REJECT.code, 'one', 1, 'no']), DEPTH_MAX),
  );
  assert.throws(() => decodeFrame([SERVER_REJECT], encode([SERVER_REJECT.code, 1]), DEPTH_MAX));
  assert.throws(() => encodeFrame(CLIENT_PING, {} as { request: number }));
  const id = `msg_${'0'.repeat(32)}` as const;
  assert.throws(() =>
    encodeFrame(CLIENT_SEND, {
      request: 1,
      conversation: id as unknown as `cnv_${string}`,
      message: id,
      seen_seq: 0,
      body: { kind: 'text', text: '' },
    }),
  );
});

test('hostile bytes end in an error, and allocate nothing', () => {
  for (const digits of [
    '',
    'c1',
    'dd7fffffff',
    'dbffffffff',
    'c6ffffffff',
    'dfffffffff',
    '92',
    'd9',
    'a2fffe',
    'cfffffffffffffffff',
    'c0c0',
  ]) {
    assert.throws(() => decode(bytes(digits), DEPTH_MAX), digits);
  }
  assert.throws(() => decode(bytes('91'.repeat(DEPTH_MAX + 1) + 'c0'), DEPTH_MAX));
  assert.doesNotThrow(() => decode(bytes('91'.repeat(DEPTH_MAX) + 'c0'), DEPTH_MAX));
});

test('a map cannot reach the prototype of anything', () => {
  const read = decode(
    otherEncode(JSON.parse('{"__proto__": {"polluted": 1}, "a": 2}')),
    DEPTH_MAX,
  ) as { a: number };
  assert.equal(Object.getPrototypeOf(read), null);
  assert.equal(read.a, 2);
  assert.equal(({} as { polluted?: number }).polluted, undefined);
});

const scalar = fc.oneof(
  fc.constant(null),
  fc.boolean(),
  fc.maxSafeInteger(),
  fc.integer(),
  fc.double({ noNaN: true }),
  fc.string({ unit: 'grapheme' }),
  fc.string({ minLength: 20, maxLength: 400 }),
  fc.uint8Array({ maxLength: 300 }),
);
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 5 },
    scalar,
    fc.array(tie('value'), { maxLength: 20 }),
    fc.dictionary(
      fc.string().filter((key) => key !== '__proto__'),
      tie('value'),
      { maxKeys: 18, noNullPrototype: true },
    ),
  ) as fc.Arbitrary<Value>,
}));
const plain = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Uint8Array) return [...value];
  if (typeof value === 'object' && value !== null)
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  return Object.is(value, -0) ? 0 : value;
};

test('what is written here is read the same there, and the other way round', () => {
  fc.assert(
    fc.property(value, (value) => {
      assert.deepEqual(plain(otherDecode(encode(value))), plain(value));
      assert.deepEqual(plain(decode(otherEncode(value), 64)), plain(value));
      assert.deepEqual(plain(decode(encode(value), 64)), plain(value));
    }),
  );
});

test('any bytes at all end in a value or an error', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
      try {
        decode(bytes, DEPTH_MAX);
      } catch (error) {
        assert.equal((error as Error).constructor.name, 'MsgpackError');
      }
      try {
        decodeFrame([SERVER_MESSAGE], bytes, DEPTH_MAX);
      } catch (error) {
        assert.match((error as Error).constructor.name, /MsgpackError|FrameError/);
      }
    }),
  );
});

test('ids are of version 7 and in the order of their making, even when the clock steps back', () => {
  const ids = [messageId(2_000), messageId(2_000), messageId(1_000)];
  const made = /^msg_[0-9a-f]{12}7[0-9a-f]{3}[89ab][0-9a-f]{15}$/;
  for (const id of ids) assert.match(id, made);
  assert.deepEqual([...ids].sort(), ids);
  assert.match(conversationId(3_000), /^cnv_000000000bb8/);
  // Whatever others have made of theirs, it is one.
  assert.match(messageId(4_000, [`msg_${'f'.repeat(32)}`]), made);
});

test('whether a refusal may be tried again is known of every code, also of those that are not known', () => {
  for (let code = 1; code < 256; code++) {
    const frame = decodeFrame(
      SERVER_FRAMES,
      encode([SERVER_REJECT.code, 1, code, 'no']),
      DEPTH_MAX,
    );
    assert.equal(frame?.kind === 'reject' && isRetryable(frame.code), code >= 128, String(code));
    if (!(code in REJECT_CODE.words))
      assert.match(frame?.kind === 'reject' ? frame.code : '', /^unknown/);
  }
});
