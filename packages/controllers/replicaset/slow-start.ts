/** Runs many like tasks in growing batches, so that a common failure (a quota, say) is met once and not a thousand times. */

export interface SlowStartResult {
  readonly succeeded: number;
  /** The first failure; later batches were not started. */
  readonly error: unknown;
}

/** Batches of `initialBatch`, twice that, four times that, …; within a batch at once. Stops after the first batch with a failure. */
export async function runInGrowingBatches(count: number, initialBatch: number, task: () => Promise<void>): Promise<SlowStartResult> {
  let succeeded = 0;
  let left = count;
  for (let batch = Math.min(left, initialBatch); batch > 0; batch = Math.min(2 * batch, left)) {
    const results = await Promise.allSettled(Array.from({ length: batch }, task));
    const failed = results.find((result) => result.status === 'rejected');
    succeeded += results.filter((result) => result.status === 'fulfilled').length;
    if (failed !== undefined) return { succeeded, error: failed.reason };
    left -= batch;
  }
  return { succeeded, error: undefined };
}
