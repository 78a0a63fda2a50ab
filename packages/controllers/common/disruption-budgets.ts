/** Which pods a disruption budget is about. */
import type { V1Pod, V1PodDisruptionBudget } from '@coffer/api/generated/types';
import { fromLabelSelector } from '@coffer/api/selectors/labels';
import { namespaceOf } from '@coffer/client/rest/api-object';

/** A budget without a selector selects nothing; an empty selector selects every pod of the namespace. */
export function selectsPod(budget: V1PodDisruptionBudget, pod: V1Pod): boolean {
  if (budget.spec?.selector === undefined || namespaceOf(budget) !== namespaceOf(pod)) return false;
  return fromLabelSelector(budget.spec.selector).matches(pod.metadata?.labels);
}
