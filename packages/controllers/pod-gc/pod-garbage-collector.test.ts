import { EVENTS, NODES, PODS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runEventTtlController } from '../event-ttl/event-ttl-controller.ts';
import { TestCluster } from '../testing/test-cluster.ts';
import { runPodGarbageCollector } from './pod-garbage-collector.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
});

afterEach(() => cluster.stop());

function putPod(name: string, fields: { node?: string; phase?: string; created?: string; deleted?: boolean }): void {
  cluster.api.put(PODS, {
    metadata: {
      name,
      namespace: 'default',
      ...(fields.created ? { creationTimestamp: fields.created } : {}),
      ...(fields.deleted ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}),
    },
    spec: { containers: [], ...(fields.node ? { nodeName: fields.node } : {}) },
    status: { phase: fields.phase ?? 'Running' },
  });
}

const names = () => cluster.pods().map((pod) => pod.metadata?.name);

describe('pod garbage collector', () => {
  it('removes pods of a node that stays away, with the reason in their last state', async () => {
    cluster.api.put(NODES, { metadata: { name: 'n1' } });
    putPod('here', { node: 'n1' });
    putPod('gone', { node: 'n2' });
    putPod('unscheduled', {});
    const last: unknown[] = [];
    cluster.api.before = (request) => {
      if (request.method === 'PATCH') last.push((request.body as { status?: unknown }).status);
    };
    cluster.run('pod-garbage-collector', (deps, signal) => runPodGarbageCollector(deps, { terminatedPodThreshold: 10 }, signal));
    await cluster.settle();
    await cluster.clock.advance(30_000);
    expect(names()).toEqual(['here', 'gone', 'unscheduled']);
    await cluster.clock.advance(30_000);
    await cluster.settle();
    expect(names()).toEqual(['here', 'unscheduled']);
    expect(last).toMatchObject([
      { phase: 'Failed', conditions: [{ type: 'DisruptionTarget', reason: 'DeletionByPodGC', message: 'PodGC: node no longer exists' }] },
    ]);
  });

  it('takes back what pods say of a disruption that did not come within two minutes', async () => {
    cluster.api.put(NODES, { metadata: { name: 'n1' } });
    const put = (name: string, reason: string, phase: string, deleted = false) => {
      const lastTransitionTime = new Date(cluster.clock.now()).toISOString();
      const conditions = [{ type: 'DisruptionTarget', status: 'True', reason, message: 'm', lastTransitionTime }];
      const metadata = { name, namespace: 'default', ...(deleted ? { deletionTimestamp: lastTransitionTime } : {}) };
      cluster.api.put(PODS, { metadata, spec: { containers: [], nodeName: 'n1' }, status: { phase, conditions } });
    };
    put('stays', 'EvictionByEvictionAPI', 'Running');
    put('kubelets', 'TerminationByKubelet', 'Running');
    put('finished', 'PreemptionByScheduler', 'Failed');
    put('goes', 'EvictionByEvictionAPI', 'Running', true);
    const disrupted = () =>
      cluster.pods().flatMap(({ metadata, status }) => (status?.conditions?.[0]?.status === 'True' ? [metadata?.name] : []));
    cluster.run('pod-garbage-collector', (deps, signal) => runPodGarbageCollector(deps, { terminatedPodThreshold: 10 }, signal));
    await cluster.clock.advance(100_000);
    expect(disrupted()).toEqual(['stays', 'kubelets', 'finished', 'goes']);
    await cluster.clock.advance(40_000);
    await cluster.settle();
    expect(disrupted()).toEqual(['kubelets', 'finished', 'goes']);
    expect(cluster.pods()[0]?.status?.conditions?.[0]).not.toHaveProperty('reason');
  });

  it('spares pods of a node that came back in time', async () => {
    putPod('p', { node: 'n1' });
    cluster.run('pod-garbage-collector', (deps, signal) => runPodGarbageCollector(deps, { terminatedPodThreshold: 10 }, signal));
    await cluster.settle();
    await cluster.clock.advance(30_000);
    cluster.api.put(NODES, { metadata: { name: 'n1' } });
    await cluster.clock.advance(60_000);
    expect(names()).toEqual(['p']);
  });

  it('keeps the newest finished pods only, and drops pods deleted before they got a node', async () => {
    cluster.api.put(NODES, { metadata: { name: 'n1' } });
    for (const [name, created] of [
      ['old', '2025-01-01T00:00:00Z'],
      ['newer', '2025-01-02T00:00:00Z'],
      ['newest', '2025-01-03T00:00:00Z'],
    ] as const)
      putPod(name, { node: 'n1', phase: 'Succeeded', created });
    putPod('stuck', { deleted: true });
    cluster.run('pod-garbage-collector', (deps, signal) => runPodGarbageCollector(deps, { terminatedPodThreshold: 2 }, signal));
    await cluster.settle();
    expect(names()).toEqual(['newer', 'newest']);
  });
});

describe('event TTL controller', () => {
  it('deletes events an hour after their last write', async () => {
    const put = (name: string, fields: object) =>
      cluster.api.put(EVENTS, { metadata: { name, namespace: 'default' }, involvedObject: {}, ...fields });
    put('old', {
      firstTimestamp: '2025-12-31T20:00:00Z',
      lastTimestamp: '2025-12-31T22:30:00Z',
      metadata: { name: 'old', namespace: 'default', creationTimestamp: '2025-12-31T20:00:00Z' },
    });
    put('repeated', {
      firstTimestamp: '2025-12-31T20:00:00Z',
      lastTimestamp: '2025-12-31T23:30:00Z',
      metadata: { name: 'repeated', namespace: 'default', creationTimestamp: '2025-12-31T20:00:00Z' },
    });
    put('series', {
      eventTime: '2025-12-31T20:00:00.000000Z',
      series: { count: 2, lastObservedTime: '2025-12-31T23:59:00.000000Z' },
      metadata: { name: 'series', namespace: 'default', creationTimestamp: '2025-12-31T20:00:00Z' },
    });
    cluster.run('ttl-controller', (deps, signal) => runEventTtlController(deps, { ttlMs: 3_600_000 }, signal));
    await cluster.settle();
    const left = () => cluster.api.all(EVENTS).map((event) => event.metadata.name);
    expect(left()).toEqual(['repeated', 'series']);
    await cluster.clock.advance(3_600_000);
    await cluster.settle();
    expect(left()).toEqual([]);
  });
});
