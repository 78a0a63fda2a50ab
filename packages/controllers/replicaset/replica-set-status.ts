/** The status of a replica set, computed from its pods and written when it changed. */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Pod, V1ReplicaSetCondition, V1ReplicaSetStatus } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { fromLabels } from '@coffer/api/selectors/labels';
import { nameOf, namespaceOf } from '@coffer/client/rest/api-object';
import { apiTime } from '@coffer/client/rest/api-time';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isPodAvailable, isPodReady } from '../common/pods.ts';
import type { PodSet, SetKind } from './pod-set.ts';

/** What went wrong while creating or deleting pods; shown as condition `ReplicaFailure`. */
export interface ReplicaFailure {
  readonly reason: 'FailedCreate' | 'FailedDelete';
  readonly message: string;
}

export function replicaSetStatus(
  kind: SetKind,
  set: PodSet,
  activePods: readonly V1Pod[],
  terminatingPods: readonly V1Pod[],
  failure: ReplicaFailure | undefined,
  nowMs: number,
): V1ReplicaSetStatus {
  const templateLabels = fromLabels(set.spec?.template?.metadata?.labels ?? {});
  const minReadySeconds = set.spec?.minReadySeconds ?? 0;
  let fullyLabeledReplicas = 0;
  let readyReplicas = 0;
  let availableReplicas = 0;
  for (const pod of activePods) {
    if (templateLabels.matches(pod.metadata?.labels)) fullyLabeledReplicas++;
    if (!isPodReady(pod)) continue;
    readyReplicas++;
    if (isPodAvailable(pod, minReadySeconds, nowMs)) availableReplicas++;
  }
  const conditions = withFailure(set.status?.conditions ?? [], failure, nowMs);
  return {
    replicas: activePods.length,
    ...(fullyLabeledReplicas === 0 ? {} : { fullyLabeledReplicas }),
    ...(readyReplicas === 0 ? {} : { readyReplicas }),
    ...(availableReplicas === 0 ? {} : { availableReplicas }),
    ...(kind.countsTerminating ? { terminatingReplicas: terminatingPods.length } : {}),
    observedGeneration: set.metadata?.generation ?? 0,
    ...(conditions.length === 0 ? {} : { conditions }),
  };
}

/** Writes the status when it differs; a conflict is tried once more on the newest state. */
export async function writeReplicaSetStatus(
  deps: LoopDeps,
  kind: SetKind,
  set: PodSet,
  status: V1ReplicaSetStatus,
  signal: AbortSignal,
): Promise<PodSet> {
  if (equalJson(set.status, status)) return set;
  const client = deps.api.resource(kind.ref);
  const scope = { namespace: namespaceOf(set), signal };
  try {
    return await client.updateStatus({ ...set, status }, scope);
  } catch (error) {
    if (!isReason(error, 'Conflict')) throw error;
    const fresh = await client.get(nameOf(set), scope);
    return client.updateStatus({ ...fresh, status }, scope);
  }
}

function withFailure(
  old: readonly V1ReplicaSetCondition[],
  failure: ReplicaFailure | undefined,
  nowMs: number,
): readonly V1ReplicaSetCondition[] {
  const current = old.find((condition) => condition.type === 'ReplicaFailure');
  const others = old.filter((condition) => condition.type !== 'ReplicaFailure');
  if (failure === undefined) return others;
  if (current?.status === 'True' && current.reason === failure.reason) return old;
  return [...others, { type: 'ReplicaFailure', status: 'True', lastTransitionTime: apiTime(nowMs), ...failure }];
}
