/** What a quota counts of one resource: which names of limits are about it, and how much of each an object uses. */

import type { V1ResourceQuota, V1ResourceQuotaSpec, V1ScopedResourceSelectorRequirement } from '../generated/types.ts';
import type { GroupResource, KubeObject } from '../meta/object.ts';
import { type Amounts, addAmounts, maskAmounts } from './amounts.ts';

export type ScopeRequirement = V1ScopedResourceSelectorRequirement;

export interface QuotaEvaluator extends GroupResource {
  /** Those of the names that this resource uses. */
  matchingNames(names: readonly string[]): string[];
  usage(object: KubeObject, nowMs: number): Amounts;
  /** Whether the object has the scope; absent: the resource has no scopes, and a quota with scopes is not about it. */
  hasScope?(object: KubeObject, requirement: ScopeRequirement): boolean;
  /** Why an object cannot be counted for these names; undefined when it can. */
  problem?(object: KubeObject, names: readonly string[]): string | undefined;
  /** Whether such a write can use more. */
  handles(operation: string, subresource: string): boolean;
}

/** `count/deployments.apps`, `count/configmaps`. */
export function objectCountName({ group, resource }: GroupResource): string {
  return group === '' ? `count/${resource}` : `count/${resource}.${group}`;
}

/** Counts objects; `alias` is the older name of the same count that some resources have. */
export function objectCount(gr: GroupResource, alias?: string): QuotaEvaluator {
  const names = [objectCountName(gr), ...(alias === undefined ? [] : [alias])];
  const used = Object.fromEntries(names.map((name) => [name, '1']));
  return {
    ...gr,
    matchingNames: (given) => given.filter((name) => names.includes(name)),
    usage: () => used,
    handles: (operation) => operation === 'CREATE',
  };
}

/** Everything a quota asks of an object that it is to count. */
export function scopesOf(spec: V1ResourceQuotaSpec | undefined): ScopeRequirement[] {
  const plain = (spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' }));
  return [...plain, ...(spec?.scopeSelector?.matchExpressions ?? [])];
}

export function hasScopes(evaluator: QuotaEvaluator, object: KubeObject, requirements: readonly ScopeRequirement[]): boolean {
  return requirements.every((requirement) => evaluator.hasScope?.(object, requirement) === true);
}

/** Objects of one resource in one namespace. */
export type ObjectLister = (gr: GroupResource) => Promise<readonly KubeObject[]> | readonly KubeObject[];

/** What the objects of a namespace use of the quota's limits that can be counted. */
export async function usedBy(
  quota: V1ResourceQuota,
  evaluators: readonly QuotaEvaluator[],
  objectsOf: ObjectLister,
  nowMs: number,
): Promise<Amounts> {
  const limited = Object.keys(quota.spec?.hard ?? {});
  const requirements = scopesOf(quota.spec);
  let used: Amounts = {};
  for (const evaluator of evaluators) {
    const names = evaluator.matchingNames(limited);
    if (names.length === 0) continue;
    used = addAmounts(used, Object.fromEntries(names.map((name) => [name, '0'])));
    for (const object of await objectsOf(evaluator)) {
      if (hasScopes(evaluator, object, requirements)) used = addAmounts(used, maskAmounts(evaluator.usage(object, nowMs), names));
    }
  }
  return used;
}
