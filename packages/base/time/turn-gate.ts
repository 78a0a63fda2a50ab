import type { Clock } from './clock.ts';

/**
 * Keeps work that is chained by promises alone from holding the event loop: without it, a loop of requests inside the process (a
 * hundred pages of a list, the pods of a node at its start) is one single turn, and the network waits. Whoever asks when the turn
 * has lasted long enough goes on in a later one, in order, a few in each.
 */
export class TurnGate {
  readonly #clock: Clock;
  readonly #waiting: (() => void)[] = [];
  #turnStartedMs: number | undefined;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Undefined when the caller may go on at once. */
  pass(): Promise<void> | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (this.#turnStartedMs === undefined) this.#begin(nowMs);
    else if (this.#waiting.length > 0 || nowMs - this.#turnStartedMs >= maxTurnMs)
      return new Promise((resolve) => this.#waiting.push(resolve));
    return undefined;
  }

  #begin(nowMs: number): void {
    this.#turnStartedMs = nowMs;
    setImmediate(() => this.#end());
  }

  #end(): void {
    this.#turnStartedMs = undefined;
    if (this.#waiting.length === 0) return;
    this.#begin(this.#clock.monotonicMs());
    for (const go of this.#waiting.splice(0, perTurn)) go();
  }
}

const maxTurnMs = 5;
/** What is let go starts within one turn, whatever it costs. */
const perTurn = 8;
