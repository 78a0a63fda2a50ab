/** The sandbox runtime killed at random moments: what the next start finds is true, and everything can be removed. Needs root on Linux. */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, readlink, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { eventually } from '@coffer/cri/runtime/contract-fixtures';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';
import { describe, expect, it } from 'vitest';
import { bundleScript } from '../support/bundle-script.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0 ? 'needs root on Linux' : undefined;
const rounds = process.env.COFFER_SOAK ? 100 : 12;

describe.skipIf(skip !== undefined)(`a sandbox runtime that is killed${skip === undefined ? '' : ` (skipped: ${skip})`}`, () => {
  it('leaves nothing that the next start does not know, at any moment', { timeout: 600_000 }, async () => {
    const seed = Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000);
    console.log(`seed ${seed}`);
    const directory = await mkdtemp('/tmp/sandbox-kill-');
    const stateDir = join(directory, 'state');
    const script = await bundleScript(new URL('../support/sandbox-churn.ts', import.meta.url));
    for (let round = 0; round < rounds; round++) {
      const server = spawn(process.execPath, [script, stateDir, join(directory, 'logs')], { stdio: ['ignore', 'pipe', 'inherit'] });
      await new Promise((resolve) => server.stdout.once('data', resolve));
      const digest = createHash('sha256').update(`${seed} ${round}`).digest();
      await new Promise((resolve) => setTimeout(resolve, digest.readUInt16BE() % 700));
      const exit = new Promise((resolve) => server.once('exit', (_code, signal) => resolve(signal)));
      if (server.exitCode === null) server.kill('SIGKILL');
      expect(server.exitCode ?? (await exit)).toBe('SIGKILL');
      const runtime = await createSandboxRuntime({ stateDir, maskedPaths: [], clock: systemClock, logger: silentLogger, network: {} });
      const ids = new Set((await runtime.listPodSandboxes()).map(({ id }) => id));
      for (const container of await runtime.listContainers()) {
        expect(ids).toContain(container.sandboxId);
        if (container.state !== 'running') continue;
        const result = await runtime.execSync(container.id, ['sh', '-c', 'echo alive'], 10_000);
        expect(Buffer.from(result.stdout).toString()).toBe('alive\n');
      }
      // The first round's pods are for the second start to find.
      if (round > 0) for (const id of ids) await runtime.removePodSandbox(id);
      await runtime.close();
      if (round > 0)
        await eventually('everything to be gone', async () => ((await traces(stateDir)).length === 0 ? true : undefined), 5_000).catch(
          () => {},
        );
      if (round > 0) expect(await traces(stateDir)).toEqual([]);
    }
    await rm(directory, { recursive: true, force: true });
  });
});

/** Mounts, processes, control groups, links and files of a state directory. */
async function traces(stateDir: string): Promise<string[]> {
  const mounts = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').filter((line) => line.includes(`${stateDir}/`));
  const processes: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
    const cmdline = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (cmdline.includes(`${stateDir}/`) || cwd.startsWith(`${stateDir}/`)) processes.push(`${pid} ${cmdline.replaceAll('\0', ' ')}`);
  }
  const name = `coffer-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
  const groups = existsSync(`/sys/fs/cgroup/memory/${name}`) ? [`control group ${name}`] : [];
  const bridge = existsSync(`/sys/class/net/${name}`) ? [`interface ${name}`] : [];
  const files = (await Promise.all(['pods', 'containers', 'memory'].map((part) => readdir(join(stateDir, part))))).flat();
  return [...mounts, ...processes, ...groups, ...bridge, ...files];
}
