/** Which of the nodes a pod fits on is the best: compared criterion by criterion. */
import type { V1Node, V1Pod } from '@coffer/api/generated/types';
import { preferredNodeWeight } from '@coffer/api/scheduling/node-affinity';
import { requestedAmounts } from '@coffer/api/scheduling/resource-amounts';
import { tolerates } from '@coffer/api/scheduling/taints';
import { namespaceOf } from '@coffer/client/rest/api-object';
import { controllerOf } from '../common/controller-ref.ts';
import type { NodeState } from './node-state.ts';

export interface Candidate {
  readonly state: NodeState;
  readonly node: V1Node;
}

/** Fewest untolerated soft taints, most preferred, fewest pods of the same owner, least filled, fewest pods, first by name. */
export function bestNode(pod: V1Pod, candidates: readonly Candidate[]): Candidate | undefined {
  if (candidates.length < 2) return candidates[0];
  let best: { readonly candidate: Candidate; readonly score: readonly number[] } | undefined;
  for (const candidate of candidates) {
    const score = scoreOf(pod, candidate);
    if (
      best === undefined ||
      isLess(score, best.score) ||
      (!isLess(best.score, score) && candidate.state.name < best.candidate.state.name)
    ) {
      best = { candidate, score };
    }
  }
  return best?.candidate;
}

function scoreOf(pod: V1Pod, { state, node }: Candidate): readonly number[] {
  const softTaints = state.taints.filter((taint) => taint.effect === 'PreferNoSchedule' && !tolerates(pod.spec?.tolerations, taint)).length;
  const owner = controllerOf(pod)?.uid;
  let siblings = 0;
  if (owner !== undefined)
    for (const other of state.pods.values()) if (namespaceOf(other) === namespaceOf(pod) && controllerOf(other)?.uid === owner) siblings++;
  return [softTaints, -preferredNodeWeight(pod, node), siblings, filled(pod, state), state.pods.size];
}

/** The mean share of CPU and memory that would be requested. */
function filled(pod: V1Pod, state: NodeState): number {
  let sum = 0;
  for (const name of ['cpu', 'memory']) {
    const allocatable = state.allocatable.get(name) ?? 0;
    if (allocatable > 0) sum += (state.requested(name) + (requestedAmounts(pod).get(name) ?? 0)) / allocatable;
  }
  return Math.round(sum * 50);
}

function isLess(a: readonly number[], b: readonly number[]): boolean {
  for (const [i, value] of a.entries()) {
    const other = b[i] ?? 0;
    if (value !== other) return value < other;
  }
  return false;
}
