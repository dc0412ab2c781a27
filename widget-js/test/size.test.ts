// Bytes are a feature: what a page pays for the chat, from the built files.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

interface Manifest {
  main: string;
  files: { [file: string]: { bytes: number; gzip: number; brotli: number } };
}
const { main, files } = JSON.parse(
  readFileSync(join(process.cwd(), 'dist/manifest.json'), 'utf8'),
) as Manifest;
const all = Object.entries(files);
/** What a page in English loads when all of it is wanted. */
const english = all.filter(([file]) => !/assets\/chat_(de|fr|es)-/.test(file));

test('the loader is at most 1 KB', () => {
  assert.ok((files['loader.js']?.gzip ?? Infinity) <= 1_024);
});

test('before a click a page loads at most 6 KB', () => {
  const before = all
    .filter(([file]) => file === 'loader.js' || file === main)
    .reduce((sum, [, size]) => sum + size.gzip, 0);
  assert.ok(before <= 6 * 1_024, `${before} bytes`);
});

test('the whole widget is at most 20.5 KB, 19 KB by brotli', () => {
  const gzip = english.reduce((sum, [, size]) => sum + size.gzip, 0);
  const brotli = english.reduce((sum, [, size]) => sum + size.brotli, 0);
  assert.ok(gzip <= 20.5 * 1_024, `${gzip} bytes`);
  assert.ok(brotli <= 19 * 1_024, `${brotli} bytes`);
});

test('every file of a hashed name can be kept for good, and the loader names the one it wants', () => {
  for (const [file] of all)
    if (file !== 'loader.js') assert.match(file, /^assets\/[a-z_]+-[A-Z0-9]{8}\.js$/);
  assert.ok(
    readFileSync(join(process.cwd(), 'dist/loader.js'), 'utf8').includes(`/widget/${main}`),
  );
});

test('nothing in the bundles would be refused by a strict page', () => {
  for (const [file] of all) {
    const text = readFileSync(join(process.cwd(), 'dist', file), 'utf8');
    assert.doesNotMatch(
      text,
      /innerHTML|outerHTML|insertAdjacentHTML|document\.write|new Function|\beval\(/,
      file,
    );
  }
});
