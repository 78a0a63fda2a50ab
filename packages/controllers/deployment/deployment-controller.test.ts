import { StatusError } from '@coffer/api/errors/status-error';
import type { V1Deployment, V1DeploymentStatus, V1ReplicaSet } from '@coffer/api/generated/types';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runReplicaSetController } from '../replicaset/replica-set-controller.ts';
import { TestCluster } from '../testing/test-cluster.ts';
import { runDeploymentController } from './deployment-controller.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('replicaset-controller', runReplicaSetController);
  cluster.run('deployment-controller', runDeploymentController);
});

afterEach(() => cluster.stop());

function put(image: string, replicas: number, extra: object = {}): void {
  cluster.api.put(DEPLOYMENTS, {
    metadata: { name: 'web', namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: { app: 'web' } },
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
      progressDeadlineSeconds: 600,
      revisionHistoryLimit: 10,
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
      ...extra,
    },
  });
}

const deployment = () => cluster.api.find(DEPLOYMENTS, 'default', 'web') as V1Deployment | undefined;
const status = (): V1DeploymentStatus => deployment()?.status ?? {};
const condition = (type: string) => status().conditions?.find((c) => c.type === type);
const sets = () =>
  (cluster.api.all(REPLICA_SETS) as unknown as V1ReplicaSet[]).map((set) => ({
    image: set.spec?.template?.spec?.containers[0]?.image,
    replicas: set.spec?.replicas,
    revision: set.metadata?.annotations?.['deployment.kubernetes.io/revision'],
    name: set.metadata?.name ?? '',
  }));
const images = () =>
  cluster
    .pods()
    .map((pod) => pod.spec?.containers[0]?.image)
    .toSorted((a = '', b = '') => a.localeCompare(b));

async function rollOut(): Promise<void> {
  for (let round = 0; round < 20; round++) await cluster.makeAllReady();
}

