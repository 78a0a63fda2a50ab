import type { Clock } from '@coffer/base/time/clock';
import type { BackendBatch, BackendEvent, KeyValue } from '../backend.ts';
import { compactedError } from '../checks.ts';
import type { EtcdKeyValue, RangeResponse, WatchResponse } from './messages.ts';
import type { EtcdRpc, WatchStream } from './rpc.ts';

/**
 * One watch of a key range that outlives connections: when the stream breaks it is opened again, perhaps elsewhere, behind the
 * last change that was handed out.
 */
export interface EtcdWatchDeps {
  readonly rpc: EtcdRpc;
  readonly clock: Clock;
  /** Open streams, so that progress can be asked for. */
  readonly streams: Set<WatchStream>;
  /**
   * Servers before 3.4.25 and 3.5.8 may report progress ahead of events that are still on their way; then a progress mark is
   * believed only when the range really did not change.
   */
  readonly progressIsReliable: boolean;
}

export async function* watchRange(
  deps: EtcdWatchDeps,
  range: { readonly key: Buffer; readonly rangeEnd: Buffer },
  afterRevision: number,
  signal: AbortSignal,
): AsyncGenerator<BackendBatch> {
  let position = afterRevision;
  for (let failures = 0; !signal.aborted; failures++) {
    const stream = deps.rpc.openWatch();
    const cancel = () => stream.cancel();
    signal.addEventListener('abort', cancel);
    deps.streams.add(stream);
    try {
      stream.write({ createRequest: { ...range, startRevision: position + 1, progressNotify: true, prevKv: true, fragment: true } });
      for await (const batch of batches(deps, range, stream, () => position)) {
        failures = 0;
        if (batch.revision <= position) continue;
        position = batch.revision;
        yield batch;
      }
    } catch (error) {
      if (signal.aborted) return;
      if (!isConnectionError(error)) throw error;
    } finally {
      signal.removeEventListener('abort', cancel);
      deps.streams.delete(stream);
      stream.on('error', () => {});
      stream.cancel();
    }
    deps.rpc.nextEndpoint();
    await deps.clock.sleep(Math.min(5000, 50 * 2 ** failures), signal).catch(() => undefined);
  }
}

async function* batches(
  deps: EtcdWatchDeps,
  range: { readonly key: Buffer; readonly rangeEnd: Buffer },
  stream: WatchStream,
  position: () => number,
): AsyncGenerator<BackendBatch> {
  let fragments: BackendEvent[] = [];
  for await (const response of stream as AsyncIterable<WatchResponse>) {
    if (response.canceled) {
      if (response.compactRevision > 0) throw compactedError(position(), response.compactRevision);
      throw new Error(`etcd ended the watch: ${response.cancelReason}`);
    }
    fragments.push(...response.events.map(toEvent));
    if (response.fragment || response.created) continue;
    const events = fragments;
    fragments = [];
    // The header may be ahead of events that follow, so a batch with events reaches as far as the last of them.
    const last = events.at(-1);
    if (last !== undefined) yield { events, revision: last.kv.modRevision };
    else if (deps.progressIsReliable || (await unchanged(deps.rpc, range, position(), response.header.revision))) {
      yield { events: [], revision: response.header.revision };
    }
  }
}

/** True when nothing in the range was written or deleted between the two revisions. */
async function unchanged(rpc: EtcdRpc, range: object, from: number, to: number): Promise<boolean> {
  if (to <= from) return false;
  const request = (more: object) => rpc.read<RangeResponse>('KV', 'Range', 'Range', { ...range, ...more });
  try {
    const written = await request({ revision: to, minModRevision: from + 1, keysOnly: true, limit: 1 });
    if (written.kvs.length > 0) return false;
    const [before, after] = await Promise.all([request({ revision: from, countOnly: true }), request({ revision: to, countOnly: true })]);
    return before.count === after.count;
  } catch {
    return false;
  }
}

function toEvent({ type, kv, prevKv }: WatchResponse['events'][number]): BackendEvent {
  return {
    type: type === 'DELETE' ? 'delete' : 'put',
    kv: toKeyValue(kv),
    prev: prevKv === undefined || prevKv === null ? undefined : toKeyValue(prevKv),
  };
}

/** A copy: etcd's answers are slices of one large message that would be kept alive as a whole. */
export function toKeyValue({ key, value, modRevision, createRevision }: EtcdKeyValue): KeyValue {
  return { key: Buffer.from(key).toString('utf8'), value: Buffer.from(value), modRevision, createRevision };
}

function isConnectionError(error: unknown): boolean {
  return typeof (error as { code?: unknown }).code === 'number';
}
