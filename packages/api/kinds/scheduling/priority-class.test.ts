import { describe, expect, it } from 'vitest';
import { cellsOf, createProblems, updateProblems } from '../testing/written-object.ts';
import { priorityClass } from './priority-class.ts';

describe('PriorityClass', () => {
  it('leaves the highest values and the names to the system', () => {
    expect(createProblems(priorityClass, { value: 1_000_000_000 })).toEqual([]);
    expect(createProblems(priorityClass, { value: 1_000_000_001 })).toEqual([
      'value: Forbidden: maximum allowed value of a user defined priority is 1000000000',
    ]);
    const system = (name: string, fields: object) => createProblems(priorityClass, { metadata: { name }, ...fields });
    const start = "metadata.name: Forbidden: priority class names with 'system-' prefix are reserved for system use only. error:";
    expect(system('system-mine', { value: 1 })).toEqual([`${start} system-mine is not a known system priority class`]);
    expect(system('system-node-critical', { value: 1 })).toEqual([
      `${start} value of system-node-critical PriorityClass must be 2000001000`,
    ]);
    expect(system('system-node-critical', { value: 2_000_001_000 })).toEqual([]);
  });

  it('keeps its value and its policy', () => {
    expect(createProblems(priorityClass, { value: 1, preemptionPolicy: 'Sometimes' })[0]).toContain('Unsupported value: "Sometimes"');
    expect(updateProblems(priorityClass, { value: 2, preemptionPolicy: 'Never' }, { value: 1 })).toEqual([
      'value: Forbidden: may not be changed in an update.',
      'preemptionPolicy: Invalid value: "Never": field is immutable',
    ]);
    expect(updateProblems(priorityClass, { value: 1, description: 'd', globalDefault: true }, { value: 1 })).toEqual([]);
  });

  it('is shown with its policy', () => {
    expect(cellsOf(priorityClass, { value: 5 }, 0)).toMatchObject({
      Value: 5,
      'Global-Default': false,
      PreemptionPolicy: 'PreemptLowerPriority',
    });
  });
});
