import type { V1Pod, V1PodDisruptionBudget } from '@coffer/api/generated/types';
import { NEW_EVENTS, NODES, PODS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { NodeState } from './node-state.ts';
import { choosePreemption } from './preemption.ts';
import { runScheduler } from './scheduler.ts';

interface Fields {
  readonly priority?: number;
  readonly amount?: number;
  readonly node?: string;
  readonly labels?: Record<string, string>;
  readonly finalizers?: readonly string[];
  readonly startTime?: string;
  readonly preemptionPolicy?: string;
}

const dongle = 'example.com/dongle';

function podOf(name: string, fields: Fields = {}): object {
  const { priority = 0, amount = 1, node, labels, finalizers, startTime, preemptionPolicy } = fields;
  return {
    metadata: { name, namespace: 'default', uid: `uid-${name}`, ...(labels ? { labels } : {}), ...(finalizers ? { finalizers } : {}) },
    spec: {
      schedulerName: 'default-scheduler',
      priority,
      containers: [{ name: 'c', image: 'i', resources: { requests: { [dongle]: String(amount) } } }],
      ...(node === undefined ? {} : { nodeName: node }),
      ...(preemptionPolicy === undefined ? {} : { preemptionPolicy }),
    },
    status: { phase: node === undefined ? 'Pending' : 'Running', ...(startTime === undefined ? {} : { startTime }) },
  };
}

describe('a pod that fits nowhere', () => {
  let cluster: TestCluster;
  beforeEach(() => {
    cluster = new TestCluster();
    cluster.run('system:kube-scheduler', (deps, signal) => runScheduler(deps, { host: 'h1' }, signal));
    cluster.api.put(NODES, {
      metadata: { name: 'n1' },
      spec: {},
      status: { allocatable: { pods: '110', [dongle]: '1000' }, conditions: [{ type: 'Ready', status: 'True' }] },
    });
  });
  afterEach(() => cluster.stop());

  const pod = (name: string) => cluster.api.find(PODS, 'default', name) as V1Pod | undefined;
  const put = (name: string, fields: Fields) => cluster.api.put(PODS, podOf(name, fields) as never);
  const condition = (name: string, type: string) => pod(name)?.status?.conditions?.find((one) => one.type === type);
  const notes = (reason: string) =>
    cluster.api.all(NEW_EVENTS).flatMap((event) => (event.reason === reason ? [`${String(event.type)} ${String(event.note)}`] : []));
  const retry = async () => {
    await cluster.clock.advance(10_000);
    await cluster.settle();
  };

  beforeEach(() => {
    put('one', { priority: 1, amount: 200, node: 'n1', finalizers: ['test/wait'] });
    put('two', { priority: 2, amount: 300, node: 'n1', finalizers: ['test/wait'] });
    put('three', { priority: 3, amount: 450, node: 'n1' });
  });

  it('takes the place of the least important ones that have to go, when they have gone', async () => {
    put('four', { priority: 4, amount: 500 });
    await cluster.settle();
    expect(pod('four')?.status?.nominatedNodeName).toBe('n1');
    expect(condition('four', 'PodScheduled')?.message).toBe(`0/1 nodes are available: 1 Insufficient ${dongle}.`);
    for (const name of ['one', 'two']) {
      expect(pod(name)?.metadata?.deletionTimestamp).toBeDefined();
      expect(condition(name, 'DisruptionTarget')).toMatchObject({
        status: 'True',
        reason: 'PreemptionByScheduler',
        message: 'default-scheduler: preempting to accommodate a higher priority pod',
      });
    }
    expect(notes('Preempted')).toEqual(Array(2).fill('Normal Preempted by pod uid-four on node n1'));
    expect(pod('three')?.metadata?.deletionTimestamp).toBeUndefined();

    await retry();
    // Something changes, and the pods still take their time.
    cluster.api.put(NODES, { ...cluster.api.find(NODES, '', 'n1'), spec: { taints: [{ key: 'a', effect: 'PreferNoSchedule' }] } } as never);
    await retry();
    expect(condition('four', 'PodScheduled')?.message).toBe(
      `0/1 nodes are available: 1 Insufficient ${dongle}. no new claims to deallocate, preemption: not eligible due to a terminating pod on the nominated node.`,
    );
    expect(pod('three')?.metadata?.deletionTimestamp).toBeUndefined();

    put('again', { priority: 2, amount: 300 });
    cluster.api.remove(PODS, 'default', 'one');
    cluster.api.remove(PODS, 'default', 'two');
    await retry();
    expect(pod('four')?.spec?.nodeName).toBe('n1');
    expect(pod('again')?.spec?.nodeName).toBeUndefined();
    expect(condition('again', 'PodScheduled')?.message).toContain('1 No preemption victims found for incoming pod.');
    expect(notes('Preempted')).toHaveLength(2);
  });

  it('leaves everything as it is when that would not help, or is not wanted', async () => {
    put('large', { priority: 4, amount: 1001 });
    put('equal', { priority: 1, amount: 200 });
    put('polite', { priority: 4, amount: 500, preemptionPolicy: 'Never' });
    await cluster.settle();
    const why = (name: string) => condition(name, 'PodScheduled')?.message?.split('preemption: ')[1];
    expect(why('large')).toBe('0/1 nodes are available: 1 Preemption is not helpful for scheduling.');
    expect(why('equal')).toBe('0/1 nodes are available: 1 No preemption victims found for incoming pod.');
    expect(why('polite')).toBe('not eligible due to preemptionPolicy=Never.');
    expect(notes('Preempted')).toEqual([]);
  });

  it('gives its place up to a more important one', async () => {
    put('two-and-a-half', { priority: 2, amount: 210 });
    await cluster.settle();
    expect(pod('two-and-a-half')?.status?.nominatedNodeName).toBe('n1');
    put('four', { priority: 4, amount: 550 });
    await cluster.settle();
    expect(pod('four')?.status?.nominatedNodeName).toBe('n1');
    expect(pod('two-and-a-half')?.status?.nominatedNodeName).toBeUndefined();
  });
});

describe('choosePreemption', () => {
  const stateOf = (name: string, pods: readonly object[]) => {
    const state = new NodeState(name);
    state.setNode({ metadata: { name }, status: { allocatable: { [dongle]: '4' } } });
    for (const one of pods) state.addPod(one as V1Pod);
    return state;
  };
  const choose = (states: readonly NodeState[], budgets: readonly V1PodDisruptionBudget[] = []) => {
    const pod = podOf('p', { priority: 100, amount: 2 }) as V1Pod;
    const fits = (state: NodeState) =>
      (state.allocatable.get(dongle) ?? 0) - state.requested(dongle) >= 2 ? undefined : { reasons: ['full'], resolvable: true };
    const before = states.map((state) => state.requested(dongle));
    const chosen = choosePreemption({ pod, states, fits, budgets });
    expect(states.map((state) => state.requested(dongle))).toEqual(before);
    return 'victims' in chosen
      ? [chosen.node, ...chosen.victims.map(({ metadata }) => metadata?.name)]
      : Object.fromEntries(chosen.failures);
  };
  const budget = (app: string, allowed: number): V1PodDisruptionBudget => ({
    metadata: { name: app, namespace: 'default' },
    spec: { selector: { matchLabels: { app } } },
    status: { disruptionsAllowed: allowed, currentHealthy: 0, desiredHealthy: 0, expectedPods: 0 },
  });

  it.each<[name: string, left: readonly Fields[], right: readonly Fields[], chosen: readonly string[]]>([
    ['the lowest highest priority', [{ priority: 5, amount: 4 }], [{ priority: 3, amount: 4 }], ['right', 'right-0']],
    [
      'the lowest sum',
      Array.from({ length: 4 }, () => ({ priority: 3 })),
      Array.from({ length: 2 }, () => ({ priority: 3, amount: 2 })),
      ['right', 'right-1'],
    ],
    [
      'the fewest budgets broken, though more important pods go',
      [{ priority: 1, amount: 4, labels: { app: 'a' } }],
      [{ priority: 5, amount: 4 }],
      ['right', 'right-0'],
    ],
    [
      'the pods that have run the shortest time',
      [{ amount: 4, startTime: '2026-01-01T00:00:00Z' }],
      [{ amount: 4, startTime: '2026-01-02T00:00:00Z' }],
      ['right', 'right-0'],
    ],
    ['the first of equals', [{ amount: 4 }], [{ amount: 4 }], ['left', 'left-0']],
  ])('takes %s', (_name, left, right, expected) => {
    const pods = (side: string, fields: readonly Fields[]) => fields.map((one, i) => podOf(`${side}-${i}`, one));
    expect(choose([stateOf('left', pods('left', left)), stateOf('right', pods('right', right))], [budget('a', 0)])).toEqual(expected);
  });

  it('spares pods whose budget does not allow it before more important ones', () => {
    const pods = [podOf('kept', { priority: 1, amount: 2, labels: { app: 'a' } }), podOf('gone', { priority: 5, amount: 2 })];
    expect(choose([stateOf('n', pods)], [budget('a', 0)])).toEqual(['n', 'gone']);
    expect(choose([stateOf('n', pods)], [budget('a', 1)])).toEqual(['n', 'kept']);
  });

  it('says per node why nothing can go', () => {
    const full = podOf('full', { priority: 200, amount: 4 });
    const mixed = [podOf('more', { priority: 200, amount: 3 }), podOf('less', { amount: 1 })];
    expect(choose([stateOf('a', [full]), stateOf('b', mixed)])).toEqual({
      a: ['No preemption victims found for incoming pod'],
      b: ['full'],
    });
  });
});
