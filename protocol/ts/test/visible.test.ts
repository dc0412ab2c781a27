// What a person sees of a text, judged as the server judges it.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import { isBlank, name } from '../src/wire/visible.ts';

interface Vector {
  text: string;
  blank: boolean;
  name: string;
}
const vectors = JSON.parse(
  readFileSync(join(process.cwd(), '../vectors/visible.json'), 'utf8'),
) as Vector[];

test('a browser sees what the server sees', () => {
  for (const { text, blank, name: kept } of vectors) {
    assert.deepEqual([isBlank(text), name(text)], [blank, kept], JSON.stringify(text));
  }
});
