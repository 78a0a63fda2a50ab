import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { StatusError } from '@coffer/api/errors/status-error';
import { CONFIG_MAPS, PODS, SECRETS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';

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
