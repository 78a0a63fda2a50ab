import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { ApiClient } from '../rest/api-client.ts';
import { EVENTS } from '../rest/well-known.ts';
import { settle } from '../testing/eventually.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { ApiEventRecorder } from './event-recorder.ts';

function setUp() {
  const clock = new FakeClock(Date.UTC(2026, 0, 1));
  const api = new FakeApi(clock);
  const stop = new AbortController();
  const client = new ApiClient({ transport: api.transport(), clock });
  const recorder = new ApiEventRecorder({ api: client, clock, logger: silentLogger, component: 'replicaset-controller' }, stop.signal);
  return { clock, api, stop, recorder };
}

const about = (name: string) => ({
  kind: 'ReplicaSet',
  apiVersion: 'apps/v1',
  metadata: { name, namespace: 'ns', uid: `u-${name}`, resourceVersion: '7' },
});

describe('ApiEventRecorder', () => {
  it('writes an event as client-go does', async () => {
    const { api, recorder } = setUp();
    recorder.record(about('web'), 'Normal', 'SuccessfulCreate', 'Created pod: web-1');
    await settle();
    const [event] = api.all(EVENTS);
    expect(event).toMatchObject({
      metadata: { name: 'web.18867251edfa0000', namespace: 'ns' },
      involvedObject: { kind: 'ReplicaSet', apiVersion: 'apps/v1', namespace: 'ns', name: 'web', uid: 'u-web', resourceVersion: '7' },
      reason: 'SuccessfulCreate',
      message: 'Created pod: web-1',
      firstTimestamp: '2026-01-01T00:00:00Z',
      lastTimestamp: '2026-01-01T00:00:00Z',
      count: 1,
      type: 'Normal',
      source: { component: 'replicaset-controller' },
      reportingComponent: 'replicaset-controller',
      reportingInstance: '',
    });
  });

  it('raises the count of an event that happens again', async () => {
    const { api, clock, recorder } = setUp();
    for (let i = 0; i < 3; i++) {
      recorder.record(about('web'), 'Warning', 'FailedCreate', 'Error creating: no');
      await settle();
      await clock.advance(1000);
    }
    expect(api.all(EVENTS)).toHaveLength(1);
    expect(api.all(EVENTS)[0]).toMatchObject({ count: 3, firstTimestamp: '2026-01-01T00:00:00Z', lastTimestamp: '2026-01-01T00:00:02Z' });
  });

  it('writes the event anew when the first one is gone', async () => {
    const { api, recorder } = setUp();
    recorder.record(about('web'), 'Normal', 'R', 'm');
    await settle();
    const name = api.all(EVENTS)[0]?.metadata.name ?? '';
    api.remove(EVENTS, 'ns', name);
    recorder.record(about('web'), 'Normal', 'R', 'm');
    await settle();
    expect(api.all(EVENTS)[0]).toMatchObject({ count: 2 });
  });

  it('combines many similar events and cuts off a noisy object', async () => {
    const { api, recorder } = setUp();
    for (let i = 1; i <= 40; i++) recorder.record(about('web'), 'Normal', 'SuccessfulCreate', `Created pod: web-${i}`);
    recorder.record(about('other'), 'Normal', 'SuccessfulCreate', 'Created pod: other-1');
    await settle(100);
    const messages = api.all(EVENTS).map((event) => `${String(event.message)} x${String(event.count)}`);
    expect(messages).toHaveLength(11);
    expect(messages.slice(0, 9)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9].map((i) => `Created pod: web-${i} x1`));
    expect(messages[9]).toBe('(combined from similar events): Created pod: web-25 x16');
    expect(messages[10]).toBe('Created pod: other-1 x1');
  });

  it('tries again when the server is away and drops the event in the end', async () => {
    const { api, clock, recorder } = setUp();
    let away = true;
    api.before = () => {
      if (away) throw new Error('the connection was refused');
    };
    recorder.record(about('web'), 'Normal', 'R', 'm');
    await settle();
    await clock.advance(25_000);
    away = false;
    await clock.advance(10_000);
    expect(api.all(EVENTS)).toHaveLength(1);
  });
});
