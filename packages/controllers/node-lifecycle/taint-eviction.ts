/** When a pod has to leave a node because of `NoExecute` taints. Pure. */
import type { V1Pod, V1Taint } from '@coffer/api/generated/types';
import { covers } from '@coffer/api/scheduling/taints';
import { parseApiTime } from '@coffer/client/rest/api-time';

/** Milliseconds since the epoch; `never` while all taints are tolerated without limit. */
export type EvictionTime = number | 'never';

export function evictionTime(pod: V1Pod, taints: readonly V1Taint[], nowMs: number): EvictionTime {
  const executing = taints.filter((taint) => taint.effect === 'NoExecute');
  if (executing.length === 0) return 'never';
  let shortestMs: number | undefined;
  let sinceMs = nowMs;
  for (const taint of executing) {
    const tolerations = (pod.spec?.tolerations ?? []).filter((toleration) => covers(toleration, taint));
    if (tolerations.length === 0) return 0;
    for (const toleration of tolerations) {
      if (toleration.tolerationSeconds === undefined) continue;
      const ms = Math.max(0, toleration.tolerationSeconds) * 1000;
      shortestMs = shortestMs === undefined ? ms : Math.min(shortestMs, ms);
    }
    sinceMs = Math.min(sinceMs, parseApiTime(taint.timeAdded) ?? nowMs);
  }
  return shortestMs === undefined ? 'never' : sinceMs + shortestMs;
}
