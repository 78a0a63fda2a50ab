import { randomInt } from 'node:crypto';
import type { KubeObject } from '@coffer/api/meta/object';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { Backend, LocalBackend, WriteResult, WriteTicket } from '../backend/backend.ts';
import { compactedError } from '../backend/checks.ts';
import type { ObjectVersion } from '../cacher/object-version.ts';
import type { ResourceCache } from '../cacher/resource-cache.ts';
import { newWatcher, type Watcher } from '../cacher/watch-hub.ts';
import { StorageError } from '../errors.ts';
import { catchUp, catchUpAtOnce, deliverInitialAtOnce } from './catch-up.ts';
import type { Feed } from './feed.ts';
import { endWatches } from './feed.ts';
import type { Freshness } from './freshness.ts';
import { listFromBackend } from './list-from-backend.ts';
import type {
  ResourceStore,
  ResourceStoreConfig,
  StoredObject,
  StoreListOptions,
  StoreListResult,
  StoreWatchOptions,
  UpdateDecision,
  UpdateResult,
  WatchSink,
} from './store.ts';
import { Turns } from './turns.ts';

export interface ResourceStoreDeps {
  readonly backend: Backend;
  readonly cache: ResourceCache;
  readonly feed: Feed;
  readonly freshness: Freshness;
  /** The same backend when it is an embedded one: the cache is then never behind an acknowledged write. */
  readonly local: LocalBackend | undefined;
  /** Below this revision everything is `compacted`. */
  oldestRevision(): number;
  /** A watch was opened. */
  onWatch(): void;
}

/** A version that was handed to the backend and is not acknowledged yet. */
interface Unconfirmed {
  /** Under a revision that no client has been told. */
  readonly version: ObjectVersion;
  readonly ticket: WriteTicket;
  /** Resolves when the cache shows what became of it; never rejects. */
  readonly settled: Promise<void>;
}

/** One round of `guaranteedUpdate`; a result of undefined: start over. */
interface Attempt {
  readonly result: UpdateResult | undefined | Promise<UpdateResult | undefined>;
}

const startOver: Attempt = { result: undefined };

/** The store of one resource: reads from its watch cache, writes to the backend. See `ResourceStore`. */
export class CachedResourceStore implements ResourceStore {
  readonly config: ResourceStoreConfig;
  readonly #deps: ResourceStoreDeps;
  /** Watches that are still catching up, hence not in the hub. */
  readonly #catchingUp = new Set<Watcher>();
  /**
   * Writers of one object take turns up to handing over their write, not up to its commit: the next one builds on what this one asked
   * to write, and many changes of one object share a sync. What would not be a write on such a state (an error, no change, a
   * deletion) is decided again on what is committed, with nothing on its way.
   */
  readonly #turns = new Turns();
  readonly #unconfirmed = new Map<string, Unconfirmed>();
  /** What stands for the revision of a version that has none yet: far above real ones, and nobody can guess it. */
  readonly #unconfirmedRevision = 2 ** 52 + randomInt(2 ** 47);
  #closed: StorageError | undefined;

  constructor(deps: ResourceStoreDeps) {
    this.config = deps.cache.objectKind.config;
    this.#deps = deps;
  }

  get revision(): number {
    return this.#deps.freshness.revision;
  }

  get watchCount(): number {
    return this.#deps.cache.hub.size + this.#catchingUp.size;
  }

