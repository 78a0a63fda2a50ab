import { PODS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

const phase = (name: string, wanted: string) => node.until(() => expect(node.pod(name).status.phase).toBe(wanted));
const first = (name: string) => node.pod(name).status.containerStatuses?.[0];

describe('resize', () => {
  const sized = (cpu: string, memory = '64Mi') => {
    const amounts = { cpu, memory };
    const resizePolicy = [
      { resourceName: 'cpu', restartPolicy: 'NotRequired' },
      { resourceName: 'memory', restartPolicy: 'RestartContainer' },
    ];
    return { containers: [{ name: 'c', image: 'i', command: ['app'], resources: { limits: amounts, requests: amounts }, resizePolicy }] };
  };
  const resize = (name: string, cpu: string, memory?: string) => {
    const pod = node.pod(name);
    node.api.put(PODS, { ...pod, metadata: { ...pod.metadata, generation: 2 }, spec: { ...pod.spec, ...sized(cpu, memory) } });
  };
  const summary = (cpu: string, memory: string, rest = '') =>
    `{"containers":[{"name":"c","resources":{"limits":{"cpu":"${cpu}","memory":"${memory}"},"requests":{"cpu":"${cpu}","memory":"${memory}"}}}],"generation":2${rest}}`;
  const condition = (type: string) => node.pod('p').status.conditions?.find((c) => c.type === type);
  const updates = () => node.runtime.calls.filter((call) => call.startsWith('updateContainerResources'));

  it('gives a running container other amounts of cpu', async () => {
    node.createPod('p', sized('100m'));
    await phase('p', 'Running');
    resize('p', '200m');
    await node.until(() => expect(first('p')?.allocatedResources).toEqual({ cpu: '200m', memory: '64Mi' }));
    expect(updates()).toHaveLength(1);
    expect(updates()[0]).toContain('"cpuQuotaUs":20000,');
    expect(first('p')).toMatchObject({ restartCount: 0, resources: { limits: { cpu: '200m', memory: '64Mi' } } });
    await node.until(() =>
      expect(node.events('p')).toEqual(
        expect.arrayContaining([
          `Normal ResizeStarted Pod resize started: ${summary('200m', '64Mi')}`,
          `Normal ResizeCompleted Pod resize completed: ${summary('200m', '64Mi')}`,
        ]),
      ),
    );
  });

  it('gives a container without limits what its pod has as a whole', async () => {
    const whole = (cpu: string) => ({
      resources: { limits: { cpu, memory: '64Mi' }, requests: { cpu, memory: '32Mi' } },
      containers: [
        { name: 'c', image: 'i', command: ['app'], resources: {} },
        { name: 'limited', image: 'i', command: ['app'], resources: { limits: { cpu: '50m', memory: '32Mi' } } },
      ],
    });
    node.createPod('p', whole('100m'));
    await phase('p', 'Running');
    expect(node.pod('p').status).toMatchObject({ allocatedResources: { cpu: '100m', memory: '32Mi' }, resources: whole('100m').resources });
    const pod = node.pod('p');
    node.api.put(PODS, { ...pod, metadata: { ...pod.metadata, generation: 2 }, spec: { ...pod.spec, resources: whole('200m').resources } });
    await node.until(() =>
      expect(node.pod('p').status).toMatchObject({
        allocatedResources: { cpu: '200m', memory: '32Mi' },
        resources: whole('200m').resources,
      }),
    );
    expect(updates()).toHaveLength(1);
    expect(updates()[0]).toMatch(/^updateContainerResources c /);
    expect(updates()[0]).toContain('"cpuQuotaUs":20000,');
    expect(first('p')?.restartCount).toBe(0);
    await node.until(() => expect(node.events('p').join()).toContain('Pod resize completed: {"resources":{"limits":{"cpu":"200m"'));
  });

  it('refuses a memory limit below what the container uses, until it uses less', async () => {
    const inPlace = (memory: string) => {
      const spec = sized('100m', memory);
      return { containers: spec.containers.map((container) => ({ ...container, resizePolicy: [] })) };
    };
    node.createPod('p', inPlace('64Mi'));
    await phase('p', 'Running');
    const id = node.runtime.find('c')?.status.id ?? '';
    node.runtime.memoryUsage.set(id, 40 * 1024 * 1024);
    const pod = node.pod('p');
    node.api.put(PODS, { ...pod, metadata: { ...pod.metadata, generation: 2 }, spec: { ...pod.spec, ...inPlace('32Mi') } });
    const message = 'cannot decrease memory limits: attempting to set container "c" memory limit (33554432) below current usage (41943040)';
    await node.until(() => expect(condition('PodResizeInProgress')).toMatchObject({ status: 'True', reason: 'Error', message }));
    expect(first('p')).toMatchObject({
      allocatedResources: { memory: '32Mi' },
      resources: { limits: { memory: '64Mi' }, requests: { memory: '32Mi' } },
      restartCount: 0,
    });
    expect(updates()).toEqual([]);
    node.runtime.memoryUsage.set(id, 1024);
    await node.clock.advance(10_000);
    await node.until(() => expect(condition('PodResizeInProgress')).toBeUndefined());
    expect(updates()).toHaveLength(1);
    expect(updates()[0]).toContain('"memoryLimitBytes":33554432');
  });

  it('shows that a resize is under way until the runtime has done it', async () => {
    node.createPod('p', sized('100m'));
    await phase('p', 'Running');
    let finish: () => void = () => {};
    node.runtime.onUpdate = () =>
      new Promise((resolve) => {
        finish = resolve;
      });
    resize('p', '200m');
    await node.until(() => expect(condition('PodResizeInProgress')).toMatchObject({ status: 'True' }));
    expect(condition('PodResizeInProgress')).not.toHaveProperty('reason');
    finish();
    await node.until(() => expect(condition('PodResizeInProgress')).toBeUndefined());
  });

  it('starts a container anew where its policy asks for it', async () => {
    node.createPod('p', sized('100m'));
    await phase('p', 'Running');
    resize('p', '100m', '32Mi');
    await node.until(() => expect(first('p')).toMatchObject({ restartCount: 1, state: { running: {} } }));
    expect(node.runtime.find('c')?.config.resources.memoryLimitBytes).toBe(33_554_432);
    expect(updates()).toEqual([]);
    await node.until(() => expect(node.events('p')).toContain('Normal Killing Container c resize requires restart'));
  });

  it('starts it anew without delay when that follows soon after', async () => {
    node.createPod('p', sized('100m'));
    await phase('p', 'Running');
    resize('p', '100m', '32Mi');
    await node.until(() => expect(first('p')).toMatchObject({ restartCount: 1, state: { running: {} } }));
    resize('p', '100m', '64Mi');
    await node.until(() => expect(first('p')).toMatchObject({ restartCount: 2, state: { running: {} } }));
  });

  it('leaves a pod as it is when the node cannot give it more, and says why', async () => {
    node.createPod('p', sized('100m'));
    await phase('p', 'Running');
    resize('p', '100k');
    await node.until(() => expect(condition('PodResizePending')).toMatchObject({ status: 'True', reason: 'Infeasible' }));
    const message = condition('PodResizePending')?.message ?? '';
    expect(message).toMatch(/^Node didn't have enough capacity: cpu, requested: 100000000, capacity: \d+$/);
    expect(first('p')).toMatchObject({ allocatedResources: { cpu: '100m', memory: '64Mi' }, resources: { limits: { cpu: '100m' } } });
    const event = `Warning ResizeInfeasible Pod resize Infeasible: ${summary('100k', '64Mi', `,"error":"${message}"`)}`;
    await node.until(() => expect(node.events('p')).toContain(event));
    resize('p', '100m');
    await node.until(() => expect(condition('PodResizePending')).toBeUndefined());
    expect(updates()).toEqual([]);
  });

  it('says what the runtime refuses, and tries again', async () => {
    node.runtime.onUpdate = () => {
      throw new Error('busy');
    };
    node.createPod('p', sized('100m'));
    await phase('p', 'Running');
    resize('p', '200m');
    await node.until(() => expect(condition('PodResizeInProgress')).toMatchObject({ status: 'True', reason: 'Error', message: 'busy' }));
    node.runtime.onUpdate = () => {};
    await node.clock.advance(10_000);
    await node.until(() => expect(condition('PodResizeInProgress')).toBeUndefined());
    expect(updates()).toHaveLength(2);
  });
});

describe('resizes that wait for room', () => {
  const sized = (milliCpu: number, rest: object = {}) => ({
    containers: [{ name: 'c', image: 'i', command: ['app'], resources: { requests: { cpu: `${milliCpu}m` } }, ...rest }],
  });
  const allCpu = () => Number(((node.node()?.status ?? {}) as { allocatable?: { cpu?: string } }).allocatable?.cpu) * 1000;
  const wants = (name: string, milliCpu: number) => {
    const pod = node.pod(name);
    const containers = pod.spec.containers.map((container) => {
      const limits = container.resources?.limits && { ...container.resources.limits, cpu: `${milliCpu}m` };
      const requests = { ...container.resources?.requests, cpu: `${milliCpu}m` };
      return { ...container, resources: { requests, ...(limits === undefined ? {} : { limits }) } };
    });
    node.api.put(PODS, { ...pod, metadata: { ...pod.metadata, generation: 2 }, spec: { ...pod.spec, containers } });
  };
  const pending = (name: string) => node.pod(name).status.conditions?.find(({ type }) => type === 'PodResizePending')?.reason;
  const given = (name: string) => first(name)?.allocatedResources?.cpu;

  it('are given by priority, to guaranteed pods first, then by the time they wait', async () => {
    const most = Math.floor((allCpu() * 2) / 3);
    const little = Math.floor(allCpu() / 16);
    const same = { limits: { cpu: `${little}m`, memory: '64Mi' }, requests: { cpu: `${little}m`, memory: '64Mi' } };
    node.createPod('big', sized(most));
    node.createPod('prior', { ...sized(little), priority: 1000 });
    node.createPod('guaranteed', sized(little, { resources: same }));
    node.createPod('early', sized(little));
    node.createPod('late', sized(little));
    for (const name of ['big', 'prior', 'guaranteed', 'early', 'late']) await phase(name, 'Running');
    for (const name of ['early', 'guaranteed', 'prior', 'late']) {
      wants(name, most);
      await node.until(() => expect(pending(name)).toBe('Deferred'));
    }
    const order = ['big', 'prior', 'guaranteed', 'early', 'late'];
    for (const [i, name] of order.slice(1).entries()) {
      node.api.remove(PODS, 'default', order[i] ?? '');
      await node.until(() => expect([given(name), pending(name)]).toEqual([`${most}m`, undefined]));
      for (const other of order.slice(i + 2)) expect([given(other), pending(other)]).toEqual([`${little}m`, 'Deferred']);
    }
  });

  it('do not hinder new pods, nor does a pod that was deleted at once', async () => {
    const half = Math.floor(allCpu() / 2);
    node.createPod('p', sized(100));
    node.createPod('other', sized(half));
    await phase('p', 'Running');
    await phase('other', 'Running');
    wants('p', allCpu());
    await node.until(() => expect(pending('p')).toBe('Deferred'));
    node.createPod('small', sized(100));
    await phase('small', 'Running');
    wants('p', 100);
    await node.until(() => expect(pending('p')).toBeUndefined());
    let release: () => void = () => {};
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const stop = node.runtime.stopContainer.bind(node.runtime);
    node.runtime.stopContainer = async (id, timeoutMs) => {
      await held;
      await stop(id, timeoutMs);
    };
    node.api.remove(PODS, 'default', 'other');
    node.createPod('next', sized(half));
    await phase('next', 'Running');
    release();
  });
});
