/** Lease: who holds something, and for how long. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField, invalid, notSupported } from '../../errors/field-error.ts';
import type { V1Lease } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { qualifiedNameProblems } from '../../validation/names.ts';
import { invalidEach } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, fieldColumn, nameColumn } from '../table-columns.ts';

const strategies = ['OldestEmulationVersion'];

export const lease = defineKind('coordination.k8s.io', 'leases', {
  schema: 'io.k8s.api.coordination.v1.Lease',
  nameSyntax: 'dns-subdomain',
  validate,
  updateOrder: ['meta-update', 'object'],
  table: {
    columns: [nameColumn, fieldColumn('Holder', 'io.k8s.api.coordination.v1.LeaseSpec', 'holderIdentity'), ageColumn],
    cells(object, now) {
      const { metadata, spec } = viewAs<V1Lease>(object);
      return [metadata?.name ?? '', spec?.holderIdentity ?? '', timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

function validate(object: KubeObject): FieldError[] {
  const { leaseDurationSeconds, leaseTransitions, strategy, preferredHolder } = viewAs<V1Lease>(object).spec ?? {};
  const errors: FieldError[] = [];
  if (leaseDurationSeconds != null && leaseDurationSeconds <= 0) {
    errors.push(invalid('spec.leaseDurationSeconds', leaseDurationSeconds, 'must be greater than 0'));
  }
  if (leaseTransitions != null && leaseTransitions < 0) {
    errors.push(invalid('spec.leaseTransitions', leaseTransitions, 'must be greater than or equal to 0'));
  }
  if (strategy != null) {
    if (strategy.includes('/')) errors.push(...invalidEach('spec.strategy.strategy', strategy, qualifiedNameProblems(strategy)));
    else if (!strategies.includes(strategy)) errors.push(notSupported('spec.strategy.strategy', strategy, strategies));
  }
  if ((preferredHolder ?? '') !== '' && (strategy ?? '') === '') {
    errors.push(forbiddenField('spec.preferredHolder', 'may only be specified if `strategy` is defined'));
  }
  return errors;
}
