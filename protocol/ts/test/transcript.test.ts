// The transcript: what a client shows after anything that a server can say, in any order it can say
// it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import {
  NOTHING,
  acknowledge,
  discard,
  expire,
  hear,
  newestEntry,
  refuse,
  write,
} from '../src/state/transcript.ts';
import type { Entry, Transcript } from '../src/state/transcript.ts';
import { decodeFrame } from '../src/wire/codec.ts';
import { DEPTH_MAX, SERVER_FRAMES } from '../src/wire/frames.ts';
import type { Message, ServerFrame } from '../src/wire/frames.ts';
import { Simulation, idOf } from './simulation.ts';

const RUNS = 10_000;
const CNV = `cnv_${'1'.repeat(32)}` as const;

const said = (seq: number, number = seq): Message => ({
  seq,
  message: idOf(number),
  author: { kind: 'visitor' },
  at: seq,
  body: { kind: 'text', text: `text ${number}` },
  expires: null,
});

type Change = (transcript: Transcript) => Transcript;
const frame =
  (frame: ServerFrame, before?: number): Change =>
  (transcript) =>
    hear(transcript, frame, before);
const message = (seq: number, number = seq): Change =>
  frame({ kind: 'message', conversation: CNV, ...said(seq, number) });
interface PageOptions {
  reset?: boolean;
  more?: boolean;
  before?: number;
}
const page = (
  messages: Message[],
  { reset = false, more = false, before }: PageOptions = {},
): Change =>
  frame({ kind: 'history', request: 0, conversation: CNV, reset, more, messages }, before);
const voids = (seq: number, number = seq): Change =>
  frame({ kind: 'void', conversation: CNV, seq, message: idOf(number) });
const forgets = (...numbers: number[]): Change =>
  frame({ kind: 'forget', conversation: CNV, messages: numbers.map(idOf) });
const writes =
  (number: number): Change =>
  (transcript) =>
    write(transcript, said(0, number));
const acks =
  (seq: number, number = seq): Change =>
  (transcript) =>
    acknowledge(transcript, said(seq, number));
const refuses =
  (number: number): Change =>
  (transcript) =>
    refuse(transcript, idOf(number), 'invalid');

const after = (...changes: Change[]): Transcript =>
  changes.reduce<Transcript>((transcript, change) => change(transcript), NOTHING);
const shown = ({ entries }: Transcript): string =>
  entries.map(({ seq, message }) => `${seq}:${parseInt(message.slice(4), 16)}`).join(' ');

test('messages stand in the order of their seq, whatever order they come in, and once', () => {
  assert.equal(shown(after(message(3), message(1), message(2), message(2))), '1:1 2:2 3:3');
  assert.equal(shown(after(message(1), message(9))), '1:1 9:9');
});

test('what has no seq yet stands at the end, and takes its position when it is stored', () => {
  const written = after(writes(50), message(2), message(4), writes(51));
  assert.equal(shown(written), '2:2 4:4 0:50 0:51');
  const stored = acks(3, 50)(written);
  assert.equal(shown(stored), '2:2 3:50 4:4 0:51');
  assert.deepEqual(
    stored.entries.map(({ pending }) => pending ?? false),
    [false, false, false, true],
  );
});

test('a known message with a new seq moves; a seq that is given again belongs to the new one', () => {
  assert.equal(shown(after(message(1), message(2), message(5, 2))), '1:1 5:2');
  assert.equal(shown(after(message(1), message(2), message(2, 7))), '1:1 2:7');
});

test('whatever comes with a seq before the page that is here waits for the page that has it', () => {
  const newest = [writes(50), page([said(30), said(31)], { more: true })];
  for (const comes of [message(9, 50), acks(9, 50)]) {
    assert.doesNotMatch(shown(after(...newest, comes)), /9:50/);
    assert.match(shown(after(writes(50), page([said(30), said(31)]), comes)), /^9:50 30:30/);
  }
  assert.equal(shown(after(...newest, message(9, 9))), '30:30 31:31 0:50');
  // One that was here and goes there leaves; one that nobody answered yet stays on its way.
  assert.equal(shown(after(...newest, message(9, 30))), '31:31 0:50');
  assert.equal(shown(after(...newest, message(9, 50))), '30:30 31:31 0:50');
  // What came before the first page is no page.
  assert.equal(shown(after(message(9), page([said(30)], { more: true }))), '30:30');
});

test('the edge stays where the page began, whatever becomes of its messages', () => {
  const transcript = after(
    page([said(30), said(31)], { more: true }),
    forgets(30),
    message(30, 60),
  );
  assert.equal(shown(transcript), '30:60 31:31');
  assert.equal(transcript.edge, 30);
  const whole = page([said(28), said(29)], { before: 30 })(transcript);
  assert.equal(shown(whole), '28:28 29:29 30:60 31:31');
  assert.deepEqual([whole.edge, whole.more], [28, false]);
});

