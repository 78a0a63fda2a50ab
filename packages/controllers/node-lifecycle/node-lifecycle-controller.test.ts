import type { V1Node, V1Pod, V1Toleration } from '@coffer/api/generated/types';
import { LEASES, NODES, PODS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runNodeLifecycleController } from './node-lifecycle-controller.ts';
import { evictionTime } from './taint-eviction.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
});

afterEach(() => cluster.stop());

async function start(): Promise<void> {
  cluster.run('node-controller', (deps, signal) =>
    runNodeLifecycleController(deps, { gracePeriodMs: 50_000, monitorPeriodMs: 5000 }, signal),
  );
  await cluster.settle();
}

function putNode(conditions: Record<string, string>, spec: object = {}): void {
  const list = Object.entries(conditions).map(([type, status]) => ({ type, status, lastHeartbeatTime: '2026-01-01T00:00:00Z' }));
  cluster.api.put(NODES, { metadata: { name: 'n1', uid: 'n1-uid' }, spec, status: { conditions: list } });
}

const renew = () =>
  cluster.api.put(LEASES, {
    metadata: { name: 'n1', namespace: 'kube-node-lease' },
    spec: { renewTime: new Date(cluster.clock.now()).toISOString() },
  });
const node = () => cluster.api.find(NODES, '', 'n1') as V1Node | undefined;
const taints = () => (node()?.spec?.taints ?? []).map((taint) => `${taint.key.replace('node.kubernetes.io/', '')}:${taint.effect}`);
const forSeconds = (tolerationSeconds: number): V1Toleration[] =>
  ['not-ready', 'unreachable'].map((key) => ({
    key: `node.kubernetes.io/${key}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds,
  }));

function putPod(name: string, tolerations: readonly V1Toleration[]): void {
  const conditions = [{ type: 'Ready', status: 'True' }];
  cluster.api.put(PODS, {
    metadata: { name, namespace: 'default' },
    spec: { nodeName: 'n1', containers: [], tolerations },
    status: { phase: 'Running', conditions },
  });
}

describe('node lifecycle controller', () => {
  it('declares a silent node unknown, marks its pods, and evicts them when their time has come', async () => {
    putNode({ Ready: 'True', MemoryPressure: 'False' });
    renew();
    putPod('patient', forSeconds(300));
    putPod('loyal', [{ operator: 'Exists' }]);
    putPod('hasty', []);
    await start();
    for (let i = 0; i < 12; i++) {
      await cluster.clock.advance(10_000);
      renew();
    }
    expect(taints()).toEqual([]);
    await cluster.clock.advance(60_000);
    await cluster.settle();
    expect(node()?.status?.conditions).toMatchObject([
      { type: 'Ready', status: 'Unknown', reason: 'NodeStatusUnknown', message: 'Kubelet stopped posting node status.' },
      { type: 'MemoryPressure', status: 'Unknown', reason: 'NodeStatusUnknown' },
      { type: 'DiskPressure', status: 'Unknown', reason: 'NodeStatusNeverUpdated', message: 'Kubelet never posted node status.' },
      { type: 'PIDPressure', status: 'Unknown' },
    ]);
    expect(taints()).toEqual(['unreachable:NoSchedule', 'unreachable:NoExecute']);
    expect(cluster.pods().map((pod) => pod.metadata?.name)).toEqual(['patient', 'loyal']);
    expect(cluster.pods()[0]?.status?.conditions).toMatchObject([{ type: 'Ready', status: 'False' }]);
    expect(cluster.events()).toContain('Normal NodeNotReady: Node n1 status is now: NodeNotReady');
    expect(cluster.events()).toContain('Warning NodeNotReady: Node is not ready');
    expect(cluster.events()).toContain('Normal TaintManagerEviction: Marking for deletion Pod default/hasty');
    await cluster.clock.advance(310_000);
    await cluster.settle();
    expect(cluster.pods().map((pod) => pod.metadata?.name)).toEqual(['loyal']);
  });

  it('takes the taints away when the node is back', async () => {
    putNode({ Ready: 'False', MemoryPressure: 'True' }, { unschedulable: true, taints: [{ key: 'mine', effect: 'NoExecute' }] });
    await start();
    expect(taints()).toEqual([
      'mine:NoExecute',
      'not-ready:NoSchedule',
      'memory-pressure:NoSchedule',
      'unschedulable:NoSchedule',
      'not-ready:NoExecute',
    ]);
    cluster.api.put(NODES, {
      ...node(),
      spec: { ...node()?.spec, unschedulable: false },
      status: { conditions: [{ type: 'Ready', status: 'True' }] },
    });
    await cluster.settle();
    expect(taints()).toEqual(['mine:NoExecute']);
  });

  it('gives a node that was silent while nobody watched the whole grace period', async () => {
    cluster.api.put(LEASES, { metadata: { name: 'n1', namespace: 'kube-node-lease' }, spec: { renewTime: '2020-01-01T00:00:00.000000Z' } });
    putNode({ Ready: 'True' });
    await start();
    await cluster.clock.advance(40_000);
    expect(taints()).toEqual([]);
    await cluster.clock.advance(20_000);
    await cluster.settle();
    expect(taints()).toEqual(['unreachable:NoSchedule', 'unreachable:NoExecute']);
  });

  it('tells about nodes that come and go', async () => {
    await start();
    putNode({ Ready: 'True' });
    await cluster.settle();
    cluster.api.remove(NODES, '', 'n1');
    await cluster.settle();
    expect(cluster.events()).toEqual([
      'Normal RegisteredNode: Node n1 event: Registered Node n1 in Controller',
      'Normal RemovingNode: Node n1 event: Removing Node n1 from Controller',
    ]);
  });
});

describe('evictionTime', () => {
  const nowMs = Date.UTC(2026, 0, 1, 0, 1);
  const taint = { key: 'k', effect: 'NoExecute', timeAdded: '2026-01-01T00:00:00Z' };
  const pod = (tolerations: readonly V1Toleration[]): V1Pod => ({ spec: { containers: [], tolerations } });
  it.each([
    { name: 'no taint', tolerations: [], taints: [], expected: 'never' },
    { name: 'another effect', tolerations: [], taints: [{ ...taint, effect: 'NoSchedule' }], expected: 'never' },
    { name: 'not tolerated', tolerations: [], taints: [taint], expected: 0 },
    { name: 'tolerated for ever', tolerations: [{ operator: 'Exists' }], taints: [taint], expected: 'never' },
    {
      name: 'tolerated for a time',
      tolerations: [{ key: 'k', operator: 'Exists', tolerationSeconds: 90 }],
      taints: [taint],
      expected: Date.UTC(2026, 0, 1, 0, 1, 30),
    },
    {
      name: 'the shorter of two times',
      tolerations: [
        { key: 'k', operator: 'Exists', tolerationSeconds: 90 },
        { operator: 'Exists', tolerationSeconds: 10 },
      ],
      taints: [taint],
      expected: Date.UTC(2026, 0, 1, 0, 0, 10),
    },
    {
      name: 'one of two taints not tolerated',
      tolerations: [{ key: 'k', operator: 'Exists' }],
      taints: [taint, { ...taint, key: 'l' }],
      expected: 0,
    },
  ])('$name', ({ tolerations, taints: given, expected }) => {
    expect(evictionTime(pod(tolerations), given, nowMs)).toBe(expected);
  });
});
