import type { V1Pod } from '@coffer/api/generated/types';
import { apiTime, parseApiTime } from '@coffer/client/rest/api-time';
import { isPodTerminal, podCondition } from '../common/pods.ts';

/** A pod that was said to be going away and is not being deleted after this long stays. */
const STALE_AFTER_MS = 120_000;

/**
 * The patch of the status of a pod that was to be disrupted and was not; undefined for all others. What a kubelet says of its own pods may
 * take any time.
 */
export function staleDisruption(pod: V1Pod, nowMs: number): object | undefined {
  const condition = podCondition(pod, 'DisruptionTarget');
  if (condition?.status !== 'True' || condition.reason === 'TerminationByKubelet') return undefined;
  if (pod.metadata?.deletionTimestamp !== undefined || isPodTerminal(pod)) return undefined;
  if ((parseApiTime(condition.lastTransitionTime) ?? 0) + STALE_AFTER_MS > nowMs) return undefined;
  const reset = { type: condition.type, status: 'False', reason: null, message: null, lastTransitionTime: apiTime(nowMs) };
  return { metadata: { uid: pod.metadata?.uid, resourceVersion: pod.metadata?.resourceVersion }, status: { conditions: [reset] } };
}
