/** Names of events: the object's name and the time in nanoseconds, in hexadecimal; never the same twice. */
import type { Clock } from '@coffer/base/time/clock';

export class EventNames {
  readonly #clock: Clock;
  #lastNs = 0n;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  next(objectName: string): string {
    const ns = BigInt(Math.floor(this.#clock.now())) * 1_000_000n;
    this.#lastNs = ns > this.#lastNs ? ns : this.#lastNs + 1n;
    return `${objectName}.${this.#lastNs.toString(16)}`;
  }
}
