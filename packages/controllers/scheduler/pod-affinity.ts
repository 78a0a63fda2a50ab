/** Required affinity and anti-affinity between pods, by the topology of their nodes. */
import type { V1Namespace, V1Pod, V1PodAffinityTerm } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';
import { fromLabelSelector } from '@coffer/api/selectors/labels';
import { namespaceOf } from '@coffer/client/rest/api-object';
import type { FilterResult } from './filters.ts';
import type { NodeState } from './node-state.ts';

export interface PodAffinityContext {
  readonly nodes: readonly NodeState[];
  namespace(name: string): V1Namespace | undefined;
}

interface Term {
  readonly topologyKey: string;
  matches(pod: V1Pod): boolean;
}

/** Counts per `topologyKey` and value. */
type TopologyCounts = Map<string, Map<string, number>>;

/** What the affinity rules of one incoming pod mean for every node; made once per pod. */
export class PodAffinityCheck {
  readonly #affinity: readonly Term[];
  readonly #antiAffinity: readonly Term[];
  readonly #affinityCounts: TopologyCounts = new Map();
  readonly #antiAffinityCounts: TopologyCounts = new Map();
  readonly #existingAntiAffinity: TopologyCounts = new Map();
  /** No pod matches yet, but this one matches its own terms: the first of a group that wants to be together. */
  readonly #isFirstOfItsKind: boolean;

  constructor(pod: V1Pod, context: PodAffinityContext) {
    const { affinity } = pod.spec ?? {};
    this.#affinity = terms(pod, affinity?.podAffinity?.requiredDuringSchedulingIgnoredDuringExecution, context);
    this.#antiAffinity = terms(pod, affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution, context);
    for (const state of context.nodes) {
      const labels = state.node?.metadata?.labels;
      if (labels === undefined) continue;
      for (const other of state.pods.values()) {
        if (this.#affinity.length > 0 && this.#affinity.every((term) => term.matches(other)))
          for (const term of this.#affinity) count(this.#affinityCounts, term.topologyKey, getOwn(labels, term.topologyKey));
        for (const term of this.#antiAffinity)
          if (term.matches(other)) count(this.#antiAffinityCounts, term.topologyKey, getOwn(labels, term.topologyKey));
        const required = other.spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
        if (required === undefined) continue;
        for (const term of terms(other, required, context))
          if (term.matches(pod)) count(this.#existingAntiAffinity, term.topologyKey, getOwn(labels, term.topologyKey));
      }
    }
    this.#isFirstOfItsKind = this.#affinityCounts.size === 0 && this.#affinity.every((term) => term.matches(pod));
  }

  check(state: NodeState): FilterResult | undefined {
    const labels = state.node?.metadata?.labels;
    if (!this.#affinity.every((term) => this.#hasCompany(term, getOwn(labels, term.topologyKey))))
      return { reasons: ["node(s) didn't match pod affinity rules"], resolvable: false };
    if (this.#antiAffinity.some((term) => hasCount(this.#antiAffinityCounts, term.topologyKey, getOwn(labels, term.topologyKey))))
      return { reasons: ["node(s) didn't match pod anti-affinity rules"], resolvable: true };
    for (const [key, values] of this.#existingAntiAffinity) {
      const value = getOwn(labels, key);
      if (value !== undefined && values.has(value))
        return { reasons: ["node(s) didn't satisfy existing pods anti-affinity rules"], resolvable: true };
    }
    return undefined;
  }

  #hasCompany(term: Term, value: string | undefined): boolean {
    if (value === undefined) return false;
    return this.#isFirstOfItsKind || hasCount(this.#affinityCounts, term.topologyKey, value);
  }
}

function terms(owner: V1Pod, given: readonly V1PodAffinityTerm[] | undefined, context: PodAffinityContext): Term[] {
  return (given ?? []).map((term) => {
    const selector = fromLabelSelector(term.labelSelector);
    const namespaceSelector = fromLabelSelector(term.namespaceSelector);
    const listed = term.namespaces ?? [];
    const ownNamespaceOnly = listed.length === 0 && term.namespaceSelector === undefined;
    const sameLabels = (pod: V1Pod, keys: readonly string[] | undefined, same: boolean) =>
      (keys ?? []).every((key) => {
        const value = getOwn(owner.metadata?.labels, key);
        return value === undefined || (getOwn(pod.metadata?.labels, key) === value) === same;
      });
    return {
      topologyKey: term.topologyKey,
      matches: (pod) => {
        const namespace = namespaceOf(pod);
        const inScope = ownNamespaceOnly
          ? namespace === namespaceOf(owner)
          : listed.includes(namespace) || namespaceSelector.matches(context.namespace(namespace)?.metadata?.labels ?? {});
        return (
          inScope &&
          selector.matches(pod.metadata?.labels) &&
          sameLabels(pod, term.matchLabelKeys, true) &&
          sameLabels(pod, term.mismatchLabelKeys, false)
        );
      },
    };
  });
}

function count(counts: TopologyCounts, key: string, value: string | undefined): void {
  if (value === undefined) return;
  const values = counts.get(key) ?? new Map<string, number>();
  values.set(value, (values.get(value) ?? 0) + 1);
  counts.set(key, values);
}

function hasCount(counts: TopologyCounts, key: string, value: string | undefined): boolean {
  return value !== undefined && (counts.get(key)?.get(value) ?? 0) > 0;
}
