/**
 * Deletes events that were not written for `ttlMs` (an hour by default). Identity: `ttl-controller`. Looks every `INTERVAL_MS`, in pages; an
 * event that was repeated meanwhile is kept, because its revision is a precondition.
 */

import { StatusError } from '@coffer/api/errors/status-error';
import type { CoreV1Event } from '@coffer/api/generated/types';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { parseApiTime } from '@coffer/client/rest/api-time';
import { EVENTS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';

const INTERVAL_MS = 5 * 60_000;

export async function runEventTtlController(deps: LoopDeps, options: { readonly ttlMs: number }, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      await expire();
    } catch (error) {
      if (!signal.aborted) deps.logger.warn('old events could not be deleted, trying again', { err: error });
    }
    await deps.clock.sleep(INTERVAL_MS, signal).catch(() => undefined);
  }

  async function expire(): Promise<void> {
    const events = deps.api.resource(EVENTS);
    const oldestMs = deps.clock.now() - options.ttlMs;
    let next: string | undefined;
    do {
      const page = await events.list({ limit: 200, ...(next === undefined ? {} : { continue: next }), signal });
      for (const event of page.items) if (lastWriteMs(event) < oldestMs) await remove(event);
      next = page.continue;
    } while (next !== undefined);
  }

  async function remove(event: CoreV1Event): Promise<void> {
    const revision = event.metadata.resourceVersion;
    const preconditions = { uid: uidOf(event), ...(revision === undefined ? {} : { resourceVersion: revision }) };
    try {
      await deps.api.resource(EVENTS).delete(nameOf(event), { namespace: namespaceOf(event), body: { preconditions }, signal });
    } catch (error) {
      // Gone, repeated meanwhile, or in a namespace that is being emptied anyway.
      if (!(error instanceof StatusError) || error.code >= 500) throw error;
    }
  }
}

/** The newest time an event tells about itself. */
function lastWriteMs(event: CoreV1Event): number {
  const times = [
    event.lastTimestamp,
    event.series?.lastObservedTime,
    event.eventTime,
    event.firstTimestamp,
    event.metadata.creationTimestamp,
  ];
  const known = times.map((time) => parseApiTime(time ?? undefined)).filter((ms): ms is number => ms !== undefined);
  return known.length === 0 ? 0 : Math.max(...known);
}
