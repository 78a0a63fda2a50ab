import { describe, expect, it } from 'vitest';
import { createProblems, written } from '../testing/written-object.ts';
import { itemsOf, limitRange } from './limit-range.ts';

const problems = (...limits: object[]) => createProblems(limitRange, { spec: { limits } });

describe('LimitRange', () => {
  it('takes what is usual for containers from the most and the least', () => {
    const [container, pod] = itemsOf(
      written(limitRange, {
        spec: {
          limits: [
            { type: 'Container', max: { cpu: '2', memory: '1Gi' }, min: { 'ephemeral-storage': '1Gi' }, defaultRequest: { cpu: '100m' } },
            { type: 'Pod', max: { cpu: '0.00001' } },
          ],
        },
      }),
    );
    expect(container).toEqual({
      type: 'Container',
      max: { cpu: '2', memory: '1Gi' },
      min: { 'ephemeral-storage': '1Gi' },
      default: { cpu: '2', memory: '1Gi' },
      defaultRequest: { cpu: '100m', memory: '1Gi', 'ephemeral-storage': '1Gi' },
    });
    expect(pod).toEqual({ type: 'Pod', max: { cpu: '1m' } });
  });

  it('wants amounts in their order', () => {
    const values = { min: { cpu: '3' }, max: { cpu: '2' }, default: { cpu: '2500m' }, defaultRequest: { cpu: '2600m' } };
    expect(problems({ type: 'Container', ...values })).toEqual([
      'spec.limits[0].min[cpu]: Invalid value: "3": min value 3 is greater than max value 2',
      'spec.limits[0].defaultRequest[cpu]: Invalid value: "2600m": min value 3 is greater than default request value 2600m',
      'spec.limits[0].defaultRequest[cpu]: Invalid value: "2600m": default request value 2600m is greater than max value 2',
      'spec.limits[0].defaultRequest[cpu]: Invalid value: "2600m": default request value 2600m is greater than default limit value 2500m',
      'spec.limits[0].default[cpu]: Invalid value: "3": min value 3 is greater than default value 2500m',
      'spec.limits[0].default[cpu]: Invalid value: "2": default value 2500m is greater than max value 2',
    ]);
  });

  it('wants ratios that the amounts leave room for', () => {
    const item = { type: 'Pod', min: { cpu: '1' }, max: { cpu: '1500m' } };
    expect(problems({ ...item, maxLimitRequestRatio: { cpu: '2' } })).toEqual([
      'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "2": ratio 2 is greater than max/min = 1.500000',
    ]);
    expect(problems({ ...item, maxLimitRequestRatio: { cpu: '800m' } })).toEqual([
      'spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: "800m": ratio 800m is less than 1',
    ]);
  });

  it('checks types and names', () => {
    expect(problems({ type: 'Pod' }, { type: 'Pod', default: { cpu: '1' } }, { type: 'Node' }, { type: 'PersistentVolumeClaim' })).toEqual([
      'spec.limits[1].type: Duplicate value: "Pod"',
      "spec.limits[1].default: Forbidden: may not be specified when `type` is 'Pod'",
      'spec.limits[2].type: Invalid value: "Node": must be a standard limit type or fully qualified',
      'spec.limits[3].limits: Required value: either minimum or maximum storage value is required, but neither was provided',
    ]);
    expect(problems({ type: 'Container', max: { storage: '1' } })[0]).toBe(
      'spec.limits[0].max[storage]: Invalid value: "storage": must be a standard resource for containers',
    );
    expect(problems({ type: 'PersistentVolumeClaim', max: { storage: '1' } })).toEqual([]);
    expect(problems({ type: 'Container', default: { 'a.b/c': '2' }, defaultRequest: { 'a.b/c': '1' } })).toEqual([
      'spec.limits[0].defaultRequest[a.b/c]: Invalid value: "1": default value 2 must equal to defaultRequest value 1 in a.b/c',
    ]);
  });
});
