/** Topology spread constraints that forbid placement (`DoNotSchedule`). */
import type { V1Pod, V1TopologySpreadConstraint } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';
import { matchesRequiredNodeAffinity } from '@coffer/api/scheduling/node-affinity';
import { tolerates } from '@coffer/api/scheduling/taints';
import { fromLabelSelector } from '@coffer/api/selectors/labels';
import { namespaceOf } from '@coffer/client/rest/api-object';
import type { FilterResult } from './filters.ts';
import type { NodeState } from './node-state.ts';

interface Spread {
  readonly topologyKey: string;
  readonly maxSkew: number;
  /** 1 when the pod counts itself. */
  readonly own: number;
  /** Matching pods per domain, over the nodes that count. */
  readonly counts: ReadonlyMap<string, number>;
  readonly minimum: number;
}

const REASON = "node(s) didn't match pod topology spread constraints";

/** What the constraints of one pod mean for every node; made once per pod. */
export class TopologySpreadCheck {
  readonly #spreads: readonly Spread[];

  constructor(pod: V1Pod, nodes: readonly NodeState[]) {
    const hard = (pod.spec?.topologySpreadConstraints ?? []).filter((constraint) => constraint.whenUnsatisfiable === 'DoNotSchedule');
    this.#spreads = hard.map((constraint) => spreadOf(pod, constraint, hard, nodes));
  }

  check(state: NodeState): FilterResult | undefined {
    for (const spread of this.#spreads) {
      const domain = getOwn(state.node?.metadata?.labels, spread.topologyKey);
      if (domain === undefined) return { reasons: [`${REASON} (missing required label)`], resolvable: false };
      const skew = (spread.counts.get(domain) ?? 0) + spread.own - spread.minimum;
      if (skew > spread.maxSkew) return { reasons: [REASON], resolvable: true };
    }
    return undefined;
  }
}

function spreadOf(
  pod: V1Pod,
  constraint: V1TopologySpreadConstraint,
  all: readonly V1TopologySpreadConstraint[],
  nodes: readonly NodeState[],
): Spread {
  const selector = fromLabelSelector(constraint.labelSelector);
  const matches = (other: V1Pod) =>
    selector.matches(other.metadata?.labels) &&
    (constraint.matchLabelKeys ?? []).every((key) => {
      const value = getOwn(pod.metadata?.labels, key);
      return value === undefined || getOwn(other.metadata?.labels, key) === value;
    });
  const counts = new Map<string, number>();
  for (const state of nodes) {
    if (!counted(pod, constraint, all, state)) continue;
    const domain = getOwn(state.node?.metadata?.labels, constraint.topologyKey) ?? '';
    let found = 0;
    for (const other of state.pods.values())
      if (namespaceOf(other) === namespaceOf(pod) && other.metadata?.deletionTimestamp === undefined && matches(other)) found++;
    counts.set(domain, (counts.get(domain) ?? 0) + found);
  }
  const enoughDomains = counts.size >= (constraint.minDomains ?? 1);
  return {
    topologyKey: constraint.topologyKey,
    maxSkew: constraint.maxSkew,
    own: matches(pod) ? 1 : 0,
    counts,
    minimum: enoughDomains && counts.size > 0 ? Math.min(...counts.values()) : 0,
  };
}

function counted(
  pod: V1Pod,
  constraint: V1TopologySpreadConstraint,
  all: readonly V1TopologySpreadConstraint[],
  state: NodeState,
): boolean {
  const { node } = state;
  if (node === undefined) return false;
  if (!all.every((other) => getOwn(node.metadata?.labels, other.topologyKey) !== undefined)) return false;
  if ((constraint.nodeAffinityPolicy ?? 'Honor') === 'Honor' && !matchesRequiredNodeAffinity(pod, node)) return false;
  if (constraint.nodeTaintsPolicy !== 'Honor') return true;
  return state.taints.every((taint) => taint.effect === 'PreferNoSchedule' || tolerates(pod.spec?.tolerations, taint));
}
