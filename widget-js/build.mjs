// Builds the widget: `dist/loader.js` under a fixed name, the rest in `dist/assets/` under names that
// carry their hash, each also as .br and .gz; `dist/manifest.json` says what there is.
import { build, transform } from 'esbuild';
import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { gzipAsync } from '@gfx/zopfli';
import { minify } from 'terser';

import ts from 'typescript';

import { FOR_PAGES, closuresBy, forPages } from '../protocol/ts/bundle.mjs';

const closures = closuresBy(ts);
const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, 'assets'), { recursive: true });

/** The refusals that the chat says in words of their own. */
const SAID = /^(too-long|limit-reached|site-closed|closed|not-found|unknown|unknown-retryable)$/;
/** The names in the sheets: as short as can be in what is sent. */
const VARIABLES = ['accent', 'accent-2', 'on-accent', 'ground', 'raised', 'line', 'ink', 'ink-2', 'alert', 'shadow', 'paint', 'edge', 'corner'];
function short(name) {
  const place = VARIABLES.indexOf(name);
  if (place < 0) throw new Error(`--${name} is not among the names in build.mjs`);
  return `--${String.fromCharCode(97 + place)}`;
}

/** The tables of the frames, without what no visitor's browser looks up. */
function tables(contents) {
  return contents
    // The ends of some records are for agents; a reader passes over what comes after the fields that it knows.
    .replace(/(\['offline_message', FLAG\],)[^;]*?(\n {2}\],\n\};)/, '$1$2')
    .replace(/(AGENT_CARD: [^;]*?\['name', TEXT\],)[^;]*?(\n {2}\],\n\};)/, '$1$2')
    .replace(/(\['site', SITE_STATE\],)[^;]*?(\n {2}\],\n\};)/, '$1$2')
    .replaceAll(/\n {4}\['visibility', VISIBILITY\],(?=\n {2}\])/g, '')
    // What nobody here reads needs its place, and no name.
    .replaceAll(/\['(?:session|heartbeat_ms|\w+_max|token_expires_at|visitor|created_at|seq_last|waiting_since|closed_at)', /g, "['', ")
    .replace(/(CLIENT_ROLE: .*), 1: 'agent'/, '$1')
    // A refusal that has no words of its own is one of those that are not known, which the range judges.
    .replace(/REJECT_CODE: .*|RETRYABLE: .*/g, (line) =>
      line.replaceAll(/(\d+: )?'([\w-]+)',? ?/g, (pair, _, word) => (SAID.test(word) ? pair : '')));
}

const spare = {
  name: 'what a browser need not read',
  setup({ onLoad }) {
    // A sheet is text in a module, where no minifier of scripts sees its blanks.
    onLoad({ filter: /_css\.ts$/ }, async ({ path }) => {
      const [before, css, after] = (await readFile(path, 'utf8')).split('`');
      const { code } = await transform(css, { loader: 'css', minify: true });
      return { contents: `${before}\`${code.trim().replace(/(--[\w-]+): /g, '$1:').replace(/--([\w-]+)/g, (_, name) => short(name))}\`${after}`, loader: 'ts' };
    });
    onLoad({ filter: /\/src\/.*\.ts$/ }, async ({ path }) => {
      const contents = await readFile(path, 'utf8');
      const read = /\/frames\.ts$/.test(path) ? tables(contents) : contents;
      return { contents: closures(FOR_PAGES.test(path) ? forPages(read) : read), loader: 'ts' };
    });
  },
};

/**
 * Members that are this program's alone, by letters in both bundles: no browser, frame, answer, store or other tab knows one by
 * its name, and no text of `strings/` has it. A tab may be of another release, where a letter means
 * something else.
 */
const OWN = /^(meta|onEnter|onExit|onFrame|onLead|onNote|onRefused|onState|onWelcome|ask|acts|atEnd|beginAnew|bubble|button|changed|draft|drawing|drawn|element|face|fail|fields|hash|hears|hello|host|joined|leads|leave|list|locale_default|look|modal|opened|orNull|pane|post|probe|put|read|required|root|say|seize|session|shown|site_key|socket|stop|store|texts|toEnd|unread|unsent|update|who|wipe|wiped|word|words)$/;
const mangleCache = {};

