import { isReason } from '@coffer/api/errors/status-error';
import type { StoredObject } from '@coffer/storage/store/store';
import { type DeleteOutcome, type DeleteRequest, deleteObject } from './delete.ts';
import type { Registry } from './registry.ts';

/** How many deletions run at one time: enough to share their fsyncs, few enough to leave room for others. */
const parallel = 32;

/**
 * Deletes every object of a list, each with its own read-modify-write. One that has gone meanwhile counts as deleted; the first other
 * failure ends the work and is thrown.
 */
export async function deleteObjects(
  registry: Registry,
  items: readonly StoredObject[],
  request: Omit<DeleteRequest, 'namespace' | 'name'>,
): Promise<void> {
  for (let at = 0; at < items.length; at += parallel) {
    await Promise.all(items.slice(at, at + parallel).map((item) => deleteIfThere(registry, item, request)));
  }
}

async function deleteIfThere(
  registry: Registry,
  item: StoredObject,
  request: Omit<DeleteRequest, 'namespace' | 'name'>,
): Promise<DeleteOutcome | undefined> {
  try {
    return await deleteObject(registry, { ...request, namespace: item.namespace, name: item.name });
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}
