/** RoleBinding and ClusterRoleBinding: who gets a role. The role of a binding never changes. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, notSupported, required } from '../../errors/field-error.ts';
import type { RbacV1Subject, V1RoleBinding, V1RoleRef } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { dnsSubdomainProblems, pathSegmentProblems } from '../../validation/names.ts';
import { invalidEach } from '../../validation/object-meta.ts';
import type { KindRules } from '../define-kind.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import type { TableDefinition } from '../kind.ts';
import { ageColumn, column, nameColumn } from '../table-columns.ts';

const group = 'rbac.authorization.k8s.io';

export const roleBinding = defineKind(group, 'rolebindings', rules('RoleBinding', true));
export const clusterRoleBinding = defineKind(group, 'clusterrolebindings', rules('ClusterRoleBinding', false));

function rules(kind: string, namespaced: boolean): KindRules {
  return {
    schema: `io.k8s.api.rbac.v1.${kind}`,
    nameSyntax: 'path-segment',
    applyDefaults,
    validate: (object) => validate(object, namespaced),
    validateUpdate,
    updateOrder: ['meta', 'object', 'meta-update', 'update'],
    table: tableOf(kind),
  };
}

/** Users, groups and roles belong to this API group unless said otherwise. */
function applyDefaults(object: KubeObject): void {
  if (!isRecord(object.roleRef)) object.roleRef = {};
  const roleRef = object.roleRef as Record<string, unknown>;
  roleRef.apiGroup ||= group;
  for (const subject of Array.isArray(object.subjects) ? object.subjects : []) {
    if (isRecord(subject) && (subject.kind === 'User' || subject.kind === 'Group')) subject.apiGroup ||= group;
  }
}

function validate(object: KubeObject, namespaced: boolean): FieldError[] {
  const { roleRef, subjects = [] } = viewAs<V1RoleBinding>(object);
  const { apiGroup = '', kind = '', name = '' } = (roleRef ?? {}) as Partial<V1RoleRef>;
  const kinds = namespaced ? ['Role', 'ClusterRole'] : ['ClusterRole'];
  const errors: FieldError[] = [];
  if (apiGroup !== group) errors.push(notSupported('roleRef.apiGroup', apiGroup, [group]));
  if (!kinds.includes(kind)) errors.push(notSupported('roleRef.kind', kind, kinds));
  if (name === '') errors.push(required('roleRef.name'));
  else errors.push(...invalidEach('roleRef.name', name, pathSegmentProblems(name)));
  return [...errors, ...subjects.flatMap((subject, i) => validateSubject(subject, namespaced, `subjects[${i}]`))];
}

function validateSubject(subject: RbacV1Subject, namespaced: boolean, path: string): FieldError[] {
  const { kind = '', name = '', apiGroup = '', namespace = '' } = subject as Partial<RbacV1Subject>;
  const errors = name === '' ? [required(`${path}.name`)] : [];
  switch (kind) {
    case 'ServiceAccount':
      if (name !== '') errors.push(...invalidEach(`${path}.name`, name, dnsSubdomainProblems(name)));
      if (apiGroup !== '') errors.push(notSupported(`${path}.apiGroup`, apiGroup, ['']));
      if (!namespaced && namespace === '') errors.push(required(`${path}.namespace`));
      return errors;
    case 'User':
    case 'Group':
      if (name === '') errors.push(invalid(`${path}.name`, name, `${kind.toLowerCase()} name cannot be empty`));
      if (apiGroup !== group) errors.push(notSupported(`${path}.apiGroup`, apiGroup, [group]));
      return errors;
    default:
      return [...errors, notSupported(`${path}.kind`, kind, ['ServiceAccount', 'User', 'Group'])];
  }
}

function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const { roleRef } = viewAs<V1RoleBinding>(object);
  const before = viewAs<V1RoleBinding>(old).roleRef;
  const same = (['apiGroup', 'kind', 'name'] as const).every((field) => (roleRef?.[field] ?? '') === (before?.[field] ?? ''));
  if (same) return [];
  const shown = { APIGroup: roleRef?.apiGroup ?? '', Kind: roleRef?.kind ?? '', Name: roleRef?.name ?? '' };
  return [invalid('roleRef', shown, 'cannot change roleRef')];
}

function tableOf(kind: string): TableDefinition {
  const word = kind.charAt(0).toLowerCase() + kind.slice(1);
  const roles =
    kind === 'RoleBinding'
      ? 'reference a Role in the current namespace or a ClusterRole in the global namespace'
      : 'only reference a ClusterRole in the global namespace';
  return {
    columns: [
      nameColumn,
      column('Role', `RoleRef can ${roles}. If the RoleRef cannot be resolved, the Authorizer must return an error.`),
      ageColumn,
      column('Users', `Users in the ${word}`, 'string', 1),
      column('Groups', `Groups in the ${word}`, 'string', 1),
      column('ServiceAccounts', `ServiceAccounts in the ${word}`, 'string', 1),
    ],
    cells(object, now) {
      const { metadata, roleRef, subjects = [] } = viewAs<V1RoleBinding>(object);
      const names = (wanted: string): string =>
        subjects
          .filter((subject) => subject.kind === wanted)
          .map((subject) => (wanted === 'ServiceAccount' ? `${subject.namespace ?? ''}/${subject.name}` : subject.name))
          .join(', ');
      return [
        metadata?.name ?? '',
        `${roleRef?.kind ?? ''}/${roleRef?.name ?? ''}`,
        timeSince(metadata?.creationTimestamp, now),
        names('User'),
        names('Group'),
        names('ServiceAccount'),
      ];
    },
  };
}
