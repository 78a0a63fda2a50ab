/** The sandbox runtime with real containers: needs root on Linux. */
import { mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { describeContainerRuntime } from '@coffer/cri/runtime/container-runtime-contract';
import { createSandboxRuntime } from '@coffer/cri/sandbox/sandbox-runtime';

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