/** One bundle as text. A second pass finds what the first leaves: two to three bytes of a hundred. */
async function bundle(entry, format, { plugins = [], define = {} } = {}) {
  const { outputFiles: [{ text }], mangleCache: letters } = await build({
    stdin: { contents: entry, resolveDir: here, loader: 'ts' }, bundle: true, minify: true, target: 'es2022', charset: 'utf8',
    legalComments: 'none', absWorkingDir: here, write: false, format, define, mangleProps: OWN, mangleCache, plugins: [spare, ...plugins],
  });
  Object.assign(mangleCache, letters);
  const { code } = await minify(text, {
    module: format === 'esm', ecma: 2022, format: { ecma: 2022, comments: false },
    compress: {
      passes: 4, ecma: 2022, sequences: false, comparisons: false, lhs_constants: false,
      hoist_props: true, keep_fargs: false, pure_getters: true,
      unsafe: true, unsafe_arrows: true, unsafe_methods: true,
    },
  });
  return code;
}

/** Writes bundles under names that change with their bytes, and gives that part of the names. */
async function hashed(bundles) {
  const hash = createHash('sha256').update(JSON.stringify(bundles)).digest('hex').slice(0, 8).toUpperCase();
  for (const [name, code] of Object.entries(bundles)) await writeFile(join(dist, 'assets', `${name}-${hash}.js`), code);
  return hash;
}

/** What the chat takes from the page's part, under names of one letter. */
const SHARED = ['button', 'el', 'fill', 'put', 'icon', 'isolated', 'say', 'set', 'style', 'fetchSite', 'notAllowed', 'now', 'unreachable']
  .map((name, place) => [name, String.fromCharCode(97 + place)]);
const given = SHARED.map(([name, letter]) => `${name} as ${letter}`).join();
const taken = SHARED.map(([name, letter]) => `${letter} as ${name}`).join();

const main = `main-${await hashed({ main: await bundle(`export { start, ${given} } from './src/main.ts'`, 'esm') })}.js`;
// The chat takes from the page's part what that has already, and has the words of one language in it.
const bundles = {};
const words = join(here, 'src/strings');
for (const name of (await readdir(words)).filter((name) => name !== 'launcher.ts').sort()) {
  bundles[`chat_${basename(name, '.ts')}`] = await bundle(`export * from './src/chat_view.ts'`, 'esm', { plugins: [{
    name: 'a chat of one language',
    setup({ onResolve, onLoad }) {
      onResolve({ filter: /\/(dom|site)\.ts$/ }, () => ({ path: 'page', namespace: 'page' }));
      onLoad({ filter: /^page$/, namespace: 'page' }, () => ({ contents: `export { ${taken} } from './${main}'` }));
      onResolve({ filter: /main-/ }, ({ path }) => ({ path, external: true }));
      onResolve({ filter: /\/strings\/en\.ts$/ }, () => ({ path: join(words, name) }));
    },
  }] });
}
const chats = await hashed(bundles);
await writeFile(join(dist, 'loader.js'), await bundle(`import './src/loader.ts'`, 'iife', {
  define: { MAIN: JSON.stringify(`/widget/assets/${main}`), CHATS: JSON.stringify(chats) },
}));

const files = ['loader.js', ...(await readdir(join(dist, 'assets'))).sort().map((name) => `assets/${name}`)];
const sizes = {};
for (const file of files) {
  const bytes = await readFile(join(dist, file));
  // Made once and sent as it is: worth the search for the shortest.
  const gzip = await gzipAsync(bytes, { numiterations: 40 });
  const brotli = brotliCompressSync(bytes, {
    params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_MODE]: constants.BROTLI_MODE_TEXT, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length },
  });
  await writeFile(join(dist, `${file}.gz`), gzip);
  await writeFile(join(dist, `${file}.br`), brotli);
  sizes[file] = { bytes: bytes.length, gzip: gzip.length, brotli: brotli.length };
}
await writeFile(join(dist, 'manifest.json'), `${JSON.stringify({ main: `assets/${main}`, chat: `assets/chat_en-${chats}.js`, files: sizes }, null, 2)}\n`);
for (const [file, { bytes, gzip, brotli }] of Object.entries(sizes)) console.log(`${file}: ${bytes} bytes, ${gzip} gzip, ${brotli} brotli`);
