// Bundles and runs authorize.ts: `node bench/authorize.mjs`.
import { spawnSync } from 'node:child_process';
import { bundle } from './support.mjs';

const outfile = await bundle('authorize');
process.exitCode = spawnSync(process.execPath, [outfile], { stdio: 'inherit' }).status ?? 1;
