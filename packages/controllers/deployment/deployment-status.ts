/** The status of a deployment from its replica sets: counts, `Available`, and `Progressing` with the progress deadline. Pure. */
import type { V1Deployment, V1DeploymentStatus, V1ReplicaSet } from '@coffer/api/generated/types';
import { nameOf } from '@coffer/client/rest/api-object';
import { parseApiTime } from '@coffer/client/rest/api-time';
import type { Conditions } from './conditions.ts';
import { findCondition, makeCondition, REASONS, removeCondition, setCondition } from './conditions.ts';
import { desiredReplicas, maxUnavailableOf, totalAvailable, totalReady, totalReplicas } from './rollout-math.ts';

/** A deadline of this many seconds means that there is none. */
const NO_DEADLINE_SECONDS = 2_147_483_647;

export function hasProgressDeadline(deployment: V1Deployment): boolean {
  const seconds = deployment.spec?.progressDeadlineSeconds;
  return seconds !== undefined && seconds !== NO_DEADLINE_SECONDS;
}

/** Counts and the condition `Available`; the other conditions are carried over. */
export function deploymentStatus(
  deployment: V1Deployment,
  all: readonly V1ReplicaSet[],
  newSet: V1ReplicaSet | undefined,
  nowMs: number,
): V1DeploymentStatus {
  const available = totalAvailable(all);
  const total = all.reduce((sum, set) => sum + (set.spec?.replicas ?? 1), 0);
  const minimum = desiredReplicas(deployment) - maxUnavailableOf(deployment);
  const condition =
    available >= minimum
      ? makeCondition('Available', 'True', REASONS.minimumAvailable, 'Deployment has minimum availability.', nowMs)
      : makeCondition('Available', 'False', REASONS.minimumUnavailable, 'Deployment does not have minimum availability.', nowMs);
  return statusOf(deployment, setCondition(deployment.status?.conditions ?? [], condition), {
    replicas: totalReplicas(all),
    updatedReplicas: newSet === undefined ? 0 : (newSet.status?.replicas ?? 0),
    readyReplicas: totalReady(all),
    availableReplicas: available,
    unavailableReplicas: Math.max(0, total - available),
    terminatingReplicas: all.reduce((sum, set) => sum + (set.status?.terminatingReplicas ?? 0), 0),
  });
}

interface Counts {
  readonly replicas: number;
  readonly updatedReplicas: number;
  readonly readyReplicas: number;
  readonly availableReplicas: number;
  readonly unavailableReplicas: number;
  readonly terminatingReplicas: number;
}

