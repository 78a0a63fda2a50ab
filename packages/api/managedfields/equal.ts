import type { KubeObject, ManagedFieldsEntry } from '../meta/object.ts';
import { equalJson } from '../meta/safe-object.ts';

/**
 * True when a write would change nothing but the times in managedFields: such a write is not stored and the live object is the
 * answer. Both objects are complete (same resourceVersion, defaults applied).
 */
export function equalIgnoringTimestamps(live: KubeObject, next: KubeObject): boolean {
  if (!sameEntries(live.metadata.managedFields, next.metadata.managedFields)) return false;
  return equalJson(withoutManagedFields(live), withoutManagedFields(next));
}

function sameEntries(live: readonly ManagedFieldsEntry[] | undefined, next: readonly ManagedFieldsEntry[] | undefined): boolean {
  if (live === next) return true;
  if (live === undefined || next === undefined || live.length !== next.length) return false;
  return live.every((entry, i) => equalJson({ ...entry, time: '' }, { ...next[i], time: '' }));
}

function withoutManagedFields(object: KubeObject): KubeObject {
  const { managedFields: _, ...metadata } = object.metadata;
  return { ...object, metadata };
}
