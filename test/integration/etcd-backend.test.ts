import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import type { Backend } from '@coffer/storage/backend/backend';
import { describeBackend } from '@coffer/storage/backend/backend-contract';
import { openEtcdBackend } from '@coffer/storage/backend/etcd';
import { openStorage } from '@coffer/storage/store/storage';
import { configMap, configMaps, recorder, withData } from '@coffer/storage/store/store-fixture';
import { identityTransformer } from '@coffer/storage/value/transformer';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { freePort } from '../support/coffer-process.ts';
import { EtcdProcess, etcdProgram } from '../support/etcd-process.ts';

if (etcdProgram === undefined) console.log('skipped: the etcd backend against a real etcd (no etcd on this machine; Debian: etcd-server)');

describe.skipIf(etcdProgram === undefined)('etcd', () => {
  let etcd: EtcdProcess;
  let endpoint: string;

  beforeAll(async () => {
    etcd = await EtcdProcess.start();
    endpoint = etcd.endpoint;
  });

  afterAll(() => etcd.dispose());

  describeBackend('etcd', async () => {
    let backend: Backend = await openEtcdBackend({ endpoints: [endpoint] });
    return {
      backend,
      async reopen() {
        await backend.close();
        backend = await openEtcdBackend({ endpoints: [endpoint] });
        return backend;
      },
      dispose: () => backend.close(),
    };
  });

  it('has one winner when several servers compact', async () => {
    const servers = await Promise.all([1, 2, 3].map(() => openEtcdBackend({ endpoints: [endpoint] })));
    const [first] = servers;
    const written = await first?.create(`/registry/compact/${Date.now()}`, Buffer.from('x'));
    const revision = written?.ok ? written.revision : 0;
    await Promise.all(servers.map((server) => server.compact(revision)));
    expect(await Promise.all(servers.map((server) => server.compactedRevision()))).toEqual([revision, revision, revision]);
    // One more write than ours: the mark was moved once.
    expect(await first?.currentRevision()).toBe(revision + 1);
    await Promise.all(servers.map((server) => server.close()));
  });

  it('goes to another endpoint when one is down', async () => {
    const dead = `http://127.0.0.1:${await freePort()}`;
    const backend = await openEtcdBackend({ endpoints: [dead, endpoint] });
    expect(await backend.create(`/registry/failover/${Date.now()}`, Buffer.from('x'))).toMatchObject({ ok: true });
    await backend.close();
  });

  it('says that nothing can be reached', async () => {
    const dead = `http://127.0.0.1:${await freePort()}`;
    await expect(openEtcdBackend({ endpoints: [dead] })).rejects.toMatchObject({ code: 'unavailable' });
  });

  it("carries several servers that see each other's writes", async () => {
    const open = async () => {
      const backend = await openEtcdBackend({ endpoints: [endpoint] });
      const storage = await openStorage({ backend, clock: systemClock, logger: silentLogger, transformerFor: () => identityTransformer });
      return { storage, store: await storage.resource(configMaps) };
    };
    const [one, two] = await Promise.all([open(), open()]);
    const created = await one.store.create(configMap('ns', 'a', { n: '0' }));
    expect(one.store.get('ns', 'a')).toBe(created);
    await two.store.whenFresh('latest');
    expect(two.store.get('ns', 'a')?.revision).toBe(created.revision);
    const { seen, sink } = recorder();
    two.store.watch({ afterRevision: created.revision }, sink);
    const increment = (store: typeof one.store) =>
      store.guaranteedUpdate('ns', 'a', (current) =>
        withData(current, { n: String(Number((current?.peek().data as { n: string } | undefined)?.n) + 1) }),
      );
    await Promise.all(Array.from({ length: 20 }, (_, i) => increment(i % 2 === 0 ? one.store : two.store)));
    await one.store.whenFresh('latest');
    expect(one.store.get('ns', 'a')?.peek().data).toEqual({ n: '20' });
    await two.store.guaranteedUpdate('ns', 'a', () => ({ action: 'delete' }));
    await expect(one.store.guaranteedUpdate('ns', 'a', () => ({ action: 'keep' }))).rejects.toMatchObject({ code: 'key-not-found' });
    expect((await one.store.create(configMap('ns', 'a'))).revision).toBeGreaterThan(created.revision);
    await two.store.whenFresh('latest');
    expect(seen.filter((line) => line.startsWith('MODIFIED'))).toHaveLength(20);
    await Promise.all([one.storage.close(), two.storage.close()]);
  });

  it('goes on with a watch where it was when the server has been away', async () => {
    const backend = await openEtcdBackend({ endpoints: [endpoint] });
    const prefix = `/registry/restart-${Date.now()}/`;
    const before = await backend.create(`${prefix}a`, Buffer.from('1'));
    const controller = new AbortController();
    const keys: string[] = [];
    const watching = (async () => {
      for await (const batch of backend.watch(prefix, before.ok ? before.revision - 1 : 0, controller.signal)) {
        keys.push(...batch.events.map((event) => event.kv.key.slice(prefix.length)));
        if (keys.includes('b')) return;
      }
    })();
    await etcd.kill();
    await expect(backend.create(`${prefix}lost`, Buffer.from('1'))).rejects.toMatchObject({
      code: expect.stringMatching(/unavailable|uncertain/) as string,
    });
    await etcd.start();
    const again = await openEtcdBackend({ endpoints: [endpoint] });
    await again.create(`${prefix}b`, Buffer.from('1'));
    await watching;
    expect(keys.filter((key) => key !== 'lost')).toEqual(['a', 'b']);
    controller.abort();
    await Promise.all([backend.close(), again.close()]);
  });
});
