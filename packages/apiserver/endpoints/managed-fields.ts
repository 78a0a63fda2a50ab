import { StatusError } from '@coffer/api/errors/status-error';
import type { FieldSet } from '@coffer/api/managedfields/field-set';
import { trackUpdate } from '@coffer/api/managedfields/manager';
import { resetFieldsOf } from '@coffer/api/managedfields/reset-fields';
import type { KubeObject } from '@coffer/api/meta/object';
import { StorageError } from '@coffer/storage/errors';
import type { Scope } from './scope.ts';

export interface FieldWrite {
  readonly manager: string;
  readonly subresource: string;
  readonly now: string;
}

/** Records in `metadata.managedFields` of `next`, in place, what this write changed and who did it. */
export function trackFields(scope: Scope, live: KubeObject | undefined, next: KubeObject, write: FieldWrite): void {
  const entries = trackUpdate({
    live,
    next,
    manager: write.manager,
    apiVersion: scope.apiVersion,
    subresource: write.subresource,
    now: write.now,
    schema: scope.schema,
    table: scope.tools.table,
    resetFields: resetFieldsFor(scope, write.subresource),
    convert: scope.convert,
  });
  if (entries.length === 0) delete next.metadata.managedFields;
  else next.metadata.managedFields = entries;
}

/**
 * Managed fields can be as large as the object. What is too large to store with them is stored without them: `attempt` runs again, not
 * `tracked`.
 */
export async function storedIfNotTooLarge<T>(attempt: (tracked: boolean) => Promise<T>): Promise<T> {
  try {
    return await attempt(true);
  } catch (error) {
    if (!(error instanceof StatusError && error.cause instanceof StorageError && error.cause.code === 'value-too-large')) throw error;
    return attempt(false);
  }
}

/** Fields that a request on this subresource cannot set, so that nobody comes to own them. */
export function resetFieldsFor(scope: Scope, subresource: string): FieldSet {
  const { group, kind } = scope.resource;
  return resetFieldsOf({ group, kind, subresource, hasStatus: scope.registry.kind.hasStatus });
}
