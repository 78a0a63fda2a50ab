import { StatusError, tooManyRequests } from '@coffer/api/errors/status-error';
import type { V1ConfigMap } from '@coffer/api/generated/types';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApiClient } from '../rest/api-client.ts';
import { CONFIG_MAPS } from '../rest/well-known.ts';
import { eventually, eventuallyInTime, settle } from '../testing/eventually.ts';
import { FakeApi } from '../testing/fake-api.ts';
import type { ReflectorOptions } from './reflector.ts';
import { Reflector } from './reflector.ts';

let clock: FakeClock;
let api: FakeApi;
let stop: AbortController;
let running: Promise<void>[];
let log: string[];

beforeEach(() => {
  clock = new FakeClock();
  api = new FakeApi(clock);
  stop = new AbortController();
  running = [];
  log = [];
});

afterEach(async () => {
  stop.abort(new Error('the test is over'));
  await Promise.all(running);
  expect(api.openWatches).toBe(0);
});

function start(options: ReflectorOptions<V1ConfigMap> = {}): Reflector<V1ConfigMap> {
  const store = {
    replace: (items: readonly V1ConfigMap[]) => {
      log.push(`replace ${items.map((item) => item.metadata?.name).join(' ')}`.trim());
    },
    apply: (type: string, object: V1ConfigMap) => {
      log.push(`${type} ${object.metadata?.name} ${object.data?.v ?? ''}`.trim());
    },
  };
  const client = new ApiClient({ transport: api.transport(), clock }).resource(CONFIG_MAPS);
  const reflector = new Reflector<V1ConfigMap>({ client, store, clock, logger: silentLogger, random: () => 0 }, options);
  running.push(reflector.run(stop.signal));
  return reflector;
}

function put(name: string, v: string, namespace = 'default'): string {
  return api.put(CONFIG_MAPS, { metadata: { name, namespace }, data: { v } }).metadata.resourceVersion ?? '';
}

const lists = () => api.requests.filter((request) => !request.path.includes('watch=true')).length;

describe('Reflector', () => {
  it('lists in pages, then follows the watch in order', async () => {
    for (const name of ['a', 'b', 'c']) put(name, '1');
    const reflector = start({ pageSize: 2 });
    await reflector.whenSynced();
    put('a', '2');
    put('d', '1');
    api.remove(CONFIG_MAPS, 'default', 'b');
    await reflector.whenAtLeast(api.revision);
    expect(log).toEqual(['replace a b c', 'MODIFIED a 2', 'ADDED d 1', 'DELETED b 1']);
    expect(lists()).toBe(2);
  });

  it('takes the initial state from the watch when asked to', async () => {
    put('a', '1');
    const reflector = start({ initialState: 'watch' });
    await reflector.whenSynced();
    put('a', '2');
    await reflector.whenAtLeast(api.revision);
    expect(log).toEqual(['replace a', 'MODIFIED a 2']);
    expect(lists()).toBe(0);
  });

  it('falls back to a list on a server that does not stream initial events', async () => {
    put('a', '1');
    api.before = (request) => {
      if (request.path.includes('sendInitialEvents')) throw new StatusError(422, 'Invalid', 'sendInitialEvents is forbidden');
    };
    await start({ initialState: 'watch' }).whenSynced();
    expect(log).toEqual(['replace a']);
  });

  it('resumes from the last revision when the watch ends, without a gap or a second list', async () => {
    const reflector = start();
    await reflector.whenSynced();
    put('a', '1');
    await reflector.whenAtLeast(api.revision);
    api.endWatches();
    put('b', '1');
    await reflector.whenAtLeast(api.revision);
    expect(log).toEqual(['replace', 'ADDED a 1', 'ADDED b 1']);
    expect(lists()).toBe(1);
  });

  it('resumes from a bookmark, so that quiet resources survive compaction', async () => {
    const reflector = start({ namespace: 'quiet' });
    await reflector.whenSynced();
    await settle();
    put('a', '1');
    api.bookmark();
    await reflector.whenAtLeast(api.revision);
    api.compact();
    api.endWatches();
    await settle();
    put('q', '1', 'quiet');
    await reflector.whenAtLeast(api.revision);
    expect(log).toEqual(['replace', 'ADDED q 1']);
    expect(lists()).toBe(1);
  });

  it('lists again when the revision is too old', async () => {
    const reflector = start();
    await reflector.whenSynced();
    api.before = (request) => {
      if (request.path.includes('watch=true')) throw new Error('the connection was refused');
    };
    api.endWatches();
    await settle();
    put('a', '1');
    put('b', '1');
    api.compact();
    api.before = undefined;
    await eventuallyInTime(clock, 100, () => expect(log).toEqual(['replace', 'replace a b']));
  });

  it('tries again with growing pauses while the server is away', async () => {
    api.before = () => {
      throw new Error('the connection was refused');
    };
    start();
    await settle();
    expect(api.requests).toHaveLength(1);
    await clock.advance(250);
    expect(api.requests).toHaveLength(2);
    await clock.advance(250);
    expect(api.requests).toHaveLength(2);
    await clock.advance(250);
    expect(api.requests).toHaveLength(3);
    api.before = undefined;
    await clock.advance(1000);
    await eventually(() => expect(log).toEqual(['replace']));
  });

  it('waits as long as the server asks on 429', async () => {
    let refused = 0;
    api.before = () => {
      if (refused++ === 0) throw tooManyRequests('too many requests', 3);
    };
    const reflector = start();
    await settle();
    await clock.advance(2900);
    expect(reflector.lastRevision).toBeUndefined();
    await clock.advance(200);
    await reflector.whenSynced();
  });

  it('rejects those who wait when it stops', async () => {
    const reflector = start();
    await reflector.whenSynced();
    const waiting = reflector.whenAtLeast('999999');
    stop.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
  });
});
