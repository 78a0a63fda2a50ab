import { StatusError } from '@coffer/api/errors/status-error';
import type { V1Pod } from '@coffer/api/generated/types';
import { PODS, REPLICA_SETS, REPLICATION_CONTROLLERS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { podsToDelete } from './pod-ranking.ts';
import { runReplicaSetController, runReplicationController } from './replica-set-controller.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('replicaset-controller', runReplicaSetController);
});

afterEach(() => cluster.stop());

function putSet(replicas: number, extra: object = {}): void {
  cluster.api.put(REPLICA_SETS, {
    metadata: { name: 'web', namespace: 'default', uid: 'rs-uid' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web', extra: 'yes' } }, spec: { containers: [{ name: 'c', image: 'i' }] } },
      ...extra,
    },
  });
}

const status = () => cluster.api.find(REPLICA_SETS, 'default', 'web')?.status;

describe('replica set controller', () => {
  it('creates the pods of the template and reports them', async () => {
    putSet(3);
    await cluster.settle();
    const pods = cluster.pods();
    expect(pods).toHaveLength(3);
    expect(pods[0]).toMatchObject({
      metadata: {
        labels: { app: 'web', extra: 'yes' },
        ownerReferences: [
          { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'web', uid: 'rs-uid', controller: true, blockOwnerDeletion: true },
        ],
      },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    expect(pods.every((pod) => pod.metadata?.name?.startsWith('web-'))).toBe(true);
    expect(status()).toEqual({ replicas: 3, fullyLabeledReplicas: 3, terminatingReplicas: 0, observedGeneration: 1 });
    await cluster.makeAllReady();
    expect(status()).toEqual({
      replicas: 3,
      fullyLabeledReplicas: 3,
      readyReplicas: 3,
      availableReplicas: 3,
      terminatingReplicas: 0,
      observedGeneration: 1,
    });
    expect(cluster.events()).toEqual(pods.map((pod) => `Normal SuccessfulCreate: Created pod: ${pod.metadata?.name}`));
  });

  it('replaces a deleted pod and shrinks to nothing', async () => {
    putSet(2);
    await cluster.settle();
    cluster.api.remove(PODS, 'default', cluster.pods()[0]?.metadata?.name ?? '');
    await cluster.settle();
    expect(cluster.pods()).toHaveLength(2);
    putSet(0);
    await cluster.settle();
    expect(cluster.pods()).toHaveLength(0);
    expect(status()).toMatchObject({ replicas: 0 });
  });

  it('adopts matching orphans and releases pods that no longer match', async () => {
    cluster.api.put(PODS, {
      metadata: { name: 'stray', namespace: 'default', labels: { app: 'web' } },
      spec: { containers: [] },
      status: { phase: 'Running' },
    });
    putSet(1);
    await cluster.settle();
    expect(cluster.pods()).toHaveLength(1);
    expect(cluster.pods()[0]?.metadata?.ownerReferences?.[0]?.uid).toBe('rs-uid');
    cluster.api.put(PODS, { ...cluster.pods()[0], metadata: { ...cluster.pods()[0]?.metadata, labels: { app: 'other' } } });
    await cluster.settle();
    expect(cluster.pods().map((pod) => pod.metadata?.ownerReferences?.length ?? 0)).toEqual([0, 1]);
  });

  it('says why pods cannot be created, tries again, and does not try all at once', async () => {
    let refuse = true;
    cluster.api.before = (request) => {
      if (refuse && request.method === 'POST' && request.path.endsWith('/pods'))
        throw new StatusError(403, 'Forbidden', 'pods "web-" is forbidden: no room');
    };
    putSet(20);
    await cluster.settle();
    const attempts = cluster.api.requests.filter((request) => request.method === 'POST' && request.path.endsWith('/pods')).length;
    expect(attempts).toBeLessThan(4);
    expect(status()).toMatchObject({
      replicas: 0,
      conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message: 'pods "web-" is forbidden: no room' }],
    });
    expect(cluster.events()[0]).toContain('Warning FailedCreate: Error creating: pods "web-" is forbidden: no room');
    refuse = false;
    await cluster.clock.advance(2000);
    await cluster.settle();
    expect(cluster.pods()).toHaveLength(20);
    expect(status()).not.toHaveProperty('conditions');
  });

  it('counts a pod as available only after minReadySeconds', async () => {
    putSet(1, { minReadySeconds: 5 });
    await cluster.settle();
    await cluster.makeAllReady();
    expect(status()).toMatchObject({ readyReplicas: 1 });
    expect(status()).not.toHaveProperty('availableReplicas');
    await cluster.clock.advance(6000);
    await cluster.settle();
    expect(status()).toMatchObject({ readyReplicas: 1, availableReplicas: 1 });
  });

  it('does not create again what its informer has not shown yet', async () => {
    putSet(3);
    await cluster.settle();
    for (let i = 0; i < 5; i++) {
      putSet(3, { minReadySeconds: i });
      await cluster.settle();
    }
    expect(cluster.pods()).toHaveLength(3);
  });
});

