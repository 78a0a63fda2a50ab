/** `pods/status`: what its writers, mostly kubelets, cannot take away, and what they are warned of. */

import type { V1PodCondition, V1PodStatus } from '@coffer/api/generated/types';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { ipWarnings } from '@coffer/api/validation/ip';

/**
 * Keeps the owners, which kubelets have corrupted through their status writes, since when the pod is deleted, and from the old status
 * what was left out: the class of service (older kubelets drop it) and the generations that were observed.
 */
export function keepPodFields(object: KubeObject, old: KubeObject): void {
  const { metadata } = object;
  const { ownerReferences, deletionTimestamp } = old.metadata;
  if (ownerReferences === undefined) delete metadata.ownerReferences;
  else metadata.ownerReferences = ownerReferences;
  if (deletionTimestamp === undefined) delete metadata.deletionTimestamp;
  else metadata.deletionTimestamp = deletionTimestamp;
  const status = statusOf(object);
  const before = statusOf(old);
  const { conditions } = status;
  object.status = {
    ...status,
    ...((status.qosClass ?? '') === '' && before.qosClass !== undefined ? { qosClass: before.qosClass } : {}),
    ...((status.observedGeneration ?? 0) === 0 && before.observedGeneration !== undefined
      ? { observedGeneration: before.observedGeneration }
      : {}),
    ...(conditions == null ? {} : { conditions: keepObserved(conditions, before.conditions ?? []) }),
  };
}

export function podStatusWarnings(object: KubeObject): string[] {
  const { podIPs, hostIPs } = statusOf(object);
  return [
    ...(podIPs ?? []).flatMap(({ ip }, i) => ipWarnings(ip, `status.podIPs[${i}].ip`)),
    ...(hostIPs ?? []).flatMap(({ ip }, i) => ipWarnings(ip, `status.hostIPs[${i}].ip`)),
  ];
}

/** Conditions of one type, of which there may be several, are paired in order. */
function keepObserved(conditions: readonly V1PodCondition[], before: readonly V1PodCondition[]): readonly V1PodCondition[] {
  const left = [...before];
  return conditions.map((condition) => {
    const index = left.findIndex(({ type }) => type === condition.type);
    const [old] = index < 0 ? [] : left.splice(index, 1);
    if ((condition.observedGeneration ?? 0) !== 0 || old?.observedGeneration === undefined) return condition;
    return { ...condition, observedGeneration: old.observedGeneration };
  });
}

function statusOf(pod: KubeObject): V1PodStatus {
  return isRecord(pod.status) ? pod.status : {};
}
