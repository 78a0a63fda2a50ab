import type { KubeObject } from '@coffer/api/meta/object';
import { describe, expect, it } from 'vitest';
import type { Backend, LocalBackend } from '../backend/backend.ts';
import { openMemoryBackend } from '../backend/memory.ts';
import { StorageError } from '../errors.ts';
import type { StoredObject } from './store.ts';
import { configMap, json, recorder, settled, setup, withData, write } from './store-fixture.ts';

describe('ResourceStore.create', () => {
  it('keeps the object and answers with its revision put in', async () => {
    const { store, backend } = await setup();
    const created = await store.create({ ...configMap('ns', 'a', { k: 'ü' }, { app: 'x' }), immutable: true });
    expect(created).toMatchObject({
      namespace: 'ns',
      name: 'a',
      revision: 2,
      uid: 'uid-a',
      labels: { app: 'x' },
      key: '/registry/configmaps/ns/a',
    });
    expect(json(created)).toEqual({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { resourceVersion: '2', name: 'a', namespace: 'ns', uid: 'uid-a', labels: { app: 'x' } },
      data: { k: 'ü' },
      immutable: true,
    });
    expect(Object.keys(json(created, false) as object)).toEqual(['metadata', 'data', 'immutable']);
    expect(created.byteLength(true)).toBe(created.toBytes(true).length);
    expect(created.byteLength(false)).toBe(created.toBytes(false).length);
    expect(created.decode().metadata.resourceVersion).toBe('2');
    const stored = await backend.get('/registry/configmaps/ns/a');
    expect(Buffer.from(stored.kv?.value ?? []).toString()).toBe(
      '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"ns","uid":"uid-a","labels":{"app":"x"}},"data":{"k":"ü"},"immutable":true}',
    );
  });

  it('is in the cache when it is acknowledged', async () => {
    const { store } = await setup();
    const created = await store.create(configMap('ns', 'a'));
    expect(store.get('ns', 'a')).toBe(created);
    expect(store.revision).toBe(2);
    expect(store.count()).toBe(1);
    expect(store.count('ns')).toBe(1);
    expect(store.count('other')).toBe(0);
  });

  it('refuses an object that exists', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a'));
    await expect(store.create(configMap('ns', 'a'))).rejects.toMatchObject({ code: 'key-exists' });
    const both = await Promise.allSettled([store.create(configMap('ns', 'b')), store.create(configMap('ns', 'b'))]);
    expect(both.map((result) => result.status)).toEqual(['fulfilled', 'rejected']);
  });

  it('writes nothing in a dry run but checks', async () => {
    const { store } = await setup();
    const draft = await store.create(configMap('ns', 'a', { k: 'v' }), { dryRun: true });
    expect(draft.revision).toBe(0);
    expect(json(draft)).toEqual({
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { name: 'a', namespace: 'ns', uid: 'uid-a' },
      data: { k: 'v' },
    });
    expect(store.get('ns', 'a')).toBeUndefined();
    expect(store.revision).toBe(1);
    await store.create(configMap('ns', 'a'));
    await expect(store.create(configMap('ns', 'a'), { dryRun: true })).rejects.toMatchObject({ code: 'key-exists' });
  });

  it('keeps keys named like members of Object', async () => {
    const { store } = await setup();
    const text =
      '{"apiVersion":"v1","kind":"ConfigMap","metadata":{"namespace":"ns","name":"a","labels":{"__proto__":"l"}},"data":{"__proto__":"p","constructor":"c","toString":"t"}}';
    const created = await store.create(JSON.parse(text) as KubeObject);
    expect(JSON.stringify(created.decode().data)).toBe('{"__proto__":"p","constructor":"c","toString":"t"}');
    expect(JSON.stringify(created.labels)).toBe('{"__proto__":"l"}');
  });

  it('does not let a name leave its place', async () => {
    const { store } = await setup();
    await expect(store.create(configMap('ns', 'a/b'))).rejects.toThrow('not a place');
    await expect(store.create(configMap('', 'a'))).rejects.toThrow('not a place');
  });
});

