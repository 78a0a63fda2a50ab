import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { ApiClient } from '../rest/api-client.ts';
import { LEASES } from '../rest/well-known.ts';
import { settle } from '../testing/eventually.ts';
import { FakeApi } from '../testing/fake-api.ts';
import { LeaderElector } from './leader-election.ts';

function setUp() {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  const events: string[] = [];
  const candidate = (identity: string) => {
    const stop = new AbortController();
    const client = new ApiClient({ transport: api.transport(identity), clock });
    const elector = new LeaderElector(
      { api: client, clock, logger: silentLogger, random: () => 0 },
      { namespace: 'kube-system', name: 'loops', identity },
    );
    const done = elector.run(async (signal) => {
      events.push(`${identity} leads`);
      await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
      events.push(`${identity} stops`);
    }, stop.signal);
    return { stop, elector, done };
  };
  return { clock, api, events, candidate };
}

describe('LeaderElector', () => {
  it('lets one candidate lead and the next take over at once when it gives up', async () => {
    const { clock, api, events, candidate } = setUp();
    const a = candidate('a');
    await settle();
    const b = candidate('b');
    await clock.advance(60_000);
    expect(events).toEqual(['a leads']);
    expect(b.elector.leader).toBe('a');
    a.stop.abort();
    await a.done;
    await clock.advance(5_000);
    expect(events).toEqual(['a leads', 'a stops', 'b leads']);
    expect(api.find(LEASES, 'kube-system', 'loops')?.spec).toMatchObject({
      holderIdentity: 'b',
      leaseDurationSeconds: 15,
      leaseTransitions: 1,
    });
    b.stop.abort();
    await b.done;
  });

  it('stops leading before another may start when it cannot renew', async () => {
    const { clock, api, events, candidate } = setUp();
    const a = candidate('a');
    await settle();
    const b = candidate('b');
    await settle();
    api.before = (request) => {
      if (request.user === 'a') throw new Error('the connection was refused');
    };
    await clock.advance(12_500);
    expect(events).toEqual(['a leads', 'a stops']);
    await clock.advance(6_000);
    expect(events).toEqual(['a leads', 'a stops', 'b leads']);
    await a.done;
    b.stop.abort();
    await b.done;
  });
});
