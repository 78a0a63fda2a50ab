/**
 * The entries of `metadata.managedFields` as a map from the manager's identity to what it owns, and back. An identity is the
 * manager's name, operation, subresource and, for updates, apiVersion.
 */
import type { ManagedFieldsEntry, Mutable } from '../meta/object.ts';
import { equalJson } from '../meta/safe-object.ts';
import type { FieldSet } from './field-set.ts';
import { isEmptySet, parseFieldSet, union } from './field-set.ts';

export type ManagerOperation = 'Apply' | 'Update';

export interface Manager {
  readonly manager: string;
  readonly operation: ManagerOperation;
  readonly apiVersion: string;
  readonly subresource: string;
  readonly set: FieldSet;
  /** RFC 3339 with whole seconds; undefined when the entry has none. */
  readonly time: string | undefined;
}

export type Managers = Map<string, Manager>;

/** More update managers than this and the oldest are merged. */
export const MAX_UPDATE_MANAGERS = 10;
/** Owner of fields that were there before the first apply to an object without managedFields. */
export const BEFORE_FIRST_APPLY = 'before-first-apply';
const MERGED_MANAGER = 'ancient-changes';

/** Identity of a manager, as upstream writes it; also the order in which conflicts name managers. */
export function managerIdentity(m: Pick<Manager, 'manager' | 'operation' | 'apiVersion' | 'subresource'>): string {
  const parts: string[] = [];
  if (m.manager !== '') parts.push(`"manager":${JSON.stringify(m.manager)}`);
  parts.push(`"operation":"${m.operation}"`);
  if (m.operation === 'Update' && m.apiVersion !== '') parts.push(`"apiVersion":${JSON.stringify(m.apiVersion)}`);
  if (m.subresource !== '') parts.push(`"subresource":${JSON.stringify(m.subresource)}`);
  return `{${parts.join(',')}}`;
}

/**
 * Reads entries; undefined when one is malformed. Entries equal to one of `trusted` (what this server stored) are taken as they
 * are, others are made canonical.
 */
export function decodeManagers(
  entries: readonly ManagedFieldsEntry[] | undefined | null,
  trusted: readonly ManagedFieldsEntry[] = [],
): Managers | undefined {
  const managers: Managers = new Map();
  if (entries === undefined || entries === null) return managers;
  for (let i = 0; i < entries.length; i += 1) {
    const entry = entries[i];
    const manager = entry === undefined ? undefined : decodeEntry(entry, trusted[i]);
    if (manager === undefined) return undefined;
    managers.set(managerIdentity(manager), manager);
  }
  return managers;
}

/** The entries, in upstream's order: Apply before Update, then by time, name, apiVersion and subresource. */
export function encodeManagers(managers: Managers): ManagedFieldsEntry[] {
  const sorted = [...managers.values()];
  if (sorted.length > 1) sorted.sort(compareManagers);
  return sorted.map(encodeEntry);
}

/** Merges the oldest update managers, one bucket per apiVersion, until there are not more than the maximum. In place. */
export function capUpdateManagers(managers: Managers): void {
  if (managers.size <= MAX_UPDATE_MANAGERS) return;
  const updaters = [...managers].filter(([, m]) => m.operation === 'Update');
  let count = updaters.length;
  updaters.sort(([idA, a], [idB, b]) => seconds(a.time) - seconds(b.time) || (idA < idB ? -1 : 1));
  const firstOfVersion = new Map<string, string>();
  for (const [id, updater] of updaters) {
    if (count <= MAX_UPDATE_MANAGERS) return;
    const { apiVersion } = updater;
    const bucket: Manager = {
      manager: MERGED_MANAGER,
      operation: 'Update',
      apiVersion,
      subresource: '',
      set: updater.set,
      time: updater.time,
    };
    const bucketId = managerIdentity(bucket);
    const first = firstOfVersion.get(apiVersion);
    if (first === undefined) {
      firstOfVersion.set(apiVersion, id);
      continue;
    }
    const firstManager = managers.get(first);
    if (!managers.has(bucketId) && firstManager !== undefined) {
      managers.delete(first);
      managers.set(bucketId, { ...bucket, set: firstManager.set });
    }
    const earlier = managers.get(bucketId);
    managers.delete(id);
    managers.set(bucketId, { ...bucket, set: earlier === undefined ? updater.set : union(updater.set, earlier.set) });
    count -= 1;
  }
}

/** Removes managers that own nothing. In place. */
export function dropEmptyManagers(managers: Managers): void {
  for (const [id, manager] of managers) if (isEmptySet(manager.set)) managers.delete(id);
}

/** Without spreads: this runs once per manager on every write. */
function encodeEntry(m: Manager): ManagedFieldsEntry {
  const entry: Mutable<ManagedFieldsEntry> = {};
  if (m.manager !== '') entry.manager = m.manager;
  entry.operation = m.operation;
  if (m.apiVersion !== '') entry.apiVersion = m.apiVersion;
  if (m.time !== undefined) entry.time = m.time;
  entry.fieldsType = 'FieldsV1';
  entry.fieldsV1 = m.set;
  if (m.subresource !== '') entry.subresource = m.subresource;
  return entry;
}

function decodeEntry(entry: ManagedFieldsEntry, trusted: ManagedFieldsEntry | undefined): Manager | undefined {
  const { operation } = entry;
  if (operation !== 'Apply' && operation !== 'Update') return undefined;
  if (entry.apiVersion === undefined || entry.apiVersion === '' || entry.fieldsType !== 'FieldsV1') return undefined;
  let set: FieldSet;
  if (trusted !== undefined && (entry === trusted || equalJson(entry.fieldsV1, trusted.fieldsV1))) {
    set = (trusted.fieldsV1 ?? {}) as FieldSet;
  } else {
    try {
      set = parseFieldSet(entry.fieldsV1);
    } catch {
      return undefined;
    }
  }
  return {
    manager: entry.manager ?? '',
    operation,
    apiVersion: entry.apiVersion,
    subresource: entry.subresource ?? '',
    set,
    time: entry.time,
  };
}

function compareManagers(a: Manager, b: Manager): number {
  return (
    compareText(a.operation, b.operation) ||
    seconds(a.time) - seconds(b.time) ||
    compareText(a.manager, b.manager) ||
    compareText(a.apiVersion, b.apiVersion) ||
    compareText(a.subresource, b.subresource)
  );
}

function seconds(time: string | undefined): number {
  if (time === undefined) return 0;
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
