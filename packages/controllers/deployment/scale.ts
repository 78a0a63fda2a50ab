/** Follows a change of `spec.replicas`: the one active set is resized, several active sets share the change in proportion. */
import type { V1Deployment, V1ReplicaSet } from '@coffer/api/generated/types';
import type { LoopDeps } from '../common/loop-deps.ts';
import { DESIRED_REPLICAS, numberAnnotation } from './annotations.ts';
import { byCreation, scaleSet } from './replica-sets.ts';
import {
  desiredReplicas,
  isRollingUpdate,
  isSaturated,
  proportion,
  rolloutLimits,
  specReplicas,
  totalSpecReplicas,
} from './rollout-math.ts';

/** True when an active set was last sized for another number of replicas. */
export function wasScaled(deployment: V1Deployment, sets: readonly V1ReplicaSet[]): boolean {
  return sets.some((set) => {
    if (specReplicas(set) === 0) return false;
    const sizedFor = numberAnnotation(set, DESIRED_REPLICAS);
    return sizedFor !== undefined && sizedFor !== desiredReplicas(deployment);
  });
}

export async function scaleDeployment(
  deps: LoopDeps,
  deployment: V1Deployment,
  newSet: V1ReplicaSet | undefined,
  old: readonly V1ReplicaSet[],
  signal: AbortSignal,
): Promise<void> {
  const desired = desiredReplicas(deployment);
  const only = activeOrLatest(newSet, old);
  if (only !== undefined) {
    await scaleSet(deps, deployment, only, desired, signal);
    return;
  }
  if (isSaturated(deployment, newSet)) {
    for (const set of old) if (specReplicas(set) > 0) await scaleSet(deps, deployment, set, 0, signal);
    return;
  }
  if (isRollingUpdate(deployment)) await scaleInProportion(deps, deployment, newSet, old, signal);
}

/** The single set with replicas; when none has any, the new one or the youngest; undefined when several have. */
function activeOrLatest(newSet: V1ReplicaSet | undefined, old: readonly V1ReplicaSet[]): V1ReplicaSet | undefined {
  const all = newSet === undefined ? [...old] : [newSet, ...old];
  const active = all.filter((set) => specReplicas(set) > 0);
  if (active.length > 1) return undefined;
  return active[0] ?? newSet ?? [...old].sort((a, b) => byCreation(b, a))[0];
}

async function scaleInProportion(
  deps: LoopDeps,
  deployment: V1Deployment,
  newSet: V1ReplicaSet | undefined,
  old: readonly V1ReplicaSet[],
  signal: AbortSignal,
): Promise<void> {
  const all = (newSet === undefined ? [...old] : [...old, newSet]).filter((set) => specReplicas(set) > 0);
  const desired = desiredReplicas(deployment);
  const allowed = desired > 0 ? desired + rolloutLimits(deployment).maxSurge : 0;
  const toAdd = allowed - totalSpecReplicas(all);
  // Larger sets first; among equals the younger grow first and the older shrink first.
  const ordered = [...all].sort((a, b) => specReplicas(b) - specReplicas(a) || (toAdd > 0 ? byCreation(b, a) : byCreation(a, b)));
  let added = 0;
  const sizes = ordered.map((set) => {
    const share = toAdd === 0 ? 0 : proportion(set, deployment, toAdd, added);
    added += share;
    return specReplicas(set) + share;
  });
  for (const [i, set] of ordered.entries()) {
    const rest = i === 0 && toAdd !== 0 ? toAdd - added : 0;
    await scaleSet(deps, deployment, set, Math.max(0, (sizes[i] ?? 0) + rest), signal);
  }
}