  async create(object: KubeObject, options: { readonly dryRun?: boolean } = {}): Promise<StoredObject> {
    const { backend, cache, local } = this.#deps;
    const draft = this.#draft(object);
    // With a remote backend the cache may still show an object that is gone.
    const known = cache.current(draft.path) !== undefined || cache.isUnreadable(draft.path);
    if (known && (local !== undefined || options.dryRun)) throw keyExists(draft.key);
    if (options.dryRun) return draft;
    const result = await backend.create(draft.key, await this.#encode(draft));
    if (!result.ok) throw keyExists(draft.key);
    return this.#committed(draft, result.revision);
  }

  async guaranteedUpdate(
    namespace: string,
    name: string,
    change: (current: StoredObject | undefined) => Promise<UpdateDecision> | UpdateDecision,
    options: { readonly mayCreate?: boolean; readonly dryRun?: boolean } = {},
  ): Promise<UpdateResult> {
    const path = this.#path(namespace, name);
    const dryRun = options.dryRun ?? false;
    const attempt = async (ahead: Unconfirmed | undefined): Promise<Attempt> => {
      const current = ahead?.version ?? this.#deps.cache.get(path);
      let decision: UpdateDecision;
      try {
        if (current === undefined && options.mayCreate !== true) throw keyNotFound(this.#key(path));
        decision = await change(current);
      } catch (error) {
        if (ahead !== undefined || (await this.#changedBehindTheCache(path, current))) return startOver;
        throw error;
      }
      return this.#carryOut(path, current, ahead, decision, dryRun);
    };
    for (let confirmed = false; ; confirmed = !confirmed) {
      const { result } =
        this.#deps.local === undefined || dryRun
          ? await attempt(undefined)
          : await this.#turns.run(path, async () => {
              const ahead = this.#unconfirmed.get(path);
              if (confirmed) await ahead?.settled;
              return attempt(confirmed ? undefined : ahead);
            });
      const outcome = await result;
      if (outcome !== undefined) return outcome;
    }
  }

  get(namespace: string, name: string): StoredObject | undefined {
    this.#checkOpen();
    return this.#deps.cache.get(this.#path(namespace, name));
  }

  whenFresh(revision: number | 'latest'): Promise<void> | undefined {
    return this.#deps.freshness.when(revision);
  }

  list(options: StoreListOptions): Promise<StoreListResult> | StoreListResult {
    this.#checkOpen();
    const { backend, cache } = this.#deps;
    const current = this.revision;
    const revision = options.atRevision ?? current;
    if (revision > current) {
      throw new StorageError('future-revision', `revision ${revision} is newer than the current one, ${current}`, { revision: current });
    }
    const result = cache.list(options, revision, revision < current, this.#deps.oldestRevision());
    return result ?? listFromBackend(backend, cache.objectKind, options, revision);
  }

  watch(options: StoreWatchOptions, sink: WatchSink): () => void {
    this.#checkOpen();
    const { cache } = this.#deps;
    const current = this.revision;
    cache.checkReadable(options);
    const { namespace, name, matches } = options;
    const watcher = newWatcher(
      { ...(namespace !== undefined && { namespace }), ...(name !== undefined && { name }), ...(matches !== undefined && { matches }) },
      sink,
    );
    if (options.initialState) {
      const initial = cache.snapshot(watcher.selection);
      if (deliverInitialAtOnce(watcher, initial, current)) this.#start(watcher, current);
      else this.#startSlowly(watcher, { afterRevision: current, initial });
    } else {
      this.#checkWatchRevision(options.afterRevision);
      this.#start(watcher, options.afterRevision);
    }
    this.#deps.onWatch();
    return () => {
      watcher.ended = true;
      this.#catchingUp.delete(watcher);
      cache.hub.remove(watcher);
    };
  }

  count(namespace?: string): number {
    return this.#deps.cache.count(namespace);
  }

  async deleteUnreadable(namespace: string, name: string): Promise<void> {
    const path = this.#path(namespace, name);
    const { backend, cache } = this.#deps;
    const { kv } = await backend.get(this.#key(path));
    if (kv === undefined) throw keyNotFound(this.#key(path));
    if (!cache.isUnreadable(path)) throw new StorageError('precondition-failed', 'the stored value can be read', { key: kv.key });
    const result = await backend.delete(kv.key, kv.modRevision);
    if (!result.ok) throw new StorageError('precondition-failed', 'the stored value has changed', { key: kv.key });
    await this.whenFresh(result.revision);
  }

  /** Ends all watches; nothing works afterwards. */
  close(error: StorageError): void {
    this.#closed = error;
    endWatches(this.#deps.cache, error);
    for (const watcher of this.#catchingUp) {
      watcher.ended = true;
      watcher.sink.ended(error);
    }
    this.#catchingUp.clear();
  }

  #start(watcher: Watcher, afterRevision: number): void {
    if (watcher.ended || catchUpAtOnce(this.#deps, watcher, afterRevision)) return;
    this.#startSlowly(watcher, { afterRevision });
  }

  #startSlowly(watcher: Watcher, start: { readonly afterRevision: number; readonly initial?: readonly ObjectVersion[] }): void {
    this.#catchingUp.add(watcher);
    void catchUp(this.#deps, watcher, start).finally(() => this.#catchingUp.delete(watcher));
  }

  #checkWatchRevision(afterRevision: number): void {
    const current = this.revision;
    if (afterRevision > current) {
      throw new StorageError('future-revision', `revision ${afterRevision} is newer than the current one, ${current}`, {
        revision: current,
      });
    }
    // Revision 1 is the empty store: once something was written, no answer of this store has named it.
    const oldest = Math.max(this.#deps.oldestRevision(), Math.min(current, 2));
    if (afterRevision < oldest) throw compactedError(afterRevision, oldest);
  }

  async #carryOut(
    path: string,
    current: ObjectVersion | undefined,
    ahead: Unconfirmed | undefined,
    decision: UpdateDecision,
    dryRun: boolean,
  ): Promise<Attempt> {
    if (decision.action === 'write') return this.#write(path, current, ahead, decision.object, dryRun);
    if (ahead !== undefined) return startOver;
    return { result: decision.action === 'keep' ? this.#keep(path, current) : this.#delete(path, current, decision.answer, dryRun) };
  }

  async #keep(path: string, current: ObjectVersion | undefined): Promise<UpdateResult | undefined> {
    if (await this.#changedBehindTheCache(path, current)) return undefined;
    if (current === undefined) throw keyNotFound(this.#key(path));
    return { outcome: 'unchanged', object: current };
  }

  async #write(
    path: string,
    current: ObjectVersion | undefined,
    ahead: Unconfirmed | undefined,
    object: KubeObject,
    dryRun: boolean,
  ): Promise<Attempt> {
    const draft = this.#draft(object, current !== undefined);
    if (draft.path !== path) throw new Error(`an update of ${path} returned the object ${draft.path}`);
    if (current !== undefined && !current.stale && sameContent(current, draft, object))
      return ahead === undefined ? { result: this.#keep(path, current) } : startOver;
    const outcome = current === undefined ? 'created' : 'updated';
    if (dryRun) return { result: { outcome, object: current === undefined ? draft : draft.at(current.revision) } };
    const written = this.#handOver(draft, await this.#encode(draft), current, ahead);
    return {
      result: written.then(async (result) =>
        result.ok ? { outcome, object: await this.#committed(draft, result.revision) } : this.#lost(result),
      ),
    };
  }

  #handOver(
    draft: ObjectVersion,
    value: Uint8Array,
    current: ObjectVersion | undefined,
    ahead: Unconfirmed | undefined,
  ): Promise<WriteResult> {
    const { backend, local } = this.#deps;
    const { key, path } = draft;
    if (local === undefined) return current === undefined ? backend.create(key, value) : backend.update(key, value, current.revision);
    const ticket: WriteTicket = {};
    const written =
      current === undefined ? local.create(key, value, ticket) : local.update(key, value, ahead?.ticket ?? current.revision, ticket);
    const settled = written
      .then((result) => (result.ok ? this.whenFresh(result.revision) : undefined))
      .catch(() => undefined)
      .finally(() => {
        if (this.#unconfirmed.get(path) === unconfirmed) this.#unconfirmed.delete(path);
      });
    const unconfirmed: Unconfirmed = { version: draft.at(this.#unconfirmedRevision), ticket, settled };
    this.#unconfirmed.set(path, unconfirmed);
    return written;
  }

  async #delete(
    path: string,
    current: ObjectVersion | undefined,
    answer: KubeObject | undefined,
    dryRun: boolean,
  ): Promise<UpdateResult | undefined> {
    if (current === undefined) throw keyNotFound(this.#key(path));
    const shown = (answer === undefined ? current : this.#draft(answer)).at(current.revision);
    if (dryRun) return { outcome: 'deleted', object: shown };
    const result = await this.#deps.backend.delete(current.key, current.revision);
    if (!result.ok) return this.#lost(result);
    const last = await this.#committed(current, result.revision);
    return { outcome: 'deleted', object: answer === undefined ? last : shown };
  }

  /** Another writer won: waits until the cache shows it. */
  async #lost({ current }: WriteResult & { ok: false }): Promise<undefined> {
    await this.whenFresh(current?.modRevision ?? 'latest');
    return undefined;
  }

  /** With a remote backend: whether a decision was made on a version that is no longer the current one. */
  async #changedBehindTheCache(path: string, seen: ObjectVersion | undefined): Promise<boolean> {
    const wait = this.whenFresh('latest');
    if (wait === undefined) return false;
    await wait;
    return this.#deps.cache.current(path)?.revision !== seen?.revision;
  }

  #encode(draft: ObjectVersion): Uint8Array | Promise<Uint8Array> {
    const value = draft.objectKind.transformer.toStorage(draft.plain, { key: draft.key });
    if (!(value instanceof Promise)) {
      this.#deps.feed.expect(value, draft);
      return value;
    }
    return value.then((encrypted) => {
      this.#deps.feed.expect(encrypted, draft);
      return encrypted;
    });
  }

  /** The version as committed; the very one of the cache when that still has it. */
  async #committed(draft: ObjectVersion, revision: number): Promise<ObjectVersion> {
    const wait = this.whenFresh(revision);
    if (wait !== undefined) await wait;
    const cached = this.#deps.cache.current(draft.path);
    return cached?.revision === revision ? cached : draft.at(revision);
  }

  #draft(object: KubeObject, keepParsed = false): ObjectVersion {
    this.#checkOpen();
    const draft = this.#deps.cache.objectKind.draft(object, keepParsed);
    this.#path(draft.namespace, draft.name);
    return draft;
  }

  #path(namespace: string, name: string): string {
    if (name === '' || name.includes('/') || (this.config.namespaced && (namespace === '' || namespace.includes('/')))) {
      throw new Error(
        `not a place for an object of ${this.config.prefix}: namespace ${JSON.stringify(namespace)}, name ${JSON.stringify(name)}`,
      );
    }
    return this.#deps.cache.objectKind.path(namespace, name);
  }

  #key(path: string): string {
    return this.#deps.cache.objectKind.keyPrefix + path;
  }

  #checkOpen(): void {
    if (this.#closed !== undefined) throw this.#closed;
  }
}

/** Byte for byte, or the same JSON in another order of keys. */
function sameContent(current: ObjectVersion, draft: ObjectVersion, object: KubeObject): boolean {
  if (current.plain.length !== draft.plain.length) return false;
  if (current.plain.equals(draft.plain)) return true;
  return equalJson(
    { ...current.peek(), metadata: { ...current.peek().metadata, resourceVersion: undefined } },
    { ...object, metadata: { ...object.metadata, resourceVersion: undefined } },
  );
}

function keyExists(key: string): StorageError {
  return new StorageError('key-exists', `${key} exists already`, { key });
}

function keyNotFound(key: string): StorageError {
  return new StorageError('key-not-found', `${key} does not exist`, { key });
}
