import assert from 'node:assert/strict';
import { test } from 'node:test';

import { mark } from '../src/state/marks.ts';
import { dayOf, dayStart } from '../src/wire/days.ts';
import type { Author, Marks } from '../src/wire/frames.ts';

const VISITOR: Author = { kind: 'visitor' };
const AGENT: Author = { kind: 'agent', agent: `agt_${'a'.repeat(32)}` };

test('who saw a message has got it, and marks never go back', () => {
  const seen = mark([], VISITOR, 'seen', 4);
  assert.deepEqual(seen, [{ author: VISITOR, delivered: 4, seen: 4 }]);
  const delivered = mark(seen, { ...VISITOR }, 'delivered', 6);
  assert.deepEqual(delivered, [{ author: VISITOR, delivered: 6, seen: 4 }]);
  assert.deepEqual(mark(delivered, VISITOR, 'seen', 5), [
    { author: VISITOR, delivered: 6, seen: 5 },
  ]);
  assert.equal(mark(delivered, VISITOR, 'delivered', 5), delivered, 'nothing new');
  assert.equal(mark(delivered, VISITOR, 'seen', 3), delivered, 'nothing new');
});

test('everybody has marks of their own', () => {
  const other: Author = { kind: 'agent', agent: `agt_${'b'.repeat(32)}` };
  const before: Marks[] = [{ author: AGENT, delivered: 2, seen: 1 }];
  assert.deepEqual(mark(before, other, 'delivered', 1), [
    ...before,
    { author: other, delivered: 1, seen: 0 },
  ]);
});

test('a day begins at midnight by UTC, and is 0 at the start of 2020', () => {
  const first = Date.UTC(2020, 0, 1);
  assert.equal(dayStart(0), first);
  assert.deepEqual([first - 1, first, first + 86_399_999].map(dayOf), [-1, 0, 0]);
  assert.equal(dayOf(dayStart(2_527)), 2_527);
});
