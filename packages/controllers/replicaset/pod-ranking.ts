/** Which pods go first when a replica set shrinks. */
import type { V1Pod } from '@coffer/api/generated/types';
import { parseApiTime } from '@coffer/client/rest/api-time';
import { isPodReady, maxContainerRestarts, podCondition } from '../common/pods.ts';

const DELETION_COST = 'controller.kubernetes.io/pod-deletion-cost';
const PHASE_ORDER: Readonly<Record<string, number>> = { Pending: 0, Unknown: 1, Running: 2 };

/**
 * The `count` pods to delete: unassigned before assigned, pending before running, not ready before ready, cheaper before dearer, those on
 * nodes with more of `relatedPods` first, ready for a shorter time (by orders of magnitude) first, more restarts first, younger first.
 */
export function podsToDelete(pods: readonly V1Pod[], relatedPods: readonly V1Pod[], count: number, nowMs: number): V1Pod[] {
  if (count >= pods.length) return [...pods];
  const perNode = new Map<string, number>();
  for (const pod of relatedPods) {
    const node = pod.spec?.nodeName ?? '';
    if (pod.metadata?.deletionTimestamp === undefined) perNode.set(node, (perNode.get(node) ?? 0) + 1);
  }
  const rank = (pod: V1Pod) => perNode.get(pod.spec?.nodeName ?? '') ?? 0;
  return [...pods].sort((a, b) => compare(a, b, rank, nowMs)).slice(0, count);
}

function compare(a: V1Pod, b: V1Pod, rank: (pod: V1Pod) => number, nowMs: number): number {
  const byAssignment = Number(isAssigned(a)) - Number(isAssigned(b));
  if (byAssignment !== 0) return byAssignment;
  const byPhase = phaseOrder(a) - phaseOrder(b);
  if (byPhase !== 0) return byPhase;
  const byReadiness = Number(isPodReady(a)) - Number(isPodReady(b));
  if (byReadiness !== 0) return byReadiness;
  const byCost = deletionCost(a) - deletionCost(b);
  if (byCost !== 0) return byCost;
  const byRank = rank(b) - rank(a);
  if (byRank !== 0) return byRank;
  if (isPodReady(a) && isPodReady(b)) {
    const byReadyTime = compareAges(readySinceMs(a), readySinceMs(b), nowMs);
    if (byReadyTime !== 0) return byReadyTime;
  }
  const byRestarts = maxContainerRestarts(b) - maxContainerRestarts(a);
  if (byRestarts !== 0) return byRestarts;
  const byAge = compareAges(parseApiTime(a.metadata?.creationTimestamp), parseApiTime(b.metadata?.creationTimestamp), nowMs);
  if (byAge !== 0) return byAge;
  return (a.metadata?.uid ?? '') < (b.metadata?.uid ?? '') ? -1 : 1;
}

function isAssigned(pod: V1Pod): boolean {
  return (pod.spec?.nodeName ?? '') !== '';
}

function phaseOrder(pod: V1Pod): number {
  return PHASE_ORDER[pod.status?.phase ?? 'Pending'] ?? 0;
}

function deletionCost(pod: V1Pod): number {
  const text = pod.metadata?.annotations?.[DELETION_COST];
  return text !== undefined && /^-?(0|[1-9][0-9]*)$/.test(text) ? Number(text) : 0;
}

function readySinceMs(pod: V1Pod): number | undefined {
  return parseApiTime(podCondition(pod, 'Ready')?.lastTransitionTime);
}

/** Younger first, but only when the ages differ by a power of two; an unknown time counts as youngest. */
function compareAges(aMs: number | undefined, bMs: number | undefined, nowMs: number): number {
  if (aMs === undefined || bMs === undefined) return Number(aMs !== undefined) - Number(bMs !== undefined);
  return magnitude(nowMs - aMs) - magnitude(nowMs - bMs);
}

function magnitude(ageMs: number): number {
  return ageMs <= 0 ? -1 : Math.floor(Math.log2(ageMs * 1e6));
}
