import { StatusError } from '@coffer/api/errors/status-error';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { CONFIG_MAPS, NODES, PODS, SECRETS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runGarbageCollector } from './garbage-collector.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
});

afterEach(() => cluster.stop());

async function start(): Promise<void> {
  cluster.run('generic-garbage-collector', runGarbageCollector);
  await cluster.settle();
}

interface Owner {
  readonly ref: ResourceRef;
  readonly name: string;
  readonly block?: boolean;
  readonly uid?: string;
}

function put(ref: ResourceRef, name: string, owners: readonly Owner[] = [], extra: object = {}): void {
  const ownerReferences = owners.map((owner) => ({
    apiVersion: owner.ref.group === '' ? 'v1' : `${owner.ref.group}/v1`,
    kind: owner.ref.kind,
    name: owner.name,
    uid: owner.uid ?? `u-${owner.name}`,
    ...(owner.block ? { blockOwnerDeletion: true } : {}),
  }));
  cluster.api.put(ref, {
    metadata: {
      name,
      uid: `u-${name}`,
      ...(ref.namespaced ? { namespace: 'default' } : {}),
      ...(owners.length > 0 ? { ownerReferences } : {}),
      ...extra,
    },
  });
}

function remove(ref: ResourceRef, name: string, propagationPolicy: string): Promise<unknown> {
  return cluster.deps('tester').api.resource(ref).delete(name, { namespace: 'default', body: { propagationPolicy } });
}

const names = (ref: ResourceRef) => cluster.api.all(ref).map((object) => object.metadata.name);
const writes = () =>
  cluster.api.requests.filter((request) => request.user === 'generic-garbage-collector' && request.method !== 'GET').length;

