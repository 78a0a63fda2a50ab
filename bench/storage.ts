import type { KubeObject } from '@coffer/api/meta/object';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { openLmdbBackend } from '@coffer/storage/backend/lmdb';
import { openStorage } from '@coffer/storage/store/storage';
import type { ResourceStoreConfig } from '@coffer/storage/store/store';
import { identityTransformer } from '@coffer/storage/value/transformer';

/** Figures of the storage layer alone, on a real disk. Run by `storage.mjs`, the second half in a fresh process. */
const objects = 100_000;
const config: ResourceStoreConfig = {
  prefix: 'configmaps',
  namespaced: true,
  apiVersion: 'v1',
  kind: 'ConfigMap',
  selectableFields: () => ({}),
};
const filler = 'x'.repeat(900);

function configMap(name: string, version = 0): KubeObject {
  const managedFields = [
    {
      manager: 'bench',
      operation: 'Update',
      apiVersion: 'v1',
      time: '2026-01-01T00:00:00Z',
      fieldsType: 'FieldsV1',
      fieldsV1: { 'f:data': { '.': {}, 'f:k': {} } },
    },
  ];
  const metadata = {
    name,
    namespace: 'bench',
    uid: '7a1c7b0e-1111-4222-8333-0123456789ab',
    creationTimestamp: '2026-01-01T00:00:00Z',
    labels: { app: 'bench' },
    managedFields,
  };
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: metadata as unknown as KubeObject['metadata'],
    data: { k: filler, v: String(version) },
  };
}

async function open(directory: string) {
  const backend = await openLmdbBackend({ directory });
  const storage = await openStorage({ backend, clock: systemClock, logger: silentLogger, transformerFor: () => identityTransformer });
  return { backend, storage, store: await storage.resource(config) };
}

/** Runs `total` calls of `task` with `writers` at a time; answers how many were done per second. */
async function rate(total: number, writers: number, task: (i: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const start = performance.now();
  await Promise.all(
    Array.from({ length: writers }, async () => {
      while (next < total) await task(next++);
    }),
  );
  return Math.round((total / (performance.now() - start)) * 1000);
}

function timed(runs: number, task: () => void): string {
  const times: number[] = [];
  for (let i = 0; i < runs; i++) {
    const start = performance.now();
    task();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  return `${((times[runs >> 1] ?? 0) * 1000).toFixed(0)} µs`;
}

const print = (what: string, figure: string | number) => console.log(`${what.padEnd(56)} ${figure}`);

async function measureWrites(directory: string): Promise<void> {
  const { backend, storage, store } = await open(directory);
  print('durable creates/s of 1.3 KB, 1 writer', await rate(1_000, 1, (i) => store.create(configMap(`one-${i}`))));
  print(
    'list 500 of 1 k objects',
    timed(200, () => void store.list({ limit: 500 })),
  );
  print('durable creates/s of 1.3 KB, 64 writers', await rate(objects, 64, (i) => store.create(configMap(`cm-${i}`))));
  const update = (i: number) => store.guaranteedUpdate('bench', `cm-${i}`, () => ({ action: 'write', object: configMap(`cm-${i}`, 1) }));
  print('durable updates/s, 64 writers', await rate(20_000, 64, update));
  print(
    'get',
    timed(1000, () => void store.get('bench', 'cm-777')),
  );
  print(
    'list 500 of 101 k objects',
    timed(200, () => void store.list({ limit: 500 })),
  );
  const atRevision = storage.revision - 5_000;
  print(
    'list 500 at an older revision',
    timed(50, () => void store.list({ limit: 500, atRevision, afterKey: 'bench/cm-5' })),
  );
  print('store file', `${Math.round((await backend.sizeBytes()) / 1e6)} MB`);
  await storage.close();
}

async function measureLoad(directory: string, long: boolean): Promise<void> {
  const before = performance.now();
  const { backend, storage, store } = await open(directory);
  print(`open and load ${store.count()} objects`, `${Math.round(performance.now() - before)} ms`);
  (globalThis as { gc?: () => void }).gc?.();
  const { rss, heapUsed, arrayBuffers } = process.memoryUsage();
  print(
    'resident memory with them',
    `${Math.round(rss / 1e6)} MB (heap ${Math.round(heapUsed / 1e6)}, buffers ${Math.round(arrayBuffers / 1e6)})`,
  );
  if (long) {
    await store.create(configMap('hot'));
    let largest = 0;
    const updates = await rate(1_000_000, 16, async (i) => {
      await store.guaranteedUpdate('bench', 'hot', () => ({ action: 'write', object: configMap('hot', i) }));
      if (i % 1000 === 0) largest = Math.max(largest, await backend.sizeBytes());
    });
    print('updates/s of one object, a million in all', updates);
    print('largest store file meanwhile', `${Math.round(largest / 1e6)} MB`);
  }
  await storage.close();
}

const [mode, directory = ''] = process.argv.slice(2);
if (mode === 'write') await measureWrites(directory);
else await measureLoad(directory, process.argv.includes('--long'));
