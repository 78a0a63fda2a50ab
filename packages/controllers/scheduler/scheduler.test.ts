import { StatusError } from '@coffer/api/errors/status-error';
import type { V1Pod } from '@coffer/api/generated/types';
import { NAMESPACES, NEW_EVENTS, NODES, PODS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runScheduler } from './scheduler.ts';

let cluster: TestCluster;
const byName = (a = '', b = '') => a.localeCompare(b);

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('system:kube-scheduler', (deps, signal) => runScheduler(deps, { host: 'h1' }, signal));
});

afterEach(() => cluster.stop());

interface NodeFields {
  readonly labels?: Record<string, string>;
  readonly taints?: readonly object[];
  readonly unschedulable?: boolean;
  readonly ready?: boolean;
  readonly allocatable?: Record<string, string>;
}

function putNode(name: string, fields: NodeFields = {}): void {
  cluster.api.put(NODES, {
    metadata: { name, labels: { 'kubernetes.io/hostname': name, ...fields.labels } },
    spec: { ...(fields.taints ? { taints: fields.taints } : {}), ...(fields.unschedulable ? { unschedulable: true } : {}) },
    status: {
      allocatable: { cpu: '4', memory: '8Gi', pods: '110', ...fields.allocatable },
      conditions: [{ type: 'Ready', status: fields.ready === false ? 'False' : 'True' }],
    },
  });
}

function putPod(name: string, spec: object = {}, metadata: object = {}): void {
  cluster.api.put(PODS, {
    metadata: { name, namespace: 'default', ...metadata },
    spec: { schedulerName: 'default-scheduler', containers: [{ name: 'c', image: 'i' }], ...spec },
    status: { phase: 'Pending' },
  });
}

const pod = (name: string) => cluster.api.find(PODS, 'default', name) as V1Pod | undefined;
const nodeOf = (name: string) => pod(name)?.spec?.nodeName;
const why = (name: string) => pod(name)?.status?.conditions?.find((condition) => condition.type === 'PodScheduled');
const requests = (amounts: Record<string, string>) => ({ containers: [{ name: 'c', image: 'i', resources: { requests: amounts } }] });
const notHelpful = (n: number) =>
  `no new claims to deallocate, preemption: 0/${n} nodes are available: ${n} Preemption is not helpful for scheduling.`;
const noVictims = (n: number) =>
  `no new claims to deallocate, preemption: 0/${n} nodes are available: ${n} No preemption victims found for incoming pod.`;

async function verdict(name: string): Promise<string | undefined> {
  await cluster.settle();
  return nodeOf(name) ?? why(name)?.message;
}

