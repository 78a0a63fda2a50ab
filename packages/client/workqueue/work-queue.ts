/**
 * A queue of keys for level-triggered loops. A key that is waiting is not added twice; a key that is being worked on and added again
 * is worked on once more afterwards, never by two workers at a time. Failing keys come back after growing delays, all of them together
 * at a bounded rate.
 */
import { isReason } from '@coffer/api/errors/status-error';
import type { BackoffOptions } from '@coffer/base/backoff';
import { backoffDelayMs } from '@coffer/base/backoff';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';

export interface WorkQueueOptions {
  /** Per key; the default doubles from 5 ms to 1000 s. */
  readonly backoff?: BackoffOptions;
  /** Sustained retries per second over all keys, and how many may come at once. */
  readonly retriesPerSecond?: number;
  readonly retryBurst?: number;
}

const DEFAULT_BACKOFF: BackoffOptions = { initialMs: 5, factor: 2, maxMs: 1_000_000, jitter: 0 };

export class WorkQueue {
  readonly #clock: Clock;
  readonly #options: Required<WorkQueueOptions>;
  /** Keys that wait for a worker, in order. */
  readonly #waiting = new Set<string>();
  readonly #working = new Set<string>();
  /** Keys added again while they were worked on. */
  readonly #again = new Set<string>();
  readonly #failures = new Map<string, number>();
  readonly #timers = new Map<string, { readonly dueMs: number; readonly cancel: () => void }>();
  readonly #idleWorkers: ((key: string | undefined) => void)[] = [];
  #bucketFreeAtMs: number;
  #shutDown = false;

  constructor(clock: Clock, options: WorkQueueOptions = {}) {
    this.#clock = clock;
    this.#options = { backoff: DEFAULT_BACKOFF, retriesPerSecond: 10, retryBurst: 100, ...options };
    this.#bucketFreeAtMs = Number.NEGATIVE_INFINITY;
  }

  /** Keys waiting for a worker; delayed ones not counted. */
  get length(): number {
    return this.#waiting.size;
  }

  /** True when nothing waits, nothing is worked on and nothing is delayed. */
  get idle(): boolean {
    return this.#waiting.size === 0 && this.#working.size === 0 && this.#timers.size === 0;
  }

  add(key: string): void {
    if (this.#shutDown) return;
    if (this.#working.has(key)) {
      this.#again.add(key);
      return;
    }
    const worker = this.#idleWorkers.shift();
    if (worker === undefined) this.#waiting.add(key);
    else {
      this.#waiting.delete(key);
      this.#working.add(key);
      worker(key);
    }
  }

  /** Adds the key after a delay; of several delays for one key the shortest counts. */
  addAfter(key: string, delayMs: number): void {
    if (this.#shutDown) return;
    if (delayMs <= 0) {
      this.add(key);
      return;
    }
    const dueMs = this.#clock.monotonicMs() + delayMs;
    const pending = this.#timers.get(key);
    if (pending !== undefined) {
      if (pending.dueMs <= dueMs) return;
      pending.cancel();
    }
    const cancel = this.#clock.setTimer(delayMs, () => {
      this.#timers.delete(key);
      this.add(key);
    });
    this.#timers.set(key, { dueMs, cancel });
  }

  /** Adds the key after the delay its failures so far earned it. */
  addRateLimited(key: string): void {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.addAfter(key, Math.max(backoffDelayMs(this.#options.backoff, failures), this.#bucketDelayMs()));
  }

  failures(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Forgets the key's failures. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /**
   * Works on keys with `workers` at a time until the signal is aborted. A key whose work failed comes back rate limited; the error is
   * logged once. Resolves when the last piece of work has ended.
   */
  async run(workers: number, work: (key: string) => Promise<void>, logger: Logger, signal: AbortSignal): Promise<void> {
    if (signal.aborted) this.#stop();
    else signal.addEventListener('abort', () => this.#stop(), { once: true });
    await Promise.all(Array.from({ length: workers }, () => this.#worker(work, logger, signal)));
  }

  async #worker(work: (key: string) => Promise<void>, logger: Logger, signal: AbortSignal): Promise<void> {
    for (;;) {
      const key = await this.#next();
      if (key === undefined) return;
      try {
        await work(key);
        this.forget(key);
      } catch (error) {
        if (!signal.aborted) {
          const fields = { key, failures: this.failures(key) + 1, err: error };
          // Losing against another writer is part of the design, anything else is worth a line.
          if (isReason(error, 'Conflict')) logger.debug('work on a key met a conflict, trying again', fields);
          else logger.warn('work on a key failed, trying again', fields);
          this.addRateLimited(key);
        }
      } finally {
        this.#done(key);
      }
    }
  }

  #next(): Promise<string | undefined> {
    if (this.#shutDown) return Promise.resolve(undefined);
    for (const key of this.#waiting) {
      this.#waiting.delete(key);
      this.#working.add(key);
      return Promise.resolve(key);
    }
    return new Promise((resolve) => this.#idleWorkers.push(resolve));
  }

  #done(key: string): void {
    this.#working.delete(key);
    if (this.#again.delete(key)) this.add(key);
  }

  #stop(): void {
    this.#shutDown = true;
    this.#waiting.clear();
    for (const timer of this.#timers.values()) timer.cancel();
    this.#timers.clear();
    for (const worker of this.#idleWorkers.splice(0)) worker(undefined);
  }

  /** Token bucket over all retries, kept as the time at which it would be full again. */
  #bucketDelayMs(): number {
    const nowMs = this.#clock.monotonicMs();
    const intervalMs = 1000 / this.#options.retriesPerSecond;
    const earliestMs = nowMs - (this.#options.retryBurst - 1) * intervalMs;
    this.#bucketFreeAtMs = Math.max(this.#bucketFreeAtMs, earliestMs) + intervalMs;
    return Math.max(0, this.#bucketFreeAtMs - nowMs - intervalMs);
  }
}