describe('ResourceStore.guaranteedUpdate', () => {
  it('replaces the current version', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a', { k: '1' }));
    const { outcome, object } = await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { k: '2' }));
    expect(outcome).toBe('updated');
    expect(object.revision).toBe(3);
    expect(store.get('ns', 'a')?.peek().data).toEqual({ k: '2' });
  });

  const incremented = (current: StoredObject | undefined) =>
    withData(current, { n: String(Number((current?.decode().data as { n: string } | undefined)?.n) + 1) });

  it('retries with the fresh object when another writer wins', async () => {
    const { store, backend } = await setup();
    await store.create(configMap('ns', 'a', { n: '0' }));
    let seen = 0;
    const { object } = await store.guaranteedUpdate('ns', 'a', async (current) => {
      const other = '{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"a","namespace":"ns"},"data":{"n":"10"}}';
      if (seen++ === 0) await backend.update('/registry/configmaps/ns/a', Buffer.from(other), current?.revision ?? 0);
      return incremented(current);
    });
    expect(object.peek().data).toEqual({ n: '11' });
    expect(seen).toBe(2);
  });

  it('lets the writers of one object take turns, each on what the one before has made', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a', { n: '0' }));
    let calls = 0;
    const increment = async (current: StoredObject | undefined) => {
      calls++;
      await Promise.resolve();
      return incremented(current);
    };
    const results = await Promise.all(Array.from({ length: 10 }, () => store.guaranteedUpdate('ns', 'a', increment)));
    expect(results.map(({ object }) => [object.revision, object.peek().data])).toEqual(
      Array.from({ length: 10 }, (_, i) => [i + 3, { n: String(i + 1) }]),
    );
    expect(calls).toBe(10);
  });

  it('refuses nothing because of a state that was never committed', async () => {
    const memory = openMemoryBackend();
    let hold: Promise<void> | undefined;
    const backend: LocalBackend = new Proxy(memory, {
      get: (target, name: keyof LocalBackend) =>
        name === 'update' && hold !== undefined ? () => hold?.then(() => ({ ok: false, current: undefined })) : target[name]?.bind(target),
    });
    const { store } = await setup({ backend });
    await store.create(configMap('ns', 'a', { n: '0' }));
    const seen: unknown[] = [];
    let release = () => {};
    hold = new Promise((resolve) => {
      release = resolve;
    });
    let rounds = 0;
    const first = store.guaranteedUpdate('ns', 'a', (current) => {
      if (rounds++ > 0) throw new Error('given up');
      return incremented(current);
    });
    const second = store.guaranteedUpdate('ns', 'a', (current) => {
      seen.push(current?.peek().data);
      if (seen.length === 1) throw new Error('refused');
      return incremented(current);
    });
    await settled(() => seen.length === 1);
    hold = undefined;
    release();
    await expect(first).rejects.toThrow('given up');
    expect((await second).object.peek().data).toEqual({ n: '1' });
    expect(seen).toEqual([{ n: '1' }, { n: '0' }]);
  });

  it('writes nothing when nothing changes, whatever the order of keys', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a', { a: '1', b: '2' }));
    const same = await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { b: '2', a: '1' }));
    expect(same).toMatchObject({ outcome: 'unchanged', object: { revision: 2 } });
    const kept = await store.guaranteedUpdate('ns', 'a', () => ({ action: 'keep' }));
    expect(kept).toMatchObject({ outcome: 'unchanged', object: { revision: 2 } });
    expect(store.revision).toBe(2);
  });

  it('throws key-not-found, and creates when it may', async () => {
    const { store } = await setup();
    await expect(store.guaranteedUpdate('ns', 'a', () => ({ action: 'keep' }))).rejects.toMatchObject({ code: 'key-not-found' });
    const result = await store.guaranteedUpdate('ns', 'a', () => write(configMap('ns', 'a')), { mayCreate: true });
    expect(result).toMatchObject({ outcome: 'created', object: { revision: 2 } });
  });

  it('ends with what the change throws', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a'));
    const refuse = () => Promise.reject(new Error('immutable'));
    await expect(store.guaranteedUpdate('ns', 'a', refuse)).rejects.toThrow('immutable');
  });

  it('deletes, and shows the last state under the revision of the deletion', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a', { k: '1' }));
    const { seen, sink } = recorder();
    const lines: string[] = [];
    store.watch(
      { afterRevision: 2 },
      { ...sink, events: (events) => lines.push(...events.map((event) => Buffer.from(event.line()).toString())) },
    );
    const result = await store.guaranteedUpdate('ns', 'a', () => ({ action: 'delete', answer: configMap('ns', 'a', { k: 'answer' }) }));
    expect(result).toMatchObject({ outcome: 'deleted', object: { revision: 2 } });
    expect(result.object.peek().data).toEqual({ k: 'answer' });
    expect(lines).toEqual([
      '{"type":"DELETED","object":{"kind":"ConfigMap","apiVersion":"v1","metadata":{"resourceVersion":"3","name":"a","namespace":"ns","uid":"uid-a"},"data":{"k":"1"}}}\n',
    ]);
    expect(seen).toEqual([]);
    expect(store.get('ns', 'a')).toBeUndefined();
  });

  it('writes nothing in a dry run', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a', { k: '1' }));
    const updated = await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { k: '2' }), { dryRun: true });
    expect(updated).toMatchObject({ outcome: 'updated', object: { revision: 2 } });
    const deleted = await store.guaranteedUpdate('ns', 'a', () => ({ action: 'delete' }), { dryRun: true });
    expect(deleted).toMatchObject({ outcome: 'deleted', object: { revision: 2 } });
    expect(store.get('ns', 'a')?.peek().data).toEqual({ k: '1' });
  });

  it('fails without a trace when the backend refuses', async () => {
    const memory = openMemoryBackend();
    let refuse = false;
    const refused = () => Promise.reject(new StorageError('unavailable', 'the store cannot be written: no space left on the device'));
    const backend: LocalBackend = Object.assign(Object.create(memory) as LocalBackend, {
      create: (...args: Parameters<Backend['create']>) => (refuse ? refused() : memory.create(...args)),
      get: (key: string) => memory.get(key),
      list: (...args: Parameters<Backend['list']>) => memory.list(...args),
      currentRevision: () => memory.currentRevision(),
      compactedRevision: () => memory.compactedRevision(),
      historyBytes: () => 0,
      subscribe: (...args: Parameters<LocalBackend['subscribe']>) => memory.subscribe(...args),
    });
    const { store } = await setup({ backend });
    refuse = true;
    await expect(store.create(configMap('ns', 'a'))).rejects.toMatchObject({ code: 'unavailable' });
    expect(store.get('ns', 'a')).toBeUndefined();
    refuse = false;
    await store.create(configMap('ns', 'a'));
    expect(store.get('ns', 'a')?.revision).toBe(2);
  });
});

