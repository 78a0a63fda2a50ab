import { describe, expect, it } from 'vitest';
import { cellsOf, createProblems, updateProblems, written } from '../testing/written-object.ts';
import { runtimeClass } from './runtime-class.ts';

describe('RuntimeClass', () => {
  it('rounds its overhead', () => {
    const fields = { handler: 'h', overhead: { podFixed: { cpu: '0.00001', memory: '1Mi' } } };
    expect(written(runtimeClass, fields)).toMatchObject({ overhead: { podFixed: { cpu: '1m', memory: '1Mi' } } });
  });

  it('wants a handler, amounts, labels and tolerations as they are elsewhere', () => {
    expect(createProblems(runtimeClass, { handler: 'runc', overhead: {}, scheduling: {} })).toEqual([]);
    const scheduling = { nodeSelector: { a: '-' }, tolerations: [{ operator: 'Exists', value: 'v' }] };
    const problems = createProblems(runtimeClass, { handler: 'Run C', overhead: { podFixed: { cpu: '-1' } }, scheduling });
    expect(problems.map((problem) => problem.split(': ').slice(0, 2).join(': '))).toEqual([
      'handler: Invalid value',
      'overhead.limits[cpu]: Invalid value',
      'scheduling.nodeSelector: Invalid value',
      'scheduling.tolerations[0].operator: Invalid value',
    ]);
  });

  it('refuses a toleration that is there before, with another time perhaps', () => {
    const toleration = { key: 'a', operator: 'Exists', effect: 'NoExecute' };
    const tolerations = [toleration, { ...toleration, effect: 'NoSchedule' }, { ...toleration, tolerationSeconds: 5 }];
    expect(createProblems(runtimeClass, { handler: 'h', scheduling: { tolerations } })).toEqual([
      'scheduling.tolerations[2]: Duplicate value: {"Key":"a","Operator":"Exists","Value":"","Effect":"NoExecute","TolerationSeconds":5}',
    ]);
  });

  it('keeps its handler', () => {
    expect(updateProblems(runtimeClass, { handler: 'b' }, { handler: 'a' })).toEqual(['handler: Invalid value: "b": field is immutable']);
    expect(updateProblems(runtimeClass, { handler: 'a', overhead: { podFixed: { cpu: '1' } } }, { handler: 'a' })).toEqual([]);
  });

  it('shows its handler', () => {
    expect(cellsOf(runtimeClass, { handler: 'runc' }, 0)).toMatchObject({ Handler: 'runc' });
  });
});
