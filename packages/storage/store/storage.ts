import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { Backend, LocalBackend } from '../backend/backend.ts';
import { HistoryBudget } from '../cacher/history.ts';
import { ObjectKind, ObjectMemos, type ObjectVersion, type ProtobufDecoder } from '../cacher/object-version.ts';
import { ResourceCache } from '../cacher/resource-cache.ts';
import { StorageError } from '../errors.ts';
import type { Transformer } from '../value/transformer.ts';
import { Compactor } from './compactor.ts';
import { decodeValue, pathOf } from './decode-events.ts';
import { endWatches, Feed, type FeedTarget } from './feed.ts';
import { Freshness } from './freshness.ts';
import { ProgressTimer } from './progress-timer.ts';
import { CachedResourceStore } from './resource-store.ts';
import type { ResourceStore, ResourceStoreConfig } from './store.ts';

export interface StorageOptions {
  readonly backend: Backend;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Codec for the values of a resource prefix (`secrets`, `apps/deployments`-style prefixes as in `ResourceStoreConfig`). */
  readonly transformerFor: (prefix: string) => Transformer;
  /** Reads values that a kube-apiserver stored as protobuf; without it they are unreadable. */
  readonly decodeProtobuf?: ProtobufDecoder;
  /** History older than this is compacted. Default five minutes. */
  readonly historyRetentionMs?: number;
  /** History beyond this size is compacted earlier. Default 256 MiB. */
  readonly historyMaxBytes?: number;
  /** History kept in memory for watches and pinned lists; what is older is read from the backend. Default 32 MiB. */
  readonly memoryHistoryMaxBytes?: number;
  /** How often idle watches hear of progress. Default 250 ms. */
  readonly progressIntervalMs?: number;
}

/** All resources of one backend: opens their stores, feeds their watch caches, compacts. */
export interface Storage {
  /** The store of one resource; loads its objects first. Opening a prefix twice is an error. */
  resource(config: ResourceStoreConfig): Promise<ResourceStore>;
  /** Ends the store of a prefix (a deleted CustomResourceDefinition): its watches end, its objects stay in the backend. */
  release(prefix: string): void;
  /** The stores that are open now. */
  readonly stores: readonly ResourceStore[];
  /** Every change up to this revision is in the watch caches. */
  readonly revision: number;
  /** Reads below this revision are `compacted`. */
  readonly compactedRevision: number;
  /** Forgets superseded versions up to `revision` (default: the present). */
  compact(revision?: number): Promise<void>;
  /** Tries again to read values that could not be read, after keys or plugins have come back. Returns how many are left. */
  retryUnreadable(): Promise<number>;
  stats(): Promise<StorageStats>;
  close(): Promise<void>;
}

export interface StorageStats {
  readonly revision: number;
  readonly compactedRevision: number;
  readonly sizeBytes: number;
  readonly memoryHistoryBytes: number;
  readonly resources: readonly {
    readonly prefix: string;
    readonly objects: number;
    readonly unreadable: number;
    readonly watches: number;
  }[];
}

const defaults = {
  historyRetentionMs: 300_000,
  historyMaxBytes: 256 * 1024 * 1024,
  memoryHistoryMaxBytes: 32 * 1024 * 1024,
  progressIntervalMs: 250,
};
const loadPageSize = 1000;

export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { backend } = options;
  const revision = await backend.currentRevision();
  const compacted = await backend.compactedRevision();
  return new RootStorage(options, revision, compacted);
}

class RootStorage implements Storage {
  readonly #options: StorageOptions;
  readonly #backend: Backend;
  readonly #feed: Feed;
  readonly #freshness: Freshness;
  readonly #budget: HistoryBudget;
  readonly #memos = new ObjectMemos();
  readonly #compactor: Compactor;
  readonly #progress: ProgressTimer;
  readonly #stores = new Map<string, { readonly target: FeedTarget; readonly store: CachedResourceStore }>();
  readonly #stopped = new AbortController();
  #compacted: number;
  #unsubscribe = () => {};
  #following: Promise<void> | undefined;

