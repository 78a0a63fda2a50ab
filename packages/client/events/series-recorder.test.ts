import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { ApiClient } from '../rest/api-client.ts';
import { NEW_EVENTS } from '../rest/well-known.ts';
import { settle } from '../testing/eventually.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { SeriesRecorder } from './series-recorder.ts';

describe('SeriesRecorder', () => {
  it('turns the same event into a series, and a late one into a new event', async () => {
    const clock = new FakeClock(Date.UTC(2026, 0, 1));
    const api = new FakeApi(clock);
    const client = new ApiClient({ transport: api.transport(), clock });
    const recorder = new SeriesRecorder(
      { api: client, clock, logger: silentLogger, controller: 'default-scheduler', instance: 'i' },
      new AbortController().signal,
    );
    const regarding = { kind: 'Pod', apiVersion: 'v1', namespace: 'ns', name: 'p', uid: 'u' };
    const event = { regarding, type: 'Warning' as const, reason: 'FailedScheduling', action: 'Scheduling', note: 'no room' };
    for (let i = 0; i < 3; i++) {
      recorder.record(event);
      await settle();
      await clock.advance(60_000);
    }
    expect(api.all(NEW_EVENTS)).toHaveLength(1);
    expect(api.all(NEW_EVENTS)[0]).toMatchObject({
      eventTime: '2026-01-01T00:00:00.000000Z',
      series: { count: 3, lastObservedTime: '2026-01-01T00:02:00.000000Z' },
    });
    recorder.record({ ...event, note: 'other' });
    await clock.advance(10 * 60_000);
    recorder.record(event);
    await settle();
    expect(api.all(NEW_EVENTS).map((e) => e.note)).toEqual(['no room', 'other', 'no room']);
  });
});
