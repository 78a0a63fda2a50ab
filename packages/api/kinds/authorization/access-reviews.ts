/** The four review kinds of authorization.k8s.io: what a question must say. They are answered and never stored. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid } from '../../errors/field-error.ts';
import type { V1ResourceAttributes, V1SubjectAccessReviewSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { defineKind } from '../define-kind.ts';
import type { KindDefinition } from '../kind.ts';
import { nameColumn } from '../table-columns.ts';

const group = 'authorization.k8s.io';
const table = { columns: [nameColumn], cells: (object: KubeObject) => [object.metadata.name ?? ''] };

export const subjectAccessReview = review('subjectaccessreviews', 'SubjectAccessReview', (object) => [
  ...attributeErrors(object),
  ...subjectErrors(object),
  ...metadataErrors(object, false),
]);

export const selfSubjectAccessReview = review('selfsubjectaccessreviews', 'SelfSubjectAccessReview', (object) => [
  ...attributeErrors(object),
  ...metadataErrors(object, false),
]);

export const localSubjectAccessReview = review('localsubjectaccessreviews', 'LocalSubjectAccessReview', (object) => [
  ...attributeErrors(object),
  ...subjectErrors(object),
  ...metadataErrors(object, true),
  ...localErrors(object),
]);

export const selfSubjectRulesReview = review('selfsubjectrulesreviews', 'SelfSubjectRulesReview', () => []);

function review(resource: string, kind: string, validate: (object: KubeObject) => FieldError[]): KindDefinition {
  return defineKind(group, resource, { schema: `io.k8s.api.authorization.v1.${kind}`, nameSyntax: 'path-segment', validate, table });
}

function specOf(object: KubeObject): V1SubjectAccessReviewSpec {
  return (object.spec ?? {}) as V1SubjectAccessReviewSpec;
}

function attributeErrors(object: KubeObject): FieldError[] {
  const { resourceAttributes, nonResourceAttributes } = specOf(object);
  if (resourceAttributes && nonResourceAttributes) {
    return [invalid('spec.nonResourceAttributes', nonResourceAttributes, 'cannot be specified in combination with resourceAttributes')];
  }
  if (!resourceAttributes && !nonResourceAttributes) {
    return [invalid('spec.resourceAttributes', null, 'exactly one of nonResourceAttributes or resourceAttributes must be specified')];
  }
  return resourceAttributes ? selectorErrors(resourceAttributes) : [];
}

function selectorErrors({ fieldSelector, labelSelector }: V1ResourceAttributes): FieldError[] {
  const errors: FieldError[] = [];
  for (const [name, selector] of [
    ['fieldSelector', fieldSelector],
    ['labelSelector', labelSelector],
  ] as const) {
    if (!selector) continue;
    const path = `spec.resourceAttributes.${name}`;
    const raw = selector.rawSelector ?? '';
    const requirements = selector.requirements ?? [];
    if (raw !== '' && requirements.length > 0)
      errors.push(invalid(`${path}.rawSelector`, raw, 'may not specified at the same time as requirements'));
    if (raw === '' && requirements.length === 0)
      errors.push({
        reason: 'FieldValueRequired',
        field: `${path}.requirements`,
        message: `Required value: when ${path} is specified, requirements or rawSelector is required`,
      });
  }
  return errors;
}

function subjectErrors(object: KubeObject): FieldError[] {
  const { user = '', groups = [] } = specOf(object);
  return user === '' && groups.length === 0 ? [invalid('spec.user', user, 'at least one of user or group must be specified')] : [];
}

/** A question has no name of its own; managed fields are the server's doing. */
function metadataErrors(object: KubeObject, namespaceAllowed: boolean): FieldError[] {
  const ignored = new Set(['managedFields', ...(namespaceAllowed ? ['namespace'] : [])]);
  const given = Object.entries(object.metadata ?? {}).filter(([key, value]) => !ignored.has(key) && value !== null && value !== '');
  if (given.length === 0) return [];
  return [invalid('metadata', Object.fromEntries(given), namespaceAllowed ? 'must be empty except for namespace' : 'must be empty')];
}

function localErrors(object: KubeObject): FieldError[] {
  const { resourceAttributes, nonResourceAttributes } = specOf(object);
  const errors: FieldError[] = [];
  if (resourceAttributes && resourceAttributes.namespace !== object.metadata.namespace) {
    errors.push(invalid('spec.resourceAttributes.namespace', resourceAttributes.namespace ?? '', 'must match metadata.namespace'));
  }
  if (nonResourceAttributes)
    errors.push(invalid('spec.nonResourceAttributes', nonResourceAttributes, 'disallowed on this kind of request'));
  return errors;
}