describe('deployment controller', () => {
  it('creates a replica set with hash, revision and sizes, and becomes available', async () => {
    put('v1', 3);
    await cluster.settle();
    const set = cluster.api.all(REPLICA_SETS)[0];
    const hash = set?.metadata.labels?.['pod-template-hash'] ?? '';
    expect(hash).toMatch(/^[bcdfghjklmnpqrstvwxz2456789]{1,10}$/);
    expect(set).toMatchObject({
      metadata: {
        name: `web-${hash}`,
        labels: { app: 'web', 'pod-template-hash': hash },
        annotations: {
          'deployment.kubernetes.io/desired-replicas': '3',
          'deployment.kubernetes.io/max-replicas': '4',
          'deployment.kubernetes.io/revision': '1',
        },
        ownerReferences: [{ kind: 'Deployment', name: 'web', controller: true, blockOwnerDeletion: true }],
      },
      spec: { replicas: 3, selector: { matchLabels: { app: 'web', 'pod-template-hash': hash } } },
    });
    expect(deployment()?.metadata?.annotations).toEqual({ 'deployment.kubernetes.io/revision': '1' });
    expect(status()).toMatchObject({ replicas: 3, updatedReplicas: 3, unavailableReplicas: 3, observedGeneration: 1 });
    expect(condition('Available')).toMatchObject({
      status: 'False',
      reason: 'MinimumReplicasUnavailable',
      message: 'Deployment does not have minimum availability.',
    });
    expect(condition('Progressing')).toMatchObject({
      status: 'True',
      reason: 'ReplicaSetUpdated',
      message: `ReplicaSet "web-${hash}" is progressing.`,
    });
    await cluster.makeAllReady();
    expect(status()).toMatchObject({ replicas: 3, updatedReplicas: 3, readyReplicas: 3, availableReplicas: 3 });
    expect(status()).not.toHaveProperty('unavailableReplicas');
    expect(condition('Available')).toMatchObject({
      status: 'True',
      reason: 'MinimumReplicasAvailable',
      message: 'Deployment has minimum availability.',
    });
    expect(condition('Progressing')).toMatchObject({
      status: 'True',
      reason: 'NewReplicaSetAvailable',
      message: `ReplicaSet "web-${hash}" has successfully progressed.`,
    });
    expect(cluster.events()).toContain(`Normal ScalingReplicaSet: Scaled up replica set web-${hash} from 0 to 3`);
  });

  it('never has fewer available or more pods than a rolling update allows', async () => {
    put('v1', 4);
    await cluster.settle();
    await cluster.makeAllReady();
    put('v2', 4);
    await cluster.settle();
    for (let round = 0; round < 40 && images().some((image) => image !== 'v2'); round++) {
      const pods = cluster.pods();
      expect(pods.length).toBeLessThanOrEqual(5);
      const next = pods.find((pod) => pod.status?.phase !== 'Running');
      if (next !== undefined) cluster.makeReady(next);
      await cluster.settle();
      const ready = cluster.pods().filter((pod) => pod.status?.phase === 'Running');
      expect(ready.length).toBeGreaterThanOrEqual(4);
    }
    await rollOut();
    expect(images()).toEqual(['v2', 'v2', 'v2', 'v2']);
    expect(sets()).toMatchObject([
      { image: 'v1', replicas: 0, revision: '1' },
      { image: 'v2', replicas: 4, revision: '2' },
    ]);
    expect(condition('Progressing')).toMatchObject({ reason: 'NewReplicaSetAvailable' });
  });

  it('goes back to an old replica set under a new revision', async () => {
    put('v1', 1);
    await rollOut();
    put('v2', 1);
    await rollOut();
    put('v1', 1);
    await rollOut();
    expect(sets()).toMatchObject([
      { image: 'v1', replicas: 1, revision: '3' },
      { image: 'v2', replicas: 0, revision: '2' },
    ]);
    expect(cluster.api.all(REPLICA_SETS)[0]?.metadata.annotations?.['deployment.kubernetes.io/revision-history']).toBe('1');
    expect(deployment()?.metadata?.annotations?.['deployment.kubernetes.io/revision']).toBe('3');
  });

  it('counts revisions that need all 64 bits', async () => {
    const labels = { app: 'web', old: 'yes' };
    cluster.api.put(REPLICA_SETS, {
      metadata: { name: 'old', namespace: 'default', labels, annotations: { 'deployment.kubernetes.io/revision': '3546343826724305832' } },
      spec: { replicas: 0, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [] } } },
    });
    put('v1', 1);
    await rollOut();
    expect(sets().map((set) => set.revision)).toEqual(['3546343826724305832', '3546343826724305833']);
  });

  it.each([
    ['1', 'v1', 'Normal DeploymentRollback: Rolled back deployment "web" to revision 1'],
    ['0', 'v2', 'Normal DeploymentRollback: Rolled back deployment "web" to revision 2'],
    ['7', 'v3', 'Warning DeploymentRollbackRevisionNotFound: Unable to find the revision to rollback to.'],
    [
      '3',
      'v3',
      'Warning DeploymentRollbackTemplateUnchanged: The rollback revision contains the same template as current deployment "web"',
    ],
  ])('goes back to revision %s when the annotation asks for it', async (revision, image, event) => {
    for (const next of ['v1', 'v2', 'v3']) {
      put(next, 1);
      cluster.api.put(DEPLOYMENTS, { ...deployment(), metadata: { ...deployment()?.metadata, annotations: { cause: next } } });
      await rollOut();
    }
    const asked = { ...deployment()?.metadata?.annotations, 'deprecated.deployment.rollback.to': revision };
    cluster.api.put(DEPLOYMENTS, { ...deployment(), metadata: { ...deployment()?.metadata, annotations: asked } });
    await rollOut();
    expect(images()).toEqual([image]);
    expect(deployment()?.metadata?.annotations).toEqual({
      cause: image,
      'deployment.kubernetes.io/revision': image === 'v3' ? '3' : '4',
    });
    expect(deployment()?.spec?.template.metadata?.labels).toEqual({ app: 'web' });
    expect(cluster.events()).toContain(event);
  });

  it('finds nothing to go back to while there is one revision', async () => {
    put('v1', 1);
    await rollOut();
    const annotations = { ...deployment()?.metadata?.annotations, 'deprecated.deployment.rollback.to': '0' };
    cluster.api.put(DEPLOYMENTS, { ...deployment(), metadata: { ...deployment()?.metadata, annotations } });
    await rollOut();
    expect(cluster.events()).toContain('Warning DeploymentRollbackRevisionNotFound: Unable to find last revision.');
    expect(deployment()?.metadata?.annotations).toEqual({ 'deployment.kubernetes.io/revision': '1' });
  });

  it('keeps as many old replica sets as the history limit says', async () => {
    for (const image of ['v1', 'v2', 'v3', 'v4']) {
      put(image, 1, { revisionHistoryLimit: 1 });
      await rollOut();
    }
    await rollOut();
    expect(sets().map((set) => set.image)).toEqual(['v3', 'v4']);
  });

  it('recreates only after the last old pod is gone', async () => {
    const recreate = { strategy: { type: 'Recreate' } };
    put('v1', 2, recreate);
    await rollOut();
    for (const pod of cluster.pods()) cluster.api.put(PODS, { ...pod, metadata: { ...pod.metadata, finalizers: ['test/hold'] } });
    put('v2', 2, recreate);
    await cluster.settle();
    expect(images()).toEqual(['v1', 'v1']);
    expect(cluster.pods().every((pod) => pod.metadata?.deletionTimestamp !== undefined)).toBe(true);
    for (const pod of cluster.pods()) cluster.api.remove(PODS, 'default', pod.metadata?.name ?? '');
    await rollOut();
    expect(images()).toEqual(['v2', 'v2']);
  });

  it('does not roll out while paused, but scales', async () => {
    put('v1', 2);
    await rollOut();
    put('v2', 3, { paused: true });
    await rollOut();
    expect(images()).toEqual(['v1', 'v1', 'v1']);
    expect(condition('Progressing')).toMatchObject({ status: 'Unknown', reason: 'DeploymentPaused', message: 'Deployment is paused' });
    put('v2', 3);
    await rollOut();
    expect(images()).toEqual(['v2', 'v2', 'v2']);
  });

  it('shares a scaling during a rollout between old and new sets in proportion', async () => {
    const surge = { strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: 3, maxUnavailable: 2 } } };
    put('v1', 10, surge);
    await rollOut();
    put('v2', 10, surge);
    await cluster.settle();
    expect(sets().map((set) => set.replicas)).toEqual([8, 5]);
    put('v2', 15, surge);
    await cluster.settle();
    expect(sets().map((set) => set.replicas)).toEqual([11, 7]);
  });

  it('says when the progress deadline has passed', async () => {
    put('v1', 1, { progressDeadlineSeconds: 10 });
    await cluster.settle();
    await cluster.clock.advance(15_000);
    await cluster.settle();
    expect(condition('Progressing')).toMatchObject({
      status: 'False',
      reason: 'ProgressDeadlineExceeded',
      message: `ReplicaSet "${sets()[0]?.name}" has timed out progressing.`,
    });
    await rollOut();
    expect(condition('Progressing')).toMatchObject({ status: 'True', reason: 'NewReplicaSetAvailable' });
  });

  it('takes another hash when the name of the new set is taken', async () => {
    put('v1', 1);
    await rollOut();
    const name = sets()[0]?.name ?? '';
    cluster.api.remove(DEPLOYMENTS, 'default', 'web');
    cluster.api.remove(REPLICA_SETS, 'default', name);
    await cluster.settle();
    cluster.api.put(REPLICA_SETS, {
      metadata: { name, namespace: 'default' },
      spec: { replicas: 0, selector: { matchLabels: { x: 'y' } }, template: { metadata: { labels: { x: 'y' } } } },
    });
    put('v1', 1);
    await cluster.settle();
    await cluster.clock.advance(1000);
    await rollOut();
    expect(status().collisionCount).toBe(1);
    expect(sets().map((set) => set.image)).toEqual([undefined, 'v1']);
  });

  it('shows the failure of its replica set', async () => {
    cluster.api.before = (request) => {
      if (request.method === 'POST' && request.path.endsWith('/pods')) throw new StatusError(403, 'Forbidden', 'no room');
    };
    put('v1', 1);
    await cluster.settle();
    expect(condition('ReplicaFailure')).toMatchObject({ status: 'True', reason: 'FailedCreate', message: 'no room' });
    cluster.api.before = undefined;
    await cluster.clock.advance(5000);
    await rollOut();
    expect(condition('ReplicaFailure')).toBeUndefined();
  });

  it('writes nothing more once everything is done', async () => {
    put('v1', 2);
    await rollOut();
    const revision = cluster.api.revision;
    cluster.api.put(DEPLOYMENTS, { ...deployment(), metadata: { ...deployment()?.metadata } });
    await cluster.settle();
    expect(Number(cluster.api.revision) - Number(revision)).toBe(1);
  });
});
