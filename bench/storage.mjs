// Bundles and runs storage.ts: `node bench/storage.mjs [--long]`; `--long` adds a million updates of one object.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { bundle } from './support.mjs';

const outfile = await bundle('storage');
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
