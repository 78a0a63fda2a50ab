/**
 * Server-side apply: merges a configuration into the live object, prunes what the manager gave up, and records who owns what.
 * Pure; neither argument changes. The result is not defaulted and not validated: the caller does that as for any other write.
 */
import { badRequest, StatusError } from '../errors/status-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { parseApiVersion } from '../meta/object.ts';
import { cloneJson, equalJson, isRecord } from '../meta/safe-object.ts';
import type { Conflict } from './conflicts.ts';
import { ApplyConflictError } from './conflicts.ts';
import type { FieldSet } from './field-set.ts';
import { difference, hasPath, intersection, isEmptySet, recursiveDifference, union } from './field-set.ts';
import { LAST_APPLIED_MANAGER, lastAppliedFields, syncLastApplied } from './last-applied.ts';
import type { Manager, Managers } from './managers.ts';
import { BEFORE_FIRST_APPLY, capUpdateManagers, decodeManagers, encodeManagers, managerIdentity } from './managers.ts';
import { mergeValues } from './merge.ts';
import { mergeTypeOf } from './merge-type.ts';
import type { TypeContext } from './ownership.ts';
import { atVersion, compareVersions, recordUpdate, releaseFields, stripUnowned } from './ownership.ts';
import { dropEmptied, removeItems, withNamedFields } from './remove-items.ts';
import { toFieldSet } from './to-field-set.ts';
import { appliedErrors } from './validate-applied.ts';

export interface ApplyOptions extends TypeContext {
  /** Undefined when the apply creates the object. */
  readonly live: KubeObject | undefined;
  /** The configuration as parsed; it may be incomplete. */
  readonly applied: unknown;
  readonly kind: string;
  readonly manager: string;
  readonly force: boolean;
  /** Empty for the object itself. */
  readonly subresource: string;
  /** RFC 3339, UTC, whole seconds. */
  readonly now: string;
}

export interface ApplyResult {
  /** The object to store, with its managedFields. */
  readonly object: KubeObject;
  /** False when the merged object equals the live one; its managedFields may differ even then. */
  readonly changed: boolean;
}

/** Throws StatusError: 400 for another kind or version, 409 for conflicts, 500 with upstream's text when the schema does not fit. */
export function apply(options: ApplyOptions): ApplyResult {
  const config = checkedConfiguration(options);
  const stored = options.live?.metadata.managedFields;
  const managers = decodeManagers(stored, stored);
  if (managers === undefined) throw new StatusError(500, '', 'failed to decode managed fields');
  if (managers.size === 0 && options.live !== undefined) {
    const { subresource, now } = options;
    recordUpdate(options, managers, undefined, options.live, { manager: BEFORE_FIRST_APPLY, subresource, now });
    capUpdateManagers(managers);
  }
  const result = applyWithUpgrade(options, config, managers);
  if (options.manager === LAST_APPLIED_MANAGER) syncLastApplied(result.object, config);
  return result;
}

/** As `applyConfiguration`; conflicts about fields that kubectl set with client-side apply are taken over. */
function applyWithUpgrade(options: ApplyOptions, config: KubeObject, managers: Managers): ApplyResult {
  try {
    return applyConfiguration(options, config, new Map(managers), options.force);
  } catch (error) {
    if (!(error instanceof ApplyConflictError)) throw error;
    const isUpgrade = options.manager === LAST_APPLIED_MANAGER && options.live !== undefined;
    const allowed = isUpgrade && options.live !== undefined ? lastAppliedFields(options, options.live) : undefined;
    if (allowed === undefined) throw error.toStatusError();
    const remaining = error.conflicts.filter((conflict: Conflict) => !hasPath(allowed, conflict.path));
    if (remaining.length > 0) throw new ApplyConflictError(remaining).toStatusError();
    return applyConfiguration(options, config, new Map(managers), true);
  }
}

function applyConfiguration(options: ApplyOptions, config: KubeObject, managers: Managers, force: boolean): ApplyResult {
  const { live } = options;
  const type = mergeTypeOf(options.schema, options.table);
  const identity = managerIdentity({ ...options, operation: 'Apply' });
  const last = managers.get(identity);
  const applier: Manager = {
    manager: options.manager,
    operation: 'Apply',
    apiVersion: options.apiVersion,
    subresource: options.subresource,
    set: recursiveDifference(toFieldSet(type, config), options.resetFields ?? {}),
    time: last?.time,
  };
  managers.set(identity, applier);

  const merged = (live === undefined ? config : mergeValues(type, live, config)) as KubeObject;
  const pruned = live === undefined ? merged : prune(options, merged, managers, last);
  const conflicts = releaseFields(options, managers, live, pruned, compareVersions(options, live, pruned), identity);
  if (conflicts.length > 0 && !force) throw new ApplyConflictError(conflicts);

  const changed = live === undefined || !equalJson(live, pruned);
  const set = stripUnowned(applier.set);
  if (isEmptySet(set)) managers.delete(identity);
  else managers.set(identity, { ...applier, set, time: changed ? options.now : applier.time });

  const object = cloneJson(changed ? pruned : (live ?? pruned));
  const entries = encodeManagers(managers);
  if (entries.length > 0) object.metadata.managedFields = entries;
  else delete object.metadata.managedFields;
  return { object, changed };
}

