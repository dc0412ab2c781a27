// Names that tabs and storage share with other releases: the build shortens none of them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';

import ts from 'typescript';

const text = (path: string): string => readFileSync(join(process.cwd(), path), 'utf8');
const read = (path: string): ts.SourceFile =>
  ts.createSourceFile('read.ts', text(path), ts.ScriptTarget.ES2022, true);

const isType = (node: ts.Node): node is ts.TypeAliasDeclaration | ts.InterfaceDeclaration =>
  ts.isTypeAliasDeclaration(node) || ts.isInterfaceDeclaration(node);

function walk(node: ts.Node, see: (node: ts.Node) => void): void {
  see(node);
  ts.forEachChild(node, (child) => walk(child, see));
}

/** What is posted to other tabs, and what the next page of another release finds in the store. */
const SHARED = {
  'src/state/chat.ts': ['Note', 'Act'],
  'src/state/conversation.ts': ['Input', 'ChatState'],
  '../protocol/ts/src/state/transcript.ts': ['Transcript', 'Entry'],
  'src/state/store.ts': ['SavedSession', 'SavedOpen', 'SavedSend'],
};

/** The names of the fields in these types. */
function fields(): string[] {
  const names: string[] = [];
  for (const [path, types] of Object.entries(SHARED)) {
    for (const type of types) {
      const found = read(path).statements.find((one) => isType(one) && one.name.text === type);
      assert.ok(found, type);
      walk(found, (node) => {
        if (ts.isPropertySignature(node)) names.push(node.name.getText());
      });
    }
  }
  return names;
}

test('no member that the build shortens is a field of what tabs tell each other or store', () => {
  const [, own] = /const OWN = \/(.*)\/;/.exec(text('build.mjs')) ?? [];
  assert.ok(own);
  const names = fields();
  assert.ok(
    names.includes('seen_seq') &&
      names.includes('input') &&
      names.includes('until') &&
      names.includes('edge'),
  );
  assert.deepEqual(
    names.filter((name) => new RegExp(own).test(name)),
    [],
  );
});

test('in the built chat whatever has a kind has its fields by their names', () => {
  const { chat } = JSON.parse(text('dist/manifest.json')) as { chat: string };
  const known = new Set(fields());
  const kinds = new Map<string, string[]>();
  walk(read(join('dist', chat)), (node) => {
    if (!ts.isObjectLiteralExpression(node)) return;
    const names = node.properties.map(({ name }) => name?.getText() ?? '…');
    const [first] = node.properties;
    if (names[0] !== 'kind' || !first || !ts.isPropertyAssignment(first)) return;
    if (!ts.isStringLiteral(first.initializer)) return;
    const kind = first.initializer.text;
    kinds.set(kind, [...(kinds.get(kind) ?? []), ...names]);
  });
  assert.deepEqual(new Set(kinds.get('frame')), new Set(['kind', 'frame', 'now']));
  // The line's own states and the bodies stay in one tab, or come from the wire.
  for (const [kind, names] of kinds) {
    if (['waiting', 'stopped', 'event'].includes(kind)) continue;
    assert.deepEqual(
      names.filter((name) => !known.has(name)),
      [],
      kind,
    );
  }
});
