// Runs the tests of a package in TypeScript: bundles them, since Node 18 reads none, and gives them to
// Node's own runner. `esbuild` is the one of whoever calls, in whose packages the bundles then lie.
import { spawnSync } from 'node:child_process';
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Of the files in `test/` that end so, those with one of these words in their names; a word after a
 * dash leaves those with it out. Gives the runner's status.
 */
export async function runTests(build, folder, words, ending = '.test.ts', flags = ['--test']) {
  const out = join(folder, 'node_modules/.cache/livehelp-tests');
  const unwanted = words.filter((word) => word.startsWith('-')).map((word) => word.slice(1));
  const wanted = words.filter((word) => !word.startsWith('-'));
  const tests = (await readdir(join(folder, 'test')))
    .filter((name) => name.endsWith(ending))
    .filter((name) => wanted.length === 0 || wanted.some((word) => name.includes(word)))
    .filter((name) => !unwanted.some((word) => name.includes(word)));
  if (tests.length === 0) return 0;
  await rm(out, { recursive: true, force: true });
  await build({
    absWorkingDir: folder,
    entryPoints: tests.map((name) => join('test', name)),
    outdir: out,
    outExtension: { '.js': '.mjs' },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node18',
    packages: 'external',
    sourcemap: 'inline',
    logLevel: 'warning',
  });
  const files = tests.map((name) => join(out, name.replace(/\.ts$/, '.mjs')));
  const options = { stdio: 'inherit', cwd: folder };
  return spawnSync(process.execPath, ['--enable-source-maps', ...flags, ...files], options).status ?? 1;
}
