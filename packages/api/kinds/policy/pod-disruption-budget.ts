/** PodDisruptionBudget: how many of the pods that it selects may be missing while they are moved. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, notSupported } from '../../errors/field-error.ts';
import type { V1PodDisruptionBudget } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { validateConditions } from '../../validation/conditions.ts';
import { percentProblems } from '../../validation/names.ts';
import { invalidEach, nonNegative, validateLabelSelector } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, column, nameColumn } from '../table-columns.ts';

const evictionPolicies = ['AlwaysAllow', 'IfHealthyBudget'];
const counters = ['disruptionsAllowed', 'currentHealthy', 'desiredHealthy', 'expectedPods'] as const;

export const podDisruptionBudget = defineKind('policy', 'poddisruptionbudgets', {
  schema: 'io.k8s.api.policy.v1.PodDisruptionBudget',
  nameSyntax: 'path-segment',
  metaChecks: 'generic',
  validate,
  updateOrder: ['object'],
  validateStatusUpdate(object) {
    const { status } = viewAs<V1PodDisruptionBudget>(object);
    return [
      ...validateConditions(status?.conditions ?? [], 'status.conditions'),
      ...counters.flatMap((field) => nonNegative(status?.[field] ?? 0, `status.${field}`)),
    ];
  },
  hasStatus: true,
  hasGeneration: true,
  table: {
    columns: [
      nameColumn,
      column('Min Available', 'The minimum number of pods that must be available.'),
      column('Max Unavailable', 'The maximum number of pods that may be unavailable.'),
      column('Allowed Disruptions', 'Calculated number of pods that may be disrupted at this time.', 'integer'),
      ageColumn,
    ],
    cells(object, now) {
      const { metadata, spec, status } = viewAs<V1PodDisruptionBudget>(object);
      const amount = (value: number | string | undefined) => (value === undefined ? 'N/A' : String(value));
      return [
        metadata?.name ?? '',
        amount(spec?.minAvailable),
        amount(spec?.maxUnavailable),
        status?.disruptionsAllowed ?? 0,
        timeSince(metadata?.creationTimestamp, now),
      ];
    },
  },
});

function validate(object: KubeObject): FieldError[] {
  const { spec = {} } = viewAs<V1PodDisruptionBudget>(object);
  const { minAvailable, maxUnavailable, selector, unhealthyPodEvictionPolicy: policy } = spec;
  const errors: FieldError[] = [];
  if (minAvailable != null && maxUnavailable != null) {
    // As the server's own struct, whose fields are always there.
    const shown = {
      MinAvailable: minAvailable,
      Selector: selector ?? null,
      MaxUnavailable: maxUnavailable,
      UnhealthyPodEvictionPolicy: policy ?? null,
    };
    errors.push(invalid('spec', shown, 'minAvailable and maxUnavailable cannot be both set'));
  }
  if (minAvailable != null) errors.push(...validateAmount(minAvailable, 'spec.minAvailable'));
  if (maxUnavailable != null) errors.push(...validateAmount(maxUnavailable, 'spec.maxUnavailable'));
  errors.push(...validateLabelSelector(selector, 'spec.selector'));
  if (policy != null && !evictionPolicies.includes(policy)) {
    errors.push(notSupported('spec.unhealthyPodEvictionPolicy', policy, evictionPolicies));
  }
  return errors;
}

function validateAmount(amount: number | string, path: string): FieldError[] {
  if (typeof amount === 'number') return nonNegative(amount, path);
  const problems = percentProblems(amount);
  if (problems.length > 0) return invalidEach(path, amount, problems);
  return Number(amount.slice(0, -1)) > 100 ? [invalid(path, amount, 'must not be greater than 100%')] : [];
}
