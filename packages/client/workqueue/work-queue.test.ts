import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import { settle } from '../testing/eventually.ts';
import { WorkQueue } from './work-queue.ts';

describe('WorkQueue', () => {
  it('works on a key once however often it was added', async () => {
    const queue = new WorkQueue(new FakeClock());
    const stop = new AbortController();
    const worked: string[] = [];
    queue.add('a');
    queue.add('a');
    queue.add('b');
    const done = queue.run(1, async (key) => void worked.push(key), silentLogger, stop.signal);
    await settle(2);
    expect(worked).toEqual(['a', 'b']);
    stop.abort();
    await done;
  });

  it('works again on a key that was added meanwhile, but never twice at a time', async () => {
    const queue = new WorkQueue(new FakeClock());
    const stop = new AbortController();
    let active = 0;
    let runs = 0;
    let release = () => {};
    const work = async () => {
      expect(++active).toBe(1);
      runs++;
      await new Promise<void>((resolve) => {
        release = resolve;
      });
      active--;
    };
    const done = queue.run(4, work, silentLogger, stop.signal);
    queue.add('a');
    await settle(2);
    queue.add('a');
    queue.add('a');
    await settle(2);
    expect(runs).toBe(1);
    release();
    await settle(2);
    expect(runs).toBe(2);
    release();
    await settle(2);
    expect(queue.idle).toBe(true);
    stop.abort();
    await done;
  });

  it('brings a failing key back after doubling delays and forgets them after success', async () => {
    const clock = new FakeClock();
    const queue = new WorkQueue(clock, { backoff: { initialMs: 100, factor: 2, maxMs: 1000 } });
    const stop = new AbortController();
    const start = clock.now();
    const times: number[] = [];
    const work = async () => {
      times.push(clock.now() - start);
      if (times.length < 4) throw new Error('not yet');
    };
    const done = queue.run(1, work, silentLogger, stop.signal);
    queue.add('a');
    await settle(2);
    await clock.advance(5000);
    expect(times).toEqual([0, 100, 300, 700]);
    expect(queue.failures('a')).toBe(0);
    stop.abort();
    await done;
  });

  it('bounds the rate of all retries together', async () => {
    const clock = new FakeClock();
    const queue = new WorkQueue(clock, { backoff: { initialMs: 1, factor: 1, maxMs: 1 }, retriesPerSecond: 10, retryBurst: 5 });
    for (let i = 0; i < 25; i++) queue.addRateLimited(`k${i}`);
    await clock.advance(1);
    expect(queue.length).toBe(5);
    await clock.advance(1000);
    expect(queue.length).toBe(15);
    await clock.advance(1000);
    expect(queue.length).toBe(25);
  });

  it('keeps the shortest of several delays and leaves no timer when it stops', async () => {
    const clock = new FakeClock();
    const queue = new WorkQueue(clock);
    const stop = new AbortController();
    queue.addAfter('a', 1000);
    queue.addAfter('a', 10);
    queue.addAfter('a', 5000);
    await clock.advance(10);
    expect(queue.length).toBe(1);
    queue.addAfter('b', 10);
    stop.abort();
    await queue.run(2, async () => {}, silentLogger, stop.signal);
    expect(queue.idle).toBe(true);
  });
});
