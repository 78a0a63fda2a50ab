import type { KubeObject } from '@coffer/api/meta/object';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { expect } from 'vitest';
import type { LocalBackend } from '../backend/backend.ts';
import { openMemoryBackend } from '../backend/memory.ts';
import { identityTransformer } from '../value/transformer.ts';
import { openStorage, type StorageOptions } from './storage.ts';
import type { ResourceStoreConfig, StoredObject, WatchSink } from './store.ts';

/** What the tests of this folder share: a storage in memory, objects, and a sink that notes what it is told. */
export const configMaps: ResourceStoreConfig = {
  prefix: 'configmaps',
  namespaced: true,
  apiVersion: 'v1',
  kind: 'ConfigMap',
  selectableFields: () => ({}),
};

export function configMap(namespace: string, name: string, data: Record<string, string> = {}, labels?: Record<string, string>): KubeObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name, namespace, uid: `uid-${name}`, ...(labels && { labels }) }, data };
}

export async function setup(options: Partial<StorageOptions> = {}) {
  const backend = (options.backend ?? openMemoryBackend()) as LocalBackend;
  const clock = new FakeClock();
  const storage = await openStorage({ clock, logger: silentLogger, transformerFor: () => identityTransformer, ...options, backend });
  return { backend, clock, storage, store: await storage.resource(configMaps) };
}

export function recorder() {
  const seen: string[] = [];
  const errors: Error[] = [];
  const sink: WatchSink = {
    events: (events) => seen.push(...events.map((event) => `${event.type} ${event.object.name}@${event.object.revision}`)),
    initialDone: (revision) => seen.push(`initial @${revision}`),
    progress: (revision) => seen.push(`progress @${revision}`),
    ended: (error) => errors.push(error),
  };
  return { seen, errors, sink };
}

export const json = (object: StoredObject, withHead = true) => JSON.parse(Buffer.from(object.toBytes(withHead)).toString()) as unknown;
export const write = (object: KubeObject) => ({ action: 'write', object }) as const;
export const withData = (current: StoredObject | undefined, data: Record<string, string>) => {
  if (current === undefined) throw new Error('the object is gone');
  return write({ ...current.decode(), data });
};
export async function settled(condition: () => boolean): Promise<void> {
  for (let i = 0; i < 1000 && !condition(); i++) await new Promise((resolve) => setImmediate(resolve));
  expect(condition()).toBe(true);
}