describe('garbage collector', () => {
  it('deletes a chain of dependents after their owner', async () => {
    put(CONFIG_MAPS, 'root');
    put(SECRETS, 'middle', [{ ref: CONFIG_MAPS, name: 'root' }]);
    for (let i = 0; i < 50; i++) put(PODS, `leaf-${i}`, [{ ref: SECRETS, name: 'middle' }]);
    put(PODS, 'free');
    await start();
    await remove(CONFIG_MAPS, 'root', 'Background');
    await cluster.settle();
    await cluster.settle();
    expect(names(SECRETS)).toEqual([]);
    expect(names(PODS)).toEqual(['free']);
  });

  it('deletes objects whose owner never existed, or has another UID now', async () => {
    put(CONFIG_MAPS, 'owner');
    put(PODS, 'a', [{ ref: CONFIG_MAPS, name: 'owner', uid: 'older' }]);
    put(PODS, 'b', [{ ref: CONFIG_MAPS, name: 'nobody' }]);
    put(PODS, 'c', [{ ref: CONFIG_MAPS, name: 'owner' }]);
    await start();
    expect(names(PODS)).toEqual(['c']);
    put(PODS, 'd', [{ ref: CONFIG_MAPS, name: 'nobody' }]);
    await cluster.settle();
    expect(names(PODS)).toEqual(['c']);
  });

  it('keeps an object while one owner is left and takes the others out', async () => {
    put(CONFIG_MAPS, 'a');
    put(CONFIG_MAPS, 'b');
    put(PODS, 'shared', [
      { ref: CONFIG_MAPS, name: 'a' },
      { ref: CONFIG_MAPS, name: 'b' },
    ]);
    await start();
    await remove(CONFIG_MAPS, 'a', 'Background');
    await cluster.settle();
    expect(cluster.pods()[0]?.metadata?.ownerReferences?.map((owner) => owner.name)).toEqual(['b']);
    await remove(CONFIG_MAPS, 'b', 'Background');
    await cluster.settle();
    expect(names(PODS)).toEqual([]);
  });

  it('deletes blocking dependents before an owner that is deleted in the foreground', async () => {
    put(CONFIG_MAPS, 'owner');
    put(PODS, 'held', [{ ref: CONFIG_MAPS, name: 'owner', block: true }], { finalizers: ['test/hold'] });
    put(PODS, 'quick', [{ ref: CONFIG_MAPS, name: 'owner', block: true }]);
    await start();
    await remove(CONFIG_MAPS, 'owner', 'Foreground');
    await cluster.settle();
    expect(names(CONFIG_MAPS)).toEqual(['owner']);
    expect(names(PODS)).toEqual(['held']);
    expect(cluster.pods()[0]?.metadata?.deletionTimestamp).toBeDefined();
    cluster.api.remove(PODS, 'default', 'held');
    await cluster.settle();
    expect(names(CONFIG_MAPS)).toEqual([]);
  });

  it('does not wait for dependents that do not block', async () => {
    put(CONFIG_MAPS, 'owner');
    put(PODS, 'held', [{ ref: CONFIG_MAPS, name: 'owner' }], { finalizers: ['test/hold'] });
    await start();
    await remove(CONFIG_MAPS, 'owner', 'Foreground');
    await cluster.settle();
    expect(names(CONFIG_MAPS)).toEqual([]);
  });

  it('deletes whole trees in the foreground from the leaves up', async () => {
    put(CONFIG_MAPS, 'root');
    put(SECRETS, 'middle', [{ ref: CONFIG_MAPS, name: 'root', block: true }]);
    put(PODS, 'leaf', [{ ref: SECRETS, name: 'middle', block: true }], { finalizers: ['test/hold'] });
    await start();
    await remove(CONFIG_MAPS, 'root', 'Foreground');
    await cluster.settle();
    expect([names(CONFIG_MAPS), names(SECRETS), names(PODS)]).toEqual([['root'], ['middle'], ['leaf']]);
    cluster.api.remove(PODS, 'default', 'leaf');
    await cluster.settle();
    expect([names(CONFIG_MAPS), names(SECRETS)]).toEqual([[], []]);
  });

  it('orphans dependents when asked to', async () => {
    put(CONFIG_MAPS, 'owner');
    put(PODS, 'a', [{ ref: CONFIG_MAPS, name: 'owner' }]);
    await start();
    await remove(CONFIG_MAPS, 'owner', 'Orphan');
    await cluster.settle();
    expect(names(CONFIG_MAPS)).toEqual([]);
    expect(cluster.pods()[0]?.metadata?.ownerReferences).toBeUndefined();
  });

  it('keeps what is owned by an unknown kind', async () => {
    const widgets: ResourceRef = { group: 'example.com', version: 'v1', resource: 'widgets', kind: 'Widget', namespaced: true };
    put(PODS, 'a', [{ ref: widgets, name: 'w' }]);
    await start();
    await cluster.clock.advance(120_000);
    expect(names(PODS)).toEqual(['a']);
  });

  it('finds owners of the cluster from any namespace, and refuses owners of other namespaces', async () => {
    put(NODES, 'n');
    cluster.api.put(CONFIG_MAPS, { metadata: { name: 'far', namespace: 'other', uid: 'u-far' } });
    put(PODS, 'a', [{ ref: NODES, name: 'n' }]);
    put(PODS, 'b', [{ ref: CONFIG_MAPS, name: 'far' }]);
    cluster.api.put(SECRETS, {
      metadata: { name: 's', namespace: 'other', ownerReferences: [{ apiVersion: 'v1', kind: 'ConfigMap', name: 'far', uid: 'u-far' }] },
    });
    await start();
    expect(names(PODS)).toEqual(['a']);
    expect(names(SECRETS)).toEqual(['s']);
    cluster.api.remove(CONFIG_MAPS, 'other', 'far');
    await cluster.settle();
    expect(names(SECRETS)).toEqual([]);
  });

  it('spares true dependents when others name their owner with another kind, name or place', async () => {
    put(CONFIG_MAPS, 'owner');
    put(CONFIG_MAPS, 'gone', [{ ref: NODES, name: 'nobody' }]);
    put(NODES, 'n', [{ ref: CONFIG_MAPS, name: 'owner' }]);
    put(PODS, 'a', [{ ref: SECRETS, name: 'owner' }]);
    put(PODS, 'b', [{ ref: CONFIG_MAPS, name: 'other', uid: 'u-owner' }]);
    put(PODS, 'c', [{ ref: NODES, name: 'owner' }]);
    await start();
    put(SECRETS, 's', [{ ref: CONFIG_MAPS, name: 'owner' }]);
    put(SECRETS, 't', [
      { ref: CONFIG_MAPS, name: 'gone' },
      { ref: CONFIG_MAPS, name: 'owner' },
    ]);
    await cluster.settle();
    expect([names(PODS), names(NODES), names(SECRETS)]).toEqual([[], ['n'], ['s', 't']]);
    await remove(CONFIG_MAPS, 'owner', 'Background');
    await cluster.settle();
    expect([names(NODES), names(SECRETS)]).toEqual([['n'], []]);
  });

  it('notices deletions it missed', async () => {
    put(CONFIG_MAPS, 'owner', [{ ref: NODES, name: 'n' }]);
    put(NODES, 'n');
    put(PODS, 'a', [{ ref: CONFIG_MAPS, name: 'owner' }]);
    await start();
    cluster.api.before = (request) => {
      if (request.path.includes('watch=')) throw new Error('the connection was refused');
    };
    cluster.api.endWatches();
    cluster.api.remove(CONFIG_MAPS, 'default', 'owner');
    cluster.api.compact();
    cluster.api.before = undefined;
    await cluster.clock.advance(5000);
    await cluster.settle();
    expect(names(PODS)).toEqual([]);
  });

  it('does not insist when a deletion is forbidden, and does nothing in vain', async () => {
    put(PODS, 'a', [{ ref: CONFIG_MAPS, name: 'gone' }]);
    put(PODS, 'b', [{ ref: PODS, name: 'a' }]);
    cluster.api.before = (request) => {
      if (request.method === 'DELETE') throw new StatusError(403, 'Forbidden', 'no');
    };
    await start();
    await cluster.clock.advance(20_000);
    expect(writes()).toBe(1);
    cluster.api.before = undefined;
    await cluster.clock.advance(30_000);
    await cluster.settle();
    expect(names(PODS)).toEqual([]);
  });
});
