/** Node: taints, pod ranges and provider that are set once, amounts of its status. */

import type { FieldError } from '../../errors/field-error.ts';
import type { V1Node } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { cidrWarnings } from '../../validation/ip.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { nodeTable } from './node/node-table.ts';
import { validateNode, validateNodeUpdate } from './node/node-validation.ts';

export const node = defineKind('', 'nodes', {
  schema: 'io.k8s.api.core.v1.Node',
  nameSyntax: 'dns-subdomain',
  applyDefaults,
  validate: (object) => validateNode(viewAs<V1Node>(object)),
  validateUpdate,
  updateOrder: ['meta', 'object', 'meta-update', 'update'],
  validateStatusUpdate: validateUpdate,
  warnings,
  selectableFields: (object) => ({ 'spec.unschedulable': String(viewAs<V1Node>(object).spec?.unschedulable ?? false) }),
  hasStatus: true,
  table: nodeTable,
});

function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  return validateNodeUpdate(viewAs<V1Node>(object), viewAs<V1Node>(old));
}

/** What is not reserved can be allocated; the first pod range and the list of all say the same. */
function applyDefaults(object: KubeObject): void {
  const { spec, status } = object;
  if (isRecord(status) && isRecord(status.capacity) && (status.allocatable === undefined || status.allocatable === null)) {
    status.allocatable = { ...status.capacity };
  }
  if (!isRecord(spec)) return;
  const all: readonly unknown[] = Array.isArray(spec.podCIDRs) ? spec.podCIDRs : [];
  if (typeof spec.podCIDR === 'string' && spec.podCIDR !== '') {
    // A client that knows one range only changes that one.
    if (all[0] !== spec.podCIDR) spec.podCIDRs = [spec.podCIDR];
  } else if (all.length > 0) {
    spec.podCIDR = all[0];
  }
}

function warnings(object: KubeObject): string[] {
  const { spec } = viewAs<V1Node>(object);
  const texts: string[] = [];
  if (spec?.configSource != null) texts.push('spec.configSource: the feature is no longer supported');
  if ((spec?.externalID ?? '') !== '') texts.push('spec.externalID: this field is deprecated, and is unused by Kubernetes');
  texts.push(...(spec?.podCIDRs ?? []).flatMap((range, i) => cidrWarnings(range, `spec.podCIDRs[${i}]`)));
  return texts;
}
