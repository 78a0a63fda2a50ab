/** One step of a rolling update: the new set grows within the surge, old sets shrink within the allowed unavailability. */
import type { V1Deployment, V1ReplicaSet } from '@coffer/api/generated/types';
import type { LoopDeps } from '../common/loop-deps.ts';
import { byCreation, scaleSet } from './replica-sets.ts';
import { desiredReplicas, newSetSize, rolloutLimits, specReplicas, totalAvailable, totalSpecReplicas } from './rollout-math.ts';

/** Resolves to true when something was scaled: the next step then waits for its effect. */
export async function rollingUpdateStep(
  deps: LoopDeps,
  deployment: V1Deployment,
  newSet: V1ReplicaSet,
  old: readonly V1ReplicaSet[],
  signal: AbortSignal,
): Promise<boolean> {
  const all = [newSet, ...old];
  const size = newSetSizeOrShrink(deployment, all, newSet);
  if (size !== specReplicas(newSet)) {
    await scaleSet(deps, deployment, newSet, size, signal);
    return true;
  }
  return shrinkOldSets(deps, deployment, newSet, old, signal);
}

function newSetSizeOrShrink(deployment: V1Deployment, all: readonly V1ReplicaSet[], newSet: V1ReplicaSet): number {
  const desired = desiredReplicas(deployment);
  return specReplicas(newSet) > desired ? desired : newSetSize(deployment, all, newSet);
}

async function shrinkOldSets(
  deps: LoopDeps,
  deployment: V1Deployment,
  newSet: V1ReplicaSet,
  old: readonly V1ReplicaSet[],
  signal: AbortSignal,
): Promise<boolean> {
  if (totalSpecReplicas(old) === 0) return false;
  const all = [newSet, ...old];
  const minAvailable = desiredReplicas(deployment) - rolloutLimits(deployment).maxUnavailable;
  const newUnavailable = specReplicas(newSet) - (newSet.status?.availableReplicas ?? 0);
  const maxScaledDown = totalSpecReplicas(all) - minAvailable - newUnavailable;
  if (maxScaledDown <= 0) return false;
  const sorted = [...old].sort(byCreation);
  // Pods that do not work go first: taking them away costs no availability.
  let removed = 0;
  const cleaned: V1ReplicaSet[] = [];
  for (const set of sorted) {
    const unhealthy = specReplicas(set) - (set.status?.availableReplicas ?? 0);
    const count = Math.min(maxScaledDown - removed, Math.max(0, unhealthy));
    cleaned.push(count > 0 ? await scaleSet(deps, deployment, set, specReplicas(set) - count, signal) : set);
    removed += Math.max(0, count);
  }
  let healthy = totalAvailable(all) - minAvailable;
  for (const set of cleaned) {
    if (healthy <= 0) break;
    const count = Math.min(specReplicas(set), healthy);
    if (count === 0) continue;
    await scaleSet(deps, deployment, set, specReplicas(set) - count, signal);
    healthy -= count;
    removed += count;
  }
  return removed > 0;
}
