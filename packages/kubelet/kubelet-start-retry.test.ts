import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestNode } from './testing/test-node.ts';

let node: TestNode;
beforeEach(async () => {
  node = await TestNode.start();
});
afterEach(() => node.close());

const waiting = () => node.pod('p').status.containerStatuses?.[0]?.state?.waiting;

describe('a container that cannot be created', () => {
  it('is tried again soon, and then less often', async () => {
    const problems = ['first', 'second', 'third'];
    node.runtime.onCreate = () => {
      const problem = problems.shift();
      if (problem !== undefined) throw new Error(problem);
    };
    node.createPod('p', { containers: [{ name: 'c', image: 'i', command: ['app'] }] });
    for (const [message, laterMs] of [
      ['first', 250],
      ['second', 500],
      ['third', 1000],
    ] as const) {
      await node.until(() => expect(waiting()).toEqual({ reason: 'CreateContainerError', message }));
      await node.kubelet.whenIdle();
      await node.clock.advance(laterMs);
    }
    await node.until(() => expect(node.pod('p').status.phase).toBe('Running'));
  });
});
