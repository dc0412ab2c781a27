// Bundles the tests with esbuild and runs them with Node's own runner, which cannot read TypeScript
// on Node 18. A word runs the files with it in their names, `-browser` leaves those with that one out.
// `bench` runs what measures (*.bench.ts) in place of the tests.
import { spawnSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, 'node_modules', '.test');
const bench = process.argv[2] === 'bench';
const words = process.argv.slice(bench ? 3 : 2);
const ending = bench ? '.bench.ts' : '.test.ts';
const unwanted = words.filter((word) => word.startsWith('-')).map((word) => word.slice(1));
const wanted = words.filter((word) => !word.startsWith('-'));
const tests = (await readdir(join(here, 'test')))
  .filter((name) => name.endsWith(ending))
  .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
  .filter((name) => !unwanted.some((word) => name.includes(word)));
if (tests.length === 0) process.exit(0);

await rm(out, { recursive: true, force: true });
await build({
  absWorkingDir: here,
  entryPoints: tests.map((name) => join('test', name)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node18',
  packages: 'external',
  nodePaths: [join(here, 'node_modules')],
  logLevel: 'warning',
});
const files = tests.map((name) => join(out, name.replace(/\.ts$/, '.mjs')));
process.exit(spawnSync(process.execPath, [...(bench ? [] : ['--test']), ...files], { stdio: 'inherit' }).status ?? 1);
