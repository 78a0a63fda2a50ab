/** Arithmetic of rollouts: limits, proportions, sums over replica sets. Pure. */
import type { V1Deployment, V1ReplicaSet } from '@coffer/api/generated/types';
import { DESIRED_REPLICAS, MAX_REPLICAS, numberAnnotation } from './annotations.ts';

export function desiredReplicas(deployment: V1Deployment): number {
  return deployment.spec?.replicas ?? 1;
}

export function specReplicas(set: V1ReplicaSet): number {
  return set.spec?.replicas ?? 1;
}

export function isRollingUpdate(deployment: V1Deployment): boolean {
  return (deployment.spec?.strategy?.type ?? 'RollingUpdate') === 'RollingUpdate';
}

export function totalSpecReplicas(sets: readonly V1ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + specReplicas(set), 0);
}

export function totalReplicas(sets: readonly V1ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + (set.status?.replicas ?? 0), 0);
}

export function totalReady(sets: readonly V1ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + (set.status?.readyReplicas ?? 0), 0);
}

export function totalAvailable(sets: readonly V1ReplicaSet[]): number {
  return sets.reduce((sum, set) => sum + (set.status?.availableReplicas ?? 0), 0);
}

export interface RolloutLimits {
  readonly maxSurge: number;
  readonly maxUnavailable: number;
}

/** Surge rounded up, unavailability down; never both 0, because nothing could move then. */
export function rolloutLimits(deployment: V1Deployment): RolloutLimits {
  if (!isRollingUpdate(deployment) || desiredReplicas(deployment) === 0) return { maxSurge: 0, maxUnavailable: 0 };
  const update = deployment.spec?.strategy?.rollingUpdate;
  const desired = desiredReplicas(deployment);
  const maxSurge = amount(update?.maxSurge ?? '25%', desired, Math.ceil);
  const maxUnavailable = amount(update?.maxUnavailable ?? '25%', desired, Math.floor);
  if (maxSurge === 0 && maxUnavailable === 0) return { maxSurge, maxUnavailable: 1 };
  return { maxSurge, maxUnavailable: Math.min(maxUnavailable, desired) };
}

/** Limits as shown by conditions: without the surge of a deployment that does not roll. */
export function maxUnavailableOf(deployment: V1Deployment): number {
  return rolloutLimits(deployment).maxUnavailable;
}

function amount(value: string | number, total: number, round: (n: number) => number): number {
  if (typeof value === 'number') return value;
  const match = /^([0-9]+)%$/.exec(value);
  if (match === null) throw new Error(`not a number or percentage: ${JSON.stringify(value)}`);
  return round((Number(match[1]) * total) / 100);
}

/** How many replicas the new set should have now, within the surge limit. */
export function newSetSize(deployment: V1Deployment, all: readonly V1ReplicaSet[], newSet: V1ReplicaSet): number {
  const desired = desiredReplicas(deployment);
  const current = specReplicas(newSet);
  if (!isRollingUpdate(deployment)) return desired;
  const { maxSurge } = rolloutLimits(deployment);
  const room = desired + maxSurge - totalSpecReplicas(all);
  return room <= 0 ? current : current + Math.min(room, desired - current);
}

/** True when the new set alone is all there is and everything is available. */
export function isSaturated(deployment: V1Deployment, set: V1ReplicaSet | undefined): boolean {
  if (set === undefined) return false;
  const desired = desiredReplicas(deployment);
  const annotated = numberAnnotation(set, DESIRED_REPLICAS);
  return specReplicas(set) === desired && annotated === desired && (set.status?.availableReplicas ?? 0) === desired;
}

/** Share of `replicasToAdd` (negative to remove) that falls to one set in proportion to its size when the deployment was scaled. */
export function proportion(set: V1ReplicaSet, deployment: V1Deployment, replicasToAdd: number, alreadyAdded: number): number {
  if (specReplicas(set) === 0 || replicasToAdd === 0 || replicasToAdd === alreadyAdded) return 0;
  const share = fraction(set, deployment);
  const allowed = replicasToAdd - alreadyAdded;
  return replicasToAdd > 0 ? Math.min(share, allowed) : Math.max(share, allowed);
}

function fraction(set: V1ReplicaSet, deployment: V1Deployment): number {
  const size = specReplicas(set);
  if (desiredReplicas(deployment) === 0) return -size;
  const target = desiredReplicas(deployment) + rolloutLimits(deployment).maxSurge;
  let before = numberAnnotation(set, MAX_REPLICAS);
  if (before === undefined || before === 0) {
    // Written by somebody else: the best guess is what the deployment reports.
    before = deployment.status?.replicas ?? 0;
    if (before === 0) return 0;
  }
  return roundHalfAway((size * target) / before) - size;
}

function roundHalfAway(value: number): number {
  return value < 0 ? -Math.round(-value) : Math.round(value);
}
