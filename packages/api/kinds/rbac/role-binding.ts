/** RoleBinding and ClusterRoleBinding: one role, which never changes, and who gets it. */

import type { FieldError } from '../../errors/field-error.ts';
import { invalid, notSupported, required } from '../../errors/field-error.ts';
import type { RbacV1Subject, V1RoleBinding } from '../../generated/types.ts';
import type { KubeObject } from '../../meta/object.ts';
import { isRecord } from '../../meta/safe-object.ts';
import { dnsSubdomainProblems, pathSegmentProblems } from '../../validation/names.ts';
import { defineKind, viewAs } from '../define-kind.ts';
import { timeSince } from '../human-duration.ts';
import type { KindDefinition } from '../kind.ts';
import { ageColumn, column, fieldColumn, nameColumn } from '../table-columns.ts';

const group = 'rbac.authorization.k8s.io';
const subjectKinds = ['ServiceAccount', 'User', 'Group'];

export const roleBinding = binding('rolebindings', 'RoleBinding', ['Role', 'ClusterRole']);
export const clusterRoleBinding = binding('clusterrolebindings', 'ClusterRoleBinding', ['ClusterRole']);

function binding(resource: string, kind: string, roleKinds: readonly string[]): KindDefinition {
  const schema = `io.k8s.api.rbac.v1.${kind}`;
  return defineKind(group, resource, {
    schema,
    nameSyntax: 'path-segment',
    applyDefaults,
    validate: (object) => validate(object, roleKinds, kind === 'RoleBinding'),
    validateUpdate,
    updateOrder: ['meta', 'object', 'meta-update', 'update'],
    table: {
      columns: [
        nameColumn,
        fieldColumn('Role', schema, 'roleRef'),
        ageColumn,
        column('Users', 'Users in the roleRef', 'string', 1),
        column('Groups', 'Groups in the roleRef', 'string', 1),
        column('ServiceAccounts', 'ServiceAccounts in the roleRef', 'string', 1),
      ],
      cells,
    },
  });
}

function applyDefaults(object: KubeObject): void {
  if (isRecord(object.roleRef) && (object.roleRef.apiGroup === undefined || object.roleRef.apiGroup === ''))
    object.roleRef.apiGroup = group;
  if (!Array.isArray(object.subjects)) return;
  for (const subject of object.subjects) {
    if (!isRecord(subject) || (subject.apiGroup !== undefined && subject.apiGroup !== '')) continue;
    if (subject.kind === 'User' || subject.kind === 'Group') subject.apiGroup = group;
  }
}

function validate(object: KubeObject, roleKinds: readonly string[], namespaced: boolean): FieldError[] {
  const { roleRef, subjects } = viewAs<V1RoleBinding>(object);
  const errors: FieldError[] = [];
  const { apiGroup = '', kind = '', name = '' } = roleRef ?? {};
  if (apiGroup !== group) errors.push(notSupported('roleRef.apiGroup', apiGroup, [group]));
  if (!roleKinds.includes(kind)) errors.push(notSupported('roleRef.kind', kind, roleKinds));
  if (name === '') errors.push(required('roleRef.name'));
  else errors.push(...pathSegmentProblems(name).map((problem) => invalid('roleRef.name', name, problem)));
  for (const [i, subject] of (subjects ?? []).entries()) errors.push(...subjectErrors(subject, namespaced, `subjects[${i}]`));
  return errors;
}

function subjectErrors(subject: RbacV1Subject, namespaced: boolean, path: string): FieldError[] {
  const errors: FieldError[] = [];
  const { kind = '', name = '', apiGroup = '', namespace = '' } = subject;
  if (name === '') errors.push(required(`${path}.name`));
  switch (kind) {
    case 'ServiceAccount':
      if (name !== '') errors.push(...dnsSubdomainProblems(name).map((problem) => invalid(`${path}.name`, name, problem)));
      if (apiGroup !== '') errors.push(notSupported(`${path}.apiGroup`, apiGroup, ['']));
      if (!namespaced && namespace === '') errors.push(required(`${path}.namespace`));
      break;
    case 'User':
    case 'Group':
      if (apiGroup !== group) errors.push(notSupported(`${path}.apiGroup`, apiGroup, [group]));
      break;
    default:
      errors.push(notSupported(`${path}.kind`, kind, subjectKinds));
  }
  return errors;
}

function validateUpdate(object: KubeObject, old: KubeObject): FieldError[] {
  const now = viewAs<V1RoleBinding>(object).roleRef;
  const before = viewAs<V1RoleBinding>(old).roleRef;
  if (now.apiGroup === before.apiGroup && now.kind === before.kind && now.name === before.name) return [];
  return [invalid('roleRef', { APIGroup: now.apiGroup, Kind: now.kind, Name: now.name }, 'cannot change roleRef')];
}

function cells(object: KubeObject, now: number): unknown[] {
  const { metadata, roleRef, subjects } = viewAs<V1RoleBinding>(object);
  const names = (kind: string, text: (subject: RbacV1Subject) => string) =>
    (subjects ?? [])
      .filter((subject) => subject.kind === kind)
      .map(text)
      .join(', ');
  return [
    metadata?.name ?? '',
    `${roleRef.kind}/${roleRef.name}`,
    timeSince(metadata?.creationTimestamp, now),
    names('User', ({ name }) => name),
    names('Group', ({ name }) => name),
    names('ServiceAccount', ({ namespace, name }) => `${namespace ?? ''}/${name}`),
  ];
}
