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
  fc.record({ do: fc.constant('settle' as const) }),
  fc.record({ do: fc.constant('bookmark' as const) }),
  // A gap: the watch ends, things happen unseen, and the server forgets what happened or does not.
  fc.record({
    do: fc.constant('gap' as const),
    removed: fc.array(name, { maxLength: 2 }),
    put: fc.array(name, { maxLength: 2 }),
    compacted: fc.boolean(),
  }),
);

const byText = (a: string, b: string) => (a < b ? -1 : a > b ? 1 : 0);
const told = (object: V1ConfigMap) => `${object.metadata?.uid} ${object.data?.v}`;

describe('Informer', () => {
  it('ends up with the state of the server whatever happens to its watch, and its handlers tell the same story', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 30 }),
        fc.constantFrom('list' as const, 'watch' as const),
        async (steps, initialState) => {
          const clock = new FakeClock();
          const api = new FakeApi(clock);
          const stop = new AbortController();
          const client = new ApiClient({ transport: api.transport(), clock }).resource(CONFIG_MAPS);
          const informer = new Informer<V1ConfigMap>({ client, clock, logger: silentLogger }, { initialState, pageSize: 2 });
          const story = new Map<string, string>();
          const mistakes: string[] = [];
          informer.addHandler({
            onAdd: (object) => {
              const key = object.metadata?.name ?? '';
              if (story.has(key)) mistakes.push(`${key} was added twice`);
              story.set(key, told(object));
            },
            onUpdate: (old, object) => {
              const key = object.metadata?.name ?? '';
              if (story.get(key) !== told(old)) mistakes.push(`${key} was updated from a state nobody heard of`);
              if (old.metadata?.uid !== object.metadata?.uid) mistakes.push(`${key} became another object by an update`);
              story.set(key, told(object));
            },
            onDelete: (object) => {
              if (!story.delete(object.metadata?.name ?? '')) mistakes.push(`${object.metadata?.name} was deleted but not there`);
            },
          });
          const put = (key: string, value: number) =>
            api.put(CONFIG_MAPS, { metadata: { name: key, namespace: 'ns' }, data: { v: String(value) } });
          const done = informer.run(stop.signal);
          for (const action of steps) {
            if (action.do === 'put') put(action.name, action.value);
            else if (action.do === 'remove') api.remove(CONFIG_MAPS, 'ns', action.name);
            else if (action.do === 'bookmark') api.bookmark();
            else if (action.do === 'settle') await settle(4);
            else {
              api.before = () => {
                throw new Error('the connection was refused');
              };
              api.endWatches();
              await settle(4);
              for (const removed of action.removed) api.remove(CONFIG_MAPS, 'ns', removed);
              for (const added of action.put) put(added, 9);
              if (action.compacted) api.compact();
              api.before = undefined;
              await clock.advance(1000);
            }
          }
          const wanted = api.all(CONFIG_MAPS).map((object) => `${object.metadata.name} ${told(object as V1ConfigMap)}`);
          await eventuallyInTime(clock, 1000, () => {
            const held = informer.list().map((object) => `${object.metadata?.name} ${told(object)}`);
            expect(held.toSorted(byText)).toEqual(wanted.toSorted(byText));
          });
          expect([...story].map(([key, text]) => `${key} ${text}`).toSorted(byText)).toEqual(wanted.toSorted(byText));
          expect(mistakes).toEqual([]);
          stop.abort(new Error('done'));
          await done;
          expect(api.openWatches).toBe(0);
        },
      ),
      { seed: 20260201, numRuns: 80 },
    );
  });
});
