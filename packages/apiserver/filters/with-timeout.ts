import { badRequest, timeoutError } from '@coffer/api/errors/status-error';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import { durationProblem, parseDuration } from '@coffer/base/time/duration';
import type { RequestContext } from '../request/context.ts';
import type { Filter } from './filter.ts';
import { isLongRunning } from './long-running.ts';

interface Waiting {
  readonly deadlineMs: number;
  readonly expire: () => void;
}

/**
 * Answers 504 when a request takes longer than `timeoutMs`, or than its `timeout` parameter says when that is shorter. What it already
 * started may still complete, as upstream. Requests without the parameter wait equally long, so one timer for the oldest serves them all.
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
    const ownMs = requestedMs(context);
    if (ownMs > 0 && ownMs < timeoutMs) return withOwnTimeout(clock, ownMs, next(context));
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

/** What `timeout` asks for; 0 when it asks for nothing. Throws StatusError 400. */
function requestedMs(context: RequestContext): number {
  const text = context.query.get('timeout') ?? '';
  if (text === '') return 0;
  const unsigned = text.replace(/^[-+]/, '');
  const ms = unsigned === '0' ? 0 : parseDuration(unsigned);
  if (ms === undefined) throw badRequest(`invalid timeout specified in the request URL - ${durationProblem(text)}`);
  return text.startsWith('-') ? 0 : ms;
}

function withOwnTimeout(clock: Clock, timeoutMs: number, answer: Promise<HttpResponse>): Promise<HttpResponse> {
  let cancel = () => {};
  const expired = new Promise<never>((_resolve, reject) => {
    const detail = 'request did not complete within requested timeout - context deadline exceeded';
    cancel = clock.setTimer(timeoutMs, () => reject(timeoutError(detail, 0)));
  });
  return Promise.race([answer, expired]).finally(cancel);
}
