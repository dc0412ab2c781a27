// What the build makes of classes behaves as they do.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';

import { transform } from 'esbuild';
import ts from 'typescript';

interface Counter {
  count: number;
  readonly name: string;
  readonly made: string;
  readonly twice: number;
  step: number;
  add(by?: number): number;
  later(): Promise<number>;
  told: number[];
}
type Made = {
  Counter: new (name: string, told: (tell: (one: number) => void) => void) => Counter;
  Plain: new () => { x: number };
};

const SOURCE = `
export class Plain { x = 1; }
export class Counter<One> {
  readonly #told: One[] = [];
  readonly name: string;
  readonly made = 'here';
  #count = 0;
  #end = 3;
  step = 2;
  readonly #listener = (): void => { this.#end = 5; };
  constructor(name: string, told: (tell: (one: One) => void) => void) {
    this.name = name;
    told((one) => this.#tell(one));
    this.#listener();
    this.count = this.#end;
  }
  get told(): One[] { return this.#told; }
  get count(): number { return this.#count; }
  set count(count: number) { this.#count = count; }
  get twice(): number { return this.count * 2; }
  add(by = this.step): number { this.#count += by; return this.count; }
  async later(): Promise<number> { await null; return this.add(); }
  #tell(one: One): void { this.#told.push(one); }
}`;

async function run(code: string): Promise<Made> {
  const { code: script } = await transform(code, { loader: 'ts' });
  return (await import(`data:text/javascript,${encodeURIComponent(script)}`)) as Made;
}

test('a class that was made a closure does what it did', async () => {
  const { closuresBy } = (await import(join(process.cwd(), '../protocol/ts/bundle.mjs'))) as {
    closuresBy: (compiler: unknown) => (text: string) => string;
  };
  const closures = closuresBy(ts);
  const made = closures(SOURCE);
  assert.doesNotMatch(made, /this|#/);
  assert.match(made, /class Plain/);
  for (const { Counter, Plain } of [await run(SOURCE), await run(made)]) {
    const counter = new Counter('one', (tell) => [7, 8].forEach(tell));
    assert.deepEqual(
      [counter.name, counter.made, counter.count, counter.told],
      ['one', 'here', 5, [7, 8]],
    );
    assert.equal(counter.add(), 7);
    counter.step = 10;
    assert.equal(await counter.later(), 17);
    counter.count = 4;
    assert.equal(counter.twice, 8);
    assert.equal(new Plain().x, 1);
  }
  assert.throws(
    () => closures('export class A { #b = 1; c() { return this; } }'),
    /A gives itself away/,
  );
});
