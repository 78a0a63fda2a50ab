import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

const askAt = (code: number) => [{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [code] } }];
const statuses = (name: string) => [
  ...(node.pod(name).status.initContainerStatuses ?? []),
  ...(node.pod(name).status.containerStatuses ?? []),
];
const restarts = (name: string) => Object.fromEntries(statuses(name).map((status) => [status.name, status.restartCount]));
const condition = (name: string) => node.pod(name).status.conditions?.find(({ type }) => type === 'AllContainersRestarting')?.status;
const running = (name: string) => statuses(name).flatMap((status) => (status.state?.running === undefined ? [] : [status.name]));

describe('a rule that restarts the whole pod', () => {
  const spec = {
    restartPolicy: 'Never',
    initContainers: [
      { name: 'init', image: 'i' },
      { name: 'side', image: 'i', restartPolicy: 'Always', restartPolicyRules: askAt(7) },
    ],
    containers: [
      { name: 'asks', image: 'i', restartPolicy: 'Never', restartPolicyRules: askAt(42) },
      { name: 'other', image: 'i', lifecycle: { preStop: { exec: { command: ['bye'] } } } },
    ],
  };

  /** Lets the init container end and waits until the others run; logs are there as a runtime leaves them. */
  async function startUp(): Promise<void> {
    const id = await node.until(() => {
      const init = node.runtime.find('init');
      expect(init?.status.state).toBe('running');
      return init?.status.id ?? '';
    });
    await node.runtime.log('init', 'ready');
    node.runtime.end(id, 0);
    await node.until(() => expect(running('p')).toEqual(['side', 'asks', 'other']));
    for (const name of ['side', 'asks', 'other']) await node.runtime.log(name, 'up');
  }
  const end = (name: string, code: number) => node.runtime.end(node.runtime.find(name)?.status.id ?? '', code);

  it.each([
    ['asks', 42],
    ['side', 7],
  ])('starts everything anew when %s ends with %d, in the same sandbox and without hooks', async (name, code) => {
    node.createPod('p', spec);
    await startUp();
    expect(condition('p')).toBe('False');
    node.runtime.calls.length = 0;
    end(name, code);
    await startUp();
    await node.until(() => expect(restarts('p')).toEqual({ init: 1, side: 1, asks: 1, other: 1 }));
    expect(statuses('p').map((status) => status.lastState?.terminated?.exitCode)).not.toContain(undefined);
    await node.until(() => expect([condition('p'), node.pod('p').status.phase]).toEqual(['False', 'Running']));
    expect(node.runtime.calls.filter((call) => call.startsWith('runPodSandbox') || call.includes('bye'))).toEqual([]);
  });

  it('does not let the pod fail when an init container asks that never restarts by itself', async () => {
    const init = { name: 'init', image: 'i', restartPolicy: 'Never', restartPolicyRules: askAt(42) };
    node.createPod('p', { restartPolicy: 'Never', initContainers: [init] });
    const started = () => node.until(() => expect(node.runtime.find('init')?.status.state).toBe('running'));
    await started();
    await node.runtime.log('init', 'up');
    const first = node.runtime.find('init')?.status.id;
    end('init', 42);
    await node.until(() => expect(node.runtime.find('init')?.status.id).not.toBe(first));
    await started();
    end('init', 0);
    await node.until(() => expect(running('p')).toEqual(['c']));
    expect(restarts('p')).toEqual({ init: 1, c: 0 });
  });

  it('does nothing for another exit code', async () => {
    node.createPod('p', spec);
    await startUp();
    end('asks', 1);
    await node.until(() => expect(node.pod('p').status.containerStatuses?.[0]?.state?.terminated?.exitCode).toBe(1));
    expect(restarts('p')).toEqual({ init: 0, side: 0, asks: 0, other: 0 });
  });

  it.each([
    ['asks', 42],
    ['side', 7],
  ])('is taken up by the next kubelet, which finds what %s (%d) wanted cleared away', async (name, code) => {
    node.createPod('p', spec);
    await startUp();
    node.runtime.onCreate = () => {
      throw new Error('not now');
    };
    end(name, code);
    await node.until(() => expect(statuses('p').every(({ state, lastState }) => state?.waiting && lastState?.terminated)).toBe(true));
    await node.crash();
    node.runtime.onCreate = () => {};
    await node.boot();
    await startUp();
    await node.until(() => expect(restarts('p')).toEqual({ init: 1, side: 1, asks: 1, other: 1 }));
    expect(node.pod('p').status.phase).toBe('Running');
  });
});
