// Installs the npm packages of the lock file when they are missing or older than it. Shared by start.mjs and test.mjs.
import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = path.join(path.dirname(fileURLToPath(import.meta.url)), '..');

/** True when node_modules is what the lock file describes. */
function isInstalled() {
  const marker = path.join(root, 'node_modules/.package-lock.json');
  return fs.existsSync(marker) && fs.statSync(marker).mtimeMs >= fs.statSync(path.join(root, 'package-lock.json')).mtimeMs;
}

export function installPackages() {
  if (isInstalled()) return;
  console.log('installing npm packages …');
  run('npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error']);
  fs.utimesSync(path.join(root, 'node_modules/.package-lock.json'), new Date(), new Date());
}

/** Bundles dist/coffer.mjs unless it is newer than every source file. */
export function buildBundle() {
  const bundle = path.join(root, 'dist/coffer.mjs');
  const builtMs = fs.existsSync(bundle) ? fs.statSync(bundle).mtimeMs : 0;
  const inputs = ['packages', 'cmd', 'hack', 'package.json', 'package-lock.json'];
  if (builtMs > 0 && inputs.every((input) => newestMs(path.join(root, input)) < builtMs)) return;
  run(process.execPath, [path.join(root, 'hack/build.mjs')]);
}

function newestMs(file) {
  const stat = fs.statSync(file);
  if (!stat.isDirectory()) return stat.mtimeMs;
  const skipped = new Set(['node_modules', 'generated']);
  const entries = fs.readdirSync(file).filter((name) => !skipped.has(name));
  return entries.reduce((newest, name) => Math.max(newest, newestMs(path.join(file, name))), 0);
}

/** Runs a command in the project's folder and ends this process with its status when it fails. */
export function run(command, args, options = {}) {
  const { status, signal } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options });
  if (status !== 0) process.exit(status ?? (signal ? 1 : 0));
}
