import { StorageError } from '../errors.ts';
import { maxKeyBytes, maxValueBytes } from './backend.ts';

/** Limits every backend applies before it accepts a write, so that all of them refuse the same. */
export function checkWrite(key: string, value: Uint8Array | undefined): void {
  if (value !== undefined && value.length > maxValueBytes) {
    throw new StorageError('value-too-large', `the value has ${value.length} bytes, the limit is ${maxValueBytes}`, { key });
  }
  // A UTF-16 unit takes at most three bytes, so short keys need not be measured.
  if (key.length * 3 > maxKeyBytes && Buffer.byteLength(key) > maxKeyBytes) {
    throw new StorageError('value-too-large', `the key has ${Buffer.byteLength(key)} bytes, the limit is ${maxKeyBytes}`, { key });
  }
}

/** Checks a revision that a read names: known, and not compacted away. */
export function checkReadRevision(revision: number, current: number, compacted: number): void {
  if (revision > current) {
    throw new StorageError('future-revision', `revision ${revision} is newer than the store's ${current}`, { revision: current });
  }
  if (revision < compacted) throw compactedError(revision, compacted);
}

export function compactedError(revision: number, compacted: number): StorageError {
  return new StorageError('compacted', `revision ${revision} has been compacted; the oldest is ${compacted}`, { revision: compacted });
}
