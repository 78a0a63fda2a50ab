import { CONFIG_MAPS } from '@coffer/client/rest/well-known';
import { settle } from '@coffer/client/testing/eventually';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runGarbageCollector } from './garbage-collector.ts';

interface Plan {
  /** Owners of each object: smaller indexes, so that there are no circles; -1 is an owner that never existed. */
  readonly owners: readonly (readonly number[])[];
  readonly deletions: readonly { readonly index: number; readonly policy: string }[];
}

const plan: fc.Arbitrary<Plan> = fc.integer({ min: 1, max: 10 }).chain((size) =>
  fc.record({
    owners: fc.tuple(
      ...Array.from({ length: size }, (_, i) =>
        fc.uniqueArray(fc.integer({ min: i % 5 === 4 ? -1 : 0, max: Math.max(0, i - 1) }), { maxLength: i === 0 ? 0 : 3 }),
      ),
    ),
    deletions: fc.uniqueArray(
      fc.record({ index: fc.integer({ min: 0, max: size - 1 }), policy: fc.constantFrom('Background', 'Foreground') }),
      {
        maxLength: 3,
        selector: (deletion) => deletion.index,
      },
    ),
  }),
);

/** What must be left: nothing deleted, and of what ever had owners only what still has one. */
function survivors({ owners, deletions }: Plan): number[] {
  const gone = new Set<number>([-1, ...deletions.map((deletion) => deletion.index)]);
  owners.forEach((list, index) => {
    if (list.length > 0 && list.every((owner) => gone.has(owner))) gone.add(index);
  });
  return owners.map((_, index) => index).filter((index) => !gone.has(index));
}

describe('garbage collector', () => {
  it('leaves exactly what has a living owner or never had any', async () => {
    await fc.assert(
      fc.asyncProperty(plan, fc.boolean(), async (given, startLate) => {
        const cluster = new TestCluster();
        const start = () => cluster.run('generic-garbage-collector', runGarbageCollector);
        if (!startLate) start();
        given.owners.forEach((list, index) => {
          const ownerReferences = list.map((owner) => ({
            apiVersion: 'v1',
            kind: 'ConfigMap',
            name: `c${owner}`,
            uid: `u${owner}`,
            blockOwnerDeletion: owner % 2 === 0,
          }));
          cluster.api.put(CONFIG_MAPS, {
            metadata: { name: `c${index}`, namespace: 'default', uid: `u${index}`, ...(list.length > 0 ? { ownerReferences } : {}) },
          });
        });
        const client = cluster.deps('tester').api.resource(CONFIG_MAPS);
        for (const { index, policy } of given.deletions)
          await client.delete(`c${index}`, { namespace: 'default', body: { propagationPolicy: policy } }).catch(() => undefined);
        if (startLate) start();
        for (let round = 0; round < 8; round++) {
          await settle(20);
          await cluster.clock.advance(500);
        }
        expect(cluster.api.all(CONFIG_MAPS).map((object) => object.metadata.name)).toEqual(survivors(given).map((index) => `c${index}`));
        await cluster.stop();
      }),
      { seed: 20260202, numRuns: 40 },
    );
  });
});