  constructor(options: StorageOptions, revision: number, compacted: number) {
    const { backend, clock, logger } = options;
    this.#options = options;
    this.#backend = backend;
    this.#compacted = compacted;
    this.#freshness = new Freshness({ backend, clock, local: isLocal(backend) }, revision);
    this.#budget = new HistoryBudget(options.memoryHistoryMaxBytes ?? defaults.memoryHistoryMaxBytes);
    this.#progress = new ProgressTimer(clock, options.progressIntervalMs ?? defaults.progressIntervalMs, () => this.#tellProgress());
    this.#feed = new Feed({
      onRevision: (reached) => {
        this.#freshness.reached(reached);
        this.#progress.arm();
      },
    });
    this.#compactor = new Compactor(
      {
        backend,
        clock,
        logger,
        retentionMs: options.historyRetentionMs ?? defaults.historyRetentionMs,
        maxBytes: options.historyMaxBytes ?? defaults.historyMaxBytes,
        onCompacted: (reached) => this.#trim(reached),
      },
      revision,
      isLocal(backend) ? backend.historyBytes() : 0,
    );
    this.#follow(revision);
  }

  get revision(): number {
    return this.#freshness.revision;
  }

  get stores(): readonly ResourceStore[] {
    return [...this.#stores.values()].map(({ store }) => store);
  }

  get compactedRevision(): number {
    return this.#compacted;
  }

  async resource(config: ResourceStoreConfig): Promise<ResourceStore> {
    if (this.#stores.has(config.prefix)) throw new Error(`the resource ${config.prefix} is open already`);
    const kind = new ObjectKind(config, this.#options.transformerFor(config.prefix), this.#memos, this.#options.decodeProtobuf);
    const cache = new ResourceCache(kind, this.#budget);
    const target: FeedTarget = { cache, waiting: [] };
    const store = new CachedResourceStore({
      backend: this.#backend,
      cache,
      feed: this.#feed,
      freshness: this.#freshness,
      local: isLocal(this.#backend) ? this.#backend : undefined,
      oldestRevision: () => this.#compacted,
      onWatch: () => this.#progress.arm(),
    });
    this.#stores.set(config.prefix, { target, store });
    this.#feed.add(target);
    try {
      await this.#load(target);
    } catch (error) {
      this.release(config.prefix);
      throw error;
    }
    return store;
  }

  release(prefix: string): void {
    const known = this.#stores.get(prefix);
    if (known === undefined) return;
    this.#stores.delete(prefix);
    this.#feed.remove(known.target);
    known.store.close(new StorageError('closed', `the resource ${prefix} is no longer served`));
  }

  async compact(revision = this.revision): Promise<void> {
    await this.#compactor.compact(revision);
  }

  async retryUnreadable(): Promise<number> {
    let left = 0;
    for (const { target } of this.#stores.values()) {
      if (target.cache.unreadableCount === 0 || target.waiting !== undefined) continue;
      target.waiting = [];
      endWatches(target.cache, new StorageError('compacted', 'the cache is loaded again', { revision: this.revision }));
      await this.#load(target);
      left += target.cache.unreadableCount;
    }
    return left;
  }

  async stats(): Promise<StorageStats> {
    return {
      revision: this.revision,
      compactedRevision: this.#compacted,
      sizeBytes: await this.#backend.sizeBytes(),
      memoryHistoryBytes: this.#budget.bytes,
      resources: [...this.#stores].map(([prefix, { target, store }]) => ({
        prefix,
        objects: target.cache.count(undefined),
        unreadable: target.cache.unreadableCount,
        watches: store.watchCount,
      })),
    };
  }

  async close(): Promise<void> {
    this.#compactor.close();
    this.#progress.close();
    this.#stopped.abort();
    await this.#backend.close();
    await this.#following;
    this.#unsubscribe();
    this.#freshness.close();
    const error = new StorageError('closed', 'the store is closed');
    for (const { store } of this.#stores.values()) store.close(error);
  }

  #follow(revision: number): void {
    const receive = (batch: Parameters<Feed['receive']>[0]) => {
      this.#compactor.observe(batch);
      this.#feed.receive(batch);
    };
    if (isLocal(this.#backend)) this.#unsubscribe = this.#backend.subscribe(receive);
    else this.#following = this.#followRemote(revision, receive);
  }

  /** Watches a remote backend for as long as the storage is open. When changes were missed, everything is loaded again. */
  async #followRemote(start: number, receive: (batch: Parameters<Feed['receive']>[0]) => void): Promise<void> {
    const { signal } = this.#stopped;
    let position = start;
    for (let failures = 0; !signal.aborted; ) {
      try {
        for await (const batch of this.#backend.watch('/registry/', position, signal)) {
          failures = 0;
          receive(batch);
          position = Math.max(position, batch.revision);
        }
      } catch (error) {
        if (signal.aborted) return;
        failures++;
        this.#options.logger.warn('the watch of the backend broke, starting over', { err: error, revision: position });
        await this.#options.clock.sleep(Math.min(5000, 100 * 2 ** failures), signal).catch(() => undefined);
        if (error instanceof StorageError && error.code === 'compacted') position = await this.#reload(position);
      }
    }
  }

  async #reload(position: number): Promise<number> {
    try {
      const revision = await this.#backend.currentRevision();
      this.#trim(await this.#backend.compactedRevision());
      this.#freshness.reached(revision);
      for (const { target } of this.#stores.values()) {
        target.waiting = [];
        endWatches(target.cache, new StorageError('compacted', 'changes were missed', { revision }));
        await this.#load(target);
      }
      return revision;
    } catch (error) {
      this.#options.logger.warn('loading after missed changes failed', { err: error });
      return position;
    }
  }

  async #load(target: FeedTarget): Promise<void> {
    const { cache } = target;
    for (;;) {
      const revision = this.revision;
      try {
        const { objects, unreadable } = await this.#readAll(cache, revision);
        cache.reset(objects, unreadable, revision);
        await this.#feed.release(target, revision);
        if (unreadable.size > 0) {
          this.#options.logger.error('stored values cannot be read', { resource: cache.objectKind.config.prefix, count: unreadable.size });
        }
        return;
      } catch (error) {
        // Compaction overtook a long load: again, at the present.
        if (!(error instanceof StorageError && error.code === 'compacted') || revision === this.revision) throw error;
      }
    }
  }

  async #readAll({ objectKind }: ResourceCache, revision: number) {
    const objects: ObjectVersion[] = [];
    const unreadable = new Map<string, StorageError>();
    let startKey = objectKind.keyPrefix;
    for (;;) {
      const page = await this.#backend.list(objectKind.keyPrefix, { revision, startKey, limit: loadPageSize, skipCount: true });
      const decoded = page.kvs.map((kv) => decodeValue(objectKind, kv));
      for (const [i, result] of decoded.entries()) {
        const version = result instanceof Promise ? await result : result;
        if (version instanceof StorageError) unreadable.set(pathOf(objectKind, page.kvs[i]?.key ?? ''), version);
        else objects.push(version);
      }
      const last = page.kvs.at(-1);
      if (!page.more || last === undefined) return { objects, unreadable };
      startKey = `${last.key}\u0000`;
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #trim(revision: number): void {
    if (revision <= this.#compacted) return;
    this.#compacted = revision;
    this.#budget.trim(revision);
    for (const { target } of this.#stores.values()) target.cache.trim(revision);
  }

  #tellProgress(): void {
    for (const { target } of this.#stores.values()) target.cache.hub.progress(this.revision);
  }
}

function isLocal(backend: Backend): backend is LocalBackend {
  return 'subscribe' in backend;
}
