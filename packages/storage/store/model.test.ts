import type { KubeObject } from '@coffer/api/meta/object';
import fc from 'fast-check';
import { expect, it } from 'vitest';
import type { StorageError } from '../errors.ts';
import type { StoreEvent } from './store.ts';
import { configMap, recorder, settled, setup, write } from './store-fixture.ts';

/**
 * Random operations against the store and against a model that keeps every state it ever had: reads of any revision, pages and
 * watches from any revision must agree with it. Small memory, so that answers come from the cache's history and from the backend.
 */
type State = ReadonlyMap<string, { readonly revision: number; readonly value: number }>;

const operation = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('write' as const), key: fc.nat(11), value: fc.nat(3) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('delete' as const), key: fc.nat(11) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      op: fc.constant('list' as const),
      back: fc.nat(30),
      limit: fc.integer({ min: 1, max: 5 }),
      namespace: fc.option(fc.nat(2), { nil: undefined }),
      even: fc.boolean(),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('watch' as const), back: fc.nat(30), even: fc.boolean() }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('compact' as const), back: fc.nat(30) }) },
);

const namespaces = ['a', 'a-b', 'b'];
const pathOf = (key: number) => `${namespaces[key % 3]}/n${key}`;
const order = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

it('agrees with a model that keeps every state', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(operation, { minLength: 20, maxLength: 120 }), async (operations) => {
      const { store, storage } = await setup({ memoryHistoryMaxBytes: 6000 });
      const states: State[] = [new Map(), new Map()];
      const watches: { readonly events: StoreEvent[]; readonly from: number; readonly even: boolean; readonly errors: Error[] }[] = [];
      let compacted = 0;
      for (const step of operations) {
        const current = states.at(-1) ?? new Map();
        const revision = states.length - 1;
        switch (step.op) {
          case 'write': {
            const path = pathOf(step.key);
            const [namespace = '', name = ''] = path.split('/');
            const object = configMap(namespace, name, { v: String(step.value) }, { even: String(step.value % 2 === 0) });
            const { outcome } = await store.guaranteedUpdate(namespace, name, () => write(object), { mayCreate: true });
            const before = current.get(path);
            expect(outcome).toBe(before === undefined ? 'created' : before.value === step.value ? 'unchanged' : 'updated');
            if (before?.value !== step.value) states.push(new Map(current).set(path, { revision: revision + 1, value: step.value }));
            break;
          }
          case 'delete': {
            const path = pathOf(step.key);
            const [namespace = '', name = ''] = path.split('/');
            if (!current.has(path)) break;
            await store.guaranteedUpdate(namespace, name, () => ({ action: 'delete' }));
            const next = new Map(current);
            next.delete(path);
            states.push(next);
            break;
          }
          case 'list': {
            const at = Math.max(1, revision - step.back);
            if (at < compacted) {
              expect(() => store.list({ atRevision: at })).toThrow(expect.objectContaining({ code: 'compacted' }) as Error);
              break;
            }
            const namespace = step.namespace === undefined ? undefined : namespaces[step.namespace];
            const listed: string[] = [];
            let afterKey: string | undefined;
            do {
              const page = await store.list({
                atRevision: at,
                limit: step.limit,
                ...(namespace !== undefined && { namespace }),
                ...(afterKey !== undefined && { afterKey }),
                ...(step.even && { matches: (object) => object.labels.even === 'true' }),
              });
              listed.push(...page.items.map((item) => `${item.namespace}/${item.name}@${item.revision}`));
              afterKey = page.continueAfter;
              if (afterKey !== undefined && !step.even) {
                expect(page.remaining).toBe(expectedList(states[at], namespace, step.even).length - listed.length);
              }
            } while (afterKey !== undefined);
            expect(listed).toEqual(expectedList(states[at], namespace, step.even));
            break;
          }
          case 'watch': {
            const from = Math.max(1, revision - step.back);
            const events: StoreEvent[] = [];
            const { errors, sink } = recorder();
            try {
              const matches = step.even
                ? { matches: (object: { labels: Readonly<Record<string, string>> }) => object.labels.even === 'true' }
                : {};
              store.watch({ afterRevision: from, ...matches }, { ...sink, events: (some) => void events.push(...some) });
              watches.push({ events, from, even: step.even, errors });
            } catch (error) {
              expect((error as StorageError).code).toBe('compacted');
              expect(from === 1 || from < compacted).toBe(true);
            }
            break;
          }
          case 'compact': {
            compacted = Math.max(compacted, Math.max(1, revision - step.back));
            await storage.compact(compacted);
            break;
          }
        }
      }
      const last = states.length - 1;
      for (const watch of watches) {
        const expected = expectedEvents(states, watch.from, watch.even);
        await settled(() => watch.events.length >= expected.length || watch.errors.length > 0);
        // A compaction may overtake a watch that is still reading old changes; whatever it got before that was right.
        const seen = watch.events.map((event) => `${event.type} ${event.object.namespace}/${event.object.name}@${event.object.revision}`);
        expect(seen).toEqual(watch.errors.length > 0 ? expected.slice(0, seen.length) : expected);
        expect(watch.errors.every((error) => (error as StorageError).code === 'compacted')).toBe(true);
      }
      expect(store.revision).toBe(last);
      const objects: KubeObject[] = (await store.list({})).items.map((item) => item.decode());
      expect(objects).toHaveLength(states[last]?.size ?? 0);
    }),
    { numRuns: 200, seed: Number(process.env.COFFER_SEED ?? Date.now() % 1_000_000), verbose: 1 },
  );
});

function expectedList(state: State | undefined, namespace: string | undefined, even: boolean): string[] {
  return [...(state ?? [])]
    .filter(([path, { value }]) => (namespace === undefined || path.startsWith(`${namespace}/`)) && (!even || value % 2 === 0))
    .sort(([a], [b]) => order(a, b))
    .map(([path, { revision }]) => `${path}@${revision}`);
}

function expectedEvents(states: readonly State[], from: number, even: boolean): string[] {
  const events: string[] = [];
  for (let revision = from + 1; revision < states.length; revision++) {
    const before = states[revision - 1] ?? new Map();
    const after = states[revision] ?? new Map();
    for (const path of new Set([...before.keys(), ...after.keys()])) {
      const was = before.get(path);
      const is = after.get(path);
      if (was?.revision === is?.revision) continue;
      const matched = was !== undefined && (!even || was.value % 2 === 0);
      const matches = is !== undefined && (!even || is.value % 2 === 0);
      if (matches) events.push(`${matched ? 'MODIFIED' : 'ADDED'} ${path}@${revision}`);
      else if (matched) events.push(`DELETED ${path}@${revision}`);
    }
  }
  return events;
}
