// Bundles the tests with esbuild, since Node 18 reads no TypeScript, and runs them with `node --test`.
// A word runs the files with that word in their names; `-slow` leaves those with that one out.
import { spawnSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, '../node_modules/.cache/livehelp-tests');
const words = process.argv.slice(2);
const unwanted = words.filter((word) => word.startsWith('-')).map((word) => word.slice(1));
const wanted = words.filter((word) => !word.startsWith('-'));
const tests = (await readdir(here))
  .filter((name) => name.endsWith('.test.ts'))
  .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
  .filter((name) => !unwanted.some((word) => name.includes(word)));
if (tests.length === 0) process.exit(0);
await rm(out, { recursive: true, force: true });
await build({
  entryPoints: tests.map((name) => join(here, name)),
  outdir: out,
  outExtension: { '.js': '.mjs' },
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node18',
  packages: 'external',
  sourcemap: 'inline',
});
const files = tests.map((name) => join(out, name.replace(/\.ts$/, '.mjs')));
const node = spawnSync(process.execPath, ['--enable-source-maps', '--test', ...files], {
  stdio: 'inherit',
  cwd: join(here, '..'),
});
process.exitCode = node.status ?? 1;
