import { timeoutError } from '@coffer/api/errors/status-error';
import type { Clock } from '@coffer/base/time/clock';
import type { Filter } from './filter.ts';
import { isLongRunning } from './long-running.ts';

/** Answers 504 when a request takes longer than `timeoutMs`. What it already started may still complete, as upstream. */
export function withTimeout(clock: Clock, timeoutMs: number): Filter {
  return (context, next) => {
    if (isLongRunning(context)) return next(context);
    return new Promise((resolve, reject) => {
      const cancel = clock.setTimer(timeoutMs, () => reject(timeoutError('request did not complete within the allotted timeout', 0)));
      next(context).then(
        (response) => {
          cancel();
          resolve(response);
        },
        (error: unknown) => {
          cancel();
          reject(error);
        },
      );
    });
  };
}
