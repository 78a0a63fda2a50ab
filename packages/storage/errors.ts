export type StorageErrorCode =
  | 'key-exists'
  | 'key-not-found'
  | 'precondition-failed'
  | 'compacted'
  | 'future-revision'
  | 'value-too-large'
  /** The store does not accept writes now (disk full, quota, lost quorum); the message says why. */
  | 'unavailable'
  /** The outcome of the write is unknown (connection lost, time-out). */
  | 'uncertain'
  /** A stored value cannot be read (damaged, key missing). */
  | 'unreadable'
  | 'closed';

/** Errors of the storage layer. The API server translates them in one file; nothing else of storage is ever thrown at it. */
export class StorageError extends Error {
  readonly code: StorageErrorCode;
  /** The key concerned, when there is one; never a value. */
  readonly key: string | undefined;
  /** Revision that belongs to the error: the compacted one, the current one. */
  readonly revision: number | undefined;

  constructor(code: StorageErrorCode, message: string, options: { key?: string; revision?: number; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'StorageError';
    this.code = code;
    this.key = options.key;
    this.revision = options.revision;
  }
}

/** A read that covers damaged values: which ones (at most `maxDamaged`), and why each cannot be read. */
export class UnreadableError extends StorageError {
  static readonly maxDamaged = 100;
  readonly damaged: readonly { readonly key: string; readonly message: string }[];

  constructor(damaged: readonly { readonly key: string; readonly message: string }[]) {
    const first = damaged[0];
    const more = damaged.length > 1 ? ` and ${damaged.length - 1} more` : '';
    super(
      'unreadable',
      `${first?.key ?? 'a value'}${more} cannot be read: ${first?.message ?? 'unknown reason'}`,
      first === undefined ? {} : { key: first.key },
    );
    this.name = 'UnreadableError';
    this.damaged = damaged.slice(0, UnreadableError.maxDamaged);
  }
}
