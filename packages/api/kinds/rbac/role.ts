/** Role and ClusterRole: lists of rules. Whether the writer may grant them is not decided here. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { V1ClusterRole, V1PolicyRule } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { validateLabelSelector } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { createdTable } from '../table-columns.ts';

const group = 'rbac.authorization.k8s.io';

export const role = defineKind(group, 'roles', {
  schema: 'io.k8s.api.rbac.v1.Role',
  nameSyntax: 'path-segment',
  validate: (object) => validateRules(object, true),
  updateOrder: ['meta', 'object', 'meta-update', 'update'],
  table: createdTable,
});

export const clusterRole = defineKind(group, 'clusterroles', {
  schema: 'io.k8s.api.rbac.v1.ClusterRole',
  nameSyntax: 'path-segment',
  validate: (object) => [...validateRules(object, false), ...validateAggregation(object)],
  updateOrder: ['meta', 'object', 'meta-update', 'update'],
  table: createdTable,
});

function validateRules(object: KubeObject, namespaced: boolean): FieldError[] {
  return (viewAs<V1ClusterRole>(object).rules ?? []).flatMap((rule, i) => validateRule(rule, namespaced, `rules[${i}]`));
}

function validateRule(rule: V1PolicyRule, namespaced: boolean, path: string): FieldError[] {
  const { nonResourceURLs = [], apiGroups = [], resources = [], resourceNames = [] } = rule;
  const errors: FieldError[] = [];
  if ((rule.verbs ?? []).length === 0) errors.push(required(`${path}.verbs`, 'verbs must contain at least one value'));
  if (nonResourceURLs.length > 0) {
    const at = `${path}.nonResourceURLs`;
    if (namespaced) errors.push(invalid(at, nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'));
    if (apiGroups.length + resources.length + resourceNames.length > 0) {
      errors.push(invalid(at, nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'));
    }
    return errors;
  }
  if (apiGroups.length === 0) errors.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'));
  if (resources.length === 0) errors.push(required(`${path}.resources`, 'resource rules must supply at least one resource'));
  return errors;
}

function validateAggregation(object: KubeObject): FieldError[] {
  const rule = viewAs<V1ClusterRole>(object).aggregationRule;
  if (rule == null) return [];
  const selectors = rule.clusterRoleSelectors ?? [];
  const path = 'aggregationRule.clusterRoleSelectors';
  if (selectors.length === 0) return [required(path, 'at least one clusterRoleSelector required if aggregationRule is non-nil')];
  return selectors.flatMap((selector, i) => validateLabelSelector(selector, `${path}[${i}]`));
}
