import type { KeyValue } from '../backend/backend.ts';
import type { ObjectKind, ObjectVersion } from '../cacher/object-version.ts';
import { StorageError } from '../errors.ts';

/** Stored bytes → object version, through the resource's transformer. Synchronous when the transformer is. */
export type Decoded = ObjectVersion | StorageError;

/** Never throws or rejects: what cannot be read is the result, and belongs to its key alone. */
export function decodeValue(kind: ObjectKind, kv: KeyValue): Decoded | Promise<Decoded> {
  try {
    const result = kind.transformer.fromStorage(kv.value, { key: kv.key });
    if (!(result instanceof Promise)) return kind.fromPlain(result.plain, pathOf(kind, kv.key), kv.modRevision, result.stale);
    return result.then(
      ({ plain, stale }) => decodeOrError(() => kind.fromPlain(plain, pathOf(kind, kv.key), kv.modRevision, stale), kv.key),
      (error: unknown) => unreadable(error, kv.key),
    );
  } catch (error) {
    return unreadable(error, kv.key);
  }
}

export function pathOf(kind: ObjectKind, key: string): string {
  return key.slice(kind.keyPrefix.length);
}

function decodeOrError(decode: () => ObjectVersion, key: string): Decoded {
  try {
    return decode();
  } catch (error) {
    return unreadable(error, key);
  }
}

function unreadable(error: unknown, key: string): StorageError {
  if (error instanceof StorageError && error.code === 'unreadable') return error;
  return new StorageError('unreadable', error instanceof Error ? error.message : String(error), { key, cause: error });
}
