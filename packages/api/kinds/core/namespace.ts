/** Namespace: the label with its own name, the `kubernetes` finalizer, and which phase goes with a deletion. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid } from '../../errors/field-error.ts';
import type { V1Namespace } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord, setOwn } from '../../meta/safe-object.ts';
import { finalizerName, standardFinalizerName } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import { ageColumn, column, nameColumn } from '../table-columns.ts';

export const namespace = defineKind('', 'namespaces', {
  schema: 'io.k8s.api.core.v1.Namespace',
  nameSyntax: 'dns-label',
  applyDefaults,
  normalize: labelWithName,
  validate,
  updateOrder: ['meta', 'object', 'meta-update'],
  validateStatusUpdate,
  selectableFields: (object) => ({
    name: object.metadata.name ?? '',
    'status.phase': viewAs<V1Namespace>(object).status?.phase ?? '',
  }),
  hasStatus: true,
  table: {
    columns: [nameColumn, column('Status', 'The status of the namespace'), ageColumn],
    cells(object, now) {
      const { metadata, status } = viewAs<V1Namespace>(object);
      return [metadata?.name ?? '', status?.phase ?? '', timeSince(metadata?.creationTimestamp, now)];
    },
  },
});

function applyDefaults(object: KubeObject): void {
  labelWithName(object);
  if (!isRecord(object.spec)) object.spec = {};
  if (!isRecord(object.status)) object.status = {};
  const { status } = object;
  if (isRecord(status) && (status.phase === undefined || status.phase === '')) status.phase = 'Active';
}

/** Also after name generation, which comes after defaulting. */
function labelWithName(object: KubeObject): void {
  const { name } = object.metadata;
  if (name === undefined || name === '') return;
  const labels: Record<string, string> = { ...object.metadata.labels };
  setOwn(labels, 'kubernetes.io/metadata.name', name);
  object.metadata.labels = labels;
}

function validate(object: KubeObject): FieldError[] {
  return validateNamespaceFinalizers(object, () => 'spec.finalizers');
}

/** The rule of the `finalize` subresource, which addresses each entry. */
export function validateFinalize(object: KubeObject): FieldError[] {
  return validateNamespaceFinalizers(object, (i) => `spec.finalizers[${i}]`);
}

function validateNamespaceFinalizers(object: KubeObject, pathOf: (index: number) => string): FieldError[] {
  const finalizers = viewAs<V1Namespace>(object).spec?.finalizers ?? [];
  return finalizers.flatMap((name, i) => [...finalizerName(name, pathOf(i)), ...standardFinalizerName(name, pathOf(i))]);
}

function validateStatusUpdate(object: KubeObject): FieldError[] {
  const phase = viewAs<V1Namespace>(object).status?.phase ?? '';
  const deleting = object.metadata.deletionTimestamp != null;
  if (phase === (deleting ? 'Terminating' : 'Active')) return [];
  const detail = deleting
    ? "may only be 'Terminating' if `deletionTimestamp` is not empty"
    : "may only be 'Active' if `deletionTimestamp` is empty";
  return [invalid('status.Phase', phase, detail)];
}
