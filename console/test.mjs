// `board` runs the tests with that word in their files' names, `-browser` leaves those with it out.
// `bench` runs what measures (*.bench.ts) in place of the tests.
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { runTests } from '../protocol/ts/tests.mjs';

const folder = dirname(fileURLToPath(import.meta.url));
const [first, ...others] = process.argv.slice(2);
process.exitCode = first === 'bench'
  ? await runTests(build, folder, others, '.bench.ts', [])
  : await runTests(build, folder, process.argv.slice(2));
