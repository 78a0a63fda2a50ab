#!/usr/bin/env node
// `npm test`: installs npm packages and what the tests need from Debian (as root), builds, checks types and style, and runs
// every test. Ends with `N passed, N failed`.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import process from 'node:process';
import { buildBundle, installPackages, root, run } from './install.mjs';

/** Debian packages the system tests use, by the command that shows they are there. */
const needed = [
  ['ip', 'iproute2'],
  ['unshare', 'util-linux'],
  ['strace', 'strace'],
  ['etcd', 'etcd-server'],
  ['busybox', 'busybox-static'],
  ['openssl', 'openssl'],
  ['curl', 'curl'],
  ['softhsm2-util', 'softhsm2'],
  ['pkcs11-tool', 'opensc'],
  ['pasta', 'passt'],
  ['slirp4netns', 'slirp4netns'],
];

function installDebianPackages() {
  const missing = needed.filter(([command]) => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0).map(([, name]) => name);
  if (missing.length === 0) return;
  const hasApt = spawnSync('sh', ['-c', 'command -v apt-get']).status === 0;
  if (process.getuid?.() !== 0 || !hasApt) {
    console.log(`the tests also use these Debian packages; without them some are skipped: apt-get install ${missing.join(' ')}`);
    return;
  }
  console.log(`installing Debian packages: ${missing.join(' ')}`);
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
  spawnSync('apt-get', ['update', '-qq'], { stdio: 'inherit', env });
  spawnSync('apt-get', ['install', '-qq', '-y', '--no-install-recommends', ...missing], { stdio: ['ignore', 'ignore', 'inherit'], env });
}

/** Upstream's sample objects and protobuf messages, which one test compares with our tables; without them it says so and is skipped. */
function fetchUpstreamSamples() {
  if (process.getuid?.() !== 0 || fs.existsSync(`${root}/.cache/gocode`)) return;
  const { status } = spawnSync(process.execPath, ['hack/fetch-upstream-samples.mjs'], { cwd: root, stdio: 'ignore', timeout: 240_000 });
  if (status !== 0) console.log('upstream samples could not be unpacked from Debian packages; the test that compares with them is skipped');
}

installPackages();
installDebianPackages();
fetchUpstreamSamples();
buildBundle();
const { unpackTool } = await import('./unpack-kubectl.mjs');
await unpackTool('kubectl');
await unpackTool('helm');
const bin = `${root}/node_modules/.bin`;
run(`${bin}/tsc`, ['-p', '.']);
run(`${bin}/biome`, ['check', '.']);
run(process.execPath, ['hack/verify-imports.mjs']);
run(process.execPath, ['hack/verify-files.mjs']);
run(`${bin}/oxlint`, ['--type-aware', '--deny-warnings', '--quiet']);
run(`${bin}/knip`, []);
// The same generated inputs in every run; `npm run soak` takes others, and prints which.
const env = { ...process.env, COFFER_SEED: process.env.COFFER_SEED ?? '20261121' };
run(`${bin}/vitest`, ['run', ...process.argv.slice(2)], { env });
