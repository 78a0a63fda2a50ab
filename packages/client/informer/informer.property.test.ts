import type { V1ConfigMap } from '@coffer/api/generated/types';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ApiClient } from '../rest/api-client.ts';
import { CONFIG_MAPS } from '../rest/well-known.ts';
import { eventuallyInTime, settle } from '../testing/eventually.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { Informer } from './informer.ts';

const name = fc.constantFrom('a', 'b', 'c', 'd');
const step = fc.oneof(
  fc.record({ do: fc.constant('put' as const), name, value: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ do: fc.constant('remove' as const), name }),
  fc.record({
    do: fc.constantFrom(
      'endWatches' as const,
      'compact' as const,
      'bookmark' as const,
      'settle' as const,
      'fail' as const,
      'heal' as const,
    ),
  }),
);

describe('Informer', () => {
  it('ends up with the state of the server whatever happens to its watch, and its handlers tell the same story', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 40 }),
        fc.constantFrom('list' as const, 'watch' as const),
        async (steps, initialState) => {
          const clock = new FakeClock();
          const api = new FakeApi(clock);
          const stop = new AbortController();
          const client = new ApiClient({ transport: api.transport(), clock }).resource(CONFIG_MAPS);
          const informer = new Informer<V1ConfigMap>({ client, clock, logger: silentLogger }, { initialState, pageSize: 2 });
          const told = new Map<string, string>();
          const valueOf = (object: V1ConfigMap) => `${object.metadata?.uid} ${object.data?.v}`;
          informer.addHandler({
            onAdd: (object) => {
              expect(told.has(object.metadata?.name ?? '')).toBe(false);
              told.set(object.metadata?.name ?? '', valueOf(object));
            },
            onUpdate: (old, object) => {
              expect(told.get(object.metadata?.name ?? '')).toBe(valueOf(old));
              told.set(object.metadata?.name ?? '', valueOf(object));
            },
            onDelete: (object) => expect(told.delete(object.metadata?.name ?? '')).toBe(true),
          });
          const done = informer.run(stop.signal);
          for (const action of steps) {
            if (action.do === 'put')
              api.put(CONFIG_MAPS, { metadata: { name: action.name, namespace: 'ns' }, data: { v: String(action.value) } });
            else if (action.do === 'remove') api.remove(CONFIG_MAPS, 'ns', action.name);
            else if (action.do === 'settle') await settle(3);
            else if (action.do === 'heal') api.before = undefined;
            else if (action.do === 'fail')
              api.before = () => {
                throw new Error('the connection was refused');
              };
            else api[action.do]();
          }
          api.before = undefined;
          const wanted = api.all(CONFIG_MAPS).map((object) => `${object.metadata.name} ${valueOf(object as V1ConfigMap)}`);
          await eventuallyInTime(clock, 1000, () => {
            expect(
              informer
                .list()
                .map((object) => `${object.metadata?.name} ${valueOf(object)}`)
                .toSorted(byText),
            ).toEqual(wanted.toSorted(byText));
          });
          expect([...told].map(([key, value]) => `${key} ${value}`).toSorted(byText)).toEqual(wanted.toSorted(byText));
          stop.abort(new Error('done'));
          await done;
          expect(api.openWatches).toBe(0);
        },
      ),
      { seed: 20260201, numRuns: 60 },
    );
  });
});

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
