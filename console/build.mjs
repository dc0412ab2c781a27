// Builds the console into dist/: one page, its script and style under content-hashed names, and
// for each file the encodings that the server hands out as they are (brotli, gzip).
// Runs on Node 18 and newer.
import { createHash } from 'node:crypto';
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { build } from 'esbuild';
import { minify } from 'terser';
import ts from 'typescript';

import { FOR_PAGES, closuresBy, forPages } from '../protocol/ts/bundle.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, 'dist');

/** Bytes of script and style, gzipped, that the first load may cost (the budget of the console). */
const FIRST_LOAD_GZIP_MAX = 60 * 1024;

const closures = closuresBy(ts);
const spare = {
  name: 'what a browser need not read',
  setup({ onLoad }) {
    onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const contents = await readFile(path, 'utf8');
      return { contents: closures(FOR_PAGES.test(path) ? forPages(contents) : contents), loader: 'ts' };
    });
  },
};

/**
 * Members that are this program's alone, by letters in what is sent: no browser, attribute, frame,
 * answer or store knows one by its name.
 */
const OWN = /^(absent|answered|atS|bare|cards|choices|closeSoon|compose|composers|draftCame|dropped|fields|firstSeq|hears|heard|hello|keepOpen|lastSeq|lengthS|loadEarlier|onClose|mirror|onFrame|onRefused|onState|onWelcome|orNull|probe|receipts|sayTyping|setTabStop|showTag|stored|tabStop|tellChanges|typedBehind|undoNewest|undone|unmiss|unsequenced|untaken|wanted|watchBeyond|word|written)$/;

const result = await build({
  absWorkingDir: here,
  entryPoints: [
    { in: 'src/main.tsx', out: 'console' },
    { in: 'src/style.css', out: 'style' },
  ],
  outdir: 'dist/assets',
  bundle: true,
  minify: true,
  format: 'esm',
  target: 'es2022',
  charset: 'utf8',
  legalComments: 'none',
  mangleProps: OWN,
  nodePaths: [join(here, 'node_modules')],
  plugins: [spare],
  write: false,
  logLevel: 'warning',
});

await rm(out, { recursive: true, force: true });
await mkdir(join(out, 'assets'), { recursive: true });

let firstLoad = 0;

/** Writes a file with its two encodings and returns its gzipped size. */
async function put(path, bytes) {
  const file = join(out, path);
  // A smaller block has a code of its own sooner: a thousandth less, and nothing to unpack differently.
  const gzip = gzipSync(bytes, { level: 9, memLevel: 6 });
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  await Promise.all([writeFile(file, bytes), writeFile(`${file}.gz`, gzip), writeFile(`${file}.br`, brotli)]);
  console.log(`${path}: ${bytes.length} B, gzip ${gzip.length}, brotli ${brotli.length}`);
  return gzip.length;
}

/** A second pass over a script finds what the first leaves: two bytes of a hundred. Getters are not pure: a signal is heard by them. */
async function again(script) {
  const { code } = await minify(script, {
    module: true, ecma: 2022, format: { ecma: 2022, comments: false },
    compress: { passes: 3, lhs_constants: false, reduce_funcs: false, ecma: 2022, hoist_props: true, keep_fargs: false },
  });
  return code;
}

/** The name of an asset with the hash of its content. */
async function asset(stem, extension, bytes) {
  const hash = createHash('sha256').update(bytes).digest('hex').slice(0, 12);
  const name = `${stem}-${hash}.${extension}`;
  firstLoad += await put(`assets/${name}`, bytes);
  return name;
}

const names = {};
for (const file of result.outputFiles) {
  const extension = file.path.endsWith('.css') ? 'css' : 'js';
  const text = extension === 'js' ? await again(file.text) : file.text;
  names[extension] = await asset('console', extension, Buffer.from(text));
}
names.icon = await asset('icon', 'svg', await readFile(join(here, 'src/icon.svg')));

const page = (await readFile(join(here, 'index.html'), 'utf8')).replace(/\{\{(\w+)\}\}/g, (_, key) => names[key]);
firstLoad += await put('index.html', Buffer.from(page));

if (firstLoad > FIRST_LOAD_GZIP_MAX) {
  console.error(`the first load is ${firstLoad} B gzipped, more than ${FIRST_LOAD_GZIP_MAX}`);
  process.exit(1);
}
console.log(`first load: ${firstLoad} B gzipped of ${FIRST_LOAD_GZIP_MAX}`);
