import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { SECRETS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';

const root = process.getuid?.() === 0;

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

function env(name: string): Record<string, string> {
  const container = node.runtime.find(name);
  if (container === undefined) throw new Error(`no container ${name}`);
  return Object.fromEntries(container.config.env.map(({ name: key, value }) => [key, Buffer.from(value).toString()]));
}

function volume(pod: { metadata: { uid: string } }, plugin: string, name: string, file = ''): string {
  return join(node.rootDir, 'pods', pod.metadata.uid, 'volumes', plugin, name, file);
}

describe('startKubelet', () => {
  it('registers a Ready node with labels, capacity and a lease', async () => {
    const registered = await node.until(() => {
      const object = node.node();
      if (object === undefined) throw new Error('no node yet');
      return object;
    });
    expect(registered.metadata.labels?.['kubernetes.io/hostname']).toBe('node-1');
    const status = registered.status as {
      conditions: { type: string; status: string; reason: string }[];
      capacity: Record<string, string>;
    };
    expect(status.conditions.find((c) => c.type === 'Ready')).toMatchObject({ status: 'True', reason: 'KubeletReady' });
    expect(status.capacity.pods).toBe('110');
  });

  it('runs a pod with env from a ConfigMap and a Secret and reports it Running and Ready', async () => {
    node.putConfigMap('cfg', { a: '1', 'b.txt': 'two\n' });
    node.putSecret('sec', { pass: 'p@ss w0rd' });
    node.createPod('p', {
      containers: [
        {
          name: 'c',
          image: 'busybox',
          command: ['app', '$(T_CM)'],
          envFrom: [{ prefix: 'F_', configMapRef: { name: 'cfg' } }],
          env: [
            { name: 'T_CM', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'a' } } },
            { name: 'T_SEC', valueFrom: { secretKeyRef: { name: 'sec', key: 'pass' } } },
            { name: 'T_COMP', value: '$(T_CM)-$(NOPE)-$$(T_CM)' },
            { name: 'T_POD', valueFrom: { fieldRef: { fieldPath: 'metadata.name' } } },
          ],
        },
      ],
    });
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
    expect(env('c')).toEqual({
      F_a: '1',
      'F_b.txt': 'two\n',
      T_CM: '1',
      T_SEC: 'p@ss w0rd',
      T_COMP: '1-$(NOPE)-$(T_CM)',
      T_POD: 'p',
    });
    expect(node.runtime.find('c')?.config.command).toEqual(['app', '1']);
    const { status } = node.pod('p');
    expect(status.containerStatuses?.[0]).toMatchObject({ name: 'c', ready: true, started: true, restartCount: 0, state: { running: {} } });
    expect(status.conditions?.map((c) => `${c.type}=${c.status}`)).toEqual([
      'PodReadyToStartContainers=True',
      'Initialized=True',
      'Ready=True',
      'ContainersReady=True',
      'PodScheduled=True',
    ]);
    expect(status).toMatchObject({ qosClass: 'BestEffort', hostIP: '192.0.2.1', podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }] });
    await node.until(() =>
      expect(node.events('p')).toEqual([
        'Normal Pulled Container image "busybox" already present on machine and can be accessed by the pod',
        'Normal Created Container created',
        'Normal Started Container started',
      ]),
    );
  });

  it('follows a changed ConfigMap in the volume at once and leaves the environment alone', async () => {
    node.putConfigMap('cfg', { a: 'old' });
    const pod = node.createPod('p', {
      containers: [
        {
          name: 'c',
          image: 'busybox',
          env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'cfg', key: 'a' } } }],
          volumeMounts: [{ name: 'v', mountPath: '/etc/x' }],
        },
      ],
      volumes: [{ name: 'v', configMap: { name: 'cfg', defaultMode: 0o644 } }],
    });
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
    const file = volume(pod, 'kubernetes.io~configmap', 'v', 'a');
    expect(await readFile(file, 'utf8')).toBe('old');
    expect(node.runtime.find('c')?.config.mounts.find((m) => m.containerPath === '/etc/x')).toMatchObject({ readOnly: true });
    node.putConfigMap('cfg', { a: 'new', b: 'more' });
    await node.until(async () => expect(await readFile(file, 'utf8')).toBe('new'));
    expect(await readFile(volume(pod, 'kubernetes.io~configmap', 'v', 'b'), 'utf8')).toBe('more');
    expect(env('c').A).toBe('old');
    expect(node.runtime.calls.filter((call) => call.startsWith('startContainer'))).toHaveLength(1);
    await node.until(() => {
      const used = node.kubelet.sourcesOf(pod.metadata.uid);
      const started = [...used.containers.values()][0]?.[0];
      expect(started?.name).toBe('cfg');
      expect(Number(used.volumes.get('v')?.[0]?.resourceVersion)).toBeGreaterThan(Number(started?.resourceVersion));
    });
  });

  it.runIf(root)('keeps the files of a Secret that was deleted', async () => {
    node.putSecret('sec', { user: 'admin' });
    const pod = node.createPod('p', {
      containers: [{ name: 'c', image: 'busybox', volumeMounts: [{ name: 'v', mountPath: '/s' }] }],
      volumes: [{ name: 'v', secret: { secretName: 'sec', defaultMode: 0o400 } }],
    });
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
    node.api.remove(SECRETS, 'default', 'sec');
    await node.until(() =>
      expect(node.events('p')).toContain('Warning FailedMount MountVolume.SetUp failed for volume "v" : secret "sec" not found'),
    );
    expect(await readFile(volume(pod, 'kubernetes.io~secret', 'v', 'user'), 'utf8')).toBe('admin');
    expect(node.pod('p').status.phase).toBe('Running');
  });

  it('waits with CreateContainerConfigError for a missing ConfigMap and starts when it appears', async () => {
    node.createPod('p', {
      containers: [{ name: 'c', image: 'busybox', env: [{ name: 'A', valueFrom: { configMapKeyRef: { name: 'late', key: 'k' } } }] }],
    });
    await node.until(() =>
      expect(node.pod('p').status.containerStatuses?.[0]?.state).toEqual({
        waiting: { reason: 'CreateContainerConfigError', message: 'configmap "late" not found' },
      }),
    );
    expect(node.pod('p').status.phase).toBe('Pending');
    await node.until(() => expect(node.events('p')).toContain('Warning Failed Error: configmap "late" not found'));
    node.putConfigMap('late', { other: 'x' });
    await node.until(() =>
      expect(node.pod('p').status.containerStatuses?.[0]?.state?.waiting?.message).toBe("couldn't find key k in ConfigMap default/late"),
    );
    node.putConfigMap('late', { k: 'here' });
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
    expect(env('c').A).toBe('here');
  });

  it('waits with ContainerCreating and FailedMount for a missing Secret of a volume and starts when it appears', async () => {
    node.createPod('p', {
      containers: [{ name: 'c', image: 'busybox', volumeMounts: [{ name: 'v', mountPath: '/x' }] }],
      volumes: [{ name: 'v', secret: { secretName: 'none' } }],
    });
    await node.until(() =>
      expect(node.events('p')).toContain('Warning FailedMount MountVolume.SetUp failed for volume "v" : secret "none" not found'),
    );
    expect(node.pod('p').status.containerStatuses?.[0]?.state).toEqual({ waiting: { reason: 'ContainerCreating' } });
    node.putSecret('none', { k: 'v' });
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
  });

  it('stops a deleted pod, reports it, deletes it from the API and leaves nothing behind', async () => {
    const pod = node.createPod('p', {});
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
    node.deletePod('p', 5);
    await node.until(() => expect(node.hasPod('p')).toBe(false));
    await node.until(() => expect(node.runtime.containers.size + node.runtime.sandboxes.size).toBe(0));
    expect(node.runtime.calls).toContain('stopContainer c 5000');
    await node.until(async () => expect(await readdir(join(node.rootDir, 'pods'))).not.toContain(pod.metadata.uid));
    await node.until(() => expect(node.events('p')).toContain('Normal Killing Stopping container c'));
    await node.until(() => expect(node.kubelet.metrics().objectWatches).toBe(0));
  });

  it('restarts a crashing container with growing back-off', async () => {
    node.runtime.behaviour = () => 1;
    const pod = node.createPod('p', {});
    await node.until(() => expect(node.pod('p').status.containerStatuses?.[0]?.state?.waiting?.reason).toBe('CrashLoopBackOff'));
    const status = node.pod('p').status.containerStatuses?.[0];
    expect(status?.state?.waiting?.message).toBe(`back-off 10s restarting failed container=c pod=p_default(${pod.metadata.uid})`);
    expect(status?.lastState?.terminated).toMatchObject({ exitCode: 1, reason: 'Error' });
    expect(status?.restartCount).toBe(1);
    expect(node.pod('p').status.phase).toBe('Running');
    await node.clock.advance(9000);
    expect(node.pod('p').status.containerStatuses?.[0]?.restartCount).toBe(1);
    await node.clock.advance(1500);
    await node.until(() => expect(node.pod('p').status.containerStatuses?.[0]?.restartCount).toBe(2));
    await node.until(() =>
      expect(node.pod('p').status.containerStatuses?.[0]?.state?.waiting?.message).toContain('back-off 20s restarting failed container=c'),
    );
  });

  it('runs init containers one after the other and ends as Succeeded', async () => {
    node.runtime.behaviour = () => 0;
    node.createPod('p', {
      restartPolicy: 'Never',
      initContainers: [
        { name: 'i1', image: 'busybox' },
        { name: 'i2', image: 'busybox' },
      ],
    });
    await node.until(() => expect(node.pod('p').status.phase).toBe('Succeeded'));
    expect(node.runtime.calls.filter((call) => call.startsWith('startContainer'))).toEqual([
      'startContainer i1',
      'startContainer i2',
      'startContainer c',
    ]);
    const { status } = node.pod('p');
    expect(status.conditions?.find((c) => c.type === 'Ready')).toMatchObject({ status: 'False', reason: 'PodCompleted' });
    expect(status.initContainerStatuses?.map((s) => s.state?.terminated?.exitCode)).toEqual([0, 0]);
  });

  it('adopts running containers after a restart, with the same IDs and counts', async () => {
    node.createPod('p', {});
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
    const before = node.pod('p').status.containerStatuses?.[0];
    await node.crash();
    const calls = node.runtime.calls.length;
    await node.boot();
    await node.kubelet.whenIdle();
    expect(node.runtime.calls.slice(calls).filter((call) => !call.startsWith('execSync'))).toEqual([]);
    expect(node.pod('p').status.containerStatuses?.[0]).toEqual(before);
  });

  it('follows objects of adopted pods again', async () => {
    node.putConfigMap('cfg', { a: 'old' });
    const pod = node.createPod('p', {
      containers: [{ name: 'c', image: 'busybox', volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
      volumes: [{ name: 'v', configMap: { name: 'cfg' } }],
    });
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
    await node.crash();
    node.putConfigMap('cfg', { a: 'while it was away' });
    await node.boot();
    const file = volume(pod, 'kubernetes.io~configmap', 'v', 'a');
    await node.until(async () => expect(await readFile(file, 'utf8')).toBe('while it was away'));
    node.putConfigMap('cfg', { a: 'new' });
    await node.until(async () => expect(await readFile(file, 'utf8')).toBe('new'));
    expect(node.runtime.calls.filter((call) => call.startsWith('startContainer'))).toHaveLength(1);
  });

  it('removes at start what belongs to no pod of the API, side by side, and does not wait for it', async () => {
    for (const name of ['p', 'q']) node.createPod(name, {});
    const kept = node.createPod('kept', {});
    for (const name of ['p', 'q', 'kept']) await node.until(() => expect(node.pod(name).status.phase).toBe('Running'));
    await node.crash();
    for (const name of ['p', 'q']) {
      node.api.remove({ group: '', version: 'v1', resource: 'pods', kind: 'Pod', namespaced: true }, 'default', name);
    }
    const stop = node.runtime.stopContainer.bind(node.runtime);
    const stopping: (() => void)[] = [];
    node.runtime.stopContainer = async (id, timeoutMs) => {
      await new Promise<void>((resolve) => stopping.push(resolve));
      return stop(id, timeoutMs);
    };
    await node.boot();
    await node.until(() => expect(stopping).toHaveLength(2));
    expect(node.runtime.containers.size).toBe(3);
    for (const go of stopping) go();
    await node.until(() => expect([node.runtime.containers.size, node.runtime.sandboxes.size]).toEqual([1, 1]));
    await node.until(async () => expect(await readdir(join(node.rootDir, 'pods'))).toEqual([kept.metadata.uid]));
  });
});
