import { describe, expect, it } from 'vitest';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, updateProblems, written } from '../testing/written-object.ts';
import { clusterRole, role } from './role.ts';
import { clusterRoleBinding, roleBinding } from './role-binding.ts';

const group = 'rbac.authorization.k8s.io';
const rule = { verbs: ['get'], apiGroups: [''], resources: ['pods'] };
const urls = { verbs: ['get'], nonResourceURLs: ['/healthz'] };

describe('roles', () => {
  it('may be empty', () => {
    expect(createProblems(role, {})).toEqual([]);
    expect(createProblems(clusterRole, { rules: [] })).toEqual([]);
  });

  it('may have a colon in their names', () => {
    expect(createProblems(role, { metadata: { name: 'system:a' } })).toEqual([]);
    expect(createProblems(role, { metadata: { name: 'a/b' } })).toEqual([`metadata.name: Invalid value: "a/b": may not contain '/'`]);
  });

  it('say in every rule what is allowed on what', () => {
    expect(createProblems(role, { rules: [rule, {}] })).toEqual([
      'rules[1].verbs: Required value: verbs must contain at least one value',
      'rules[1].apiGroups: Required value: resource rules must supply at least one api group',
      'rules[1].resources: Required value: resource rules must supply at least one resource',
    ]);
  });

  it('grant URLs for the whole cluster only, and not together with resources', () => {
    expect(createProblems(clusterRole, { rules: [urls] })).toEqual([]);
    expect(createProblems(role, { rules: [urls] })).toEqual([
      'rules[0].nonResourceURLs: Invalid value: ["/healthz"]: namespaced rules cannot apply to non-resource URLs',
    ]);
    expect(createProblems(clusterRole, { rules: [{ ...rule, ...urls }] })).toEqual([
      'rules[0].nonResourceURLs: Invalid value: ["/healthz"]: rules cannot apply to both regular resources and non-resource URLs',
    ]);
  });

  it('are put together from at least one selector', () => {
    expect(createProblems(clusterRole, { aggregationRule: {} })).toEqual([
      'aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if aggregationRule is non-nil',
    ]);
    expect(createProblems(clusterRole, { aggregationRule: { clusterRoleSelectors: [{ matchLabels: { a: 'b' } }] } })).toEqual([]);
  });

  it('are shown with the time of their creation', () => {
    const cells = cellsOf(role, { metadata: { name: 'r', creationTimestamp: '2026-01-01T00:00:00Z' } }, 0);
    expect(cells).toEqual({ Name: 'r', 'Created At': '2026-01-01T00:00:00Z' });
  });
});

const roleRef = { kind: 'Role', name: 'r' };
const clusterRoleRef = { kind: 'ClusterRole', name: 'r' };
const subject = (fields: Fields): string[] => createProblems(clusterRoleBinding, { roleRef: clusterRoleRef, subjects: [fields] });

describe('bindings', () => {
  it('know the API group of roles, users and groups', () => {
    const subjects = [
      { kind: 'User', name: 'u' },
      { kind: 'Group', name: 'g' },
      { kind: 'ServiceAccount', name: 's', namespace: 'n' },
    ];
    const object = written(roleBinding, { roleRef, subjects });
    expect(object.roleRef).toEqual({ apiGroup: group, kind: 'Role', name: 'r' });
    expect(object.subjects).toEqual([
      { kind: 'User', apiGroup: group, name: 'u' },
      { kind: 'Group', apiGroup: group, name: 'g' },
      { kind: 'ServiceAccount', name: 's', namespace: 'n' },
    ]);
    expect(createProblems(roleBinding, { roleRef, subjects })).toEqual([]);
  });

  it('name a role', () => {
    expect(createProblems(roleBinding, {})).toEqual([
      'roleRef.kind: Unsupported value: "": supported values: "Role", "ClusterRole"',
      'roleRef.name: Required value',
    ]);
    expect(createProblems(clusterRoleBinding, { roleRef })).toEqual([
      'roleRef.kind: Unsupported value: "Role": supported values: "ClusterRole"',
    ]);
    expect(createProblems(roleBinding, { roleRef: { ...roleRef, apiGroup: 'x', name: 'a%' } })).toEqual([
      `roleRef.apiGroup: Unsupported value: "x": supported values: "${group}"`,
      `roleRef.name: Invalid value: "a%": may not contain '%'`,
    ]);
  });

  it.each<[Fields, string[]]>([
    [{ kind: 'ServiceAccount', name: 'a', namespace: 'n' }, []],
    [{ kind: 'ServiceAccount', name: 'a' }, ['subjects[0].namespace: Required value']],
    [
      { kind: 'ServiceAccount', name: 'A', namespace: 'n', apiGroup: group },
      [
        `subjects[0].name: Invalid value: "A": a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*')`,
        `subjects[0].apiGroup: Unsupported value: "${group}": supported values: ""`,
      ],
    ],
    [{ kind: 'User', name: 'a', apiGroup: 'x' }, [`subjects[0].apiGroup: Unsupported value: "x": supported values: "${group}"`]],
    [{ kind: 'Robot', name: 'a' }, ['subjects[0].kind: Unsupported value: "Robot": supported values: "ServiceAccount", "User", "Group"']],
  ])('check the subject %j', (fields, want) => {
    expect(subject(fields)).toEqual(want);
  });

  it('never change their role', () => {
    const other = { roleRef: { kind: 'ClusterRole', name: 'other' } };
    expect(updateProblems(roleBinding, other, { roleRef })).toEqual([
      `roleRef: Invalid value: {"APIGroup":"${group}","Kind":"ClusterRole","Name":"other"}: cannot change roleRef`,
    ]);
    expect(updateProblems(roleBinding, { roleRef, subjects: [] }, { roleRef })).toEqual([]);
  });

  it('are shown with who they are for', () => {
    const subjects = [
      { kind: 'User', name: 'u' },
      { kind: 'User', name: 'v' },
      { kind: 'ServiceAccount', name: 's', namespace: 'n' },
    ];
    expect(cellsOf(roleBinding, { roleRef, subjects }, 0)).toEqual({
      Name: 'x',
      Role: 'Role/r',
      Age: '<unknown>',
      Users: 'u, v',
      Groups: '',
      ServiceAccounts: 'n/s',
    });
  });
});
