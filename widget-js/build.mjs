// Builds the widget: `dist/loader.js` under a fixed name, the rest in `dist/assets/` under names that
// carry their hash, each also as .br and .gz; `dist/manifest.json` says what there is.
import { build } from 'esbuild';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';

const here = dirname(fileURLToPath(import.meta.url));
const dist = join(here, 'dist');
const common = { bundle: true, minify: true, target: 'es2022', charset: 'utf8', legalComments: 'none', absWorkingDir: here };

await rm(dist, { recursive: true, force: true });
await mkdir(join(dist, 'assets'), { recursive: true });

/** Builds one module into a file whose name has its hash, and gives that name. */
async function hashed(entry, plugins = []) {
  const { metafile } = await build({
    ...common, entryPoints: [entry], outdir: 'dist/assets', format: 'esm', entryNames: '[name]-[hash]', metafile: true, plugins,
  });
  const [file] = Object.keys(metafile.outputs);
  return basename(file);
}
// Bundles that share nothing: a page that nobody chats on fetches one, and that one only; with the chat comes one language.
const late = { 'chat_view.ts': await hashed('src/chat_view.ts') };
for (const language of (await readdir(join(here, 'src/strings'))).filter((name) => name !== 'launcher.ts')) {
  late[language] = await hashed(`src/strings/${language}`);
}
const main = await hashed('src/main.ts', [{
  name: 'late parts by their hashed names',
  setup({ onResolve }) {
    onResolve({ filter: /\.ts$/ }, ({ kind, path }) => (kind === 'dynamic-import' ? { path: `./${late[basename(path)]}`, external: true } : undefined));
  },
}]);
await build({
  ...common,
  entryPoints: ['src/loader.ts'],
  outfile: 'dist/loader.js',
  format: 'iife',
  define: { MAIN: JSON.stringify(`/widget/assets/${main}`) },
});

const files = ['loader.js', ...(await readdir(join(dist, 'assets'))).sort().map((name) => `assets/${name}`)];
const sizes = {};
for (const file of files) {
  const bytes = await readFile(join(dist, file));
  const gzip = gzipSync(bytes, { level: 9 });
  const brotli = brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } });
  await writeFile(join(dist, `${file}.gz`), gzip);
  await writeFile(join(dist, `${file}.br`), brotli);
  sizes[file] = { bytes: bytes.length, gzip: gzip.length, brotli: brotli.length };
}
await writeFile(join(dist, 'manifest.json'), `${JSON.stringify({ main: `assets/${main}`, chat: `assets/${late['chat_view.ts']}`, files: sizes }, null, 2)}\n`);
for (const [file, { bytes, gzip, brotli }] of Object.entries(sizes)) console.log(`${file}: ${bytes} bytes, ${gzip} gzip, ${brotli} brotli`);
