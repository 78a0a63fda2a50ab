import { badRequest } from '@coffer/api/errors/status-error';
import { StorageError } from '@coffer/storage/errors';
import type { ResourceStore } from '@coffer/storage/store/store';
import { parseUintProblem } from '../registry/generic/resource-version.ts';
import { tooLargeResourceVersion } from './errors.ts';
import { untypedError } from './generic-status.ts';

/** How new a read must be: `resourceVersion` of GET, list and watch. */

/** Throws StatusError 400 as get and list do. */
export function readRevision(text: string): number {
  const problem = parseUintProblem(text);
  if (problem !== undefined) {
    throw badRequest(`invalid resource version: resourceVersion: Invalid value: ${JSON.stringify(text)}: ${problem}`);
  }
  return Number(text);
}

/** Throws StatusError 500 as watch does. */
export function watchRevision(text: string): number {
  const problem = parseUintProblem(text);
  if (problem !== undefined) throw untypedError(`resourceVersion: Invalid value: ${JSON.stringify(text)}: ${problem}`);
  return Number(text);
}

/** Undefined when the cache is known to be fresh enough already; otherwise a promise that may fail with 504. */
export function waitUntilFresh(store: ResourceStore, revision: number | 'latest'): Promise<void> | undefined {
  let pending: Promise<void> | undefined;
  try {
    pending = store.whenFresh(revision);
  } catch (error) {
    throw explain(error, store, revision);
  }
  return pending?.catch((error: unknown) => {
    throw explain(error, store, revision);
  });
}

function explain(error: unknown, store: ResourceStore, revision: number | 'latest'): unknown {
  if (!(error instanceof StorageError) || error.code !== 'future-revision') return error;
  return tooLargeResourceVersion(`Too large resource version: ${revision}, current: ${store.revision}`);
}
