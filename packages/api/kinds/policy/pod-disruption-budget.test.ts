import { describe, expect, it } from 'vitest';
import { cellsOf, createProblems, statusProblems, updateProblems } from '../testing/written-object.ts';
import { podDisruptionBudget } from './pod-disruption-budget.ts';

const problems = (spec: object) => createProblems(podDisruptionBudget, { spec });

describe('PodDisruptionBudget', () => {
  it('has one amount, as a number or a part', () => {
    expect(problems({ minAvailable: 1, selector: { matchLabels: { a: 'b' } } })).toEqual([]);
    expect(problems({ minAvailable: 1, maxUnavailable: '50%' })).toEqual([
      'spec: Invalid value: {"MinAvailable":1,"Selector":null,"MaxUnavailable":"50%","UnhealthyPodEvictionPolicy":null}: minAvailable and maxUnavailable cannot be both set',
    ]);
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

  it('has conditions that are complete, each type once', () => {
    const complete = { type: 'A', status: 'True', reason: 'Because', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' };
    const ofStatus = (conditions: object[]) => statusProblems(podDisruptionBudget, { status: { conditions } }, {});
    expect(ofStatus([complete, { ...complete, type: 'example.com/B', reason: 'A:B,c_' }])).toEqual([]);
    const bad = { type: 'A', status: 'Perhaps', observedGeneration: -1 };
    expect(ofStatus([complete, bad])).toEqual([
      'status.conditions[1].type: Duplicate value: "A"',
      'status.conditions[1].status: Unsupported value: "Perhaps": supported values: "False", "True", "Unknown"',
      'status.conditions[1].observedGeneration: Invalid value: -1: must be greater than or equal to zero',
      'status.conditions[1].lastTransitionTime: Required value: must be set',
      'status.conditions[1].reason: Required value: must be set',
    ]);
    expect(ofStatus([{ ...complete, reason: 'no reason' }])[0]).toMatch(
      /^status\.conditions\[0\]\.reason: Invalid value: "no reason": a condition reason must start with alphabetic character,/,
    );
    expect(ofStatus([{ ...complete, reason: 'r'.repeat(1025), message: 'm'.repeat(32 * 1024 + 1) }])).toEqual([
      'status.conditions[0].reason: Too long: may not be more than 1024 bytes',
      'status.conditions[0].message: Too long: may not be more than 32768 bytes',
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
