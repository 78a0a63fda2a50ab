/** Role and ClusterRole: every rule says which verbs it grants on which resources or URLs. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, required } from '../../errors/field-error.ts';
import type { V1ClusterRole, V1PolicyRule, V1Role } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { validateLabelSelector } from '../../validation/object-meta.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import type { TableDefinition } from '../kind.ts';
import { ageColumn, nameColumn } from '../table-columns.ts';

const table: TableDefinition = {
  columns: [nameColumn, { ...ageColumn, name: 'Created At', type: 'date' }],
  cells: (object) => [object.metadata.name ?? '', object.metadata.creationTimestamp ?? ''],
};

export const role = defineKind('rbac.authorization.k8s.io', 'roles', {
  schema: 'io.k8s.api.rbac.v1.Role',
  nameSyntax: 'path-segment',
  validate: (object) => rulesErrors(viewAs<V1Role>(object).rules, true),
  updateOrder: ['meta', 'object', 'meta-update', 'update'],
  table,
});

export const clusterRole = defineKind('rbac.authorization.k8s.io', 'clusterroles', {
  schema: 'io.k8s.api.rbac.v1.ClusterRole',
  nameSyntax: 'path-segment',
  validate: validateClusterRole,
  updateOrder: ['meta', 'object', 'meta-update', 'update'],
  table,
});

function validateClusterRole(object: KubeObject): FieldError[] {
  const { rules, aggregationRule } = viewAs<V1ClusterRole>(object);
  const errors = rulesErrors(rules, false);
  if (!aggregationRule) return errors;
  const selectors = aggregationRule.clusterRoleSelectors ?? [];
  if (selectors.length === 0) {
    errors.push(
      required('aggregationRule.clusterRoleSelectors', 'at least one clusterRoleSelector required if aggregationRule is non-nil'),
    );
  }
  for (const [i, selector] of selectors.entries())
    errors.push(...validateLabelSelector(selector, `aggregationRule.clusterRoleSelectors[${i}]`));
  return errors;
}

function rulesErrors(rules: readonly V1PolicyRule[] | undefined, namespaced: boolean): FieldError[] {
  return (rules ?? []).flatMap((rule, i) => ruleErrors(rule, namespaced, `rules[${i}]`));
}

function ruleErrors(rule: V1PolicyRule, namespaced: boolean, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const has = (values: readonly string[] | undefined) => (values?.length ?? 0) > 0;
  if (!has(rule.verbs)) errors.push(required(`${path}.verbs`, 'verbs must contain at least one value'));
  if (has(rule.nonResourceURLs)) {
    const urls = `${path}.nonResourceURLs`;
    if (namespaced) errors.push(invalid(urls, rule.nonResourceURLs, 'namespaced rules cannot apply to non-resource URLs'));
    if (has(rule.apiGroups) || has(rule.resources) || has(rule.resourceNames)) {
      errors.push(invalid(urls, rule.nonResourceURLs, 'rules cannot apply to both regular resources and non-resource URLs'));
    }
    return errors;
  }
  if (!has(rule.apiGroups)) errors.push(required(`${path}.apiGroups`, 'resource rules must supply at least one api group'));
  if (!has(rule.resources)) errors.push(required(`${path}.resources`, 'resource rules must supply at least one resource'));
  return errors;
}
