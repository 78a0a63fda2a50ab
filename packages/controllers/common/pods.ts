/** Facts about pods that several loops need. */
import type { V1Pod, V1PodCondition } from '@coffer/api/generated/types';
import { parseApiTime } from '@coffer/client/rest/api-time';

export function podCondition(pod: V1Pod, type: string): V1PodCondition | undefined {
  return pod.status?.conditions?.find((condition) => condition.type === type);
}

export function isPodReady(pod: V1Pod): boolean {
  return podCondition(pod, 'Ready')?.status === 'True';
}

/** Ready for at least `minReadySeconds`. */
export function isPodAvailable(pod: V1Pod, minReadySeconds: number, nowMs: number): boolean {
  if (!isPodReady(pod)) return false;
  if (minReadySeconds === 0) return true;
  const sinceMs = parseApiTime(podCondition(pod, 'Ready')?.lastTransitionTime);
  return sinceMs !== undefined && sinceMs + minReadySeconds * 1000 <= nowMs;
}

export function isPodTerminal(pod: V1Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** Neither finished nor being deleted. */
export function isPodActive(pod: V1Pod): boolean {
  return !isPodTerminal(pod) && pod.metadata?.deletionTimestamp === undefined;
}

/** The restart count of the container that restarted most often. */
export function maxContainerRestarts(pod: V1Pod): number {
  let most = 0;
  for (const status of pod.status?.containerStatuses ?? []) most = Math.max(most, status.restartCount);
  return most;
}
