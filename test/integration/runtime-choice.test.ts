/** Which runtime `coffer up --runtime auto` takes, and that it says so. A private /run shows it the container engine it is to find. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { CofferProcess, eventually } from '../support/coffer-process.ts';
import { TestContainerd } from '../support/containerd.ts';

const skip = process.platform !== 'linux' || process.getuid?.() !== 0;
if (skip) console.log('skipped: the choice of a runtime (needs root on Linux)');

/** A machine whose containerd has this socket. */
function machineWith(socket: string): string[] {
  const script = `set -e; mount -t tmpfs none /run; mkdir /run/containerd; ln -s "${socket}" /run/containerd/containerd.sock; exec "$@"`;
  return ['unshare', '--mount', 'sh', '-c', script, 'sh'];
}

const pod = {
  metadata: { name: 'p' },
  spec: {
    terminationGracePeriodSeconds: 0,
    automountServiceAccountToken: false,
    containers: [{ name: 'c', image: 'busybox', imagePullPolicy: 'IfNotPresent', command: ['sleep', '1000'] }],
  },
};

describe.skipIf(skip)('coffer up --runtime auto', () => {
  let containerd: TestContainerd;
  let directory: string;
  let coffer: CofferProcess | undefined;

  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'runtime-choice-'));
    containerd = await TestContainerd.start();
  });
  afterEach(async () => {
    await coffer?.stop('SIGINT');
    await coffer?.dispose();
    coffer = undefined;
  });
  afterAll(async () => {
    await containerd?.stop();
    await rm(directory, { recursive: true, force: true });
  });

  const startOn = async (socket: string) => {
    const started = await CofferProcess.start({ args: ['--runtime', 'auto'], prefix: machineWith(socket) });
    coffer = started;
    await eventually('the ready line', () => started.output.includes('coffer is ready'));
    return started;
  };
  const runtimeOf = async (server: CofferProcess) => {
    const { body } = await server.call('GET', '/api/v1/nodes');
    return body.items[0].status.nodeInfo.containerRuntimeVersion as string;
  };
  const runs = async (server: CofferProcess) => {
    expect((await server.call('POST', '/api/v1/namespaces/default/pods', pod)).status).toBe(201);
    return eventually('the pod to run', async () => {
      const { body } = await server.call('GET', '/api/v1/namespaces/default/pods/p');
      return body.status.phase === 'Running' && (body.status.containerStatuses[0].containerID as string);
    });
  };

  it('takes a container engine that is there and ready', { timeout: 60_000 }, async () => {
    const server = await startOn(containerd.endpoint.replace('unix://', ''));
    expect(server.output).toMatch(/coffer is ready in .* on containerd/);
    expect(await runtimeOf(server)).toMatch(/^containerd:\/\/1\./);
    expect(await runs(server)).toMatch(/^containerd:/);
  });

  it('takes the sandbox runtime where the engine does not answer, and says why', { timeout: 60_000 }, async () => {
    const dead = path.join(directory, 'dead.sock');
    await writeFile(dead, '');
    const server = await startOn(dead);
    expect(server.output).toMatch(/coffer is ready in .* on sandbox/);
    expect(server.output).toContain('the container engine is not usable, taking the sandbox runtime');
    expect(await runtimeOf(server)).toMatch(/^sandbox:/);
    expect(await runs(server)).toMatch(/^sandbox:/);
  });
});
