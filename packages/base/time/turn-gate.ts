import type { Clock } from './clock.ts';

export interface TurnLimits {
  /** After this time nobody else goes on in a turn. */
  readonly maxTurnMs: number;
  /** So many of those that wait are let go in one turn, whatever they cost. */
  readonly perTurn: number;
}

/**
 * Keeps work that is chained by promises alone from holding the event loop: without it, a loop of requests inside the process (a
 * hundred pages of a list, the pods of a node at its start) is one single turn, and the network waits. Whoever asks when the turn
 * has lasted long enough goes on in a later one, in order, a few in each.
 */
export class TurnGate {
  readonly #clock: Clock;
  readonly #limits: TurnLimits;
  readonly #waiting: (() => void)[] = [];
  #turnStartedMs: number | undefined;

  constructor(clock: Clock, limits: TurnLimits = { maxTurnMs: 5, perTurn: 8 }) {
    this.#clock = clock;
    this.#limits = limits;
  }

  /** Undefined when the caller may go on at once. */
  pass(): Promise<void> | undefined {
    const nowMs = this.#clock.monotonicMs();
    if (this.#turnStartedMs === undefined) this.#begin(nowMs);
    else if (this.#waiting.length > 0 || nowMs - this.#turnStartedMs >= this.#limits.maxTurnMs)
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
    for (const go of this.#waiting.splice(0, this.#limits.perTurn)) go();
  }
}
