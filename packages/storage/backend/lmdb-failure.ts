import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { StorageError } from '../errors.ts';

/** Below this much free space a failed commit is put down to the full disk: LMDB reports a short write as an I/O error. */
const nearlyFullBytes = 1024 * 1024;

/** Why a batch could not be committed, in words for the one whose write was refused. */
export async function describeCommitFailure(error: unknown, dataPath: string): Promise<StorageError> {
  if (error instanceof StorageError) return error;
  const cause = await commitError(error);
  const reason = freeBytes(dataPath) < nearlyFullBytes ? 'no space left on the device' : errorMessage(cause);
  return new StorageError('unavailable', `the store cannot be written: ${reason}`, { cause });
}

/** LMDB's promise fails with a general error that carries a second promise, which fails with the reason. */
async function commitError(error: unknown): Promise<unknown> {
  if (!(error instanceof Error) || !('commitError' in error)) return error;
  try {
    await error.commitError;
    return error;
  } catch (reason) {
    return reason;
  }
}

function freeBytes(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(dirname(path));
    return bavail * bsize;
  } catch {
    return Number.POSITIVE_INFINITY;
  }
}

function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
