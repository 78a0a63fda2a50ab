/** Which nodes a pod asks for by labels and fields. */
import type { V1Node, V1NodeSelectorRequirement, V1NodeSelectorTerm, V1Pod } from '../generated/types.ts';
import { getOwn } from '../meta/safe-object.ts';

/** `nodeSelector` and the required terms: every label, and at least one term. */
export function matchesRequiredNodeAffinity(pod: V1Pod, node: V1Node): boolean {
  for (const [key, value] of Object.entries(pod.spec?.nodeSelector ?? {})) if (getOwn(node.metadata?.labels, key) !== value) return false;
  const required = pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution;
  return required === undefined || required.nodeSelectorTerms.some((term) => matchesTerm(term, node));
}

/** Sum of the weights of the preferred terms that match. */
export function preferredNodeWeight(pod: V1Pod, node: V1Node): number {
  let weight = 0;
  for (const term of pod.spec?.affinity?.nodeAffinity?.preferredDuringSchedulingIgnoredDuringExecution ?? [])
    if (matchesTerm(term.preference, node)) weight += term.weight;
  return weight;
}

/** All requirements of a term; a term without any matches nothing. */
function matchesTerm(term: V1NodeSelectorTerm, node: V1Node): boolean {
  const expressions = term.matchExpressions ?? [];
  const fields = term.matchFields ?? [];
  if (expressions.length === 0 && fields.length === 0) return false;
  return (
    expressions.every((requirement) => matchesRequirement(requirement, getOwn(node.metadata?.labels, requirement.key))) &&
    fields.every((requirement) => matchesRequirement(requirement, requirement.key === 'metadata.name' ? node.metadata?.name : undefined))
  );
}

function matchesRequirement(requirement: V1NodeSelectorRequirement, value: string | undefined): boolean {
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case 'In':
      return value !== undefined && values.includes(value);
    case 'NotIn':
      return value === undefined || !values.includes(value);
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    case 'Gt':
      return compare(value, values[0], (a, b) => a > b);
    case 'Lt':
      return compare(value, values[0], (a, b) => a < b);
    default:
      return false;
  }
}

function compare(value: string | undefined, bound: string | undefined, test: (a: bigint, b: bigint) => boolean): boolean {
  if (value === undefined || bound === undefined || !/^[+-]?[0-9]+$/.test(value) || !/^[+-]?[0-9]+$/.test(bound)) return false;
  return test(BigInt(value.replace(/^\+/, '')), BigInt(bound.replace(/^\+/, '')));
}
