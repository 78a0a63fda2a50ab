import { readFile, stat, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { StatusError } from '@coffer/api/errors/status-error';
import type { V1VolumeMount } from '@coffer/api/generated/types';
import { isRecord } from '@coffer/api/meta/safe-object';
import { parseQuantity, quantityValue } from '@coffer/api/quantity/quantity';
import { CONFIG_MAPS, PODS, SECRETS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';
import { createMounter } from './volumes/mounter.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

const phase = (name: string, wanted: string) => node.until(() => expect(node.pod(name).status.phase).toBe(wanted));

describe('referenced objects', () => {
  const withVolume = (volume: object) => ({
    containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
    volumes: [{ name: 'v', ...volume }],
  });
  const file = (uid: string, path: string) => join(node.rootDir, 'pods', uid, 'volumes', path);

  it('follows an optional object that appears, changes and vanishes', async () => {
    const pod = node.createPod('p', withVolume({ configMap: { name: 'opt', optional: true } }));
    await phase('p', 'Running');
    const path = file(pod.metadata.uid, 'kubernetes.io~configmap/v/k');
    node.putConfigMap('opt', { k: '1' });
    await node.until(async () => expect(await readFile(path, 'utf8')).toBe('1'));
    node.putConfigMap('opt', { k: '2' });
    await node.until(async () => expect(await readFile(path, 'utf8')).toBe('2'));
    node.api.remove(CONFIG_MAPS, 'default', 'opt');
    await node.until(async () => {
      await expect(readFile(path, 'utf8')).rejects.toThrow('ENOENT');
    });
  });

  it('converges to the last of many quick changes of two sources', async () => {
    node.putConfigMap('a', { a: '0' });
    node.putConfigMap('b', { b: '0' });
    const pod = node.createPod('p', withVolume({ projected: { sources: [{ configMap: { name: 'a' } }, { configMap: { name: 'b' } }] } }));
    await phase('p', 'Running');
    for (let i = 1; i <= 20; i++) {
      node.putConfigMap('a', { a: String(i) });
      node.putConfigMap('b', { b: String(i) });
    }
    const path = file(pod.metadata.uid, 'kubernetes.io~projected/v');
    await node.until(async () =>
      expect([await readFile(join(path, 'a'), 'utf8'), await readFile(join(path, 'b'), 'utf8')]).toEqual(['20', '20']),
    );
  });

  it('shows changed labels in a downward volume', async () => {
    const items = [{ path: 'labels', fieldRef: { fieldPath: 'metadata.labels' } }];
    const pod = node.createPod('p', withVolume({ downwardAPI: { items } }), { labels: { a: '1' } });
    await phase('p', 'Running');
    const path = file(pod.metadata.uid, 'kubernetes.io~downward-api/v/labels');
    expect(await readFile(path, 'utf8')).toBe('a="1"');
    const object = node.api.find(PODS, 'default', 'p');
    node.api.put(PODS, { ...object, metadata: { ...object?.metadata, labels: { a: '1', b: '2' } } });
    await node.until(async () => expect(await readFile(path, 'utf8')).toBe('a="1"\nb="2"'));
  });

  it('does not watch immutable objects; a running pod keeps its own, a new pod gets the recreated one', async () => {
    node.putConfigMap('fixed', { k: 'old' }, { immutable: true });
    const before = node.createPod('p', withVolume({ configMap: { name: 'fixed' } }));
    await phase('p', 'Running');
    await node.until(() => expect(node.kubelet.metrics().objectWatches).toBe(0));
    node.api.remove(CONFIG_MAPS, 'default', 'fixed');
    node.putConfigMap('fixed', { k: 'new' }, { immutable: true });
    const after = node.createPod('q', withVolume({ configMap: { name: 'fixed' } }));
    await phase('q', 'Running');
    expect(await readFile(file(after.metadata.uid, 'kubernetes.io~configmap/v/k'), 'utf8')).toBe('new');
    await node.clock.advance(61_000);
    expect(await readFile(file(before.metadata.uid, 'kubernetes.io~configmap/v/k'), 'utf8')).toBe('old');
  });

  it('never starts a pod on an older version than the API had when it was bound', async () => {
    node.putSecret('sec', { k: 'old' });
    const spec = { containers: [{ name: 'c', image: 'i', env: [{ name: 'K', valueFrom: { secretKeyRef: { name: 'sec', key: 'k' } } }] }] };
    node.createPod('a', spec);
    await phase('a', 'Running');
    // The watch is dead from now on, but nobody knows.
    node.api.endWatches();
    node.api.before = (request) => {
      if (request.path.includes('/secrets?')) throw new StatusError(500, 'InternalError', 'the watch is broken');
    };
    node.putSecret('sec', { k: 'new' });
    node.createPod('b', spec);
    await node.clock.advance(2000);
    await phase('b', 'Running');
    const env = node.runtime.find('c')?.config.env.find((variable) => variable.name === 'K');
    expect(Buffer.from(env?.value ?? []).toString()).toBe('new');
  });

  it('asks only for objects that its pods refer to, by name', async () => {
    node.putSecret('sec', { k: 'v' });
    node.createPod('p', { containers: [{ name: 'c', image: 'i', envFrom: [{ secretRef: { name: 'sec' } }] }] });
    await phase('p', 'Running');
    const paths = node.api.requests.map((request) => request.path).filter((path) => path.includes('secrets'));
    expect(paths.length).toBeGreaterThan(0);
    for (const path of paths) expect(path).toMatch(/secrets(\/sec$|\?.*fieldSelector=metadata\.name%3Dsec)/);
    node.deletePod('p', 1);
    await node.until(() => expect(node.hasPod('p')).toBe(false));
    await node.until(() => expect(node.kubelet.metrics()).toMatchObject({ pods: 0, objectWatches: 0 }));
    expect(node.api.find(SECRETS, 'default', 'sec')).toBeDefined();
  });
});

describe('directories of volumes', () => {
  const root = createMounter().canMount;
  const everyKind = {
    map: { configMap: { name: 'm' } },
    secret: { secret: { secretName: 's' } },
    projected: { projected: { sources: [{ configMap: { name: 'm' } }] } },
    about: { downwardAPI: { items: [{ path: 'name', fieldRef: { fieldPath: 'metadata.name' } }] } },
    empty: { emptyDir: {} },
  };

  /** Mode, group and whether it is in memory, of each volume of a pod. */
  async function shape(volumes: Record<string, object>, spec: object = {}): Promise<Record<string, string>> {
    node.putConfigMap('m', { k: 'v' });
    node.putSecret('s', { k: 'v' });
    const names = Object.keys(volumes);
    node.createPod('p', {
      ...spec,
      containers: [{ name: 'c', image: 'i', volumeMounts: names.map((name) => ({ name, mountPath: `/${name}` })) }],
      volumes: Object.entries(volumes).map(([name, source]) => ({ name, ...source })),
    });
    await phase('p', 'Running');
    const found: Record<string, string> = {};
    for (const name of names) {
      const path = node.runtime.find('c')?.config.mounts.find(({ containerPath }) => containerPath === `/${name}`)?.hostPath ?? '';
      const { mode, gid } = await stat(path);
      const where = (await createMounter().isMemoryBacked(path)) ? ' memory' : '';
      found[name] = `${(mode & 0o7777).toString(8)} ${gid === process.getgid?.() ? 'own' : gid}${where}`;
    }
    return found;
  }

  it('are open to everybody; those in memory are sticky, as a tmpfs is', async () => {
    expect(await shape(everyKind)).toMatchObject({
      map: expect.stringMatching(/^777 own/),
      secret: '1777 own memory',
      projected: '1777 own memory',
      about: '1777 own memory',
      empty: expect.stringMatching(/^777 own/),
    });
  });

  it.runIf(root)('belong to the group that the pod asks for', async () => {
    const volumes = { ...everyKind, memory: { emptyDir: { medium: 'Memory' } } };
    expect(await shape(volumes, { securityContext: { fsGroup: 2345 } })).toMatchObject({
      map: expect.stringMatching(/^2777 2345/),
      secret: '3777 2345 memory',
      projected: '3777 2345 memory',
      about: '3777 2345 memory',
      empty: expect.stringMatching(/^2777 2345/),
      memory: '3777 2345 memory',
    });
  });

  it.runIf(root)('hold what is allowed in memory: the least of what volume, pod and node allow', async () => {
    const container = (memory?: string) => ({
      name: 'c',
      image: 'i',
      volumeMounts: ['small', 'large', 'open'].map((name) => ({ name, mountPath: `/${name}` })),
      ...(memory === undefined ? {} : { resources: { limits: { memory } } }),
    });
    const volume = (name: string, sizeLimit?: string) => ({
      name,
      emptyDir: { medium: 'Memory', ...(sizeLimit === undefined ? {} : { sizeLimit }) },
    });
    const volumes = [volume('small', '1Mi'), volume('large', '1Gi'), volume('open')];
    const sizes = async (name: string, memory?: string) => {
      const { uid } = node.createPod(name, { containers: [container(memory)], volumes }).metadata;
      await phase(name, 'Running');
      const blocks = volumes.map(async (v) => statfs(join(node.rootDir, 'pods', uid, 'volumes/kubernetes.io~empty-dir', v.name)));
      return (await Promise.all(blocks)).map(({ blocks, bsize }) => (blocks * bsize) / 1024 / 1024);
    };
    expect(await sizes('limited', '64Mi')).toEqual([1, 64, 64]);
    const allocatable = recordOf(node.node()?.status).allocatable;
    const nodeBytes = Number(quantityValue(parseQuantity(String(recordOf(allocatable).memory))));
    expect(await sizes('open')).toEqual([1, 1024, nodeBytes / 1024 / 1024]);
  });
});

describe('recursively read-only mounts', () => {
  const mount = (mountPath: string, more: object) => ({ name: 'v', mountPath, readOnly: true, ...more });
  const create = (...mounts: object[]) =>
    node.createPod('p', {
      containers: [{ name: 'c', image: 'i', volumeMounts: mounts as V1VolumeMount[] }],
      volumes: [{ name: 'v', emptyDir: {} }],
    });
  const shown = () => node.pod('p').status.containerStatuses?.[0]?.volumeMounts?.map(({ recursiveReadOnly }) => recursiveReadOnly);

  it('are made and shown where the runtime can', async () => {
    create(
      mount('/all', { recursiveReadOnly: 'Enabled' }),
      mount('/may', { recursiveReadOnly: 'IfPossible' }),
      mount('/one', {}),
      mount('/none', { readOnly: false }),
    );
    await phase('p', 'Running');
    expect(shown()).toEqual(['Enabled', 'Enabled', 'Disabled', undefined]);
    const made = node.runtime.find('c')?.config.mounts.filter(({ containerPath }) => /^\/(all|may|one|none)$/.test(containerPath));
    expect(made?.map(({ recursiveReadOnly }) => recursiveReadOnly)).toEqual([true, true, false, false]);
    expect(node.node()?.status).toMatchObject({
      runtimeHandlers: [{ name: '', features: { recursiveReadOnlyMounts: true, userNamespaces: false } }],
      declaredFeatures: ['GuaranteedQoSPodCPUResize', 'InPlacePodLevelResourcesVerticalScaling', 'RestartAllContainersOnContainerExits'],
    });
  });

  it('keep a pod from starting where the runtime cannot, unless they need not be', async () => {
    node.runtime.handlers = [];
    await node.crash();
    await node.boot();
    create(mount('/may', { recursiveReadOnly: 'IfPossible' }), mount('/all', { recursiveReadOnly: 'Enabled' }));
    await node.until(() =>
      expect(node.pod('p').status.containerStatuses?.[0]?.state?.waiting).toEqual({
        reason: 'CreateContainerConfigError',
        message:
          'failed to resolve recursive read-only mode: volume "v" requested recursive read-only mode, but it is not supported by the runtime',
      }),
    );
    expect(shown()).toEqual(['Disabled', 'Disabled']);
  });
});

function recordOf(value: unknown): Readonly<Record<string, unknown>> {
  return isRecord(value) ? value : {};
}
