import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import type { StorageError } from '../errors.ts';
import { identityTransformer } from '../value/transformer.ts';
import { openStorage } from './storage.ts';
import type { StoredObject, StoreEvent } from './store.ts';
import { configMap, configMaps, recorder, settled, setup, withData, write } from './store-fixture.ts';

describe('ResourceStore.watch', () => {
  it('replays what was missed and goes on', async () => {
    const { store } = await setup();
    await store.create(configMap('ns', 'a'));
    await store.create(configMap('ns', 'b'));
    const { seen, sink } = recorder();
    const stop = store.watch({ afterRevision: 2 }, sink);
    expect(seen).toEqual(['ADDED b@3']);
    await store.guaranteedUpdate('ns', 'a', (current) => withData(current, { k: '1' }));
    await store.guaranteedUpdate('ns', 'b', () => ({ action: 'delete' }));
    expect(seen).toEqual(['ADDED b@3', 'MODIFIED a@4', 'DELETED b@5']);
    stop();
    await store.create(configMap('ns', 'c'));
    expect(seen).toHaveLength(3);
  });

  it('tells a watch before the write is acknowledged', async () => {
    const { store } = await setup();
    const order: string[] = [];
    store.watch({ afterRevision: 1 }, { events: () => order.push('event'), ended: () => {} });
    await store.create(configMap('ns', 'a')).then(() => order.push('acknowledged'));
    expect(order).toEqual(['event', 'acknowledged']);
  });

  it('turns entering and leaving a selection into ADDED and DELETED', async () => {
    const { store } = await setup();
    const { seen, sink } = recorder();
    const objects: StoredObject[] = [];
    store.watch(
      { afterRevision: 1, matches: (object) => object.labels.w === 'yes' },
      {
        ...sink,
        events: (events) => {
          sink.events(events);
          objects.push(...events.map((event) => event.object));
        },
      },
    );
    await store.create(configMap('ns', 'a', { v: '1' }));
    await store.guaranteedUpdate('ns', 'a', () => write(configMap('ns', 'a', { v: '2' }, { w: 'yes' })));
    await store.guaranteedUpdate('ns', 'a', () => write(configMap('ns', 'a', { v: '3' }, { w: 'yes' })));
    await store.guaranteedUpdate('ns', 'a', () => write(configMap('ns', 'a', { v: '4' })));
    await store.guaranteedUpdate('ns', 'a', () => ({ action: 'delete' }));
    expect(seen).toEqual(['ADDED a@3', 'MODIFIED a@4', 'DELETED a@5']);
    expect(objects.at(-1)?.decode()).toMatchObject({ metadata: { resourceVersion: '5', labels: { w: 'yes' } }, data: { v: '3' } });
  });

  it('sees only its namespace or object', async () => {
    const { store } = await setup();
    const inNamespace = recorder();
    const one = recorder();
    store.watch({ afterRevision: 1, namespace: 'a' }, inNamespace.sink);
    store.watch({ afterRevision: 1, namespace: 'a', name: 'y' }, one.sink);
    await store.create(configMap('a', 'x'));
    await store.create(configMap('b', 'y'));
    await store.create(configMap('a', 'y'));
    expect(inNamespace.seen).toEqual(['ADDED x@2', 'ADDED y@4']);
    expect(one.seen).toEqual(['ADDED y@4']);
  });

  it('shares one serialised line between watches', async () => {
    const { store } = await setup();
    const events: StoreEvent[] = [];
    for (let i = 0; i < 3; i++) store.watch({ afterRevision: 1 }, { events: (some) => events.push(...some), ended: () => {} });
    await store.create(configMap('ns', 'a'));
    expect(events).toHaveLength(3);
    expect(events[1]?.line()).toBe(events[0]?.line());
    expect(events[2]).toBe(events[0]);
  });

  it('starts with the current state when asked, in chunks when it is large', async () => {
    const { store } = await setup();
    for (let i = 0; i < 600; i++) await store.create(configMap('ns', `a${String(i).padStart(3, '0')}`));
    const { seen, sink } = recorder();
    let drains = 0;
    store.watch(
      { afterRevision: 0, initialState: true },
      {
        ...sink,
        drained: () => {
          drains++;
          return undefined;
        },
      },
    );
    await store.create(configMap('ns', 'late'));
    await settled(() => seen.length === 602);
    expect(seen[0]).toBe('ADDED a000@2');
    expect(seen.slice(599)).toEqual(['ADDED a599@601', 'initial @601', 'ADDED late@602']);
    expect(drains).toBeGreaterThanOrEqual(2);
    const small = recorder();
    store.watch({ afterRevision: 0, initialState: true, name: 'late', namespace: 'ns' }, small.sink);
    expect(small.seen).toEqual(['ADDED late@602', 'initial @602']);
  });

  it('reads missed changes from the backend when memory does not reach back', async () => {
    const { store, backend, storage } = await setup();
    for (let i = 0; i < 300; i++) await store.create(configMap('ns', `a${i}`));
    await store.guaranteedUpdate('ns', 'a0', () => ({ action: 'delete' }));
    const again = await openStorage({ backend, clock: new FakeClock(), logger: silentLogger, transformerFor: () => identityTransformer });
    const restarted = await again.resource(configMaps);
    const { seen, sink, errors } = recorder();
    restarted.watch({ afterRevision: 3 }, sink);
    await restarted.create(configMap('ns', 'z'));
    await settled(() => seen.length === 300);
    expect(errors).toEqual([]);
    expect(seen[0]).toBe('ADDED a2@4');
    expect(seen.slice(-2)).toEqual(['DELETED a0@302', 'ADDED z@303']);
    expect(storage.revision).toBe(303);
  });

  it('refuses revisions that are gone, meaningless or to come', async () => {
    const { store, storage } = await setup();
    for (let i = 0; i < 5; i++) await store.create(configMap('ns', `a${i}`));
    const { sink } = recorder();
    const refusal = (afterRevision: number) => {
      try {
        store.watch({ afterRevision }, sink);
        return 'none';
      } catch (error) {
        return (error as StorageError).code;
      }
    };
    expect(refusal(1)).toBe('compacted');
    expect(refusal(2)).toBe('none');
    expect(refusal(7)).toBe('future-revision');
    await storage.compact(4);
    expect(refusal(3)).toBe('compacted');
    expect(refusal(4)).toBe('none');
  });

  it('tells idle watches about progress', async () => {
    const { store, clock } = await setup({ progressIntervalMs: 100 });
    const { seen, sink } = recorder();
    store.watch({ afterRevision: 1, namespace: 'quiet' }, sink);
    await store.create(configMap('ns', 'a'));
    await store.create(configMap('ns', 'b'));
    await clock.advance(100);
    expect(seen).toEqual(['progress @3']);
    await clock.advance(1000);
    expect(seen).toEqual(['progress @3']);
  });

  it('ends when its sink throws, and harms neither the write nor other watches', async () => {
    const { store } = await setup();
    const { seen, sink } = recorder();
    const errors: Error[] = [];
    const broken = () => {
      throw new Error('broken sink');
    };
    store.watch({ afterRevision: 1 }, { events: broken, ended: (error) => errors.push(error) });
    store.watch({ afterRevision: 1 }, sink);
    await store.create(configMap('ns', 'a'));
    await store.create(configMap('ns', 'b'));
    expect(seen).toEqual(['ADDED a@2', 'ADDED b@3']);
    expect(errors).toMatchObject([{ message: 'broken sink' }]);
  });

  it('ends when the storage is closed', async () => {
    const { store, storage } = await setup();
    const { errors, sink } = recorder();
    store.watch({ afterRevision: 1 }, sink);
    await storage.close();
    expect(errors).toMatchObject([{ code: 'closed' }]);
    expect(() => store.get('ns', 'a')).toThrow('closed');
  });
});

describe('ResourceStore.whenFresh', () => {
  it('is immediate for what is there, and gives up after three seconds', async () => {
    const { store, clock } = await setup();
    expect(store.whenFresh('latest')).toBeUndefined();
    expect(store.whenFresh(1)).toBeUndefined();
    const soon = store.whenFresh(2);
    await store.create(configMap('ns', 'a'));
    await soon;
    const never = expect(store.whenFresh(50)).rejects.toMatchObject({ code: 'future-revision', revision: 2 });
    await clock.advance(3000);
    await never;
  });
});