test('a page says whether there are earlier ones where it leads, and nothing where it goes on', () => {
  const newest = page([said(5)], { more: true });
  assert.equal(after(newest, page([said(6), said(7)])).more, true);
  assert.equal(after(newest, page([])).more, true);
  assert.equal(after(newest, page([], { before: 5 })).more, false);
  assert.equal(after(newest, page([said(4)], { more: true, before: 5 })).edge, 4);
  assert.equal(after(newest, forgets(5), page([said(8)])).more, false);
});

test('a page that was asked of another edge is passed over: it would hide what stands between', () => {
  const anew = after(
    page([said(5)], { more: true }),
    page([said(90)], { reset: true, more: true }),
  );
  assert.equal(page([said(3), said(4)], { before: 5 })(anew), anew);
});

test('a reset throws away what was sequenced, and keeps what is on its way', () => {
  const reset = page([said(5), said(6)], { reset: true, more: true });
  assert.equal(shown(after(message(1), writes(50), reset)), '5:5 6:6 0:50');
  // It was seen with a seq, and never answered: nobody knows whether it is stored.
  assert.equal(shown(after(writes(50), message(1, 50), reset)), '5:5 6:6 0:50');
  assert.equal(shown(after(writes(50), acks(1, 50), reset)), '5:5 6:6');
});

test("a void takes back another's message, and sends one's own on its way again", () => {
  assert.equal(shown(after(message(1), message(2), voids(2))), '1:1');
  assert.equal(shown(after(writes(50), message(2, 50), writes(51), voids(2, 50))), '0:50 0:51');
  assert.equal(shown(after(message(1), message(3, 2), voids(2))), '1:1 3:2');
  assert.equal(shown(after(writes(50), message(2, 50), message(2))), '2:2 0:50');
});

test('what was refused waits for whoever wrote it, and goes out again when they say so', () => {
  const refused = after(writes(50), message(1), refuses(50));
  assert.deepEqual(
    refused.entries.map(({ failed }) => failed),
    [undefined, 'invalid'],
  );
  assert.equal(writes(50)(refused).entries.at(-1)?.failed, undefined);
  assert.equal(shown(discard(refused, idOf(50))), '1:1');
  // Whatever seq it was seen with is not its own.
  assert.equal(shown(after(writes(50), message(1, 50), message(2), refuses(50))), '2:2 0:50');
  // What has a seq is nobody's to drop.
  assert.equal(shown(discard(after(message(1)), idOf(1))), '1:1');
});

test('what was erased is gone, some or all', () => {
  assert.equal(shown(after(message(1), message(2), message(3), forgets(1, 3))), '2:2');
  const all = after(
    page([said(5)], { more: true }),
    writes(50),
    frame({ kind: 'forget', conversation: CNV }),
  );
  assert.deepEqual([shown(all), all.more], ['', false]);
});

test('a message leaves on the first day on which it can no longer be read', () => {
  const transcript = after(
    page([{ ...said(1), expires: 100 }, { ...said(2), expires: 101 }, said(3)]),
  );
  assert.equal(expire(transcript, 99), transcript);
  assert.equal(shown(expire(transcript, 100)), '2:2 3:3');
  assert.equal(shown(expire(transcript, 101)), '3:3');
});

test('a client resumes from the newest that has a seq', () => {
  assert.equal(newestEntry(after(message(1), message(4), writes(50)))?.seq, 4);
  assert.equal(newestEntry(after(writes(50))), undefined);
});

/** What holds of every transcript at every moment. */
function assertSound({ entries, edge, more }: Transcript): void {
  const sequenced = entries.filter(({ seq }) => seq > 0);
  assert.equal(new Set(entries.map(({ message }) => message)).size, entries.length, 'each once');
  assert.deepEqual(entries.slice(0, sequenced.length), sequenced, 'without a seq at the end');
  sequenced.forEach(({ seq }, at) => assert.ok(seq > (sequenced[at - 1]?.seq ?? 0), 'in order'));
  if (more)
    for (const { seq } of sequenced) assert.ok(seq >= (edge ?? 0), 'nothing before the edge');
}

test('ten thousand lives of a line end with what the server has, and lose nothing on the way', () => {
  const lives = fc.array(fc.nat({ max: 9_999 }), { maxLength: 90, size: 'max' });
  fc.assert(
    fc.property(lives, (numbers) => {
      const run = new Simulation();
      for (const number of numbers) {
        run.step(number);
        assertSound(run.transcript);
        const here = new Set(run.transcript.entries.map(({ message }) => message));
        for (const id of run.written) assert.ok(here.has(id) || run.acked.has(id), `${id} is gone`);
      }
      run.settle();
      assertSettled(run);
      for (let pages = 0; run.transcript.more && pages < 100; pages++) {
        run.earlier();
        run.settle();
      }
      assert.equal(run.transcript.more, false, 'there is a beginning');
      assertSettled(run);
    }),
    { numRuns: RUNS },
  );
});

