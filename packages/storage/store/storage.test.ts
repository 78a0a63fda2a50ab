import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { openMemoryBackend } from '../backend/memory.ts';
import { UnreadableError } from '../errors.ts';
import { identityTransformer, type Transformer } from '../value/transformer.ts';
import { openStorage } from './storage.ts';
import type { ResourceStore, StoredObject } from './store.ts';
import { configMap, configMaps, json, recorder, setup, withData, write } from './store-fixture.ts';

describe('values of other writers', () => {
  it('reads JSON in any order of keys, with a resourceVersion or a final newline', async () => {
    const backend = openMemoryBackend();
    const text =
      '{"data":{"k":"v"},"metadata":{"resourceVersion":"77","namespace":"ns","name":"a"},"apiVersion":"v1","kind":"ConfigMap"}\n';
    await backend.create('/registry/configmaps/ns/a', Buffer.from(text));
    const { store } = await setup({ backend });
    const object = store.get('ns', 'a');
    expect(object === undefined ? undefined : Buffer.from(object.toBytes(true)).toString()).toBe(
      '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"2","namespace":"ns","name":"a"},"data":{"k":"v"}}',
    );
  });

  it('sees what another process writes to the backend', async () => {
    const { store, backend } = await setup();
    const { seen, sink } = recorder();
    store.watch({ afterRevision: 1 }, sink);
    await backend.create(
      '/registry/configmaps/ns/a',
      Buffer.from('{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"ns"}}'),
    );
    expect(seen).toEqual(['ADDED a@2']);
    expect(json(store.get('ns', 'a') as StoredObject)).toEqual({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { resourceVersion: '2', name: 'a', namespace: 'ns' },
    });
  });
});

describe('values that cannot be read', () => {
  async function damaged() {
    const backend = openMemoryBackend();
    await backend.create('/registry/configmaps/bad/a', Buffer.from('{"secret":"hunter2'));
    await backend.create('/registry/configmaps/bad/b', Buffer.from('[]'));
    await backend.create('/registry/configmaps/good/c', Buffer.from('{"metadata":{"namespace":"good","name":"c"}}'));
    return setup({ backend });
  }

  it('fail the reads that cover them, and only those', async () => {
    const { store } = await damaged();
    expect(() => store.get('bad', 'a')).toThrow(UnreadableError);
    expect(() => store.list({})).toThrow(
      expect.objectContaining({
        damaged: [
          { key: '/registry/configmaps/bad/a', message: expect.any(String) as string },
          { key: '/registry/configmaps/bad/b', message: expect.any(String) as string },
        ],
      }) as Error,
    );
    expect(() => store.watch({ afterRevision: 4, namespace: 'bad' }, recorder().sink)).toThrow(UnreadableError);
    expect((await store.list({ namespace: 'good' })).items).toHaveLength(1);
    await store.create(configMap('bad', 'new'));
    expect(store.get('bad', 'new')?.name).toBe('new');
    await expect(store.create(configMap('bad', 'a'))).rejects.toMatchObject({ code: 'key-exists' });
    await expect(store.guaranteedUpdate('bad', 'a', () => ({ action: 'keep' }))).rejects.toMatchObject({ code: 'unreadable' });
  });

  it('include those that were moved to another key', async () => {
    const backend = openMemoryBackend();
    await backend.create('/registry/configmaps/ns/a', Buffer.from('{"metadata":{"namespace":"ns","name":"b"}}'));
    await backend.create('/registry/configmaps/ns/b', Buffer.from('{"metadata":{"namespace":"other","name":"b"}}'));
    const { store } = await setup({ backend });
    for (const name of ['a', 'b']) expect(() => store.get('ns', name)).toThrow('another name or namespace than its key');
  });

  it('include protobuf, unless it can be decoded', async () => {
    const backend = openMemoryBackend();
    await backend.create('/registry/configmaps/ns/a', Buffer.from('k8s\u0000...'));
    const { store } = await setup({ backend });
    expect(() => store.get('ns', 'a')).toThrow('stored as protobuf');
    const decoding = await setup({ backend, decodeProtobuf: () => configMap('ns', 'a', { k: 'v' }) });
    expect(json(decoding.store.get('ns', 'a') as StoredObject)).toMatchObject({ kind: 'ConfigMap', data: { k: 'v' } });
  });

  it('are not quoted in errors', async () => {
    const { store } = await damaged();
    try {
      store.get('bad', 'a');
    } catch (error) {
      expect(JSON.stringify(error) + String(error) + String((error as Error).cause)).not.toContain('hunter2');
    }
  });

  it('can be deleted without being read', async () => {
    const { store } = await damaged();
    await store.deleteUnreadable('bad', 'a');
    await store.deleteUnreadable('bad', 'b');
    expect((await store.list({})).items).toHaveLength(1);
    await expect(store.deleteUnreadable('good', 'c')).rejects.toMatchObject({ code: 'precondition-failed' });
    await expect(store.deleteUnreadable('bad', 'a')).rejects.toMatchObject({ code: 'key-not-found' });
  });

  it('are read again when the key is back', async () => {
    let keyThere = false;
    const transformer: Transformer = {
      fromStorage: (stored) => {
        if (!keyThere) throw new Error('no key');
        return { plain: stored, stale: false };
      },
      toStorage: (plain) => plain,
    };
    const backend = openMemoryBackend();
    await backend.create('/registry/configmaps/ns/a', Buffer.from('{"metadata":{"namespace":"ns","name":"a"}}'));
    const { store, storage } = await setup({ backend, transformerFor: () => transformer });
    expect(() => store.get('ns', 'a')).toThrow('no key');
    expect(await storage.retryUnreadable()).toBe(1);
    keyThere = true;
    expect(await storage.retryUnreadable()).toBe(0);
    expect(store.get('ns', 'a')?.name).toBe('a');
  });
});

