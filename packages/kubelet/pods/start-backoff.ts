/** Restart back-off per container: 10 s after the first repeat, doubled up to 5 minutes, forgotten after 10 minutes of peace. Upstream's rules. */
import type { Clock } from '@coffer/base/time/clock';

interface Entry {
  delayMs: number;
  lastUpdateMs: number;
}

export interface StartBackoffOptions {
  readonly initialMs: number;
  readonly maxMs: number;
}

export class StartBackoff {
  readonly #clock: Clock;
  readonly #options: StartBackoffOptions;
  readonly #entries = new Map<string, Entry>();

  constructor(clock: Clock, options: StartBackoffOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** How long a key still has to wait, counted from `sinceMs`; 0 when it may go on. */
  remainingMs(key: string, sinceMs: number): number {
    const entry = this.#entries.get(key);
    const now = this.#clock.now();
    if (entry === undefined || this.#expired(now, entry)) return 0;
    return Math.max(0, sinceMs + entry.delayMs - now);
  }

  /** The present delay of a key. */
  delayMs(key: string): number {
    return this.#entries.get(key)?.delayMs ?? 0;
  }

  /** Counts another try for something that ended at `sinceMs`. */
  next(key: string, sinceMs: number): void {
    const now = this.#clock.now();
    const entry = this.#entries.get(key);
    if (entry === undefined || this.#expired(sinceMs, entry))
      this.#entries.set(key, { delayMs: this.#options.initialMs, lastUpdateMs: now });
    else {
      entry.delayMs = Math.min(entry.delayMs * 2, this.#options.maxMs);
      entry.lastUpdateMs = now;
    }
  }

  forget(prefix: string): void {
    for (const key of this.#entries.keys()) if (key.startsWith(prefix)) this.#entries.delete(key);
  }

  #expired(atMs: number, entry: Entry): boolean {
    return atMs - entry.lastUpdateMs > 2 * this.#options.maxMs;
  }
}
