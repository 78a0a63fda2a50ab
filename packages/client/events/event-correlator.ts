/**
 * Decides what becomes of an event, by the rules of client-go's event correlator: a source may report 25 events about one object at
 * once and then one every five minutes; more than ten events within ten minutes that differ only in their message are combined into
 * one; an event that was seen before raises the count of the first one. Holds at most `MAX_ENTRIES` keys, oldest forgotten first.
 */
import type { CoreV1Event } from '@coffer/api/generated/types';
import type { Clock } from '@coffer/base/time/clock';

export type Correlated =
  /** Too noisy: do not write. */
  { readonly kind: 'skip' } | { readonly kind: 'new' | 'repeat'; readonly key: string; readonly event: CoreV1Event };

const MAX_ENTRIES = 4096;
const BURST = 25;
const REFILL_MS = 300_000;
const MAX_SIMILAR = 10;
const SIMILAR_WINDOW_MS = 600_000;

interface Bucket {
  tokens: number;
  updatedMs: number;
}

interface Similar {
  readonly messages: Set<string>;
  lastMs: number;
}

interface Seen {
  readonly name: string;
  readonly namespace: string;
  readonly firstTimestamp: string | undefined;
  count: number;
}

export class EventCorrelator {
  readonly #clock: Clock;
  readonly #buckets = new Map<string, Bucket>();
  readonly #similar = new Map<string, Similar>();
  readonly #seen = new Map<string, Seen>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  correlate(event: CoreV1Event): Correlated {
    const { event: aggregated, key } = this.#aggregate(event);
    const seen = this.#seen.get(key);
    const repeated = seen !== undefined;
    if (seen !== undefined) seen.count++;
    else
      remember(this.#seen, key, {
        name: event.metadata.name ?? '',
        namespace: event.metadata.namespace ?? '',
        firstTimestamp: event.firstTimestamp,
        count: 1,
      });
    if (!this.#takeToken(sourceAndObject(event))) return { kind: 'skip' };
    if (!repeated || seen === undefined) return { kind: 'new', key, event: aggregated };
    return {
      kind: 'repeat',
      key,
      event: {
        ...aggregated,
        metadata: { ...aggregated.metadata, name: seen.name, namespace: seen.namespace },
        ...(seen.firstTimestamp === undefined ? {} : { firstTimestamp: seen.firstTimestamp }),
        count: seen.count,
      },
    };
  }

  /** Tells what the server stored, so that the next repetition refers to it. */
  written(key: string, event: CoreV1Event): void {
    remember(this.#seen, key, {
      name: event.metadata.name ?? '',
      namespace: event.metadata.namespace ?? '',
      firstTimestamp: event.firstTimestamp,
      count: event.count ?? 1,
    });
  }

  #aggregate(event: CoreV1Event): { event: CoreV1Event; key: string } {
    const nowMs = this.#clock.now();
    const group = groupKey(event);
    let similar = this.#similar.get(group);
    if (similar === undefined || nowMs - similar.lastMs > SIMILAR_WINDOW_MS) similar = { messages: new Set(), lastMs: nowMs };
    similar.messages.add(event.message ?? '');
    similar.lastMs = nowMs;
    remember(this.#similar, group, similar);
    if (similar.messages.size < MAX_SIMILAR) return { event, key: `${group}\n${event.message ?? ''}` };
    // The set need not grow further: it only has to stay above the limit.
    if (similar.messages.size > MAX_SIMILAR) similar.messages.delete(event.message ?? '');
    return { event: { ...event, message: `(combined from similar events): ${event.message ?? ''}` }, key: group };
  }

  #takeToken(key: string): boolean {
    const nowMs = this.#clock.now();
    const bucket = this.#buckets.get(key) ?? { tokens: BURST, updatedMs: nowMs };
    bucket.tokens = Math.min(BURST, bucket.tokens + (nowMs - bucket.updatedMs) / REFILL_MS);
    bucket.updatedMs = nowMs;
    remember(this.#buckets, key, bucket);
    if (bucket.tokens < 1) return false;
    bucket.tokens -= 1;
    return true;
  }
}

function sourceAndObject(event: CoreV1Event): string {
  const about = event.involvedObject;
  return [event.source?.component, event.source?.host, about.kind, about.namespace, about.name, about.uid, about.apiVersion].join('\n');
}

function groupKey(event: CoreV1Event): string {
  return [
    sourceAndObject(event),
    event.involvedObject.fieldPath,
    event.type,
    event.reason,
    event.reportingComponent,
    event.reportingInstance,
  ].join('\n');
}

/** Sets the entry as the newest and drops the oldest when there are too many. */
function remember<V>(map: Map<string, V>, key: string, value: V): void {
  map.delete(key);
  map.set(key, value);
  if (map.size <= MAX_ENTRIES) return;
  const oldest = map.keys().next();
  if (!oldest.done) map.delete(oldest.value);
}
