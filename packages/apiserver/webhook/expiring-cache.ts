import type { Clock } from '@coffer/base/time/clock';

/** Answers that are good for a while. At most `maxEntries` are kept; when full, the oldest go first. */
export class ExpiringCache<T> {
  readonly #clock: Clock;
  readonly #maxEntries: number;
  readonly #entries = new Map<string, { readonly value: T; readonly untilMs: number }>();

  constructor(clock: Clock, maxEntries = 4096) {
    this.#clock = clock;
    this.#maxEntries = maxEntries;
  }

  get(key: string): T | undefined {
    const entry = this.#entries.get(key);
    if (!entry) return undefined;
    if (this.#clock.monotonicMs() < entry.untilMs) return entry.value;
    this.#entries.delete(key);
    return undefined;
  }

  /** A time to live of 0 remembers nothing. */
  set(key: string, value: T, ttlMs: number): void {
    if (ttlMs <= 0) return;
    this.#entries.delete(key);
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size < this.#maxEntries) break;
      this.#entries.delete(oldest);
    }
    this.#entries.set(key, { value, untilMs: this.#clock.monotonicMs() + ttlMs });
  }
}
