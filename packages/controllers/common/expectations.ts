/**
 * Remembers which creations and deletions of a loop its informer has not shown yet, so that the loop does not act twice on an old view.
 * What has not shown up after five minutes is given up.
 */
import type { Clock } from '@coffer/base/time/clock';

interface Expectation {
  creations: number;
  /** Keys of objects whose deletion was asked for. */
  readonly deletions: Set<string>;
  readonly sinceMs: number;
}

const GIVE_UP_AFTER_MS = 5 * 60_000;

export class Expectations {
  readonly #clock: Clock;
  readonly #byOwner = new Map<string, Expectation>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** True when the informer has shown everything, or too much time has passed. */
  satisfied(owner: string): boolean {
    const expected = this.#byOwner.get(owner);
    if (expected === undefined) return true;
    if (expected.creations <= 0 && expected.deletions.size === 0) return true;
    return this.#clock.monotonicMs() - expected.sinceMs > GIVE_UP_AFTER_MS;
  }

  expectCreations(owner: string, count: number): void {
    this.#byOwner.set(owner, { creations: count, deletions: new Set(), sinceMs: this.#clock.monotonicMs() });
  }

  expectDeletions(owner: string, keys: readonly string[]): void {
    this.#byOwner.set(owner, { creations: 0, deletions: new Set(keys), sinceMs: this.#clock.monotonicMs() });
  }

  /** A creation showed up, or failed and will not. */
  creationSeen(owner: string): void {
    const expected = this.#byOwner.get(owner);
    if (expected !== undefined) expected.creations--;
  }

  deletionSeen(owner: string, key: string): void {
    this.#byOwner.get(owner)?.deletions.delete(key);
  }

  forget(owner: string): void {
    this.#byOwner.delete(owner);
  }
}
