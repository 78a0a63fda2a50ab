/** The CRI client against a real containerd: needs root on Linux and Debian's packages. */
import { spawnSync } from 'node:child_process';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { connectRemoteRuntime } from '@coffer/cri/remote/remote-runtime';
import { describeContainerRuntime } from '@coffer/cri/runtime/container-runtime-contract';
import { TestContainerd } from '../support/containerd.ts';

const skip =
  process.platform !== 'linux' || process.getuid?.() !== 0
    ? 'needs root on Linux'
    : spawnSync('apt-get', ['--version']).status !== 0
      ? "needs Debian's packages"
      : undefined;

describeContainerRuntime('remote (containerd)', skip, async () => {
  const containerd = await TestContainerd.start();
  return {
    open: () => connectRemoteRuntime(containerd.endpoint, { clock: systemClock, logger: silentLogger }),
    image: containerd.image,
    dispose: () => containerd.stop(),
  };
});
