import { describe, expect, it } from 'vitest';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems } from '../testing/written-object.ts';
import { lease } from './lease.ts';

describe('Lease', () => {
  it.each<[Fields, string[]]>([
    [{}, []],
    [{ holderIdentity: 'h', leaseDurationSeconds: 1, leaseTransitions: 0 }, []],
    [{ leaseDurationSeconds: 0 }, ['spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0']],
    [{ leaseTransitions: -1 }, ['spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0']],
    [{ strategy: 'OldestEmulationVersion', preferredHolder: 'h' }, []],
    [{ strategy: 'Mine' }, ['spec.strategy.strategy: Unsupported value: "Mine": supported values: "OldestEmulationVersion"']],
    [{ strategy: 'example.com/Mine' }, []],
    [{ preferredHolder: 'h' }, ['spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined']],
  ])('%j', (spec, want) => {
    expect(createProblems(lease, { spec })).toEqual(want);
  });

  it('is shown with its holder', () => {
    expect(cellsOf(lease, { spec: { holderIdentity: 'h' } }, 0)).toEqual({ Name: 'x', Holder: 'h', Age: '<unknown>' });
    expect(cellsOf(lease, {}, 0).Holder).toBe('');
  });
});
