import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { AppsV1Api, CoreV1Api, KubeConfig, makeInformer, type V1ConfigMap, Watch } from '@kubernetes/client-node';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { CofferProcess, eventually, freePort } from '../support/coffer-process.ts';

/** The JavaScript client: typed calls, a watch and an informer that lives through a crash and restart of the server. */
// The client's HTTP library is written for newer versions of Node and misses these in version 20.
vi.hoisted(() => {
  const zlib = process.getBuiltinModule('node:zlib') as { createZstdDecompress?: () => never };
  zlib.createZstdDecompress ??= () => {
    throw new Error('no Zstandard in this version of Node');
  };
  const threads = process.getBuiltinModule('node:worker_threads') as { markAsUncloneable?: () => void };
  threads.markAsUncloneable ??= () => {};
  const promises = Promise as { withResolvers?: () => unknown };
  promises.withResolvers ??= () => {
    let settle: object = {};
    const promise = new Promise((resolve, reject) => {
      settle = { resolve, reject };
    });
    return { promise, ...settle };
  };
});

let coffer: CofferProcess;
let config: KubeConfig;
let core: CoreV1Api;
const namespace = 'default';

beforeAll(async () => {
  coffer = await CofferProcess.start({ port: await freePort(), args: ['--runtime', 'none'] });
  config = new KubeConfig();
  await eventually('the kubeconfig', () => existsSync(coffer.kubeconfig));
  config.loadFromFile(coffer.kubeconfig);
  core = config.makeApiClient(CoreV1Api);
});
afterAll(async () => {
  await coffer?.dispose();
  await rm(coffer.dataDir, { recursive: true, force: true });
});

function configMap(name: string, value: string): V1ConfigMap {
  return { metadata: { name, labels: { suite: 'client-node' } }, data: { value } };
}

describe('@kubernetes/client-node', () => {
  it('creates, reads, replaces, patches, lists and deletes', async () => {
    const created = await core.createNamespacedConfigMap({ namespace, body: configMap('typed', 'one') });
    expect(created.metadata?.creationTimestamp).toBeInstanceOf(Date);
    const read = await core.readNamespacedConfigMap({ namespace, name: 'typed' });
    expect(read.data).toEqual({ value: 'one' });
    const replaced = await core.replaceNamespacedConfigMap({ namespace, name: 'typed', body: { ...read, data: { value: 'two' } } });
    expect(replaced.data).toEqual({ value: 'two' });
    await expect(core.replaceNamespacedConfigMap({ namespace, name: 'typed', body: read })).rejects.toMatchObject({ code: 409 });
    const patched = await core.patchNamespacedConfigMap({
      namespace,
      name: 'typed',
      body: [{ op: 'replace', path: '/data/value', value: 'three' }],
    });
    expect(patched.data).toEqual({ value: 'three' });
    const list = await core.listNamespacedConfigMap({ namespace, labelSelector: 'suite=client-node', limit: 10 });
    expect(list.items.map((item) => item.metadata?.name)).toEqual(['typed']);
    await core.deleteNamespacedConfigMap({ namespace, name: 'typed' });
    await expect(core.readNamespacedConfigMap({ namespace, name: 'typed' })).rejects.toMatchObject({ code: 404 });
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 's' }, stringData: { a: 'b' } } });
    expect((await core.readNamespacedSecret({ namespace, name: 's' })).data).toEqual({ a: 'Yg==' });
    expect((await config.makeApiClient(AppsV1Api).listDeploymentForAllNamespaces()).items).toEqual([]);
  });

  it('watches', async () => {
    const events: string[] = [];
    const watch = await new Watch(config).watch(
      `/api/v1/namespaces/${namespace}/configmaps`,
      { labelSelector: 'suite=client-node' },
      (type: string, object: V1ConfigMap) => events.push(`${type} ${object.data?.value}`),
      () => {},
    );
    await core.createNamespacedConfigMap({ namespace, body: configMap('watched', 'one') });
    await core.replaceNamespacedConfigMap({ namespace, name: 'watched', body: configMap('watched', 'two') });
    await core.deleteNamespacedConfigMap({ namespace, name: 'watched' });
    await eventually('three events', () => events.length === 3);
    expect(events).toEqual(['ADDED one', 'MODIFIED two', 'DELETED two']);
    watch.abort();
  });

  it('keeps an informer right across kill and restart', async () => {
    for (let i = 0; i < 20; i++) await core.createNamespacedConfigMap({ namespace, body: configMap(`informed-${i}`, '0') });
    const informer = makeInformer<V1ConfigMap>(
      config,
      `/api/v1/namespaces/${namespace}/configmaps`,
      () => core.listNamespacedConfigMap({ namespace, labelSelector: 'suite=client-node' }),
      'suite=client-node',
    );
    // As the client's documentation says: an informer that met an error is started again by its user.
    informer.on('error', () => setTimeout(() => informer.start().catch(() => {}), 200));
    await informer.start();
    const cached = (): string[] =>
      informer
        .list(namespace)
        .map((item) => `${item.metadata?.name}=${item.data?.value}`)
        .sort();
    expect(cached()).toHaveLength(20);
    for (let round = 1; round <= 3; round++) {
      await core.replaceNamespacedConfigMap({
        namespace,
        name: `informed-${round}`,
        body: configMap(`informed-${round}`, `before-${round}`),
      });
      await coffer.stop('SIGKILL');
      coffer = await CofferProcess.start({ port: coffer.port, dataDir: coffer.dataDir, args: ['--runtime', 'none'] });
      await eventually('a call after the restart', () =>
        core.deleteNamespacedConfigMap({ namespace, name: `informed-${round + 10}` }).then(
          () => true,
          (error: { code?: number }) => error.code === 404,
        ),
      );
      await core.createNamespacedConfigMap({ namespace, body: configMap(`after-${round}`, `${round}`) });
      const { items } = await core.listNamespacedConfigMap({ namespace, labelSelector: 'suite=client-node' });
      const real = items.map((item) => `${item.metadata?.name}=${item.data?.value}`).sort();
      expect(real).toContain(`informed-${round}=before-${round}`);
      await eventually(`the same objects in round ${round}`, () => JSON.stringify(cached()) === JSON.stringify(real));
    }
    await informer.stop();
  });
});
