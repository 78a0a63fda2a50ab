import type { Backend } from '../backend/backend.ts';
import { Change, initialEvent } from '../cacher/change.ts';
import type { ObjectVersion } from '../cacher/object-version.ts';
import type { ResourceCache } from '../cacher/resource-cache.ts';
import { eventFor, type Watcher } from '../cacher/watch-hub.ts';
import { StorageError } from '../errors.ts';
import { type Decoded, decodeValue } from './decode-events.ts';
import type { StoreEvent, WatchSink } from './store.ts';

/**
 * Brings a new watch to the present: the initial state or the missed changes in chunks, from the cache's memory or, when that
 * does not reach back far enough, from the backend; then hands it to the live dispatch. The hand-over is in one turn of the
 * event loop with the last look at the history, so nothing is lost or repeated.
 */
const chunkSize = 256;

export interface CatchUpDeps {
  readonly backend: Backend;
  readonly cache: ResourceCache;
}

/** The short way: few events, all in memory. Returns false, with nothing done, when it takes longer. */
export function catchUpAtOnce({ cache }: CatchUpDeps, watcher: Watcher, afterRevision: number): boolean {
  const changes = cache.changesAfter(afterRevision);
  if (changes === undefined || changes.length > chunkSize) return false;
  watcher.told = changes.at(-1)?.revision ?? afterRevision;
  deliver(watcher, changes);
  if (!watcher.ended) cache.hub.add(watcher);
  return true;
}

/** Everything else. Never rejects: errors end the watch. */
export async function catchUp(
  deps: CatchUpDeps,
  watcher: Watcher,
  start: { readonly afterRevision: number; readonly initial?: readonly ObjectVersion[] },
): Promise<void> {
  try {
    if (start.initial !== undefined) await deliverInitial(watcher, start.initial, start.afterRevision);
    watcher.told = start.afterRevision;
    while (!watcher.ended && !catchUpAtOnce(deps, watcher, watcher.told)) {
      const changes = deps.cache.changesAfter(watcher.told)?.slice(0, chunkSize);
      if (changes === undefined) {
        await replayFromBackend(deps, watcher);
      } else {
        watcher.told = changes.at(-1)?.revision ?? watcher.told;
        deliver(watcher, changes);
        await pause(watcher.sink);
      }
    }
  } catch (error) {
    if (watcher.ended) return;
    watcher.ended = true;
    watcher.sink.ended(error instanceof Error ? error : new Error(String(error)));
  }
}

/** Sends the initial state; at once when it is small, so that a watch of one object starts without a detour. */
export function deliverInitialAtOnce(watcher: Watcher, initial: readonly ObjectVersion[], revision: number): boolean {
  if (initial.length > chunkSize) return false;
  if (initial.length > 0) watcher.sink.events(initial.map(initialEvent));
  if (!watcher.ended) watcher.sink.initialDone?.(revision);
  return true;
}

async function deliverInitial(watcher: Watcher, initial: readonly ObjectVersion[], revision: number): Promise<void> {
  for (let i = 0; i < initial.length && !watcher.ended; i += chunkSize) {
    watcher.sink.events(initial.slice(i, i + chunkSize).map(initialEvent));
    await pause(watcher.sink);
  }
  if (!watcher.ended) watcher.sink.initialDone?.(revision);
}

/** Reads missed changes from the backend until the cache's memory can go on. */
async function replayFromBackend({ backend, cache }: CatchUpDeps, watcher: Watcher): Promise<void> {
  const kind = cache.objectKind;
  for await (const batch of backend.watch(kind.keyPrefix, watcher.told, new AbortController().signal)) {
    const changes: Change[] = [];
    for (const { type, kv, prev } of batch.events) {
      const before = prev === undefined ? undefined : readable(await decodeValue(kind, prev));
      const after = type === 'delete' ? undefined : readable(await decodeValue(kind, kv));
      if (before !== undefined || after !== undefined) changes.push(new Change(kv.modRevision, before, after));
    }
    if (watcher.ended) return;
    watcher.told = batch.revision;
    deliver(watcher, changes);
    if (cache.changesAfter(watcher.told) !== undefined) return;
    await pause(watcher.sink);
  }
  throw new StorageError('unavailable', 'the watch of the store ended');
}

function readable(decoded: Decoded): ObjectVersion {
  if (decoded instanceof StorageError) throw decoded;
  return decoded;
}

function deliver(watcher: Watcher, changes: readonly Change[]): void {
  const events: StoreEvent[] = [];
  for (const change of changes) {
    const event = eventFor(watcher.selection, change);
    if (event !== undefined) events.push(event);
  }
  if (events.length > 0 && !watcher.ended) watcher.sink.events(events);
}

function pause(sink: WatchSink): Promise<void> {
  return sink.drained?.() ?? new Promise((resolve) => setImmediate(resolve));
}
