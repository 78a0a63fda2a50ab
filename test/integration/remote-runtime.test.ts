/** The CRI client against a real containerd and a real registry: needs root on Linux and Debian's packages. */
import { spawnSync } from 'node:child_process';
import { mkdtemp, rm, statfs } from 'node:fs/promises';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { connectRemoteRuntime } from '@coffer/cri/remote/remote-runtime';
import type { ContainerRuntime, RegistryAuth } from '@coffer/cri/runtime/container-runtime';
import { describeContainerRuntime } from '@coffer/cri/runtime/container-runtime-contract';
import { eventually, exited, logText, podConfig, shellContainer } from '@coffer/cri/runtime/contract-fixtures';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { containerdVersions, TestContainerd } from '../support/containerd.ts';
import { registryUser, TestRegistry } from '../support/test-registry.ts';

const skip =
  process.platform !== 'linux' || process.getuid?.() !== 0
    ? 'needs root on Linux'
    : spawnSync('apt-get', ['--version']).status !== 0
      ? "needs Debian's packages"
      : undefined;

// The whole contract takes its time: on the second generation in long runs only, where short ones still pull and run images on both.
const contractVersions = process.env.COFFER_SOAK === '1' ? containerdVersions : (['stable'] as const);
console.log(
  `contract of container runtimes on containerd: ${contractVersions.join(', ')} (COFFER_SOAK=1: ${containerdVersions.join(', ')})`,
);
for (const version of contractVersions) {
  describeContainerRuntime(`remote (containerd ${version})`, skip, async () => {
    const containerd = await TestContainerd.start({ version });
    return {
      open: () => connectRemoteRuntime(containerd.endpoint, { clock: systemClock, logger: silentLogger }),
      image: containerd.image,
      dispose: () => containerd.stop(),
    };
  });
}

describe.skipIf(skip !== undefined).each(containerdVersions)('images of containerd %s', (version) => {
  let containerd: TestContainerd;
  let registry: TestRegistry;
  let runtime: ContainerRuntime;
  let image: string;
  let logs: string;
  const auth: RegistryAuth = { ...registryUser, auth: '', serverAddress: '', identityToken: '', registryToken: '' };

  beforeAll(async () => {
    logs = await mkdtemp('/tmp/remote-logs-');
    const port = await TestRegistry.freePort();
    containerd = await TestContainerd.start({ version, plainHttpRegistries: [`127.0.0.1:${port}`] });
    registry = await TestRegistry.start(port);
    image = await registry.push('team/app', 'v1', { entrypoint: ['sh', '-c'], user: '1234:77' }, await containerd.busyboxLayer());
    runtime = await connectRemoteRuntime(containerd.endpoint, { clock: systemClock, logger: silentLogger });
  });

  afterAll(async () => {
    await runtime?.close();
    await registry?.stop();
    await containerd?.stop();
    await rm(logs, { recursive: true, force: true });
  });

  it('are not there before they are pulled', async () => {
    expect(await runtime.imageStatus(image)).toBeUndefined();
  });

  it('are refused without the password and with a wrong one, which is not in the message', async () => {
    await expect(runtime.pullImage(image, undefined)).rejects.toMatchObject({ name: 'PullError', reason: 'ErrImagePull' });
    const wrong = await runtime.pullImage(image, { ...auth, password: 'guessed-wrong' }).catch((error: unknown) => error);
    expect(wrong).toMatchObject({ name: 'PullError', reason: 'ErrImagePull' });
    expect(String(wrong)).not.toContain('guessed-wrong');
  });

  it('are pulled with it, known by name and by reference, run as their user, and removed', async () => {
    const reference = await runtime.pullImage(image, auth);
    expect(await runtime.imageStatus(image)).toMatchObject({ id: reference, repoTags: [image], uid: 1234 });
    expect((await runtime.listImages()).map(({ id }) => id)).toContain(reference);
    const config = podConfig(logs);
    const pod = await runtime.runPodSandbox(config);
    const id = await runtime.createContainer(pod, shellContainer(reference, '', { command: [], args: ['id -u; id -g'] }));
    await runtime.startContainer(id);
    expect(await exited(runtime, id)).toMatchObject({ exitCode: 0 });
    expect(await logText(`${config.logDirectory}/main/0.log`)).toBe('1234\n77\n');
    await runtime.removePodSandbox(pod);
    await runtime.removeImage(reference);
    expect(await runtime.imageStatus(image)).toBeUndefined();
    await runtime.removeImage(reference);
  });

  it('that do not exist are a failed pull, and a name that is none is told apart', async () => {
    await expect(runtime.pullImage(`${registry.address}/team/none:v1`, auth)).rejects.toMatchObject({ reason: 'ErrImagePull' });
    await expect(runtime.pullImage('Not A Name', undefined)).rejects.toMatchObject({ reason: 'InvalidImageName' });
  });

  it('lie on a filesystem that can be asked for its room', async () => {
    const path = (await runtime.imageFilesystem()) ?? '';
    expect((await statfs(path)).blocks).toBeGreaterThan(0);
  });

  it('leave containers running when the runtime is restarted', async () => {
    const pod = await runtime.runPodSandbox(podConfig(logs));
    const id = await runtime.createContainer(pod, shellContainer(containerd.image, 'sleep 1000', { attempt: 4 }));
    await runtime.startContainer(id);
    const before = await runtime.containerStatus(id);
    await containerd.restart();
    const after = await eventually('the runtime', () => runtime.containerStatus(id).catch(() => undefined));
    expect(after).toEqual(before);
    expect((await runtime.status()).ready).toBe(true);
    expect((await runtime.version()).name).toBe('containerd');
    await runtime.removePodSandbox(pod);
  });
});
