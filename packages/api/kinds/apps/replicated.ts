/** Rules that Deployments and ReplicaSets share. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { V1LabelSelector } from '../../generated/types.ts';
import { nonNegative, validateLabelSelector } from '../../validation/object-meta.ts';

/** Required and not empty: a selector without conditions would take over every pod. */
export function validateSelector(selector: V1LabelSelector | undefined, path: string): FieldError[] {
  if (selector == null) return [required(path)];
  const errors = validateLabelSelector(selector, path);
  const conditions = Object.keys(selector.matchLabels ?? {}).length + (selector.matchExpressions ?? []).length;
  if (conditions === 0) errors.push(invalid(path, selector, 'empty selector is invalid for deployment'));
  if (errors.length > 0 && conditions > 0) errors.push(invalid(path, selector, 'invalid label selector'));
  return errors;
}

/** Counters are not negative; parts are not greater than `replicas`, and available pods are ready. */
export function validateCounters<F extends string>(
  status: { readonly [field in F]?: number },
  fields: readonly F[],
  parts: readonly F[],
): FieldError[] {
  const count = (field: string): number => (status as Readonly<Record<string, number | undefined>>)[field] ?? 0;
  const errors = fields.flatMap((field) => nonNegative(count(field), `status.${field}`));
  for (const field of parts) {
    if (count(field) > count('replicas')) errors.push(invalid(`status.${field}`, count(field), 'cannot be greater than status.replicas'));
  }
  if (count('availableReplicas') > count('readyReplicas')) {
    errors.push(invalid('status.availableReplicas', count('availableReplicas'), 'cannot be greater than readyReplicas'));
  }
  return errors;
}
