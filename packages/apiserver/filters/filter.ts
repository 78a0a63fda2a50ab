import type { HttpResponse } from '@coffer/base/http/handler';
import type { RequestContext } from '../request/context.ts';

export type Next = (context: RequestContext) => Promise<HttpResponse>;

/** One step of a request. It answers itself, or calls `next` (at most once) and may change the answer. */
export type Filter = (context: RequestContext, next: Next) => Promise<HttpResponse>;

/** Puts filters around a handler, first one outermost: the list reads in the order of execution. */
export function chainFilters(filters: readonly Filter[], handler: Next): Next {
  return filters.reduceRight<Next>((next, filter) => (context) => filter(context, next), handler);
}
