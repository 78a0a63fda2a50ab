/** Questions about what somebody may do. They are answered, not stored; only their form is checked here. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { V1ResourceAttributes, V1SubjectAccessReview, V1SubjectAccessReviewSpec } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import type { KindDefinition } from '../kind.ts';
import { createdTable } from '../table-columns.ts';

const group = 'authorization.k8s.io';

export const subjectAccessReview = review('subjectaccessreviews', 'SubjectAccessReview', (object) => [
  ...validateSubject(specOf(object)),
  ...validateEmptyMeta(object),
]);

export const selfSubjectAccessReview = review('selfsubjectaccessreviews', 'SelfSubjectAccessReview', (object) => [
  ...validateAttributes(specOf(object)),
  ...validateSelectors(specOf(object).resourceAttributes),
  ...validateEmptyMeta(object),
]);

export const localSubjectAccessReview = review('localsubjectaccessreviews', 'LocalSubjectAccessReview', (object) => {
  const spec = specOf(object);
  const errors = [...validateSubject(spec), ...validateEmptyMeta(object, true)];
  const namespace = spec.resourceAttributes?.namespace ?? '';
  if (spec.resourceAttributes != null && namespace !== (object.metadata.namespace ?? '')) {
    errors.push(invalid('spec.resourceAttributes.namespace', namespace, 'must match metadata.namespace'));
  }
  if (spec.nonResourceAttributes != null) {
    const detail = 'disallowed on this kind of request';
    errors.push(invalid('spec.nonResourceAttributes', nonResource(spec), detail));
  }
  return errors;
});

export const selfSubjectRulesReview = review('selfsubjectrulesreviews', 'SelfSubjectRulesReview', () => []);

function review(resource: string, kind: string, validate: (object: KubeObject) => FieldError[]): KindDefinition {
  return defineKind(group, resource, {
    schema: `io.k8s.api.authorization.v1.${kind}`,
    nameSyntax: 'path-segment',
    metaChecks: 'none',
    validate,
    table: createdTable,
  });
}

function validateSubject(spec: V1SubjectAccessReviewSpec): FieldError[] {
  const errors = validateAttributes(spec);
  if ((spec.user ?? '') === '' && (spec.groups ?? []).length === 0) {
    errors.push(invalid('spec.user', spec.user ?? '', 'at least one of user or group must be specified'));
  }
  return [...errors, ...validateSelectors(spec.resourceAttributes)];
}

function validateAttributes(spec: V1SubjectAccessReviewSpec): FieldError[] {
  const { resourceAttributes: resource, nonResourceAttributes: path } = spec;
  if (resource != null && path != null) {
    return [invalid('spec.nonResourceAttributes', nonResource(spec), 'cannot be specified in combination with resourceAttributes')];
  }
  if (resource == null && path == null) {
    const detail = 'exactly one of nonResourceAttributes or resourceAttributes must be specified';
    return [invalid('spec.resourceAttributes', null, detail)];
  }
  return [];
}

/** A selector is either text or a list of requirements. */
function validateSelectors(attributes: V1ResourceAttributes | undefined): FieldError[] {
  return (['fieldSelector', 'labelSelector'] as const).flatMap((name) => {
    const selector = attributes?.[name];
    if (selector == null) return [];
    const path = `spec.resourceAttributes.${name}`;
    const raw = selector.rawSelector ?? '';
    const listed = (selector.requirements ?? []).length > 0;
    if (raw !== '' && listed) return [invalid(`${path}.rawSelector`, raw, 'may not specified at the same time as requirements')];
    if (raw !== '' || listed) return [];
    return [required(`${path}.requirements`, `when ${path} is specified, requirements or rawSelector is required`)];
  });
}

function validateEmptyMeta(object: KubeObject, mayHaveNamespace = false): FieldError[] {
  const { managedFields: _, namespace, creationTimestamp, ...rest } = object.metadata;
  const empty = Object.keys(rest).length === 0 && creationTimestamp == null && (mayHaveNamespace || (namespace ?? '') === '');
  if (empty) return [];
  const detail = mayHaveNamespace ? 'must be empty except for namespace' : 'must be empty';
  return [invalid('metadata', object.metadata, detail)];
}

function nonResource(spec: V1SubjectAccessReviewSpec): unknown {
  return { Path: spec.nonResourceAttributes?.path ?? '', Verb: spec.nonResourceAttributes?.verb ?? '' };
}

function specOf(object: KubeObject): V1SubjectAccessReviewSpec {
  return viewAs<V1SubjectAccessReview>(object).spec ?? {};
}
