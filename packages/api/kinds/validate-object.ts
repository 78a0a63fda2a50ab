/**
 * The complete checks of a write, in the order in which Kubernetes reports them: the kind's own rules (`KindDefinition`) together
 * with the rules for metadata. An update reports a problem with metadata once from the generic server and again from the kind;
 * clients see both as causes.
 */

import type { FieldError } from '../errors/field-error.ts';
import type { KubeObject } from '../meta/object.ts';
import { nameRules } from '../validation/names.ts';
import { checkMeta, checkMetaUpdate, validateObjectMeta, validateObjectMetaUpdate } from '../validation/object-meta.ts';
import type { KindDefinition, UpdateStep } from './kind.ts';

const defaultUpdateOrder: readonly UpdateStep[] = ['meta-update', 'update', 'meta', 'object'];

/** Errors of a new object whose name has been generated and whose defaults are applied. */
export function createErrors(kind: KindDefinition, object: KubeObject): FieldError[] {
  const { namespaced } = kind.resource;
  const metaChecks = kind.metaChecks ?? 'kind';
  const errors = [
    ...(metaChecks === 'kind' ? validateObjectMeta(object.metadata, namespaced, nameRules[kind.nameSyntax]) : []),
    ...kind.validate(object),
    ...(kind.validateCreate?.(object) ?? []),
  ];
  if (errors.length > 0 || metaChecks === 'none') return errors;
  return checkMeta(object.metadata, namespaced, nameRules['path-segment']);
}

/** Errors of a change. Server-set metadata has been carried over from `old`, and `resourceVersion` is set. */
export function updateErrors(kind: KindDefinition, object: KubeObject, old: KubeObject): FieldError[] {
  const errors = commonErrors(kind, object, old);
  for (const step of kind.updateOrder ?? defaultUpdateOrder) errors.push(...stepErrors(kind, step, object, old));
  return errors;
}

/** Errors of a change through the status subresource. */
export function statusErrors(kind: KindDefinition, object: KubeObject, old: KubeObject): FieldError[] {
  return [
    ...commonErrors(kind, object, old),
    ...validateObjectMetaUpdate(object.metadata, old.metadata),
    ...(kind.validateStatusUpdate?.(object, old) ?? []),
  ];
}

function commonErrors(kind: KindDefinition, object: KubeObject, old: KubeObject): FieldError[] {
  return [
    ...checkMeta(object.metadata, kind.resource.namespaced, nameRules['path-segment']),
    ...checkMetaUpdate(object.metadata, old.metadata),
  ];
}

function stepErrors(kind: KindDefinition, step: UpdateStep, object: KubeObject, old: KubeObject): FieldError[] {
  switch (step) {
    case 'meta-update':
      return validateObjectMetaUpdate(object.metadata, old.metadata);
    case 'meta':
      return validateObjectMeta(object.metadata, kind.resource.namespaced, nameRules[kind.nameSyntax]);
    case 'update':
      return kind.validateUpdate(object, old);
    case 'object':
      return kind.validate(object);
  }
}
