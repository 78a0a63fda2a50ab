/** What a new version of a pod changed, as far as it matters to the kubelet. Pure. */
import { equalJson } from '@coffer/api/meta/safe-object';
import { isTerminalPhase, type Pod } from '../types.ts';

/** Whether nothing but the status fields that this kubelet writes changed. */
export function isOwnEcho(before: Pod, after: Pod): boolean {
  const { resourceVersion: _a, ...metaBefore } = before.metadata;
  const { resourceVersion: _b, ...metaAfter } = after.metadata;
  return (
    equalJson(metaBefore, metaAfter) &&
    equalJson(before.spec, after.spec) &&
    equalJson(foreignConditions(before), foreignConditions(after)) &&
    isTerminalPhase(before.status.phase) === isTerminalPhase(after.status.phase)
  );
}

function foreignConditions(pod: Pod): unknown {
  const gates = new Set((pod.spec.readinessGates ?? []).map((gate) => gate.conditionType));
  return (pod.status.conditions ?? []).filter((condition) => gates.has(condition.type));
}

/** Whether downward API files may stay as they are. */
export function sameDownwardFields(before: Pod, after: Pod): boolean {
  return equalJson(before.metadata.labels, after.metadata.labels) && equalJson(before.metadata.annotations, after.metadata.annotations);
}
