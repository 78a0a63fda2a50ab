/** The sandbox runtime with real containers: needs root on Linux. */
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { describeContainerRuntime } from '@coffer/cri/runtime/container-runtime-contract';
import { collectingStreams, podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';
import { describe, expect, it } from 'vitest';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0 ? 'needs root on Linux' : undefined;

describeContainerRuntime('sandbox', skip, async () => {
  const directory = await mkdtemp('/tmp/sandbox-runtime-');
  const stateDir = join(directory, 'state');
  return {
    open: () => createSandboxRuntime({ stateDir, maskedPaths: [], clock: systemClock, logger: silentLogger, network: {} }),
    image: 'busybox',
    dispose: () => rm(directory, { recursive: true, force: true }),
  };
});

describe.skipIf(skip !== undefined)('attach', () => {
  it('is refused when the process has ended, before the runtime has heard of it', async () => {
    const directory = await mkdtemp('/tmp/sandbox-attach-');
    const stateDir = join(directory, 'state');
    const runtime = await createSandboxRuntime({ stateDir, maskedPaths: [], clock: systemClock, logger: silentLogger, network: {} });
    const config = podConfig(directory);
    await mkdir(config.logDirectory, { recursive: true });
    const pod = await runtime.runPodSandbox(config);
    try {
      const id = await runtime.createContainer(pod, shellContainer('busybox', 'read line', { stdin: true }));
      await runtime.startContainer(id);
      const { pid } = (await runtime.containerStatus(id)) ?? {};
      if (pid === undefined) throw new Error('the container has no process');
      process.kill(pid, 'SIGKILL');
      // No turn of the event loop in between, in which the runtime could be told.
      while (isRunning(pid));
      await expect(runtime.attach(id, collectingStreams([]), new AbortController().signal)).rejects.toThrow('its state is exited');
    } finally {
      await runtime.removePodSandbox(pod);
      await runtime.close();
      await rm(directory, { recursive: true, force: true });
    }
  });
});

function isRunning(pid: number): boolean {
  try {
    return !/^\d+ \(.*\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}