describe('transformers', () => {
  const reversed = (bytes: Uint8Array) => Uint8Array.from(bytes).reverse();

  for (const mode of ['synchronous', 'asynchronous'] as const) {
    it(`hold for what is stored and not for what is served (${mode})`, async () => {
      const later = <T>(value: T): T | Promise<T> =>
        mode === 'synchronous' ? value : new Promise((resolve) => setImmediate(() => resolve(value)));
      const transformer: Transformer = {
        fromStorage: (stored) => later({ plain: reversed(stored), stale: false }) as ReturnType<Transformer['fromStorage']>,
        toStorage: (plain) => later(reversed(plain)),
      };
      const { store, backend } = await setup({ transformerFor: () => transformer });
      const { seen, sink } = recorder();
      store.watch({ afterRevision: 1 }, sink);
      await store.create(configMap('ns', 'a', { k: 'v' }));
      await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { k: 'w' }));
      const foreign = (name: string) => reversed(Buffer.from(`{"metadata":{"namespace":"ns","name":"${name}"}}`));
      await backend.create('/registry/configmaps/ns/b', foreign('b'));
      await backend.create('/registry/configmaps/ns/c', foreign('c'));
      await store.create(configMap('ns', 'd'));
      expect(seen).toEqual(['ADDED a@2', 'MODIFIED a@3', 'ADDED b@4', 'ADDED c@5', 'ADDED d@6']);
      expect(
        Buffer.from((await backend.get('/registry/configmaps/ns/a')).kv?.value ?? [])
          .toString('latin1')
          .startsWith('}'),
      ).toBe(true);
      const again = await openStorage({ backend, clock: new FakeClock(), logger: silentLogger, transformerFor: () => transformer });
      expect((await (await again.resource(configMaps)).list({})).items.map((item) => item.name)).toEqual(['a', 'b', 'c', 'd']);
    });
  }

  it('let a write through that changes nothing but the key it is encrypted with', async () => {
    const state = { key: 'old' };
    const transformer: Transformer = {
      get writeId() {
        return state.key;
      },
      fromStorage: (stored) => ({ plain: stored, stale: false }),
      toStorage: (plain) => plain,
    };
    const { store } = await setup({ transformerFor: () => transformer });
    const created = await store.create(configMap('ns', 'a'));
    expect(created.stale).toBe(false);
    state.key = 'new';
    expect(store.get('ns', 'a')?.stale).toBe(true);
    const rewrite = () => store.guaranteedUpdate('ns', 'a', (current) => write((current as StoredObject).decode()));
    expect(await rewrite()).toMatchObject({ outcome: 'updated', object: { stale: false, revision: 3 } });
    expect(await rewrite()).toMatchObject({ outcome: 'unchanged' });
  });
});

describe('Storage', () => {
  it('keeps resources apart, also when one prefix contains a slash', async () => {
    const { storage, store } = await setup();
    const other = await storage.resource({ ...configMaps, prefix: 'stable.example.com/configmaps', apiVersion: 'stable.example.com/v1' });
    const cluster: ResourceStore = await storage.resource({ ...configMaps, prefix: 'namespaces', namespaced: false, kind: 'Namespace' });
    await other.create(configMap('ns', 'a'));
    await cluster.create({ apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'ns' } });
    expect([store.count(), other.count(), cluster.count()]).toEqual([0, 1, 1]);
    expect(cluster.get('', 'ns')?.key).toBe('/registry/namespaces/ns');
    await expect(storage.resource(configMaps)).rejects.toThrow('open already');
    storage.release('namespaces');
    expect(() => cluster.get('', 'ns')).toThrow('no longer served');
  });

  it('loads a resource while others write to it', async () => {
    const backend = openMemoryBackend();
    for (let i = 0; i < 2500; i++)
      await backend.create(`/registry/configmaps/ns/a${i}`, Buffer.from(`{"metadata":{"namespace":"ns","name":"a${i}"}}`));
    const storage = await openStorage({ backend, clock: new FakeClock(), logger: silentLogger, transformerFor: () => identityTransformer });
    const loading = storage.resource(configMaps);
    await backend.create('/registry/configmaps/ns/late', Buffer.from('{"metadata":{"namespace":"ns","name":"late"}}'));
    await backend.delete('/registry/configmaps/ns/a2400', 2402);
    const store = await loading;
    expect(store.count()).toBe(2500);
    expect(store.get('ns', 'late')?.revision).toBe(2502);
    expect(store.get('ns', 'a2400')).toBeUndefined();
  });

  it('compacts what is older than the retention', async () => {
    const { storage, store, clock } = await setup({ historyRetentionMs: 60_000 });
    await store.create(configMap('ns', 'a'));
    await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { k: '1' }));
    await clock.advance(30_000);
    await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { k: '2' }));
    await clock.advance(40_000);
    expect(storage.compactedRevision).toBe(3);
    await clock.advance(60_000);
    expect(storage.compactedRevision).toBe(4);
  });

  it('compacts earlier when the history grows too large', async () => {
    const { storage, store, backend } = await setup({ historyMaxBytes: 100_000 });
    await store.create(configMap('ns', 'a'));
    for (let i = 0; i < 200; i++) {
      await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { k: String(i).padEnd(1000, 'x') }));
      expect(backend.historyBytes()).toBeLessThan(105_000);
    }
    expect(storage.compactedRevision).toBeGreaterThan(100);
    expect((await storage.stats()).resources).toEqual([{ prefix: 'configmaps', objects: 1, unreadable: 0, watches: 0 }]);
  });
});
