/** Conditions of a deployment: how they are kept and what they say. */
import type { V1DeploymentCondition } from '@coffer/api/generated/types';
import { apiTime } from '@coffer/client/rest/api-time';

export const REASONS = {
  newReplicaSet: 'NewReplicaSetCreated',
  foundNewReplicaSet: 'FoundNewReplicaSet',
  replicaSetUpdated: 'ReplicaSetUpdated',
  failedCreate: 'ReplicaSetCreateError',
  newReplicaSetAvailable: 'NewReplicaSetAvailable',
  timedOut: 'ProgressDeadlineExceeded',
  paused: 'DeploymentPaused',
  resumed: 'DeploymentResumed',
  minimumAvailable: 'MinimumReplicasAvailable',
  minimumUnavailable: 'MinimumReplicasUnavailable',
} as const;

export type Conditions = readonly V1DeploymentCondition[];

export function findCondition(conditions: Conditions | undefined, type: string): V1DeploymentCondition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

export function makeCondition(type: string, status: string, reason: string, message: string, nowMs: number): V1DeploymentCondition {
  const now = apiTime(nowMs);
  return { type, status, reason, message, lastUpdateTime: now, lastTransitionTime: now };
}

/** Replaces the condition of that type; a condition with the same status and reason stays as it is. */
export function setCondition(conditions: Conditions, condition: V1DeploymentCondition): Conditions {
  const current = findCondition(conditions, condition.type);
  if (current !== undefined && current.status === condition.status && current.reason === condition.reason) return conditions;
  const kept =
    current !== undefined && current.status === condition.status && current.lastTransitionTime !== undefined
      ? { ...condition, lastTransitionTime: current.lastTransitionTime }
      : condition;
  return [...removeCondition(conditions, condition.type), kept];
}

export function removeCondition(conditions: Conditions, type: string): Conditions {
  return conditions.filter((condition) => condition.type !== type);
}
