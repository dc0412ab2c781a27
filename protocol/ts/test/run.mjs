// `codec` runs the tests with that word in their files' names, `-codec` leaves those with it out.
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';
import { runTests } from '../tests.mjs';

const folder = dirname(dirname(fileURLToPath(import.meta.url)));
process.exitCode = await runTests(build, folder, process.argv.slice(2));