/** Removes what the manager applied last time, does not apply now, and nobody else owns. */
function prune(options: ApplyOptions, merged: KubeObject, managers: Managers, last: Manager | undefined): KubeObject {
  if (last === undefined || isEmptySet(last.set)) return merged;
  const base = atVersion(options, merged, last.apiVersion);
  if (base === undefined) return merged;
  const named = (value: unknown): FieldSet => withNamedFields(base.type, toFieldSet(base.type, value));
  const mergedSet = named(base.object);
  const lastSet = withNamedFields(base.type, last.set);

  let remaining: unknown = removeItems(base.type, base.object, lastSet);
  const ownedHere = ownedAt(managers, last.apiVersion);
  const keep = union(named(remaining), withNamedFields(base.type, ownedHere));
  remaining = removeItems(base.type, base.object, difference(mergedSet, keep));
  remaining = addBackOtherVersions(options, base.object, remaining, managers, last.apiVersion);
  const result = removeItems(base.type, base.object, intersection(difference(mergedSet, named(remaining)), lastSet));
  dropEmptied(result);

  const object = isRecord(result) ? (result as KubeObject) : ({ ...base.object } as KubeObject);
  if (!isRecord(object.metadata)) object.metadata = serverMetadata(base.object);
  return atVersion(options, object, options.apiVersion)?.object ?? merged;
}

function ownedAt(managers: Managers, apiVersion: string): FieldSet {
  let owned: FieldSet = {};
  for (const manager of managers.values()) if (manager.apiVersion === apiVersion) owned = union(owned, manager.set);
  return owned;
}

/** Managers that speak another version own fields too: looked up there, and brought back. */
function addBackOtherVersions(options: ApplyOptions, merged: KubeObject, remaining: unknown, managers: Managers, version: string): unknown {
  const others = new Set([...managers.values()].map((manager) => manager.apiVersion).filter((other) => other !== version));
  if (others.size === 0 || !isRecord(remaining)) return remaining;
  dropEmptied(remaining);
  let current = remaining as KubeObject;
  for (const other of others) {
    const before = atVersion(options, merged, other);
    const after = atVersion(options, current, other);
    if (before === undefined || after === undefined) continue;
    const named = (value: unknown): FieldSet => withNamedFields(before.type, toFieldSet(before.type, value));
    const keep = union(named(after.object), withNamedFields(before.type, ownedAt(managers, other)));
    const kept = removeItems(before.type, before.object, difference(named(before.object), keep));
    dropEmptied(kept);
    const back = isRecord(kept) ? atVersion(options, kept as KubeObject, version) : undefined;
    if (back !== undefined) current = back.object;
  }
  return current;
}

function serverMetadata(object: KubeObject): KubeObject['metadata'] {
  const { name, namespace, uid, resourceVersion, creationTimestamp, generation } = object.metadata;
  const all = { name, namespace, uid, resourceVersion, creationTimestamp, generation };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}

/** The configuration as an object of the expected kind that the schema allows. */
function checkedConfiguration(options: ApplyOptions): KubeObject {
  const { applied } = options;
  const source = isRecord(applied) ? applied : {};
  const actual = describeKind(source.apiVersion, source.kind);
  if (actual !== describeKind(options.apiVersion, options.kind)) throw badRequest(`invalid object type: ${actual}`);
  const metadata = isRecord(source.metadata) ? source.metadata : {};
  if (Array.isArray(metadata.managedFields)) throw badRequest('metadata.managedFields must be nil');
  const errors = appliedErrors(mergeTypeOf(options.schema, options.table), source);
  if (errors !== undefined) {
    const name = `${text(metadata.namespace)}/${text(metadata.name)}`;
    throw new StatusError(500, '', `failed to create typed patch object (${name}; ${actual}): ${errors}`);
  }
  const config = cloneJson(source) as KubeObject;
  config.metadata = isRecord(config.metadata) ? config.metadata : {};
  for (const [key, value] of Object.entries(config.metadata)) {
    if (value === null && SERVER_FIELDS.has(key)) delete (config.metadata as Record<string, unknown>)[key];
  }
  return config;
}

/** Written by the server alone; manifests often have them as null. */
const SERVER_FIELDS: ReadonlySet<string> = new Set([
  'creationTimestamp',
  'uid',
  'resourceVersion',
  'generation',
  'selfLink',
  'managedFields',
]);

/** `apps/v1, Kind=Deployment`; the core group is empty: `/v1, Kind=Pod`. */
function describeKind(apiVersion: unknown, kind: unknown): string {
  const version = text(apiVersion);
  if (version.split('/').length > 2) return '/, Kind=';
  const gv = parseApiVersion(version);
  return `${gv.group}/${gv.version}, Kind=${text(kind)}`;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
