import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, it } from 'vitest';
import { eventually, freePort, runCommand } from '../support/coffer-process.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));

it('npm start says how to use its own kubectl where the machine has none, and that works as printed', async () => {
  const folder = await mkdtemp(path.join(tmpdir(), 'coffer-test-'));
  const bin = path.join(folder, 'bin');
  await mkdir(bin);
  await symlink(process.execPath, path.join(bin, 'node'));
  // What `npm start -- ARGUMENTS` runs; npm itself would put the machine's directories on the PATH.
  const args = ['hack/start.mjs', '--runtime', 'none', '--data-dir', path.join(folder, 'data'), '--secure-port', String(await freePort())];
  const child = spawn(process.execPath, args, { cwd: root, env: { HOME: folder, PATH: bin }, stdio: ['ignore', 'pipe', 'pipe'] });
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  let output = '';
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk: Buffer) => (output += chunk.toString()));
  try {
    const next = await eventually('what to type next', () => /^next: (.*)\n/m.exec(output)?.[1], 60_000);
    const hint = /^no kubectl on the PATH; .*\nto use it in this shell: (.*)\n/m.exec(output)?.[1];
    expect(hint).toMatch(/^export PATH=/);
    const typed = await runCommand('bash', ['-c', `${hint}\n${next}`], { env: { HOME: folder } });
    expect(typed).toMatchObject({ code: 0, stderr: '' });
    expect(typed.stdout).toMatch(/^kube-system +Active/m);
  } finally {
    child.kill('SIGTERM');
    expect(await ended).toBe(0);
    await rm(folder, { recursive: true });
  }
});
