import type { HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../request/context.ts';
import type { Filter, Next } from './filter.ts';
import { isLongRunning } from './long-running.ts';

export interface MaxInFlightOptions {
  /** `--max-requests-inflight`: reads at one time; 0 means no limit. */
  readonly maxReadOnly: number;
  /** `--max-mutating-requests-inflight`. */
  readonly maxMutating: number;
}

const mutatingVerbs = new Set(['create', 'update', 'patch', 'delete', 'deletecollection']);
const retryAfterSeconds = 1;

/**
 * Counts requests being served, reads and writes apart, and answers 429 above the limit. Watches and streams do not count.
 * `system:masters` is never refused: so the server reaches itself, and an administrator a server that has too much to do.
 */
export class InFlightLimiter {
  readonly #options: MaxInFlightOptions;
  #readOnly = 0;
  #mutating = 0;

  constructor(options: MaxInFlightOptions) {
    this.#options = options;
  }

  get current(): { readonly readOnly: number; readonly mutating: number } {
    return { readOnly: this.#readOnly, mutating: this.#mutating };
  }

  readonly filter: Filter = async (context, next) => {
    if (isLongRunning(context)) return next(context);
    if (mutatingVerbs.has(context.info.verb)) {
      if (this.#options.maxMutating > 0 && this.#mutating >= this.#options.maxMutating) return refuse(context, next);
      this.#mutating++;
      try {
        return await next(context);
      } finally {
        this.#mutating--;
      }
    }
    if (this.#options.maxReadOnly > 0 && this.#readOnly >= this.#options.maxReadOnly) return refuse(context, next);
    this.#readOnly++;
    try {
      return await next(context);
    } finally {
      this.#readOnly--;
    }
  };
}

function refuse(context: RequestContext, next: Next): HttpResponse | Promise<HttpResponse> {
  if (context.user.groups.includes('system:masters')) return next(context);
  return {
    kind: 'full',
    status: 429,
    headers: { 'content-type': 'text/plain; charset=utf-8', 'retry-after': retryAfterSeconds, 'x-content-type-options': 'nosniff' },
    body: 'Too many requests, please try again later.\n',
  };
}
