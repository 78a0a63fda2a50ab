/** What the event about pods without a controller says: the selector as Go prints it, and what to do. */
import type { V1LabelSelector, V1PodDisruptionBudget } from '@coffer/api/generated/types';

export function unmanagedMessage({ spec }: V1PodDisruptionBudget): string {
  return (
    `Pods selected by this PodDisruptionBudget (selector: ${printed(spec?.selector)}) were found to be unmanaged. As a result, the status of ` +
    'the PDB cannot be calculated correctly, which may result in undefined behavior. To account for these pods please set ' +
    '".spec.minAvailable" field of the PDB to an integer value.'
  );
}

function printed(selector: V1LabelSelector | undefined): string {
  if (selector === undefined) return 'nil';
  const labels = Object.entries(selector.matchLabels ?? {}).toSorted(([a], [b]) => (a < b ? -1 : 1));
  const requirements = selector.matchExpressions ?? [];
  const matchLabels = labels.map(([key, value]) => `${key}: ${value},`).join('');
  const matchExpressions = requirements.map(
    ({ key, operator, values }) => `LabelSelectorRequirement{Key:${key},Operator:${operator},Values:[${(values ?? []).join(' ')}],},`,
  );
  return (
    `&LabelSelector{MatchLabels:map[string]string{${matchLabels}},` +
    `MatchExpressions:[]LabelSelectorRequirement{${matchExpressions.join('')}},}`
  );
}
