import type { KubeObject } from '@coffer/api/meta/object';

/**
 * Objects with resourceVersions, one `ResourceStore` per stored resource, on top of a Backend and a watch cache.
 * Everything that reads is served from the watch cache at a known revision; everything that writes goes to the backend and
 * is in the watch cache before its promise resolves.
 */
export interface ResourceStore {
  readonly config: ResourceStoreConfig;

  /** Throws StorageError `key-exists`. `dryRun` checks and returns the object without a revision (0) and without writing. */
  create(object: KubeObject, options?: { readonly dryRun?: boolean }): Promise<StoredObject>;

  /**
   * The only read-modify-write loop. Calls `change` with the current version (or undefined when `mayCreate` and absent) and
   * tries to commit what it returns; starts over with the fresh version when another writer won, so `change` may run several
   * times. What `change` throws ends the loop and is rethrown. A result equal to the current version, byte for byte, writes
   * nothing and returns the current version (unless it is stale). Throws `key-not-found` unless `mayCreate`.
   */
  guaranteedUpdate(
    namespace: string,
    name: string,
    change: (current: StoredObject | undefined) => Promise<UpdateDecision> | UpdateDecision,
    options?: { readonly mayCreate?: boolean; readonly dryRun?: boolean },
  ): Promise<UpdateResult>;

  /** The object from the watch cache, as fresh as the cache is. Synchronous: no I/O. See `whenFresh`. Throws `unreadable`. */
  get(namespace: string, name: string): StoredObject | undefined;

  /**
   * Resolves when the watch cache has everything up to `revision` (`latest`: the backend's current revision). Returns
   * undefined at once when that is known to be so already (always with an embedded backend and `latest`), so that hot paths do
   * not await. Throws `future-revision` when `revision` is not reached within three seconds.
   */
  whenFresh(revision: number | 'latest'): Promise<void> | undefined;

  /** Revision of the watch cache: every change up to it is visible. */
  readonly revision: number;

  /** Objects in key order at one revision. `namespace` undefined lists all namespaces. Throws UnreadableError. */
  list(options: StoreListOptions): Promise<StoreListResult> | StoreListResult;

  /**
   * Calls `sink.events` for every change after `options.afterRevision`, in order; with `initialState` first one ADDED per
   * object. Returns the function that ends the watch. Throws StorageError `compacted` when the revision is too old,
   * `future-revision` when it is newer than the cache, and UnreadableError when it covers a damaged value.
   */
  watch(options: StoreWatchOptions, sink: WatchSink): () => void;

  /** Number of objects. */
  count(namespace?: string): number;

  /**
   * Deletes an object whose stored value cannot be read, without reading it: no finalizers, no DELETED event. Throws
   * `key-not-found` when there is none, `precondition-failed` when it is readable.
   */
  deleteUnreadable(namespace: string, name: string): Promise<void>;
}

export interface ResourceStoreConfig {
  /** `configmaps` → keys `/registry/configmaps/<namespace>/<name>`. */
  readonly prefix: string;
  readonly namespaced: boolean;
  /** apiVersion and kind of the stored form: the head of every object's JSON. */
  readonly apiVersion: string;
  readonly kind: string;
  /** Values of the fields a field selector may use, besides metadata.name and metadata.namespace. */
  readonly selectableFields: (object: KubeObject) => Readonly<Record<string, string>>;
}

/**
 * One version of an object: immutable and shared by every reader. The JSON is kept without the resourceVersion (it is known
 * only after the commit); the ranges below put it in without parsing:
 * `{"kind":"K","apiVersion":"V",` (head) `"metadata":{` + `"resourceVersion":"N",` + rest.
 */
