/** Waits in tests for something that other tasks bring about. */
import type { FakeClock } from '@coffer/base/time/fake-clock';

/** Lets the tasks run until `check` returns without throwing; fails with its last error after `patienceMs`. */
export async function eventually<T>(check: () => T, patienceMs = 10_000): Promise<T> {
  const deadlineMs = performance.now() + patienceMs;
  for (let round = 0; ; round++) {
    try {
      return check();
    } catch (error) {
      if (performance.now() > deadlineMs) throw error;
      // What runs on other threads (cryptography, files) needs time, not turns.
      await new Promise<void>((resolve) => (round < 100 ? setImmediate(resolve) : setTimeout(resolve, 1)));
    }
  }
}

/** Like `eventually`, moving the clock by `stepMs` between the looks. */
export async function eventuallyInTime<T>(clock: FakeClock, stepMs: number, check: () => T, steps = 200): Promise<T> {
  for (let step = 0; ; step++) {
    try {
      return check();
    } catch (error) {
      if (step >= steps) throw error;
      await clock.advance(stepMs);
    }
  }
}

/** Lets everything run that does not wait for time. */
export async function settle(rounds = 30): Promise<void> {
  for (let round = 0; round < rounds; round++) await new Promise<void>((resolve) => setImmediate(resolve));
}
