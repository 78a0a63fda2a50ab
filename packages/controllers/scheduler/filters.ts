/** Why a pod cannot run on a node: the filters in order; the first that objects decides. */
import type { V1Node, V1Pod } from '@coffer/api/generated/types';
import { matchesRequiredNodeAffinity } from '@coffer/api/scheduling/node-affinity';
import { requestedAmounts } from '@coffer/api/scheduling/resource-amounts';
import { tolerates, UNSCHEDULABLE } from '@coffer/api/scheduling/taints';
import type { NodeState } from './node-state.ts';
import type { PodAffinityContext } from './pod-affinity.ts';
import { PodAffinityCheck } from './pod-affinity.ts';
import { TopologySpreadCheck } from './topology-spread.ts';

export interface FilterResult {
  /** Texts as users see them after `0/1 nodes are available:`. */
  readonly reasons: readonly string[];
  /** True when removing other pods from the node could help. */
  readonly resolvable: boolean;
}

/** All filters for one pod; what can be computed once for all nodes is. */
export class NodeFilters {
  readonly #pod: V1Pod;
  readonly #affinity: PodAffinityCheck;
  readonly #spread: TopologySpreadCheck;

  constructor(pod: V1Pod, context: PodAffinityContext) {
    this.#pod = pod;
    this.#affinity = new PodAffinityCheck(pod, context);
    this.#spread = new TopologySpreadCheck(pod, context.nodes);
  }

  /** Undefined when the pod fits. */
  check(state: NodeState, node: V1Node): FilterResult | undefined {
    const { tolerations } = this.#pod.spec ?? {};
    if (node.spec?.unschedulable === true && !tolerates(tolerations, { key: UNSCHEDULABLE, effect: 'NoSchedule' }))
      return { reasons: ['node(s) were unschedulable'], resolvable: false };
    const repelled = state.taints.some((taint) => taint.effect !== 'PreferNoSchedule' && !tolerates(tolerations, taint));
    if (repelled) return { reasons: ['node(s) had untolerated taint(s)'], resolvable: false };
    if (!matchesRequiredNodeAffinity(this.#pod, node))
      return { reasons: ["node(s) didn't match Pod's node affinity/selector"], resolvable: false };
    if (state.hasPortConflict(this.#pod))
      return { reasons: ["node(s) didn't have free ports for the requested pod ports"], resolvable: true };
    return fit(this.#pod, state) ?? this.#spread.check(state) ?? this.#affinity.check(state);
  }
}

function fit(pod: V1Pod, state: NodeState): FilterResult | undefined {
  const reasons: string[] = [];
  let resolvable = true;
  if (state.pods.size + 1 > (state.allocatable.get('pods') ?? 0)) reasons.push('Too many pods');
  for (const [name, amount] of requestedAmounts(pod)) {
    if (amount <= 0) continue;
    const allocatable = state.allocatable.get(name) ?? 0;
    if (amount <= allocatable - state.requested(name)) continue;
    reasons.push(`Insufficient ${name}`);
    if (amount > allocatable) resolvable = false;
  }
  return reasons.length === 0 ? undefined : { reasons, resolvable };
}
