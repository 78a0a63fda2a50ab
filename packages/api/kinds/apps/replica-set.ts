/** ReplicaSet: a selector and a template that fit together, status counters. */

import type { FieldError } from '../../errors/field-error.ts';
import type { V1ReplicaSet, V1ReplicaSetSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { immutable, nonNegative } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { applyTemplateDefaults, selectorCell, templateOf, templateWarnings, validateReplicatedTemplate } from '../pod-template.ts';
import { column } from '../table-columns.ts';
import { replicaFields, replicaTable, validateCounters, validateSelector } from './replicated.ts';

const specStruct = 'io.k8s.api.apps.v1.ReplicaSetSpec';
const statusStruct = 'io.k8s.api.apps.v1.ReplicaSetStatus';

export const replicaSet = defineKind('apps', 'replicasets', {
  schema: 'io.k8s.api.apps.v1.ReplicaSet',
  nameSyntax: 'dns-subdomain',
  applyDefaults,
  validate,
  validateUpdate: (object, old) => immutable(specOf(object).selector, specOf(old).selector, 'spec.selector'),
  updateOrder: ['meta-update', 'object', 'update'],
  validateStatusUpdate: (object) =>
    validateCounters(
      viewAs<V1ReplicaSet>(object).status ?? { replicas: 0 },
      ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'terminatingReplicas', 'observedGeneration'],
      ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'],
    ),
  warnings: templateWarnings,
  selectableFields: replicaFields,
  hasStatus: true,
  hasGeneration: true,
  table: replicaTable(specStruct, statusStruct, {
    column: column(
      'Selector',
      "Selector is a label query over pods that should match the replica count. Label keys and values that must match in order to be controlled by this replica set. It must match the pod template's labels. More info: https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors",
      'string',
      1,
    ),
    cell: (object) => selectorCell(specOf(object).selector),
  }),
});

function applyDefaults(object: KubeObject): void {
  if (!isRecord(object.spec)) object.spec = {};
  const spec = object.spec as Record<string, unknown>;
  spec.replicas ??= 1;
  applyTemplateDefaults(spec);
}

function validate(object: KubeObject): FieldError[] {
  const spec = specOf(object);
  return [
    ...nonNegative(spec.replicas ?? 0, 'spec.replicas'),
    ...nonNegative(spec.minReadySeconds ?? 0, 'spec.minReadySeconds'),
    ...validateSelector(spec.selector, 'spec.selector'),
    ...validateReplicatedTemplate(templateOf(object), spec.selector, 'spec.template'),
  ];
}

function specOf(object: KubeObject): Partial<V1ReplicaSetSpec> {
  return viewAs<V1ReplicaSet>(object).spec ?? {};
}
