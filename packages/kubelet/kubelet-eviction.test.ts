import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

const running = (name: string) => node.until(() => expect(node.pod(name).status.phase).toBe('Running'));
const short = { 'memory.available': { available: 1024, capacity: 1e9 } };

async function conditionsOfNode(): Promise<Record<string, string>> {
  const status = node.node()?.status as { conditions: { type: string; status: string }[] };
  return Object.fromEntries(status.conditions.map((condition) => [condition.type, condition.status]));
}

describe('the kubelet', () => {
  it('evicts a pod that keeps more in an emptyDir than it may, and no other', async () => {
    const spec = {
      containers: [{ name: 'c', image: 'i', volumeMounts: [{ name: 'v', mountPath: '/v' }] }],
      volumes: [{ name: 'v', emptyDir: { sizeLimit: '1Mi' } }],
    };
    const large = node.createPod('large', spec);
    const small = node.createPod('small', spec);
    await running('large');
    await running('small');
    for (const [pod, size] of [
      [large, 2],
      [small, 0.5],
    ] as const) {
      const directory = join(node.rootDir, 'pods', pod.metadata.uid, 'volumes/kubernetes.io~empty-dir/v');
      await mkdir(directory, { recursive: true });
      await writeFile(join(directory, 'file'), Buffer.alloc(size * 1024 * 1024, 1));
    }
    await node.clock.advance(10_000);
    await node.until(() => expect(node.pod('large').status.phase).toBe('Failed'));
    const message = 'Usage of EmptyDir volume "v" exceeds the limit "1Mi". ';
    expect(node.pod('large').status).toMatchObject({ reason: 'Evicted', message });
    expect(node.pod('large').status.conditions?.some(({ type }) => type === 'DisruptionTarget')).toBe(false);
    await node.until(() => expect(node.events('large')).toContain(`Warning Evicted ${message}`));
    expect(node.pod('small').status.phase).toBe('Running');
  });

  it('evicts one pod after the other while the node is short of memory, shows it, and refuses new ones', async () => {
    node.createPod('modest', { priority: 5 });
    node.createPod('unimportant', { priority: 1 });
    await running('modest');
    await running('unimportant');
    node.resources = short;
    await node.clock.advance(10_000);
    await node.until(() => expect(node.pod('unimportant').status.phase).toBe('Failed'));
    expect(node.pod('unimportant').status.conditions?.find(({ type }) => type === 'DisruptionTarget')).toMatchObject({
      status: 'True',
      reason: 'TerminationByKubelet',
      message: expect.stringMatching(/^The node was low on resource: memory\. Threshold quantity: 100Mi, available: 1Ki\. $/),
    });
    await node.until(async () => expect(await conditionsOfNode()).toMatchObject({ MemoryPressure: 'True', DiskPressure: 'False' }));
    node.createPod('late', {});
    await node.until(() => expect(node.pod('late').status).toMatchObject({ phase: 'Failed', reason: 'Evicted' }));
    expect(node.pod('late').status.message).toBe('Pod was rejected: The node had condition: [MemoryPressure]. ');
    node.createPod('asking', { containers: [{ name: 'c', image: 'i', resources: { requests: { memory: '1Mi' } } }] });
    await running('asking');
    // It ends five minutes after memory was short for the last time.
    node.resources = {};
    await node.clock.advance(305_000);
    await node.until(async () => expect(await conditionsOfNode()).toMatchObject({ MemoryPressure: 'False' }));
    node.createPod('later', {});
    await running('later');
  });

  it('never evicts what the system needs', async () => {
    node.createPod('vital', { priority: 2_000_001_000 });
    await running('vital');
    node.resources = short;
    await node.clock.advance(10_000);
    await node.until(async () => expect(await conditionsOfNode()).toMatchObject({ MemoryPressure: 'True' }));
    await node.clock.advance(20_000);
    expect(node.pod('vital').status.phase).toBe('Running');
  });
});
