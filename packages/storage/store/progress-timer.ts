import type { Clock } from '@coffer/base/time/clock';

/** Runs `tell` a moment after something happened, once per interval at most; costs nothing while nothing happens. */
export class ProgressTimer {
  readonly #clock: Clock;
  readonly #intervalMs: number;
  readonly #tell: () => void;
  #cancel: (() => void) | undefined;
  #closed = false;

  constructor(clock: Clock, intervalMs: number, tell: () => void) {
    this.#clock = clock;
    this.#intervalMs = intervalMs;
    this.#tell = tell;
  }

  arm(): void {
    if (this.#cancel !== undefined || this.#closed) return;
    this.#cancel = this.#clock.setTimer(this.#intervalMs, () => {
      this.#cancel = undefined;
      this.#tell();
    });
  }

  close(): void {
    this.#closed = true;
    this.#cancel?.();
  }
}
