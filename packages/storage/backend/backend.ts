/**
 * Bytes with revisions: the whole contract between Coffer and what keeps its data. Three implementations (`memory`, `lmdb`,
 * `etcd`) pass one exported suite (`backend-contract.ts`).
 *
 * Revisions are positive integers, one per successful write, strictly increasing in commit order; a revision is visible to
 * get, list and watch only when it is durable, and a write is acknowledged only then. Keys are `/registry/…` strings, ordered by
 * their UTF-8 bytes. Values are never interpreted here.
 */
export interface Backend {
  /** Writes `key` if it does not exist. */
  create(key: string, value: Uint8Array): Promise<WriteResult>;
  /** Replaces `key` if its modRevision is still `expected`. */
  update(key: string, value: Uint8Array, expected: number): Promise<WriteResult>;
  /** Deletes `key` if its modRevision is still `expected`. The revision of the result is the deletion's. */
  delete(key: string, expected: number): Promise<WriteResult>;
  /** The current value, linearizable. */
  get(key: string): Promise<{ readonly kv: KeyValue | undefined; readonly revision: number }>;
  /**
   * Keys that start with `prefix`, in order, as of one revision (`revision` of the options, default the current one).
   * `startKey` is inclusive. `more` says that `limit` cut the list; `count` is then the number of all keys of the range.
   */
  list(prefix: string, options?: ListOptions): Promise<ListResult>;
  /**
   * Every change of a key below `prefix` with a revision > `afterRevision`, in order, without gaps or duplicates, in batches;
   * a batch with no events is a progress mark. Ends when `signal` is aborted. Throws StorageError `compacted` when changes
   * behind `afterRevision` are gone.
   */
  watch(prefix: string, afterRevision: number, signal: AbortSignal): AsyncIterable<BackendBatch>;
  /** Asks open watches for a progress mark soon. Absent when they are never behind. */
  requestProgress?(): void;
  /** The newest durable revision, linearizable. A fresh store starts at 1. */
  currentRevision(): Promise<number>;
  /** Forgets superseded versions and tombstones with a revision ≤ `revision`. One winner among several servers. */
  compact(revision: number): Promise<void>;
  /** Reads at a revision below this one fail with `compacted`. */
  compactedRevision(): Promise<number>;
  /** Bytes on disk (0 for memory). */
  sizeBytes(): Promise<number>;
  close(): Promise<void>;
}

/**
 * Optional fast path of embedded backends: `onBatch` runs synchronously at commit, before the writes' promises resolve, so
 * that the watch cache is never behind an acknowledged write. Remote backends do not have it.
 */
export interface LocalBackend extends Backend {
  create(key: string, value: Uint8Array, ticket?: WriteTicket): Promise<WriteResult>;
  /**
   * `expected` may be the ticket of a write of the same key that was asked for before and is not committed yet: so the changes of one
   * object need not wait for a sync each. When that write fails, so does this one.
   */
  update(key: string, value: Uint8Array, expected: number | WriteTicket, ticket?: WriteTicket): Promise<WriteResult>;
  /**
   * The returned function ends the subscription. `kv.value` of a put is the very array that was given to `create` or `update`, so
   * that the caller can find what it made the bytes from; neither may change it afterwards.
   */
  subscribe(onBatch: (batch: BackendBatch) => void): () => void;
  /** Bytes that superseded versions take, roughly. What `compact` can give back. */
  historyBytes(): number;
}

/** Stands for the version that a write on its way will make; for `LocalBackend`. */
export interface WriteTicket {
  /** Undefined until the write has got its place in the order, and when it fails. */
  revision?: number | undefined;
}

export interface KeyValue {
  readonly key: string;
  readonly value: Uint8Array;
  readonly modRevision: number;
  readonly createRevision: number;
}

export type WriteResult = { readonly ok: true; readonly revision: number } | { readonly ok: false; readonly current: KeyValue | undefined };

export interface ListOptions {
  readonly revision?: number;
  readonly limit?: number;
  readonly startKey?: string;
  /** Saves counting what lies behind a `limit`; `count` is then the number of keys returned. */
  readonly skipCount?: boolean;
}

export interface ListResult {
  readonly kvs: readonly KeyValue[];
  readonly revision: number;
  readonly more: boolean;
  readonly count: number;
}

export interface BackendEvent {
  readonly type: 'put' | 'delete';
  /** For a delete: the key, an empty value and the deletion's revision. */
  readonly kv: KeyValue;
  /** The version this one replaced, when there was one and the backend still has it. */
  readonly prev: KeyValue | undefined;
}

export interface BackendBatch {
  readonly events: readonly BackendEvent[];
  /** Every change up to this revision has been delivered. */
  readonly revision: number;
}

/** The longest key any backend accepts, in UTF-8 bytes (twice what a name of 253 in a namespace of 63 needs). */
export const maxKeyBytes = 1024;

/** The largest value any backend accepts, so that all of them refuse the same (etcd's request limit less its envelope). */
export const maxValueBytes = 1_572_864 - 65_536;
