import type { V1PodSpec, V1RuntimeClass, V1Toleration } from '@coffer/api/generated/types';
import type { Mutable } from '@coffer/api/meta/object';
import { equalJson, getOwn, isRecord, setOwn } from '@coffer/api/meta/safe-object';
import { compareQuantities } from '@coffer/api/validation/quantities';
import type { ResourceStore } from '@coffer/storage/store/store';
import { admissionForbidden } from '../forbid.ts';
import type { AdmissionAttributes, AdmissionPlugin } from '../plugin.ts';

type Amounts = Readonly<Record<string, string>>;

/**
 * A new pod of a RuntimeClass gets what the class says: its overhead, its node selector and its tolerations. A pod of a class that does not
 * exist, one that asks for other nodes, and overhead that no class has are refused.
 */
export function runtimeClass(classes: ResourceStore): AdmissionPlugin {
  return {
    name: 'RuntimeClass',
    admit(attributes) {
      const spec = newPodSpec(attributes);
      const found = spec && classOf(classes, attributes, spec);
      if (spec === undefined || found === undefined) return;
      const overhead = found.overhead?.podFixed ?? {};
      if (found.overhead != null) {
        if (Object.keys(spec.overhead ?? {}).length > 0 && !equalAmounts(overhead, spec.overhead ?? {})) throw mismatch(attributes);
        spec.overhead = { ...overhead };
      }
      if (found.scheduling != null) applyScheduling(attributes, spec, found.scheduling);
    },
    validate(attributes) {
      const spec = newPodSpec(attributes);
      if (spec === undefined) return;
      const found = classOf(classes, attributes, spec);
      if (found?.overhead != null) {
        if (!equalAmounts(found.overhead.podFixed ?? {}, spec.overhead ?? {})) throw mismatch(attributes);
      } else if (spec.overhead !== undefined) {
        throw admissionForbidden(attributes, 'pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead');
      }
    },
  };
}

/** Undefined for everything but the creation of a pod. */
function newPodSpec({ operation, resource, subresource, object }: AdmissionAttributes): Mutable<V1PodSpec> | undefined {
  if (operation !== 'CREATE' || resource.group !== '' || resource.resource !== 'pods' || subresource !== '') return undefined;
  return isRecord(object?.spec) ? (object.spec as unknown as Mutable<V1PodSpec>) : undefined;
}

function classOf(classes: ResourceStore, attributes: AdmissionAttributes, spec: V1PodSpec): V1RuntimeClass | undefined {
  const name = spec.runtimeClassName;
  if (name === undefined) return undefined;
  const found = classes.get('', name);
  if (found === undefined) throw admissionForbidden(attributes, `pod rejected: RuntimeClass ${JSON.stringify(name)} not found`);
  return found.peek() as unknown as V1RuntimeClass;
}

function mismatch(attributes: AdmissionAttributes): Error {
  return admissionForbidden(attributes, "pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
}

function equalAmounts(a: Amounts, b: Amounts): boolean {
  const names = Object.keys(a);
  if (names.length !== Object.keys(b).length) return false;
  return names.every((name) => {
    const other = getOwn(b, name);
    return other !== undefined && compareQuantities(getOwn(a, name) ?? '0', other) === 0;
  });
}

function applyScheduling(
  attributes: AdmissionAttributes,
  spec: Mutable<V1PodSpec>,
  { nodeSelector = {}, tolerations = [] }: NonNullable<V1RuntimeClass['scheduling']>,
): void {
  const merged: Record<string, string> = { ...spec.nodeSelector };
  for (const [key, wanted] of Object.entries(nodeSelector)) {
    const given = getOwn(spec.nodeSelector, key);
    if (given !== undefined && given !== wanted) {
      const text = `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${wanted}; pod.spec.nodeSelector[${key}] = ${given}`;
      throw admissionForbidden(attributes, text);
    }
    setOwn(merged, key, wanted);
  }
  if (Object.keys(merged).length > 0) spec.nodeSelector = merged;
  spec.tolerations = mergeTolerations([...(spec.tolerations ?? []), ...tolerations]);
}

/** Without those that another one says as well; of equal ones the first stays. */
function mergeTolerations(all: readonly V1Toleration[]): V1Toleration[] {
  const kept: V1Toleration[] = [];
  all.forEach((toleration, i) => {
    const later = all.slice(i + 1).filter((other) => !equalJson(toleration, other));
    if ([...kept, ...later].some((other) => saysAsMuch(other, toleration))) return;
    kept.push(toleration);
  });
  return kept;
}

/** Whether whatever `narrow` tolerates is tolerated by `wide`, for as long. */
function saysAsMuch(wide: V1Toleration, narrow: V1Toleration): boolean {
  if (equalJson(wide, narrow)) return true;
  const { key = '', operator = '', effect = '', value = '', tolerationSeconds } = wide;
  if (key !== (narrow.key ?? '') && (key !== '' || operator !== 'Exists')) return false;
  if (effect !== (narrow.effect ?? '') && effect !== '') return false;
  if (effect === 'NoExecute' && tolerationSeconds !== undefined) {
    if (narrow.tolerationSeconds === undefined || narrow.tolerationSeconds > tolerationSeconds) return false;
  }
  if (operator === 'Exists') return true;
  return (operator === 'Equal' || operator === '') && ['Equal', ''].includes(narrow.operator ?? '') && (narrow.value ?? '') === value;
}
