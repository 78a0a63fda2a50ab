#!/usr/bin/env node
// `npm run soak`: every system test that is seeded or knows a longer count, with that count, one file after the other. What was
// done is noted in `.cache/soak.json` (or --state FILE), so that a run that was interrupted goes on with the file at which it stopped; with
// the same seed, which it prints. A run of another commit, another --seed, or --restart begins anew. Files can be named by a part
// of their path, any system test then. Ends with `N passed, N failed`; exits with 1 when one failed.
import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import process from 'node:process';
import { parseArgs } from 'node:util';
import { buildBundle, root } from './install.mjs';

const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { state: { type: 'string' }, seed: { type: 'string' }, restart: { type: 'boolean' } },
});
const stateFile = path.resolve(options.state ?? path.join(root, '.cache/soak.json'));
const commit = execFileSync('git', ['describe', '--always', '--dirty'], { cwd: root }).toString().trim();

/** System tests that read a seed or know of the longer run; or those that were named. */
function soakFiles() {
  const tests = fs.readdirSync(path.join(root, 'test'), { recursive: true }).filter((name) => name.endsWith('.test.ts'));
  const isMeant = (name) =>
    positionals.length > 0
      ? positionals.some((part) => `test/${name}`.includes(part))
      : /COFFER_(SOAK|SEED)/.test(fs.readFileSync(path.join(root, 'test', name), 'utf8'));
  return tests
    .filter(isMeant)
    .map((name) => `test/${name}`)
    .sort();
}

function readState() {
  if (options.restart || !fs.existsSync(stateFile)) return undefined;
  const state = JSON.parse(fs.readFileSync(stateFile, 'utf8'));
  return state.commit === commit && (options.seed === undefined || state.seed === options.seed) ? state : undefined;
}

function writeState(state) {
  fs.mkdirSync(path.dirname(stateFile), { recursive: true });
  fs.writeFileSync(`${stateFile}.new`, `${JSON.stringify(state, undefined, 2)}\n`);
  fs.renameSync(`${stateFile}.new`, stateFile);
}

const before = readState();
const state = before ?? { commit, seed: options.seed ?? String(Date.now() % 1_000_000), done: {} };
console.log(`${before ? 'going on with' : 'beginning'} the soak run of ${commit}, seed ${state.seed} (${stateFile})`);
const files = soakFiles();
if (files.length === 0) {
  console.error(`no system test has a name with ${positionals.join(' or ')}`);
  process.exit(1);
}
buildBundle();
for (const file of files) {
  if (state.done[file]?.passed) {
    console.log(`${file}: passed ${state.done[file].date}`);
    continue;
  }
  const env = { ...process.env, COFFER_SOAK: '1', COFFER_SEED: state.seed };
  const { status, signal } = spawnSync(`${root}/node_modules/.bin/vitest`, ['run', '--project', 'system', file], {
    cwd: root,
    env,
    stdio: 'inherit',
  });
  // Interrupted: the next run begins with this file.
  if (signal !== null) process.exit(1);
  state.done[file] = { passed: status === 0, date: new Date().toISOString() };
  writeState(state);
}
const results = files.map((file) => state.done[file]?.passed === true);
const failed = results.filter((passed) => !passed).length;
console.log(`${results.length - failed} passed, ${failed} failed`);
process.exit(failed > 0 ? 1 : 0);
