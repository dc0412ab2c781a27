// Links in a text, as both front ends find them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import fc from 'fast-check';

import { pieces } from '../src/wire/links.ts';

interface Vector {
  why: string;
  text: string;
  /** A link's text, and where it leads where that is something else. */
  links: (string | [text: string, href: string])[];
}
const vectors = JSON.parse(
  readFileSync(join(process.cwd(), 'test/links.json'), 'utf8'),
) as Vector[];

test('links are found by the rules, and nothing else is one', () => {
  for (const { why, text, links } of vectors) {
    const found = pieces(text).flatMap(({ text, href }) =>
      href === undefined ? [] : [[text, href]],
    );
    assert.deepEqual(
      found,
      links.map((link) => (typeof link === 'string' ? [link, link] : link)),
      why,
    );
    assert.equal(
      pieces(text)
        .map((piece) => piece.text)
        .join(''),
      text,
      why,
    );
  }
});

test('whatever is written, the text stays, and a link leads to the host that is read', () => {
  const parts = [
    'https://',
    'HTTP://',
    'www.',
    'a.test',
    '_',
    '@',
    '/',
    ')',
    '(',
    '.',
    '&amp;',
    ';',
    '\u202e',
    '\u200b',
    '。',
    ' ',
    '\\',
    ':80',
    'é',
    '"',
  ];
  fc.assert(
    fc.property(
      fc.array(fc.oneof(fc.constantFrom(...parts), fc.string()), { maxLength: 12 }),
      (words) => {
        const text = words.join('');
        const found = pieces(text);
        assert.equal(found.map((piece) => piece.text).join(''), text);
        for (const { text, href } of found) {
          if (href === undefined) continue;
          assert.doesNotMatch(text, /[\p{C}\p{Z}\p{DI}]/u);
          const url = URL.canParse(href) ? new URL(href) : undefined;
          assert.equal(`${url?.username ?? ''}${url?.password ?? ''}`, '');
          assert.match(url?.protocol ?? 'http:', /^https?:$/);
        }
      },
    ),
  );
});

test('a text that is all signs, brackets or links is read in one go', () => {
  for (const part of [
    ')',
    '(',
    ';',
    '&',
    '.',
    'www.',
    'https://a.test,',
    'https://a.test/)',
    '&a;',
    '_',
  ]) {
    const text = `https://a.test/${part.repeat(4_000 / part.length)}`;
    assert.equal(
      pieces(text)
        .map((piece) => piece.text)
        .join(''),
      text,
    );
  }
});
