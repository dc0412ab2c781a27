// The document for whoever keeps a page names each command and each event, and no other.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

const read = (path: string): string => readFileSync(join(process.cwd(), path), 'utf8');
const source = read('src/main.ts');
const document = read('../docs/embedding.md');

const all = (text: string, pattern: RegExp): string[] =>
  [...new Set([...text.matchAll(pattern)].map((found) => found[1] ?? ''))].sort();

/** The rows of the table below a heading. */
function rows(heading: string): string[] {
  const section = document.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  return section.split('\n').filter((line) => line.startsWith('| `'));
}

test('each command is in the document, and no other', () => {
  const known = [...all(source, /case '(\w+)':/g), 'on', 'off'].sort();
  assert.ok(known.length >= 8, known.join());
  assert.deepEqual(all(rows('Commands').join('\n'), /LiveHelp\('(\w+)'/g), known);
});

test('each event is in the document, and no other', () => {
  const union = /type WidgetEvent = (.*);/.exec(source)?.[1] ?? '';
  const events = all(union, /'(\w+)'/g);
  assert.ok(events.length >= 7, union);
  const first = rows('Events')
    .map((row) => row.split('|')[1] ?? '')
    .join();
  assert.deepEqual(all(first, /`(\w+)`/g), events);
});

test('each state of the line is in the document', () => {
  const states = all(
    /type Line = (.*);/.exec(read('src/state/conversation.ts'))?.[1] ?? '',
    /'(\w+)'/g,
  );
  assert.ok(states.length >= 5);
  const row = rows('Events').find((line) => line.startsWith('| `status`')) ?? '';
  assert.deepEqual(all(row.split('|')[2] ?? '', /`(\w+)`/g), states);
});

test('each attribute that the tag is asked for is in the document, and no other', () => {
  const dashed = (name: string): string =>
    name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
  const loader = read('src/loader.ts');
  const asked = all(loader, /\.dataset\['(\w+)'\]/g).map((name) => `data-${dashed(name)}`);
  assert.ok(asked.length > 0);
  // What is read another way is missed above.
  assert.doesNotMatch(loader, /Attribute|\bdataset(?!\[')/);
  const told = rows('Attributes of the tag')
    .map((row) => row.split('|')[1] ?? '')
    .join();
  assert.deepEqual(all(told, /`(data-[\w-]+)`/g), asked.sort());
});

test('the policy in the document has what the strict policy of the browser tests lets the server have', () => {
  const allowed = all(read('test/rig.ts'), /([a-z]+-src) \$\{\w+\}/g);
  assert.deepEqual(allowed, ['connect-src', 'script-src']);
  const section =
    document.split(/^## /m).find((part) => part.startsWith('Content security policy\n')) ?? '';
  const sources = [...section.matchAll(/^ {4}([a-z]+-src) (.*);$/gm)].map((found) => [
    found[1],
    found[2]?.split(' '),
  ]);
  const server = 'https://chat.example';
  assert.deepEqual(sources.sort(), [
    ['connect-src', [server, 'wss://chat.example']],
    ['script-src', [server]],
  ]);
});
