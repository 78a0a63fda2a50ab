/**
 * Ownership of `spec.replicas` across the scale subresource: an autoscaling/v1 Scale has managedFields of its own, which are those
 * of the parent's replicas.
 */
import type { ManagedFieldsEntry } from '../meta/object.ts';
import type { FieldSet } from './field-set.ts';
import { difference, hasPath, isEmptySet, singlePath } from './field-set.ts';
import type { Manager, Managers } from './managers.ts';
import { decodeManagers, encodeManagers, managerIdentity } from './managers.ts';
import { fieldElement } from './path-element.ts';

const SCALE_API_VERSION = 'autoscaling/v1';
/** `spec.replicas`, in the Scale and in every built-in parent. */
const REPLICAS = [fieldElement('spec'), fieldElement('replicas')];
const REPLICAS_SET: FieldSet = singlePath(REPLICAS);

/** The entries that a Scale of this parent shows: everybody who owns the parent's replicas. */
export function scaleEntries(parentEntries: readonly ManagedFieldsEntry[] | undefined): ManagedFieldsEntry[] {
  const scale: Managers = new Map();
  for (const [identity, manager] of decodeManagers(parentEntries, parentEntries) ?? []) {
    if (hasPath(manager.set, REPLICAS)) scale.set(identity, { ...manager, apiVersion: SCALE_API_VERSION, set: REPLICAS_SET });
  }
  return encodeManagers(scale);
}

/**
 * The parent's entries after a write of its Scale, whose entries are `scaleAfter`: who lost the replicas there loses them here,
 * who got them there owns them here, in the parent's apiVersion and, as upstream has it, without a time.
 */
export function parentEntriesAfterScale(
  parentEntries: readonly ManagedFieldsEntry[] | undefined,
  scaleAfter: readonly ManagedFieldsEntry[] | undefined,
  parentApiVersion: string,
): ManagedFieldsEntry[] {
  const parents = decodeManagers(parentEntries, parentEntries) ?? new Map();
  // An entry that came from the parent says another version now: matched without it.
  const scales = [...(decodeManagers(scaleAfter) ?? new Map()).values()].filter((manager) => hasPath(manager.set, REPLICAS));
  const result: Managers = new Map();
  for (const [identity, manager] of parents) {
    if (!hasPath(manager.set, REPLICAS)) {
      result.set(identity, manager);
      continue;
    }
    const at = scales.findIndex(
      (scale) => scale.manager === manager.manager && scale.operation === manager.operation && scale.subresource === manager.subresource,
    );
    if (at >= 0) {
      scales.splice(at, 1);
      result.set(identity, manager);
      continue;
    }
    const set = difference(manager.set, REPLICAS_SET);
    if (!isEmptySet(set)) result.set(identity, { ...manager, set });
  }
  for (const scale of scales) {
    const manager: Manager = { ...scale, apiVersion: parentApiVersion, set: REPLICAS_SET, time: undefined };
    result.set(managerIdentity(manager), manager);
  }
  return encodeManagers(result);
}