describe('scheduler', () => {
  it('binds a pod to a ready node and says so', async () => {
    putNode('n1');
    putPod('p');
    await cluster.settle();
    expect(nodeOf('p')).toBe('n1');
    expect(cluster.api.all(NEW_EVENTS)[0]).toMatchObject({
      metadata: { namespace: 'default' },
      eventTime: '2026-01-01T00:00:00.000000Z',
      reportingController: 'default-scheduler',
      reportingInstance: 'default-scheduler-h1',
      action: 'Binding',
      reason: 'Scheduled',
      type: 'Normal',
      note: 'Successfully assigned default/p to n1',
      regarding: { kind: 'Pod', apiVersion: 'v1', namespace: 'default', name: 'p', uid: pod('p')?.metadata?.uid },
    });
  });

  it('leaves alone what is not its business', async () => {
    putNode('n1');
    putPod('other', { schedulerName: 'mine' });
    putPod('gated', { schedulingGates: [{ name: 'wait' }] });
    putPod('placed', { nodeName: 'elsewhere' });
    putPod('leaving', {}, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await cluster.settle();
    expect(['other', 'gated', 'placed', 'leaving'].map(nodeOf)).toEqual([undefined, undefined, 'elsewhere', undefined]);
    putPod('gated');
    await cluster.settle();
    cluster.api.put(PODS, { ...pod('gated'), spec: { schedulerName: 'default-scheduler', containers: [] } });
    await cluster.settle();
    expect(nodeOf('gated')).toBe('n1');
  });

  it('says why a pod fits nowhere, and binds it when that changes', async () => {
    putPod('p');
    expect(await verdict('p')).toBe('no nodes available to schedule pods');
    putNode('n1', { ready: false });
    await cluster.clock.advance(1000);
    expect(await verdict('p')).toBe(`0/1 nodes are available: 1 node(s) had untolerated taint(s). ${notHelpful(1)}`);
    expect(why('p')).toMatchObject({ status: 'False', reason: 'Unschedulable' });
    expect(cluster.api.all(NEW_EVENTS).map((event) => event.reason)).toEqual(['FailedScheduling', 'FailedScheduling']);
    putNode('n1');
    await cluster.clock.advance(1000);
    await cluster.settle();
    expect(nodeOf('p')).toBe('n1');
  });

  const refusals: { name: string; node: NodeFields; spec: object; message: string }[] = [
    {
      name: 'cordoned',
      node: { unschedulable: true },
      spec: {},
      message: `0/1 nodes are available: 1 node(s) were unschedulable. ${notHelpful(1)}`,
    },
    {
      name: 'tainted',
      node: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] },
      spec: {},
      message: `0/1 nodes are available: 1 node(s) had untolerated taint(s). ${notHelpful(1)}`,
    },
    {
      name: 'nodeSelector',
      node: {},
      spec: { nodeSelector: { disk: 'ssd' } },
      message: `0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. ${notHelpful(1)}`,
    },
    {
      name: 'node affinity',
      node: { labels: { zone: 'a' } },
      spec: {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'NotIn', values: ['a'] }] }],
            },
          },
        },
      },
      message: `0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. ${notHelpful(1)}`,
    },
    {
      name: 'more than the node has',
      node: {},
      spec: requests({ cpu: '5', memory: '9Gi' }),
      message: `0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. ${notHelpful(1)}`,
    },
    {
      name: 'unknown resource',
      node: {},
      spec: requests({ 'example.com/gpu': '1' }),
      message: `0/1 nodes are available: 1 Insufficient example.com/gpu. ${notHelpful(1)}`,
    },
    {
      name: 'no room for pods',
      node: { allocatable: { pods: '0' } },
      spec: {},
      message: `0/1 nodes are available: 1 Too many pods. ${noVictims(1)}`,
    },
    {
      name: 'no preemption wanted',
      node: { allocatable: { pods: '0' } },
      spec: { preemptionPolicy: 'Never' },
      message:
        '0/1 nodes are available: 1 Too many pods. no new claims to deallocate, preemption: not eligible due to preemptionPolicy=Never.',
    },
    {
      name: 'a volume claim',
      node: {},
      spec: { volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }] },
      message: `0/1 nodes are available: persistentvolumeclaim "data" not found. ${notHelpful(1)}`,
    },
    {
      name: 'company nobody gives',
      node: {},
      spec: {
        affinity: {
          podAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [
              { labelSelector: { matchLabels: { app: 'db' } }, topologyKey: 'kubernetes.io/hostname' },
            ],
          },
        },
      },
      message: `0/1 nodes are available: 1 node(s) didn't match pod affinity rules. ${notHelpful(1)}`,
    },
    {
      name: 'a topology the node does not have',
      node: {},
      spec: { topologySpreadConstraints: [{ maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: {} }] },
      message: `0/1 nodes are available: 1 node(s) didn't match pod topology spread constraints (missing required label). ${notHelpful(1)}`,
    },
  ];
  it.each(refusals)('refuses: $name', async ({ node, spec, message }) => {
    putNode('n1', node);
    putPod('p', spec);
    expect(await verdict('p')).toBe(message);
  });

  const acceptances: { name: string; node: NodeFields; spec: object }[] = [
    {
      name: 'a tolerated taint',
      node: { taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }] },
      spec: { tolerations: [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }] },
    },
    {
      name: 'everything tolerated',
      node: { unschedulable: true, ready: false, taints: [{ key: 'k', effect: 'NoExecute' }] },
      spec: { tolerations: [{ operator: 'Exists' }] },
    },
    { name: 'a soft taint', node: { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] }, spec: {} },
    {
      name: 'one of several affinity terms',
      node: { labels: { n: '7' } },
      spec: {
        affinity: {
          nodeAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: {
              nodeSelectorTerms: [
                { matchFields: [{ key: 'metadata.name', operator: 'In', values: ['x'] }] },
                { matchExpressions: [{ key: 'n', operator: 'Gt', values: ['6'] }] },
              ],
            },
          },
        },
      },
    },
    { name: 'exactly what the node has', node: {}, spec: requests({ cpu: '4000m', memory: '8192Mi' }) },
  ];
  it.each(acceptances)('accepts: $name', async ({ node, spec }) => {
    putNode('n1', node);
    putPod('p', spec);
    expect(await verdict('p')).toBe('n1');
  });

  it('counts what it placed before the binding shows up', async () => {
    putNode('n1', { allocatable: { pods: '3' } });
    for (let i = 0; i < 5; i++) putPod(`p${i}`);
    await cluster.settle();
    expect(cluster.pods().filter((p) => p.spec?.nodeName === 'n1')).toHaveLength(3);
    expect(why('p4')?.message).toBe(`0/1 nodes are available: 1 Too many pods. ${noVictims(1)}`);
    cluster.api.remove(PODS, 'default', 'p0');
    await cluster.clock.advance(1000);
    await cluster.settle();
    expect(cluster.pods().filter((p) => p.spec?.nodeName === 'n1')).toHaveLength(3);
  });

  it('gives the room of finished pods to others', async () => {
    putNode('n1', { allocatable: { pods: '1' } });
    putPod('a');
    putPod('b');
    await cluster.settle();
    cluster.api.put(PODS, { ...pod('a'), status: { phase: 'Succeeded' } });
    await cluster.clock.advance(1000);
    await cluster.settle();
    expect(nodeOf('b')).toBe('n1');
  });

  it('spreads pods of one owner, prefers what is preferred, avoids soft taints', async () => {
    for (const name of ['n1', 'n2', 'n3']) putNode(name);
    putNode('n4', { taints: [{ key: 'k', effect: 'PreferNoSchedule' }] });
    const owner = { ownerReferences: [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u', controller: true }] };
    for (let i = 0; i < 6; i++) putPod(`p${i}`, {}, owner);
    await cluster.settle();
    expect([0, 1, 2, 3, 4, 5].map((i) => nodeOf(`p${i}`)).toSorted(byName)).toEqual(['n1', 'n1', 'n2', 'n2', 'n3', 'n3']);
    putPod('wish', {
      affinity: {
        nodeAffinity: {
          preferredDuringSchedulingIgnoredDuringExecution: [
            { weight: 1, preference: { matchExpressions: [{ key: 'kubernetes.io/hostname', operator: 'In', values: ['n2'] }] } },
          ],
        },
      },
    });
    await cluster.settle();
    expect(nodeOf('wish')).toBe('n2');
  });

  it('keeps pods together and apart as they ask', async () => {
    cluster.api.put(NAMESPACES, { metadata: { name: 'default', labels: { team: 'x' } } });
    putNode('n1', { labels: { zone: 'a' } });
    putNode('n2', { labels: { zone: 'b' } });
    const term = { labelSelector: { matchLabels: { app: 'web' } }, topologyKey: 'zone' };
    const apart = { affinity: { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } } };
    putPod('w1', apart, { labels: { app: 'web' } });
    putPod('w2', apart, { labels: { app: 'web' } });
    await cluster.settle();
    expect([nodeOf('w1'), nodeOf('w2')].toSorted(byName)).toEqual(['n1', 'n2']);
    putPod('w3', apart, { labels: { app: 'web' } });
    expect(await verdict('w3')).toBe(`0/2 nodes are available: 2 node(s) didn't match pod anti-affinity rules. ${noVictims(2)}`);
    putPod('w4', {}, { labels: { app: 'web' } });
    expect(await verdict('w4')).toBe(
      `0/2 nodes are available: 2 node(s) didn't satisfy existing pods anti-affinity rules. ${noVictims(2)}`,
    );
    const near = (extra: object) => ({
      affinity: {
        podAffinity: {
          requiredDuringSchedulingIgnoredDuringExecution: [{ ...term, labelSelector: { matchLabels: { app: 'db' } }, ...extra }],
        },
      },
    });
    putPod('db1', near({}), { labels: { app: 'db' } });
    await cluster.settle();
    putPod('db2', near({ namespaceSelector: { matchLabels: { team: 'x' } } }), { labels: { app: 'db' } });
    await cluster.settle();
    expect(nodeOf('db1')).toBeDefined();
    expect(nodeOf('db2')).toBe(nodeOf('db1'));
  });

  it('keeps the skew of a topology spread', async () => {
    putNode('n1', { labels: { zone: 'a' } });
    putNode('n2', { labels: { zone: 'b' } });
    const spread = {
      topologySpreadConstraints: [
        { maxSkew: 1, topologyKey: 'zone', whenUnsatisfiable: 'DoNotSchedule', labelSelector: { matchLabels: { app: 'web' } } },
      ],
    };
    for (let i = 0; i < 4; i++) putPod(`p${i}`, spread, { labels: { app: 'web' } });
    await cluster.settle();
    expect([0, 1, 2, 3].map((i) => nodeOf(`p${i}`)).toSorted(byName)).toEqual(['n1', 'n1', 'n2', 'n2']);
    putNode('n2', { labels: { zone: 'b' }, allocatable: { pods: '2' } });
    putPod('p4', spread, { labels: { app: 'web' } });
    await cluster.settle();
    putPod('p5', spread, { labels: { app: 'web' } });
    expect(await verdict('p5')).toBe(
      `0/2 nodes are available: 1 Too many pods, 1 node(s) didn't match pod topology spread constraints. ${noVictims(2)}`,
    );
  });

  it('refuses a host port twice on one node', async () => {
    putNode('n1');
    const ports = { containers: [{ name: 'c', image: 'i', ports: [{ containerPort: 80, hostPort: 8080 }] }] };
    putPod('a', ports);
    await cluster.settle();
    putPod('b', ports);
    expect(await verdict('b')).toBe(
      `0/1 nodes are available: 1 node(s) didn't have free ports for the requested pod ports. ${noVictims(1)}`,
    );
  });

  it('takes the higher priority first', async () => {
    putPod('low', { priority: 0 });
    putPod('high', { priority: 10 });
    await cluster.settle();
    putNode('n1', { allocatable: { pods: '1' } });
    await cluster.clock.advance(1000);
    await cluster.settle();
    expect([nodeOf('low'), nodeOf('high')]).toEqual([undefined, 'n1']);
  });

  it('tries again when a binding fails', async () => {
    putNode('n1');
    let refuse = true;
    cluster.api.before = (request) => {
      if (refuse && request.path.endsWith('/binding')) throw new StatusError(500, 'InternalError', 'broken');
    };
    putPod('p');
    await cluster.settle();
    expect(nodeOf('p')).toBeUndefined();
    refuse = false;
    await cluster.clock.advance(1000);
    await cluster.settle();
    expect(nodeOf('p')).toBe('n1');
  });

  it('binds 500 pods to 20 nodes evenly', async () => {
    for (let i = 0; i < 20; i++) putNode(`n${i}`);
    for (let i = 0; i < 500; i++) putPod(`p${i}`, requests({ cpu: '100m' }));
    await cluster.settle();
    const perNode = new Map<string, number>();
    for (const p of cluster.pods()) perNode.set(p.spec?.nodeName ?? '', (perNode.get(p.spec?.nodeName ?? '') ?? 0) + 1);
    expect([...perNode.values()]).toEqual(Array.from({ length: 20 }, () => 25));
  });
});
