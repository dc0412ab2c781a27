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
const { metafile } = await build({
  ...common,
  entryPoints: ['src/main.ts'],
  outdir: 'dist/assets',
  format: 'esm',
  splitting: true,
  entryNames: '[name]-[hash]',
  chunkNames: '[name]-[hash]',
  metafile: true,
});
const main = Object.entries(metafile.outputs).find(([, output]) => output.entryPoint === 'src/main.ts')?.[0];
if (!main) throw new Error('no bundle came out of src/main.ts');
await build({
  ...common,
  entryPoints: ['src/loader.ts'],
  outfile: 'dist/loader.js',
  format: 'iife',
  define: { MAIN: JSON.stringify(`/widget/assets/${basename(main)}`) },
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
await writeFile(join(dist, 'manifest.json'), `${JSON.stringify({ main: `assets/${basename(main)}`, files: sizes }, null, 2)}\n`);
for (const [file, { bytes, gzip, brotli }] of Object.entries(sizes)) console.log(`${file}: ${bytes} bytes, ${gzip} gzip, ${brotli} brotli`);
