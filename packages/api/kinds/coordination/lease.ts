/** Lease: positive duration, non-negative transitions, and the fields of coordinated leader election. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField, invalid, required } from '../../errors/field-error.ts';
import type { V1Lease } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { qualifiedNameProblems } from '../../validation/names.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';

export const lease = defineKind('coordination.k8s.io', 'leases', {
  schema: 'io.k8s.api.coordination.v1.Lease',
  nameSyntax: 'dns-subdomain',
  validate,
  table: {
    columns: [nameColumn, fieldColumn('Holder', 'io.k8s.api.coordination.v1.LeaseSpec', 'holderIdentity'), ageColumn],
    cells(object, now) {
      const { metadata, spec } = viewAs<V1Lease>(object);
      return [metadata?.name ?? '', spec?.holderIdentity ?? '', timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

function validate(object: KubeObject): FieldError[] {
  const { spec } = viewAs<V1Lease>(object);
  const errors: FieldError[] = [];
  if (!spec) return errors;
  const { leaseDurationSeconds, leaseTransitions, strategy, preferredHolder } = spec;
  if (leaseDurationSeconds != null && leaseDurationSeconds <= 0) {
    errors.push(invalid('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0'));
  }
  if (leaseTransitions != null && leaseTransitions < 0) {
    errors.push(invalid('spec.leaseTransitions', leaseTransitions, 'must be greater than or equal to 0'));
  }
  if (strategy != null) errors.push(...strategyErrors(strategy));
  if (preferredHolder != null && preferredHolder !== '' && (strategy == null || strategy === '')) {
    errors.push(forbiddenField('spec.preferredHolder', 'may only be specified when `strategy` is defined'));
  }
  return errors;
}

function strategyErrors(strategy: string): FieldError[] {
  if (strategy === '') return [required('spec.strategy')];
  const problems =
    strategy.includes('/') || /^[A-Z]/.test(strategy)
      ? qualifiedNameProblems(strategy)
      : ['must be a strategy name such as OldestEmulationVersion, or a qualified name'];
  return problems.map((problem) => invalid('spec.strategy', strategy, problem));
}
