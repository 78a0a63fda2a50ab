import { describe, expect, it } from 'vitest';
import { statusPatch } from './status-manager.ts';

describe('statusPatch', () => {
  it('holds only what changed', () => {
    const condition = { type: 'Ready', status: 'False', lastTransitionTime: 't1' };
    expect(
      statusPatch(
        {
          phase: 'Pending',
          conditions: [condition, { type: 'PodScheduled', status: 'True' }],
          qosClass: 'BestEffort',
          message: 'gone soon',
        },
        {
          phase: 'Running',
          conditions: [
            { ...condition, status: 'True', lastTransitionTime: 't2' },
            { type: 'PodScheduled', status: 'True' },
          ],
          qosClass: 'BestEffort',
        },
      ),
    ).toEqual({
      phase: 'Running',
      message: null,
      '$setElementOrder/conditions': [{ type: 'Ready' }, { type: 'PodScheduled' }],
      conditions: [{ type: 'Ready', status: 'True', lastTransitionTime: 't2' }],
    });
  });

  it('replaces addresses, which would otherwise be merged', () => {
    expect(statusPatch({ podIPs: [{ ip: 'a' }] }, { podIPs: [{ ip: 'b' }] })).toEqual({ podIPs: [{ ip: 'b' }, { $patch: 'replace' }] });
  });

  it('is nothing when only fields and conditions of others differ', () => {
    expect(
      statusPatch(
        { phase: 'Running', nominatedNodeName: 'n', conditions: [{ type: 'example.com/x', status: 'True' }] },
        { phase: 'Running', conditions: [] },
      ),
    ).toBeUndefined();
  });
});