describe('replication controller', () => {
  it('does the same for its pods, by a plain selector', async () => {
    cluster.run('replication-controller', runReplicationController);
    cluster.api.put(REPLICATION_CONTROLLERS, {
      metadata: { name: 'rc', namespace: 'default', uid: 'rc-uid' },
      spec: { replicas: 2, selector: { app: 'rc' }, template: { metadata: { labels: { app: 'rc' } }, spec: { containers: [] } } },
    });
    await cluster.settle();
    const pods = cluster.pods();
    expect(pods.map((pod) => pod.metadata?.ownerReferences?.[0])).toEqual(
      Array.from({ length: 2 }, () => ({
        apiVersion: 'v1',
        kind: 'ReplicationController',
        name: 'rc',
        uid: 'rc-uid',
        controller: true,
        blockOwnerDeletion: true,
      })),
    );
    const stored = () => cluster.api.find(REPLICATION_CONTROLLERS, 'default', 'rc')?.status;
    expect(stored()).toEqual({ replicas: 2, fullyLabeledReplicas: 2, observedGeneration: 1 });
    cluster.api.put(PODS, { ...pods[0], metadata: { ...pods[0]?.metadata, labels: { app: 'other' } } });
    await cluster.settle();
    expect(cluster.pods().map((pod) => pod.metadata?.ownerReferences?.length ?? 0)).toEqual([0, 1, 1]);
  });
});

describe('podsToDelete', () => {
  const nowMs = Date.UTC(2026, 0, 2);
  const pod = (
    name: string,
    fields: { node?: string; phase?: string; ready?: boolean; cost?: string; restarts?: number; ageMs?: number },
  ): V1Pod => ({
    metadata: {
      name,
      uid: name,
      creationTimestamp: new Date(nowMs - (fields.ageMs ?? 3_600_000)).toISOString(),
      ...(fields.cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': fields.cost } }),
    },
    spec: { containers: [], ...(fields.node === '' ? {} : { nodeName: fields.node ?? 'n1' }) },
    status: {
      phase: fields.phase ?? 'Running',
      conditions: [
        { type: 'Ready', status: fields.ready === false ? 'False' : 'True', lastTransitionTime: new Date(nowMs - 1_800_000).toISOString() },
      ],
      containerStatuses: [{ name: 'c', image: '', imageID: '', ready: true, restartCount: fields.restarts ?? 0 }],
    },
  });

  const cases: { name: string; victim: V1Pod; other: V1Pod }[] = [
    { name: 'unassigned', victim: pod('v', { node: '' }), other: pod('o', { phase: 'Pending' }) },
    { name: 'pending', victim: pod('v', { phase: 'Pending' }), other: pod('o', { ready: false }) },
    { name: 'not ready', victim: pod('v', { ready: false }), other: pod('o', { cost: '-10' }) },
    { name: 'cheaper', victim: pod('v', { cost: '-1' }), other: pod('o', { restarts: 9 }) },
    { name: 'restarted more often', victim: pod('v', { restarts: 2 }), other: pod('o', { restarts: 1, ageMs: 1 }) },
    { name: 'younger', victim: pod('v', { ageMs: 1000 }), other: pod('o', { ageMs: 86_400_000 }) },
  ];
  it.each(cases)('takes the pod that is $name first', ({ victim, other }) => {
    expect(podsToDelete([other, victim], [], 1, nowMs)).toEqual([victim]);
    expect(podsToDelete([victim, other], [], 1, nowMs)).toEqual([victim]);
  });

  it('prefers the node with more related pods', () => {
    const a = pod('a', { node: 'n1' });
    const b = pod('b', { node: 'n2' });
    const c = pod('c', { node: 'n2' });
    expect(podsToDelete([a, b], [a, b, c], 1, nowMs)).toEqual([b]);
  });
});
