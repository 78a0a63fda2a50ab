// Bundles and runs storage.ts: `node bench/storage.mjs [--long]`; `--long` adds a million updates of one object.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');
const outfile = path.join(root, '.cache/bench/storage.mjs');
await build({
  entryPoints: [path.join(root, 'bench/storage.ts')],
  outfile,
  bundle: true,
  platform: 'node',
  format: 'esm',
  target: 'node20',
  external: ['lmdb'],
  logLevel: 'error',
});
const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'coffer-bench-'));
try {
  for (const mode of ['write', 'load']) {
    const { status } = spawnSync(process.execPath, ['--expose-gc', outfile, mode, directory, ...process.argv.slice(2)], {
      stdio: 'inherit',
    });
    if (status !== 0) process.exitCode = 1;
  }
} finally {
  fs.rmSync(directory, { recursive: true });
}
