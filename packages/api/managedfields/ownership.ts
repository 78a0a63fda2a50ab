/** What a change of the object does to what managers own. Shared by updates and apply. */
import type { KubeObject } from '../meta/object.ts';
import type { SchemaTable, StructSchema } from '../schema/schema.ts';
import type { Comparison } from './compare.ts';
import { compareObjects, NEW_OBJECT } from './compare.ts';
import type { Conflict } from './conflicts.ts';
import type { FieldSet } from './field-set.ts';
import { difference, intersection, isEmptySet, listPaths, recursiveDifference, SetBuilder, union } from './field-set.ts';
import type { Manager, Managers } from './managers.ts';
import { dropEmptyManagers, managerIdentity } from './managers.ts';
import type { StructType } from './merge-type.ts';
import { mergeTypeOf } from './merge-type.ts';
import { fieldElement } from './path-element.ts';

/** Gives an object in another served version of its kind; undefined when that version is not served (its managers are dropped). */
export type ConvertObject = (
  object: KubeObject,
  apiVersion: string,
) => { readonly object: KubeObject; readonly schema: StructSchema } | undefined;

/** The kind and version a request speaks, and what it may not own. */
export interface TypeContext {
  readonly apiVersion: string;
  readonly schema: StructSchema;
  readonly table: SchemaTable;
  /** Fields that the strategy resets for this request (`status` for writers of the spec); nobody becomes their owner. */
  readonly resetFields?: FieldSet | undefined;
  readonly convert?: ConvertObject | undefined;
}

/** An object at some version. */
export interface VersionedValue {
  readonly object: KubeObject;
  readonly type: StructType;
}

/** The object, which may be at any version, at that version; undefined when the version is not served. */
export function atVersion(context: TypeContext, object: KubeObject, apiVersion: string): VersionedValue | undefined {
  if (apiVersion === context.apiVersion && object.apiVersion === apiVersion) {
    return { object, type: mergeTypeOf(context.schema, context.table) };
  }
  const converted = context.convert?.(object, apiVersion);
  return converted === undefined ? undefined : { object: converted.object, type: mergeTypeOf(converted.schema, context.table) };
}

/** Comparison of the two objects, without the fields that this request resets. `live` is undefined when the object is new. */
export function compareVersions(context: TypeContext, live: KubeObject | undefined, next: KubeObject): Comparison {
  return withoutReset(context, compareObjects(mergeTypeOf(context.schema, context.table), live ?? NEW_OBJECT, next));
}

/**
 * Takes changed and removed fields away from everybody but `except`, and drops managers that own nothing then. Returns what was
 * taken although it only changed: the conflicts of an apply. In place.
 */
export function releaseFields(
  context: TypeContext,
  managers: Managers,
  live: KubeObject | undefined,
  next: KubeObject,
  comparison: Comparison,
  except?: string,
): Conflict[] {
  const conflicts: Conflict[] = [];
  const byVersion = new Map<string, Comparison | undefined>([[context.apiVersion, comparison]]);
  for (const [identity, manager] of managers) {
    if (identity === except) continue;
    if (!byVersion.has(manager.apiVersion)) byVersion.set(manager.apiVersion, compareAt(context, live, next, manager.apiVersion));
    const changes = byVersion.get(manager.apiVersion);
    if (changes === undefined) {
      managers.delete(identity);
      continue;
    }
    const taken = intersection(manager.set, union(changes.modified, changes.added));
    if (!isEmptySet(taken)) for (const path of listPaths(taken)) conflicts.push({ identity, manager, path });
    const set = difference(difference(manager.set, taken), changes.removed);
    if (set !== manager.set) managers.set(identity, { ...manager, set });
  }
  dropEmptyManagers(managers);
  return conflicts;
}

/** Records an update: the manager owns what it changed and added, others lose it. In place. */
export function recordUpdate(
  context: TypeContext,
  managers: Managers,
  live: KubeObject | undefined,
  next: KubeObject,
  updater: { readonly manager: string; readonly subresource: string; readonly now: string },
): void {
  const comparison = compareVersions(context, live, next);
  releaseFields(context, managers, live, next, comparison);
  const own = stripUnowned(union(comparison.modified, comparison.added));
  if (isEmptySet(own)) return;
  const manager: Manager = {
    manager: updater.manager === '' ? 'unknown' : updater.manager,
    operation: 'Update',
    apiVersion: context.apiVersion,
    subresource: updater.subresource,
    set: own,
    time: updater.now,
  };
  const identity = managerIdentity(manager);
  const previous = managers.get(identity);
  managers.set(identity, previous === undefined ? manager : { ...manager, set: union(own, previous.set) });
}

/** The set without apiVersion, kind and the metadata that only the server writes. */
export function stripUnowned(set: FieldSet): FieldSet {
  return difference(set, UNOWNED);
}

const UNOWNED: FieldSet = unownedFields();

function unownedFields(): FieldSet {
  const builder = new SetBuilder();
  const metadata = fieldElement('metadata');
  for (const name of ['apiVersion', 'kind', 'metadata']) builder.insert([fieldElement(name)]);
  for (const name of ['name', 'namespace', 'creationTimestamp', 'selfLink', 'uid', 'clusterName', 'generation', 'managedFields']) {
    builder.insert([metadata, fieldElement(name)]);
  }
  builder.insert([metadata, fieldElement('resourceVersion')]);
  return builder.build();
}

function compareAt(context: TypeContext, live: KubeObject | undefined, next: KubeObject, apiVersion: string): Comparison | undefined {
  const after = atVersion(context, next, apiVersion);
  if (after === undefined) return undefined;
  const before = live === undefined ? undefined : atVersion(context, live, apiVersion);
  return withoutReset(context, compareObjects(after.type, before?.object ?? NEW_OBJECT, after.object));
}

function withoutReset(context: TypeContext, comparison: Comparison): Comparison {
  const { resetFields } = context;
  if (resetFields === undefined || isEmptySet(resetFields)) return comparison;
  return {
    added: recursiveDifference(comparison.added, resetFields),
    modified: recursiveDifference(comparison.modified, resetFields),
    removed: recursiveDifference(comparison.removed, resetFields),
  };
}
