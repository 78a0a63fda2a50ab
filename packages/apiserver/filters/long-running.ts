import type { RequestContext } from '../request/context.ts';

const streamingSubresources = new Set(['exec', 'attach', 'portforward', 'proxy']);

/** Requests that last: exempt from the request time-out and from max-in-flight, as upstream. */
export function isLongRunning(context: RequestContext): boolean {
  const { info } = context;
  if (!info.isResourceRequest) return false;
  if (info.verb === 'watch' || info.verb === 'proxy' || streamingSubresources.has(info.subresource)) return true;
  return info.subresource === 'log' && context.query.get('follow') === 'true';
}
