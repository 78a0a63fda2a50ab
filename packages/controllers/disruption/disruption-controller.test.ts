import { DEPLOYMENTS, EVENTS, POD_DISRUPTION_BUDGETS, PODS, REPLICA_SETS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runDisruptionController } from './disruption-controller.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('disruption-controller', runDisruptionController);
});

afterEach(() => cluster.stop());

const status = () => cluster.api.find(POD_DISRUPTION_BUDGETS, 'default', 'b')?.status as Record<string, unknown>;
const allowed = () => (status().conditions as { status: string; reason: string }[])[0];

function putBudget(spec: object, fields: object = {}): void {
  const metadata = { name: 'b', namespace: 'default', uid: 'b' };
  cluster.api.put(POD_DISRUPTION_BUDGETS, { metadata, spec: { selector: { matchLabels: { app: 'web' } }, ...spec }, ...fields });
}

function putPod(name: string, ready: boolean, metadata: object = {}): void {
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  cluster.api.put(PODS, {
    metadata: { name, namespace: 'default', uid: name, labels: { app: 'web' }, ...metadata },
    spec: { containers: [] },
    status: { phase: 'Running', conditions },
  });
}

describe('disruption controller', () => {
  it('counts healthy pods against the number that has to be there', async () => {
    putPod('a', true);
    putPod('b', true);
    putPod('c', false);
    putBudget({ minAvailable: 1 });
    await cluster.settle();
    expect(status()).toMatchObject({ currentHealthy: 2, desiredHealthy: 1, expectedPods: 3, disruptionsAllowed: 1, observedGeneration: 1 });
    expect(allowed()).toMatchObject({ status: 'True', reason: 'SufficientPods' });
    cluster.api.remove(PODS, 'default', 'a');
    await cluster.settle();
    expect(status()).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0 });
    expect(allowed()).toMatchObject({ status: 'False', reason: 'InsufficientPods' });
  });

  it('takes parts of what the controllers of the pods keep', async () => {
    const owned = (kind: string, name: string) => ({
      ownerReferences: [{ apiVersion: 'apps/v1', kind, name, uid: name, controller: true }],
    });
    cluster.api.put(DEPLOYMENTS, { metadata: { name: 'd', namespace: 'default', uid: 'd' }, spec: { replicas: 5 } });
    cluster.api.put(REPLICA_SETS, {
      metadata: { name: 'rs', namespace: 'default', uid: 'rs', ...owned('Deployment', 'd') },
      spec: { replicas: 3 },
    });
    for (const name of ['a', 'b', 'c', 'e']) putPod(name, true, owned('ReplicaSet', 'rs'));
    putBudget({ maxUnavailable: '30%' });
    await cluster.settle();
    expect(status()).toMatchObject({ expectedPods: 5, desiredHealthy: 3, currentHealthy: 4, disruptionsAllowed: 1 });
    putBudget({ minAvailable: '50%' }, { status: status() });
    await cluster.settle();
    expect(status()).toMatchObject({ expectedPods: 5, desiredHealthy: 3, disruptionsAllowed: 1 });
  });

  it('does not count what is being evicted, for two minutes', async () => {
    putPod('a', true);
    putPod('b', true);
    putBudget({ minAvailable: 1 }, { status: { disruptedPods: { a: '2026-01-01T00:00:00Z', gone: '2026-01-01T00:00:00Z' } } });
    await cluster.settle();
    expect(status()).toMatchObject({ currentHealthy: 1, disruptionsAllowed: 0, disruptedPods: { a: '2026-01-01T00:00:00Z' } });
    await cluster.clock.advance(125_000);
    await cluster.settle();
    expect(status()).toMatchObject({ currentHealthy: 2, disruptionsAllowed: 1 });
    expect(status()).not.toHaveProperty('disruptedPods');
    expect(cluster.events().filter((event) => event.includes('NotDeleted'))).toEqual([
      expect.stringContaining("Warning NotDeleted: Pod was expected by PDB default/default to be deleted but it wasn't"),
    ]);
  });

  it('allows nothing while it cannot count', async () => {
    putPod('a', true, { ownerReferences: [{ apiVersion: 'example.com/v1', kind: 'Set', name: 's', uid: 's', controller: true }] });
    putBudget({ maxUnavailable: 1 });
    await cluster.settle();
    expect(status()).toMatchObject({ disruptionsAllowed: 0 });
    expect(allowed()).toMatchObject({
      status: 'False',
      reason: 'SyncFailed',
      message: 'no matches for kind "Set" in version "example.com/v1"',
    });
    expect(cluster.events()[0]).toContain(
      'Warning CalculateExpectedPodCountFailed: ' +
        'Failed to calculate the number of expected pods: no matches for kind "Set" in version "example.com/v1"',
    );
  });

  it.each([
    ['a kind without sizes', { apiVersion: 'v1', kind: 'ConfigMap', name: 'x' }, 'configmaps does not implement the scale subresource'],
    ['an owner that is gone', { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'x' }, 'found no controllers for pod "a"'],
  ])('names %s', async (_name, owner, message) => {
    putPod('a', true, { ownerReferences: [{ ...owner, uid: 'other', controller: true }] });
    cluster.api.put(REPLICA_SETS, { metadata: { name: 'x', namespace: 'default', uid: 'x' }, spec: { replicas: 1 } });
    putBudget({ maxUnavailable: 1 });
    await cluster.settle();
    expect(allowed()).toMatchObject({ reason: 'SyncFailed', message });
  });

  it('counts a replica set alone when the deployment above it is gone', async () => {
    const above = [{ apiVersion: 'apps/v1', kind: 'Deployment', name: 'd', uid: 'd', controller: true }];
    cluster.api.put(REPLICA_SETS, {
      metadata: { name: 'rs', namespace: 'default', uid: 'rs', ownerReferences: above },
      spec: { replicas: 3 },
    });
    putPod('a', true, { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'rs', controller: true }] });
    putBudget({ maxUnavailable: 1 });
    await cluster.settle();
    expect(status()).toMatchObject({ expectedPods: 3, desiredHealthy: 2 });
  });

  it('warns of pods that nobody keeps, and counts none of them', async () => {
    putPod('a', true);
    putBudget({
      maxUnavailable: 1,
      selector: { matchLabels: { app: 'web' }, matchExpressions: [{ key: 'x', operator: 'NotIn', values: ['a', 'b'] }] },
    });
    await cluster.settle();
    expect(status()).toMatchObject({ expectedPods: 0, disruptionsAllowed: 0, currentHealthy: 1 });
    expect(cluster.api.all(EVENTS)[0]).toMatchObject({ source: { component: 'controllermanager' } });
    expect(cluster.events()[0]).toContain(
      'Warning UnmanagedPods: Pods selected by this PodDisruptionBudget (selector: &LabelSelector{MatchLabels:map[string]string{app: web,},' +
        'MatchExpressions:[]LabelSelectorRequirement{LabelSelectorRequirement{Key:x,Operator:NotIn,Values:[a b],},},}) were found to be unmanaged.',
    );
  });

  it('warns of pods that several budgets are about', async () => {
    putBudget({ minAvailable: 1 });
    cluster.api.put(POD_DISRUPTION_BUDGETS, {
      metadata: { name: 'c', namespace: 'default', uid: 'c' },
      spec: { minAvailable: 1, selector: {} },
    });
    await cluster.settle();
    putPod('a', true);
    await cluster.settle();
    expect(cluster.events().join('\n')).toContain(
      'Warning MultiplePodDisruptionBudgets: Pod "default"/"a" matches multiple PodDisruptionBudgets.  Chose "b" arbitrarily.',
    );
  });

  it('keeps conditions of others in their places', async () => {
    const other = { type: 'Other', status: 'True', reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' };
    putPod('a', true);
    putBudget({ minAvailable: 0 }, { status: { conditions: [{ ...other, type: 'DisruptionAllowed' }, other] } });
    await cluster.settle();
    expect(status().conditions).toMatchObject([{ type: 'DisruptionAllowed', reason: 'SufficientPods' }, { type: 'Other' }]);
  });
});
