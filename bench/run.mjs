#!/usr/bin/env node
// `npm run bench -- [api] [turns] [encryption] [node] [cri] [scale]`: prints every figure beside its target. The first two need wrk.
import { spawnSync } from 'node:child_process';
import os from 'node:os';
import { benchApi } from './api.mjs';
import { benchCri } from './cri.mjs';
import { benchEncryption } from './encryption.mjs';
import { benchNode } from './node.mjs';
import { benchScale } from './scale.mjs';
import { root } from './support.mjs';
import { benchTurns } from './turns.mjs';

const parts = process.argv.slice(2);
const commit = spawnSync('git', ['rev-parse', '--short', 'HEAD'], { cwd: root, encoding: 'utf8' }).stdout.trim();
console.log(`# ${new Date().toISOString().slice(0, 10)}, commit ${commit}, ${os.cpus().length} cores, Node.js ${process.version}\n`);
console.log('| figure | measured | target |\n|--|--|--|');
const report = (figure, value, target) => console.log(`| ${figure} | ${value} | ${target} |`);
const hasWrk = spawnSync('wrk', ['-v']).error === undefined;
if (!hasWrk) console.error('wrk is not installed (Debian: apt-get install wrk): the parts api and turns are left out');
if (hasWrk && (parts.length === 0 || parts.includes('api'))) await benchApi(report);
if (hasWrk && (parts.length === 0 || parts.includes('turns'))) await benchTurns(report);
if (parts.length === 0 || parts.includes('encryption')) await benchEncryption(report);
if (parts.length === 0 || parts.includes('node')) await benchNode(report);
if (parts.length === 0 || parts.includes('cri')) await benchCri(report);
// 100 000 objects and a million updates take ten minutes: only when asked for.
if (parts.includes('scale')) await benchScale(report);
process.exit(0);
