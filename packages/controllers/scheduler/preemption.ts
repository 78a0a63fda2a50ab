/**
 * Which pods of lower priority have to go so that a pod that fits nowhere gets a node. Promises: no more go than have to, the less important
 * first; of several nodes the one where that breaks the fewest disruption budgets and hits the least important pods. Upstream's rules.
 */
import type { V1Pod, V1PodDisruptionBudget } from '@coffer/api/generated/types';
import { keyOf, nameOf } from '@coffer/client/rest/api-object';
import { parseApiTime } from '@coffer/client/rest/api-time';
import { selectsPod } from '../common/disruption-budgets.ts';
import type { FilterResult } from './filters.ts';
import type { NodeState } from './node-state.ts';

export interface PreemptionInput {
  readonly pod: V1Pod;
  /** Nodes where it could help that other pods go. */
  readonly states: readonly NodeState[];
  /** Whether the pod fits on a node as its state is now. */
  readonly fits: (state: NodeState) => FilterResult | undefined;
  readonly budgets: readonly V1PodDisruptionBudget[];
}

export interface Preemption {
  readonly node: string;
  /** The most important one first. */
  readonly victims: readonly V1Pod[];
}

interface Candidate extends Preemption {
  /** How many victims go although their budget does not allow it. */
  readonly violations: number;
}

export function priorityOf(pod: V1Pod): number {
  return pod.spec?.priority ?? 0;
}

/** The best way, if there is one; else what is in the way on each node. States of nodes are as before afterwards. */
export function choosePreemption(input: PreemptionInput): Preemption | { readonly failures: ReadonlyMap<string, readonly string[]> } {
  const failures = new Map<string, readonly string[]>();
  let best: Candidate | undefined;
  for (const state of input.states) {
    const found = victimsOn(state, input);
    if ('victims' in found) best = best === undefined || isBetter(found, best) ? found : best;
    else failures.set(state.name, found.reasons);
  }
  return best ?? { failures };
}

function victimsOn(state: NodeState, { pod, fits, budgets }: PreemptionInput): Candidate | Pick<FilterResult, 'reasons'> {
  const lower = [...state.pods.values()].filter((other) => priorityOf(other) < priorityOf(pod)).sort(byImportance);
  if (lower.length === 0) return { reasons: ['No preemption victims found for incoming pod'] };
  for (const other of lower) state.removePod(keyOf(other));
  try {
    const failure = fits(state);
    if (failure !== undefined) return { reasons: failure.reasons };
    const violating = violatingBudgets(lower, budgets);
    const victims = new Set<V1Pod>();
    // Those that stay if they can: first those whose budgets want it, then the others.
    for (const other of [...lower.filter((one) => violating.has(one)), ...lower.filter((one) => !violating.has(one))]) {
      state.addPod(other);
      if (fits(state) === undefined) continue;
      state.removePod(keyOf(other));
      victims.add(other);
    }
    const violations = [...victims].filter((victim) => violating.has(victim)).length;
    return { node: state.name, victims: lower.filter((other) => victims.has(other)), violations };
  } finally {
    for (const other of lower) state.addPod(other);
  }
}

/** Pods that would go beyond what their budgets allow, if all went in this order. */
function violatingBudgets(pods: readonly V1Pod[], budgets: readonly V1PodDisruptionBudget[]): ReadonlySet<V1Pod> {
  const left = new Map(budgets.map((budget) => [budget, budget.status?.disruptionsAllowed ?? 0]));
  return new Set(
    pods.filter((pod) => {
      const concerned = budgets.filter((budget) => {
        const gone = budget.status?.disruptedPods ?? {};
        return selectsPod(budget, pod) && !Object.hasOwn(gone, nameOf(pod));
      });
      for (const budget of concerned) left.set(budget, (left.get(budget) ?? 0) - 1);
      return concerned.some((budget) => (left.get(budget) ?? 0) < 0);
    }),
  );
}

/** More important ones first: by priority, then by how long they run. */
function byImportance(a: V1Pod, b: V1Pod): number {
  return priorityOf(b) - priorityOf(a) || startOf(a) - startOf(b);
}

function startOf(pod: V1Pod): number {
  return parseApiTime(pod.status?.startTime) ?? Number.MAX_SAFE_INTEGER;
}

function isBetter(a: Candidate, b: Candidate): boolean {
  const highest = (candidate: Candidate) => Math.max(...candidate.victims.map(priorityOf));
  // Of priorities that may be negative: every victim counts.
  const sum = (candidate: Candidate) => candidate.victims.reduce((total, victim) => total + priorityOf(victim) + 2 ** 31, 0);
  const earliest = (candidate: Candidate) =>
    Math.min(...candidate.victims.filter((victim) => priorityOf(victim) === highest(candidate)).map(startOf));
  const difference =
    a.violations - b.violations ||
    highest(a) - highest(b) ||
    sum(a) - sum(b) ||
    a.victims.length - b.victims.length ||
    earliest(b) - earliest(a);
  return difference < 0;
}
