import type { V1Deployment, V1ReplicaSet } from '@coffer/api/generated/types';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { newSetSize, proportion, rolloutLimits } from './rollout-math.ts';

const percent = fc.integer({ min: 0, max: 100 }).map((n) => `${n}%`);
const amount = fc.oneof(fc.integer({ min: 0, max: 20 }), percent);

function deployment(replicas: number, maxSurge: string | number, maxUnavailable: string | number): V1Deployment {
  return {
    spec: { replicas, selector: {}, template: {}, strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } } },
  };
}

function set(replicas: number, maxReplicas: number): V1ReplicaSet {
  return { metadata: { annotations: { 'deployment.kubernetes.io/max-replicas': String(maxReplicas) } }, spec: { replicas, selector: {} } };
}

describe('rollout arithmetic', () => {
  it('always lets a rollout move, and never lets more than everything be unavailable', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 50 }), amount, amount, (replicas, surge, unavailable) => {
        const limits = rolloutLimits(deployment(replicas, surge, unavailable));
        expect(limits.maxSurge + limits.maxUnavailable).toBeGreaterThan(0);
        expect(limits.maxUnavailable).toBeLessThanOrEqual(replicas);
      }),
      { seed: 20260101 },
    );
  });

  it('grows the new set neither beyond the surge nor beyond what is wanted', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 50 }),
        amount,
        amount,
        fc.integer({ min: 0, max: 50 }),
        fc.integer({ min: 0, max: 60 }),
        (replicas, surge, unavailable, current, old) => {
          const d = deployment(replicas, surge, unavailable);
          const newSet = set(Math.min(current, replicas), 1);
          const size = newSetSize(d, [newSet, set(old, 1)], newSet);
          expect(size).toBeGreaterThanOrEqual(newSet.spec?.replicas ?? 0);
          expect(size).toBeLessThanOrEqual(replicas);
          if (size > (newSet.spec?.replicas ?? 0)) expect(size + old).toBeLessThanOrEqual(replicas + rolloutLimits(d).maxSurge);
        },
      ),
      { seed: 20260102 },
    );
  });

  it('never gives or takes more than is to be shared', () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer({ min: 1, max: 30 }), { minLength: 1, maxLength: 6 }),
        fc.integer({ min: 0, max: 80 }),
        (sizes, wanted) => {
          const total = sizes.reduce((sum, size) => sum + size, 0);
          const d = deployment(wanted, 1, 1);
          const toAdd = (wanted > 0 ? wanted + 1 : 0) - total;
          let added = 0;
          for (const size of sizes) added += proportion(set(size, total), d, toAdd, added);
          if (toAdd >= 0) expect(added).toBeLessThanOrEqual(toAdd);
          else expect(added).toBeGreaterThanOrEqual(toAdd);
        },
      ),
      { seed: 20260103 },
    );
  });
});
