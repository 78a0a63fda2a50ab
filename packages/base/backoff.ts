/** Exponential back-off with a ceiling. Pure: the caller sleeps. */
export interface BackoffOptions {
  readonly initialMs: number;
  readonly factor: number;
  readonly maxMs: number;
  /** Share of the delay (0 to 1) that is added at random; 0 for an exact sequence. */
  readonly jitter?: number;
}

/** The delay before try number `attempt` (0 is the first retry), in milliseconds. */
export function backoffDelayMs(options: BackoffOptions, attempt: number, random: () => number = Math.random): number {
  const base = Math.min(options.maxMs, options.initialMs * options.factor ** attempt);
  return base + base * (options.jitter ?? 0) * random();
}
