// What is kept in the browser: the outbox in order and bounded, tabs that do not overwrite each
// other.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { Store } from '../src/state/store.ts';
import type { SavedOpen, SavedSend, Shelf } from '../src/state/store.ts';

class MapShelf implements Shelf {
  readonly map = new Map<string, string>();
  full = false;
  get length(): number {
    return this.map.size;
  }
  key(place: number): string | null {
    return [...this.map.keys()][place] ?? null;
  }
  getItem(key: string): string | null {
    return this.map.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    if (this.full) throw new Error('QuotaExceededError');
    this.map.set(key, value);
  }
  removeItem(key: string): void {
    this.map.delete(key);
  }
}

const CNV = `cnv_${'1'.repeat(32)}` as const;
const open: SavedOpen = { kind: 'open', conversation: CNV, form: [] };
const send = (number: number, text = 'hi'): SavedSend => ({
  kind: 'send',
  conversation: CNV,
  message: `msg_${number.toString(16).padStart(32, '0')}`,
  text,
  seen_seq: 0,
  at: number,
});

test('a conversation goes out before its messages, and they in the order of their making', () => {
  const shelf = new MapShelf();
  const store = new Store('http://a', 'site_1', shelf);
  for (const item of [send(2), send(1), open, send(3)]) assert.ok(store.put(item));
  const again = new Store('http://a', 'site_1', shelf);
  assert.deepEqual(again.unsent(), [open, send(1), send(2), send(3)]);
});

test('two tabs write side by side', () => {
  const shelf = new MapShelf();
  const [one, other] = [
    new Store('http://a', 'site_1', shelf),
    new Store('http://a', 'site_1', shelf),
  ];
  one.put(send(1));
  other.put(send(2));
  one.remove(send(1));
  assert.deepEqual(other.unsent(), [send(2)]);
});

test('sites and servers are kept apart, and clear leaves nothing of this one', () => {
  const shelf = new MapShelf();
  const [mine, site, server] = [
    new Store('http://a', 'site_1', shelf),
    new Store('http://a', 'site_2', shelf),
    new Store('http://b', 'site_1', shelf),
  ];
  for (const store of [mine, site, server]) {
    store.put(send(1));
    store.session = { token: 't' };
  }
  mine.clear();
  assert.deepEqual([mine.unsent(), mine.session], [[], {}]);
  assert.equal(site.session.token, 't');
  assert.equal(server.unsent().length, 1);
  shelf.setItem('of the page', 'stays');
  server.clear();
  assert.equal(shelf.getItem('of the page'), 'stays');
});

test('the outbox has a bound in number and in bytes', () => {
  const store = new Store('http://a', 'site_1', new MapShelf());
  const taken = Array.from({ length: 60 }, (_, number) => store.put(send(number)));
  assert.equal(taken.filter(Boolean).length, 50);
  const large = new Store('http://a', 'site_1', new MapShelf());
  const texts = Array.from({ length: 40 }, (_, number) =>
    large.put(send(number, 'x'.repeat(4_000))),
  );
  assert.ok(texts.filter(Boolean).length < 20);
});

test('an open panel and what is half written in it are remembered by their tab alone, and forgotten with the rest', () => {
  const [site, tab] = [new MapShelf(), new MapShelf()];
  const store = new Store('http://a', 'site_1', site, tab);
  store.draft = 'half a';
  assert.equal(new Store('http://a', 'site_1', site, tab).draft, 'half a');
  assert.equal(new Store('http://a', 'site_1', site, new MapShelf()).draft, undefined);
  assert.equal(site.length, 0);
  store.clear();
  assert.equal(tab.length, 0);
});

test('where storage is refused or full, memory serves', () => {
  const shelf = new MapShelf();
  shelf.full = true;
  for (const store of [
    new Store('http://a', 'site_1', undefined),
    new Store('http://a', 'site_1', shelf),
  ]) {
    assert.ok(store.put(send(1)));
    store.session = { token: 't', live: true };
    assert.deepEqual(store.unsent(), [send(1)]);
    assert.equal(store.session.live, true);
    store.remove(send(1));
    assert.deepEqual(store.unsent(), []);
  }
});

test('what was once in memory gives way to what is stored later', () => {
  const shelf = new MapShelf();
  const store = new Store('http://a', 'site_1', shelf);
  shelf.full = true;
  store.session = { token: 'old' };
  shelf.full = false;
  store.session = { token: 'new' };
  assert.equal(store.session.token, 'new');
  assert.equal(new Store('http://a', 'site_1', shelf).session.token, 'new');
});

test('a damaged entry is as none', () => {
  const shelf = new MapShelf();
  const store = new Store('http://a', 'site_1', shelf);
  store.put(send(1));
  for (const key of shelf.map.keys()) shelf.map.set(key, '{"kind":');
  assert.deepEqual(store.unsent(), []);
});
