import { timeoutError } from '@coffer/api/errors/status-error';
import type { Clock } from '@coffer/base/time/clock';
import type { Filter } from './filter.ts';
import { isLongRunning } from './long-running.ts';

interface Waiting {
  readonly deadlineMs: number;
  readonly expire: () => void;
}

/**
 * Answers 504 when a request takes longer than `timeoutMs`. What it already started may still complete, as upstream. All requests
 * wait equally long, so one timer for the oldest serves them all.
 */
export function withTimeout(clock: Clock, timeoutMs: number): Filter {
  /** In the order of their deadlines. */
  const waiting = new Set<Waiting>();
  let armed = false;
  const arm = (delayMs: number) => {
    armed = true;
    clock.setTimer(delayMs, expireDue);
  };
  const expireDue = () => {
    armed = false;
    const nowMs = clock.monotonicMs();
    for (const request of waiting) {
      if (request.deadlineMs > nowMs) {
        arm(request.deadlineMs - nowMs);
        return;
      }
      waiting.delete(request);
      request.expire();
    }
  };
  return (context, next) => {
    if (isLongRunning(context)) return next(context);
    return new Promise((resolve, reject) => {
      const expire = () => reject(timeoutError('request did not complete within the allotted timeout', 0));
      const request: Waiting = { deadlineMs: clock.monotonicMs() + timeoutMs, expire };
      waiting.add(request);
      if (!armed) arm(timeoutMs);
      next(context).then(
        (response) => {
          waiting.delete(request);
          resolve(response);
        },
        (error: unknown) => {
          waiting.delete(request);
          reject(error);
        },
      );
    });
  };
}
