import { describe, expect, it } from 'vitest';
import { type Clock, systemClock } from './clock.ts';
import { TurnGate } from './turn-gate.ts';

/** A clock that stands still unless it is moved. */
class StillClock implements Clock {
  nowMs = 0;
  now = () => this.nowMs;
  monotonicMs = () => this.nowMs;
  setTimer = systemClock.setTimer;
  sleep = systemClock.sleep;
}

describe('TurnGate', () => {
  it('lets everybody pass while the turn is short', () => {
    const gate = new TurnGate(new StillClock());
    expect([gate.pass(), gate.pass(), gate.pass()]).toEqual([undefined, undefined, undefined]);
  });

  it('lets a loop of promises that has run for long go on only after the event loop was free', async () => {
    const clock = new StillClock();
    const gate = new TurnGate(clock);
    const log: string[] = [];
    setImmediate(() => log.push('others'));
    for (let i = 0; i < 3; i++) {
      await gate.pass();
      log.push(`request ${i}`);
      clock.nowMs += 6;
    }
    expect(log).toEqual(['request 0', 'others', 'request 1', 'request 2']);
  });

  it('lets those who wait go in order, a few in each turn, before anybody who comes later', async () => {
    const clock = new StillClock();
    const gate = new TurnGate(clock);
    await gate.pass();
    clock.nowMs += 6;
    const order: string[] = [];
    const enter = async (name: string) => {
      await gate.pass();
      order.push(name);
    };
    const first = Array.from({ length: 20 }, (_, i) => enter(`early ${i}`));
    const turns: number[] = [];
    while (order.length < 20) {
      await new Promise((resolve) => setImmediate(resolve));
      turns.push(order.length);
      if (order.length > 0 && order.length < 20) first.push(enter(`late ${turns.length}`));
      if (turns.length > 50) break;
    }
    await Promise.all(first);
    expect(order.slice(0, 20)).toEqual(Array.from({ length: 20 }, (_, i) => `early ${i}`));
    expect(turns.filter((count) => count > 0).length).toBeGreaterThan(1);
  });
});
