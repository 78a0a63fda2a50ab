/** ReplicationController: what a ReplicaSet is, with a plain map as its selector. */

import type { FieldError } from '../../errors/field-error.ts';
import { forbiddenField, invalid, notSupported, required } from '../../errors/field-error.ts';
import type { V1PodTemplateSpec, V1ReplicationController, V1ReplicationControllerSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { fromLabels } from '../../selectors/labels.ts';
import { nonNegative } from '../../validation/object-meta.ts';
import { replicaFields, replicaTable, validateCounters } from '../apps/replicated.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { applyTemplateDefaults, templateOf, templateWarnings, validateTemplate } from '../pod-template.ts';
import { fieldColumn } from '../table-columns.ts';

const specStruct = 'io.k8s.api.core.v1.ReplicationControllerSpec';
const statusStruct = 'io.k8s.api.core.v1.ReplicationControllerStatus';

export const replicationController = defineKind('', 'replicationcontrollers', {
  schema: 'io.k8s.api.core.v1.ReplicationController',
  nameSyntax: 'dns-subdomain',
  applyDefaults,
  validate,
  updateOrder: ['meta', 'object', 'meta-update', 'object'],
  validateStatusUpdate: (object) =>
    validateCounters(
      viewAs<V1ReplicationController>(object).status ?? { replicas: 0 },
      ['replicas', 'fullyLabeledReplicas', 'readyReplicas', 'availableReplicas', 'observedGeneration'],
      ['fullyLabeledReplicas', 'readyReplicas', 'availableReplicas'],
    ),
  warnings: templateWarnings,
  selectableFields: replicaFields,
  hasStatus: true,
  hasGeneration: true,
  table: replicaTable(specStruct, statusStruct, {
    column: fieldColumn('Selector', specStruct, 'selector', 'string', 1),
    cell: (object) => fromLabels(specOf(object).selector ?? {}).toString() || '<none>',
  }),
});

function specOf(object: KubeObject): V1ReplicationControllerSpec {
  return viewAs<V1ReplicationController>(object).spec ?? {};
}

/** The labels of the template are the selector, and the labels of the controller itself, where these say nothing. */
function applyDefaults(object: KubeObject): void {
  if (!isRecord(object.spec)) object.spec = {};
  const spec = object.spec as Record<string, unknown>;
  spec.replicas ??= 1;
  if (!isRecord(spec.template)) return;
  const labels = templateOf(object).metadata?.labels;
  if (labels !== undefined) {
    if (Object.keys(specOf(object).selector ?? {}).length === 0) spec.selector = { ...labels };
    if (Object.keys(object.metadata.labels ?? {}).length === 0) object.metadata.labels = { ...labels };
  }
  applyTemplateDefaults(spec);
}

function validate(object: KubeObject): FieldError[] {
  const { minReadySeconds, selector = {}, replicas, template } = specOf(object);
  return [
    ...nonNegative(minReadySeconds ?? 0, 'spec.minReadySeconds'),
    ...(Object.keys(selector).length === 0 ? [required('spec.selector')] : []),
    ...nonNegative(replicas ?? 0, 'spec.replicas'),
    ...(template == null ? [required('spec.template')] : validateOwnTemplate(template, selector)),
  ];
}

function validateOwnTemplate(template: V1PodTemplateSpec, selector: Readonly<Record<string, string>>): FieldError[] {
  const path = 'spec.template';
  const errors: FieldError[] = [];
  if (!fromLabels(selector).matches(template.metadata?.labels ?? {})) {
    errors.push(invalid(`${path}.metadata.labels`, template.metadata?.labels ?? null, '`selector` does not match template `labels`'));
  }
  errors.push(...validateTemplate(template, path));
  const { restartPolicy = '', activeDeadlineSeconds } = template.spec ?? {};
  if (restartPolicy !== 'Always') errors.push(notSupported(`${path}.spec.restartPolicy`, restartPolicy, ['Always']));
  if (activeDeadlineSeconds != null) {
    errors.push(forbiddenField(`${path}.spec.activeDeadlineSeconds`, 'activeDeadlineSeconds in ReplicationController is not Supported'));
  }
  return errors;
}
