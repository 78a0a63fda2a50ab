import type { NodeApi } from '@coffer/api/node/node-api';
import { describe, expect, it } from 'vitest';
import { reachNode } from './reach-node.ts';

describe('reachNode', () => {
  const kubelet = {} as NodeApi;

  it('waits for a node that is starting', async () => {
    let started: (node: NodeApi) => void = () => {};
    const starting = new Promise<NodeApi>((resolve) => {
      started = resolve;
    });
    const reached = reachNode({ nodeApiFor: () => starting }, 'n1');
    started(kubelet);
    expect(await reached).toBe(kubelet);
  });

  it('says which node cannot be reached', async () => {
    const reached = reachNode({ nodeApiFor: async () => undefined }, 'n1');
    await expect(reached).rejects.toMatchObject({ status: { code: 500, message: 'Internal error occurred: node "n1" cannot be reached' } });
  });
});