describe('ResourceStore.list', () => {
  async function filled() {
    const all = await setup();
    for (const [namespace, name] of [
      ['b', 'x'],
      ['a', 'y'],
      ['a', 'x'],
      ['a-b', 'x'],
      ['c', 'x'],
    ] as const) {
      await all.store.create(configMap(namespace, name, {}, { app: name }));
    }
    return all;
  }
  const paths = (items: readonly StoredObject[]) => items.map((item) => `${item.namespace}/${item.name}`);

  it('lists in key order, all or one namespace', async () => {
    const { store } = await filled();
    expect(paths((await store.list({})).items)).toEqual(['a-b/x', 'a/x', 'a/y', 'b/x', 'c/x']);
    expect(paths((await store.list({ namespace: 'a' })).items)).toEqual(['a/x', 'a/y']);
    expect((await store.list({})).revision).toBe(6);
  });

  it('selects by predicate and by name', async () => {
    const { store } = await filled();
    expect(paths((await store.list({ matches: (object) => object.labels.app === 'y' })).items)).toEqual(['a/y']);
    expect(paths((await store.list({ name: 'x' })).items)).toEqual(['a-b/x', 'a/x', 'b/x', 'c/x']);
    expect(paths((await store.list({ namespace: 'a', name: 'y' })).items)).toEqual(['a/y']);
    expect(paths((await store.list({ namespace: 'a', name: 'none' })).items)).toEqual([]);
  });

  it('pages at a pinned revision while others write', async () => {
    const { store } = await filled();
    const first = await store.list({ limit: 2 });
    expect(paths(first.items)).toEqual(['a-b/x', 'a/x']);
    expect(first).toMatchObject({ continueAfter: 'a/x', remaining: 3, revision: 6 });
    await store.create(configMap('a', 'xx'));
    await store.guaranteedUpdate('b', 'x', () => ({ action: 'delete' }));
    await store.guaranteedUpdate('c', 'x', (current) => withData(current, { changed: 'yes' }));
    const second = await store.list({ limit: 2, atRevision: 6, afterKey: 'a/x' });
    expect(paths(second.items)).toEqual(['a/y', 'b/x']);
    expect(second).toMatchObject({ continueAfter: 'b/x', remaining: 1, revision: 6 });
    const third = await store.list({ limit: 2, atRevision: 6, afterKey: 'b/x' });
    expect(third.items.map((item) => [item.name, item.revision])).toEqual([['x', 6]]);
    expect(third).toMatchObject({ continueAfter: undefined, remaining: undefined });
    expect(paths((await store.list({})).items)).toEqual(['a-b/x', 'a/x', 'a/xx', 'a/y', 'c/x']);
  });

  it('does not say how many remain behind a selection', async () => {
    const { store } = await filled();
    expect(await store.list({ limit: 1, matches: () => true })).toMatchObject({ continueAfter: 'a-b/x', remaining: undefined });
  });

  it('refuses a compacted and a future revision', async () => {
    const { store, storage } = await filled();
    await storage.compact(4);
    expect(() => store.list({ atRevision: 3 })).toThrow(expect.objectContaining({ code: 'compacted', revision: 4 }) as Error);
    expect(() => store.list({ atRevision: 99 })).toThrow(expect.objectContaining({ code: 'future-revision' }) as Error);
    expect(paths((await store.list({ atRevision: 4 })).items)).toEqual(['a/x', 'a/y', 'b/x']);
  });

  it('asks the backend for revisions that memory has dropped', async () => {
    const { store } = await setup({ memoryHistoryMaxBytes: 2000 });
    for (let i = 0; i < 5; i++) await store.create(configMap('ns', `a${i}`));
    const pinned = store.revision;
    for (let i = 0; i < 20; i++) await store.guaranteedUpdate('ns', 'a1', (current) => withData(current, { i: String(i) }));
    const page = await store.list({ namespace: 'ns', atRevision: pinned, limit: 2, afterKey: 'ns/a0' });
    expect(page.items.map((item) => [item.name, item.revision])).toEqual([
      ['a1', 3],
      ['a2', 4],
    ]);
    expect(page).toMatchObject({ continueAfter: 'ns/a2', remaining: 2, revision: pinned });
  });
});