export interface StoredObject {
  readonly key: string;
  readonly namespace: string;
  readonly name: string;
  readonly revision: number;
  readonly labels: Readonly<Record<string, string>>;
  readonly fields: Readonly<Record<string, string>>;
  readonly uid: string;
  readonly ownerUids: readonly string[];
  /** Stored bytes were readable but are to be rewritten (key rotation). */
  readonly stale: boolean;
  /** The stored plaintext, without resourceVersion. */
  readonly plain: Uint8Array;
  /** Bytes before `"metadata":{`: what LIST drops for built-in kinds. */
  readonly headLength: number;
  /** The object as one JSON document with its resourceVersion; `withHead` false leaves out kind and apiVersion. */
  toBytes(withHead: boolean): Uint8Array;
  /** Length of `toBytes(withHead)`, and that into `target` at `offset`; for lists without intermediate buffers. */
  byteLength(withHead: boolean): number;
  copyTo(target: Uint8Array, offset: number, withHead: boolean): number;
  /** A fresh parsed copy with resourceVersion set; the caller may change it. */
  decode(): KubeObject;
  /** The parsed object, kept while it is in use elsewhere; must not be changed. */
  peek(): KubeObject;
}

export type UpdateDecision =
  | { readonly action: 'write'; readonly object: KubeObject }
  /** Leave the stored version as it is and return it. */
  | { readonly action: 'keep' }
  /** The DELETED event shows the current version. `answer` is what the result shows instead: a state that was never stored. */
  | { readonly action: 'delete'; readonly answer?: KubeObject };

export interface UpdateResult {
  readonly outcome: 'created' | 'updated' | 'unchanged' | 'deleted';
  /** The version after the call; for `deleted` the last one, with the deletion's revision, or the `answer`, with the revision before it. */
  readonly object: StoredObject;
}

/** What a list or watch selects; both predicates are applied to the index, never to parsed objects. */
export interface Selection {
  readonly namespace?: string;
  /** Set when a field selector pins `metadata.name`: looked up instead of scanned. */
  readonly name?: string;
  readonly matches?: (object: StoredObject) => boolean;
}

export interface StoreListOptions extends Selection {
  /** Exactly this revision (a pinned page); default the cache's. Throws `compacted` when it is no longer known. */
  readonly atRevision?: number;
  readonly limit?: number;
  /** Start behind this key (exclusive), `namespace/name` or `name` without the prefix. */
  readonly afterKey?: string;
}

export interface StoreListResult {
  readonly items: readonly StoredObject[];
  readonly revision: number;
  /** Key (as `afterKey`) of the last item when the limit cut the list. */
  readonly continueAfter: string | undefined;
  /** How many follow; undefined when `matches` makes it unknown. */
  readonly remaining: number | undefined;
}

export interface StoreWatchOptions extends Selection {
  /** Deliver changes after this revision. */
  readonly afterRevision: number;
  /** Start with the current state as ADDED events (afterRevision is then ignored), followed by `sink.initialDone`. */
  readonly initialState?: boolean;
}

export interface WatchSink {
  /** Events of one commit batch that the selection sees; never empty. Must not throw and must not block. */
  events(events: readonly StoreEvent[]): void;
  /** All initial ADDED events have been delivered, as of `revision`. */
  initialDone?(revision: number): void;
  /**
   * Asked between chunks of a large initial state: the store goes on when the promise resolves. Without it, chunks follow each
   * other in successive turns of the event loop.
   */
  drained?(): Promise<void> | undefined;
  /** Nothing further for this watch up to `revision`; at most every few hundred milliseconds. Source of bookmarks. */
  progress?(revision: number): void;
  /** The watch has ended from the store's side (history gone, store closed). */
  ended(error: Error): void;
}

export interface StoreEvent {
  /** As the selection sees it: an object that starts to match is `ADDED`, one that stops is `DELETED`. */
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED';
  /** For DELETED the last matching state, with the revision of the event. */
  readonly object: StoredObject;
  /** `{"type":"…","object":{…}}\n`, serialised once and shared by all watches. */
  line(): Uint8Array;
}