/**
 * Everything from the edge on is here, as the server has it; and nothing else but what was refused.
 */
function assertSettled({ transcript, visible, written, acked }: Simulation): void {
  const { entries, edge = 0, more } = transcript;
  const from = more ? edge : 0;
  const row = ({ seq, message, at, body }: Message | Entry): unknown[] => [seq, message, at, body];
  const [sequenced, others] = [
    entries.filter(({ seq }) => seq > 0),
    entries.filter(({ seq }) => seq === 0),
  ];
  assert.deepEqual(sequenced.map(row), visible.filter(({ seq }) => seq >= from).map(row));
  for (const { failed, message } of others) assert.ok(failed, `${message} is on its way for ever`);
  const failed = new Set(others.map(({ message }) => message));
  for (const id of written) assert.ok(acked.has(id) !== failed.has(id), `${id} was answered`);
}

interface Vector {
  readonly msgpack: string;
}

function vectors(): ServerFrame[] {
  const text = readFileSync(join(process.cwd(), '../vectors/server.json'), 'utf8');
  return (JSON.parse(text) as Vector[]).flatMap(({ msgpack }) => {
    const bytes = Uint8Array.from(msgpack.match(/../g) ?? [], (pair) => parseInt(pair, 16));
    return decodeFrame<ServerFrame>(SERVER_FRAMES as never, bytes, DEPTH_MAX) ?? [];
  });
}

test('the golden frames, in any order and number, leave a transcript that is sound', () => {
  const golden = vectors();
  const about: ServerFrame['kind'][] = ['message', 'history', 'void', 'forget'];
  for (const kind of about)
    assert.ok(
      golden.some((one) => one.kind === kind),
      kind,
    );
  fc.assert(
    fc.property(fc.array(fc.constantFrom(...golden), { maxLength: 30 }), (frames) => {
      let transcript: Transcript = NOTHING;
      for (const one of frames) {
        const before = transcript;
        transcript = hear(transcript, one);
        assertSound(transcript);
        if (!about.includes(one.kind)) assert.equal(transcript, before, 'no message is in it');
      }
    }),
  );
});

test('a golden message stands with all that the wire says of it, and nothing of its frame', () => {
  for (const one of vectors()) {
    if (one.kind !== 'message') continue;
    const { kind: _, conversation: __, ...message } = one;
    const [entry] = hear(NOTHING as Transcript, one).entries;
    assert.deepEqual({ ...entry }, message);
  }
});

const LONG = 10_000;

/** A long transcript, and how often its entries were looked at since. */
function long(): { transcript: Transcript; looks: () => number } {
  let looks = 0;
  const counted = (entry: Message): Entry =>
    Object.defineProperties(
      {} as Entry,
      Object.fromEntries(
        Object.entries(entry).map(([name, value]) => [
          name,
          {
            enumerable: true,
            get: () => {
              looks += 1;
              return value as unknown;
            },
          },
        ]),
      ),
    );
  const all = Array.from({ length: LONG }, (_, at) => said(at + 1_000));
  const transcript = after(page(all, { more: true }));
  return { transcript: { ...transcript, entries: all.map(counted) }, looks: () => looks };
}

test('ten thousand messages come page by page, and each act looks at each of them a few times', () => {
  let whole = after(page([said(LONG)], { more: true }));
  for (let from = LONG - 100; from > -100; from -= 100) {
    const messages = Array.from({ length: 100 }, (_, at) => said(from + at)).filter(
      ({ seq }) => seq > 0,
    );
    whole = page(messages, { more: from > 0, before: whole.edge ?? 0 })(whole);
  }
  assert.equal(whole.entries.length, LONG);
  assertSound(whole);

  const acts: [string, Change][] = [
    ['one more', message(LONG + 1_000)],
    ['one again', message(5_000)],
    ['one moved', message(LONG + 1_000, 5_000)],
    ['a page after', page(Array.from({ length: 100 }, (_, at) => said(LONG + 1_000 + at)))],
    [
      'a page before',
      page(
        Array.from({ length: 100 }, (_, at) => said(900 + at)),
        { before: 1_000 },
      ),
    ],
    ['a void', voids(5_000)],
    ['an ack', (transcript) => acks(LONG + 1_000, 7)(transcript)],
    ['an end', (transcript) => expire(transcript, 1)],
    ['an erasure', forgets(...Array.from({ length: 100 }, (_, at) => 2_000 + at))],
  ];
  for (const [name, act] of acts) {
    const { transcript, looks } = long();
    act(transcript);
    assert.ok(looks() > 0 && looks() <= 12 * LONG, `${name}: ${looks()} looks`);
  }
});