function statusOf(deployment: V1Deployment, conditions: Conditions, counts: Counts): V1DeploymentStatus {
  const collisionCount = deployment.status?.collisionCount;
  return {
    observedGeneration: deployment.metadata?.generation ?? 0,
    ...(counts.replicas === 0 ? {} : { replicas: counts.replicas }),
    ...(counts.updatedReplicas === 0 ? {} : { updatedReplicas: counts.updatedReplicas }),
    ...(counts.readyReplicas === 0 ? {} : { readyReplicas: counts.readyReplicas }),
    ...(counts.availableReplicas === 0 ? {} : { availableReplicas: counts.availableReplicas }),
    ...(counts.unavailableReplicas === 0 ? {} : { unavailableReplicas: counts.unavailableReplicas }),
    terminatingReplicas: counts.terminatingReplicas,
    ...(collisionCount === undefined ? {} : { collisionCount }),
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}

/** Updates `Progressing` and `ReplicaFailure` of a freshly computed status. */
export function withProgress(
  deployment: V1Deployment,
  status: V1DeploymentStatus,
  all: readonly V1ReplicaSet[],
  newSet: V1ReplicaSet | undefined,
  nowMs: number,
): V1DeploymentStatus {
  let conditions: Conditions = status.conditions ?? [];
  if (!hasProgressDeadline(deployment)) conditions = removeCondition(conditions, 'Progressing');
  const current = findCondition(deployment.status?.conditions, 'Progressing');
  const wasComplete = (status.replicas ?? 0) === (status.updatedReplicas ?? 0) && current?.reason === REASONS.newReplicaSetAvailable;
  if (hasProgressDeadline(deployment) && !wasComplete) {
    const subject = newSet === undefined ? `Deployment "${nameOf(deployment)}"` : `ReplicaSet "${nameOf(newSet)}"`;
    if (isComplete(deployment, status)) {
      const message = `${subject} has successfully progressed.`;
      conditions = setCondition(conditions, makeCondition('Progressing', 'True', REASONS.newReplicaSetAvailable, message, nowMs));
    } else if (isProgressing(deployment, status)) {
      const made = makeCondition('Progressing', 'True', REASONS.replicaSetUpdated, `${subject} is progressing.`, nowMs);
      // Progress moves the time of the last update even when status and reason stay.
      const kept =
        current?.status === 'True' && current.lastTransitionTime !== undefined
          ? { ...made, lastTransitionTime: current.lastTransitionTime }
          : made;
      conditions = setCondition(removeCondition(conditions, 'Progressing'), kept);
    } else if (hasTimedOut(deployment, status, nowMs)) {
      const message = `${subject} has timed out progressing.`;
      conditions = setCondition(conditions, makeCondition('Progressing', 'False', REASONS.timedOut, message, nowMs));
    }
  }
  const failure = replicaFailure(all, newSet);
  conditions = failure === undefined ? removeCondition(conditions, 'ReplicaFailure') : setCondition(conditions, failure);
  const { conditions: _old, ...rest } = status;
  return conditions.length === 0 ? rest : { ...rest, conditions };
}

/** All pods are of the new template and available, and the status is about the present spec. */
export function isComplete(deployment: V1Deployment, status: V1DeploymentStatus): boolean {
  const desired = desiredReplicas(deployment);
  return (
    (status.updatedReplicas ?? 0) === desired &&
    (status.replicas ?? 0) === desired &&
    (status.availableReplicas ?? 0) === desired &&
    (status.observedGeneration ?? 0) >= (deployment.metadata?.generation ?? 0)
  );
}

/** Something moved since the status that is stored. */
function isProgressing(deployment: V1Deployment, status: V1DeploymentStatus): boolean {
  const old = deployment.status ?? {};
  const oldPods = (s: V1DeploymentStatus) => (s.replicas ?? 0) - (s.updatedReplicas ?? 0);
  return (
    (status.updatedReplicas ?? 0) > (old.updatedReplicas ?? 0) ||
    oldPods(status) < oldPods(old) ||
    (status.readyReplicas ?? 0) > (old.readyReplicas ?? 0) ||
    (status.availableReplicas ?? 0) > (old.availableReplicas ?? 0)
  );
}

/** No progress for longer than the deadline. */
export function hasTimedOut(deployment: V1Deployment, status: V1DeploymentStatus, nowMs: number): boolean {
  if (!hasProgressDeadline(deployment)) return false;
  const condition = findCondition(status.conditions, 'Progressing');
  if (condition === undefined) return false;
  if (condition.reason === REASONS.newReplicaSetAvailable) return false;
  if (condition.reason === REASONS.timedOut) return true;
  const sinceMs = parseApiTime(condition.lastUpdateTime);
  return sinceMs !== undefined && sinceMs + (deployment.spec?.progressDeadlineSeconds ?? 0) * 1000 < nowMs;
}

/** How long until a deployment that does not progress has to be looked at again; undefined when it need not be. */
export function stuckCheckDelayMs(deployment: V1Deployment, status: V1DeploymentStatus, nowMs: number): number | undefined {
  const condition = findCondition(deployment.status?.conditions, 'Progressing');
  if (!hasProgressDeadline(deployment) || condition === undefined) return undefined;
  if (isComplete(deployment, status) || condition.reason === REASONS.timedOut) return undefined;
  const sinceMs = parseApiTime(condition.lastUpdateTime) ?? nowMs;
  const leftMs = sinceMs + (deployment.spec?.progressDeadlineSeconds ?? 0) * 1000 - nowMs;
  // A second later than due: times of the API have whole seconds.
  return leftMs < 1000 ? 0 : leftMs + 1000;
}

/** The failure of the newest set that has one, as a condition of the deployment. */
function replicaFailure(all: readonly V1ReplicaSet[], newSet: V1ReplicaSet | undefined) {
  const ordered = newSet === undefined ? all : [newSet, ...all.filter((set) => set !== newSet)];
  for (const set of ordered) {
    const condition = set.status?.conditions?.find((c) => c.type === 'ReplicaFailure');
    if (condition === undefined) continue;
    const time = condition.lastTransitionTime;
    return {
      type: 'ReplicaFailure',
      status: condition.status,
      ...(condition.reason === undefined ? {} : { reason: condition.reason }),
      ...(condition.message === undefined ? {} : { message: condition.message }),
      ...(time === undefined ? {} : { lastTransitionTime: time, lastUpdateTime: time }),
    };
  }
  return undefined;
}
