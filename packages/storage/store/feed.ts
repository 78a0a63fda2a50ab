import type { BackendBatch, BackendEvent, KeyValue } from '../backend/backend.ts';
import { Change } from '../cacher/change.ts';
import { ObjectVersion } from '../cacher/object-version.ts';
import type { ResourceCache } from '../cacher/resource-cache.ts';
import { StorageError } from '../errors.ts';
import { type Decoded, decodeValue, pathOf } from './decode-events.ts';

/**
 * Takes the backend's batches in order into the watch caches. One batch is one step: first every cache has all of it, then the
 * revision moves, then watches hear of it. Synchronous as long as the values are known (our own writes) or their transformers
 * are synchronous; a batch that has to wait holds back those behind it.
 */
export interface FeedDeps {
  /** The cache was given everything up to `revision`. */
  onRevision(revision: number): void;
}

export interface FeedTarget {
  readonly cache: ResourceCache;
  /** While the cache is being loaded, its events wait here. */
  waiting: BackendEvent[] | undefined;
}

interface Step {
  readonly target: FeedTarget;
  readonly event: BackendEvent;
  readonly after: Decoded | undefined;
}

export class Feed {
  readonly #deps: FeedDeps;
  readonly #targets = new Map<string, FeedTarget>();
  /** Objects this process has made, by the very bytes given to the backend: no need to decode those when they come back. */
  readonly #drafts = new WeakMap<Uint8Array, ObjectVersion>();
  #backlog: BackendBatch[] = [];
  #busy = false;

  constructor(deps: FeedDeps) {
    this.#deps = deps;
  }

  get targets(): IterableIterator<FeedTarget> {
    return this.#targets.values();
  }

  add(target: FeedTarget): void {
    this.#targets.set(target.cache.objectKind.keyPrefix, target);
  }

  remove(target: FeedTarget): void {
    this.#targets.delete(target.cache.objectKind.keyPrefix);
  }

  /** The object behind bytes that are about to be written. */
  expect(value: Uint8Array, draft: ObjectVersion): void {
    this.#drafts.set(value, draft);
  }

  receive(batch: BackendBatch): void {
    if (this.#busy) {
      this.#backlog.push(batch);
      return;
    }
    const steps = this.#decode(batch);
    if (Array.isArray(steps)) {
      this.#apply(batch, steps);
      return;
    }
    this.#busy = true;
    void this.#drain(batch, steps);
  }

  /** Applies the events that waited for a load which ended at `revision`, and lets later ones through. */
  async release(target: FeedTarget, revision: number): Promise<void> {
    for (;;) {
      const waiting = target.waiting ?? [];
      target.waiting = [];
      if (waiting.length === 0) break;
      for (const event of waiting) {
        if (event.kv.modRevision > revision) this.#applyStep({ target, event, after: await this.#decodeEvent(target, event) });
      }
    }
    target.waiting = undefined;
  }

  async #drain(first: BackendBatch, steps: Promise<Step[]>): Promise<void> {
    this.#apply(first, await steps);
    for (let batch = this.#backlog.shift(); batch !== undefined; batch = this.#backlog.shift())
      this.#apply(batch, await this.#decode(batch));
    this.#busy = false;
  }

  #decode(batch: BackendBatch): Step[] | Promise<Step[]> {
    const steps: Step[] = [];
    let pending: Promise<Step>[] | undefined;
    for (const event of batch.events) {
      const target = this.#targetOf(event.kv);
      if (target === undefined) continue;
      if (target.waiting !== undefined) {
        target.waiting.push(event);
        continue;
      }
      const after = this.#decodeEvent(target, event);
      if (after instanceof Promise || pending !== undefined) {
        pending ??= steps.map((step) => Promise.resolve(step));
        pending.push(Promise.resolve(after).then((decoded) => ({ target, event, after: decoded })));
      } else {
        steps.push({ target, event, after });
      }
    }
    return pending === undefined ? steps : Promise.all(pending);
  }

  #decodeEvent({ cache }: FeedTarget, { type, kv }: BackendEvent): Decoded | undefined | Promise<Decoded> {
    if (type === 'delete') return undefined;
    const draft = this.#drafts.get(kv.value);
    if (draft === undefined) return decodeValue(cache.objectKind, kv);
    // The bytes may live as long as the object does; the draft has done its duty.
    this.#drafts.delete(kv.value);
    return draft.committedAt(kv.modRevision);
  }

  #apply(batch: BackendBatch, steps: readonly Step[]): void {
    const perCache = new Map<ResourceCache, Change[]>();
    for (const step of steps) {
      const change = this.#applyStep(step);
      if (change === undefined) continue;
      const changes = perCache.get(step.target.cache);
      if (changes === undefined) perCache.set(step.target.cache, [change]);
      else changes.push(change);
    }
    this.#deps.onRevision(batch.revision);
    for (const [cache, changes] of perCache) cache.hub.dispatch(changes, batch.revision);
  }

  #applyStep({ target: { cache }, event, after }: Step): Change | undefined {
    const { key, modRevision } = event.kv;
    // The path of an object we have made is that of its draft, whose hash is known.
    const path = after instanceof ObjectVersion ? after.path : pathOf(cache.objectKind, key);
    const before = cache.current(path);
    if (after instanceof StorageError) {
      cache.applyUnreadable(path, after, modRevision);
      endWatches(cache, after);
      return undefined;
    }
    if (after === undefined && before === undefined) {
      cache.forgetUnreadable(path, modRevision);
      return undefined;
    }
    const change = new Change(modRevision, before, after);
    cache.apply(change);
    return change;
  }

  /** The resource a key belongs to: its prefix is one to three segments long. */
  #targetOf({ key, value }: KeyValue): FeedTarget | undefined {
    const draft = this.#drafts.get(value);
    if (draft !== undefined) return this.#targets.get(draft.objectKind.keyPrefix);
    let slash = key.indexOf('/', 1);
    for (let segments = 0; segments < 3; segments++) {
      slash = key.indexOf('/', slash + 1);
      if (slash < 0) return undefined;
      const target = this.#targets.get(key.slice(0, slash + 1));
      if (target !== undefined) return target;
    }
    return undefined;
  }
}

/** Ends all watches of a cache: they cannot be told what happened. */
export function endWatches(cache: ResourceCache, error: Error): void {
  for (const watcher of cache.hub.all()) {
    watcher.ended = true;
    cache.hub.remove(watcher);
    watcher.sink.ended(error);
  }
}
