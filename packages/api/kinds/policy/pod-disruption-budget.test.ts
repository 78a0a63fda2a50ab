import { describe, expect, it } from 'vitest';
import { cellsOf, createProblems, statusProblems, updateProblems } from '../testing/written-object.ts';
import { podDisruptionBudget } from './pod-disruption-budget.ts';

const problems = (spec: object) => createProblems(podDisruptionBudget, { spec });

describe('PodDisruptionBudget', () => {
  it('has one amount, as a number or a part', () => {
    expect(problems({ minAvailable: 1, selector: { matchLabels: { a: 'b' } } })).toEqual([]);
    expect(problems({ minAvailable: 1, maxUnavailable: '50%' })[0]).toMatch(
      /^spec: Invalid value: .*: minAvailable and maxUnavailable cannot be both set$/,
    );
    expect(problems({ maxUnavailable: '101%' })).toEqual(['spec.maxUnavailable: Invalid value: "101%": must not be greater than 100%']);
    expect(problems({ maxUnavailable: -1 })).toEqual(['spec.maxUnavailable: Invalid value: -1: must be greater than or equal to 0']);
    expect(problems({ minAvailable: 'some' })[0]).toContain('spec.minAvailable: Invalid value: "some": a valid percent string');
  });

  it('knows when pods that are not healthy may go', () => {
    expect(problems({ unhealthyPodEvictionPolicy: 'Never' })).toEqual([
      'spec.unhealthyPodEvictionPolicy: Unsupported value: "Never": supported values: "AlwaysAllow", "IfHealthyBudget"',
    ]);
  });

  it('may change, and counts from nothing upwards', () => {
    expect(updateProblems(podDisruptionBudget, { spec: { minAvailable: 2 } }, { spec: { maxUnavailable: 1 } })).toEqual([]);
    expect(statusProblems(podDisruptionBudget, { status: { disruptionsAllowed: -1 } }, {})).toEqual([
      'status.disruptionsAllowed: Invalid value: -1: must be greater than or equal to 0',
    ]);
  });

  it('is shown with what it allows', () => {
    expect(cellsOf(podDisruptionBudget, { spec: { minAvailable: '50%' }, status: { disruptionsAllowed: 2 } }, 0)).toMatchObject({
      'Min Available': '50%',
      'Max Unavailable': 'N/A',
      'Allowed Disruptions': 2,
    });
  });
});
