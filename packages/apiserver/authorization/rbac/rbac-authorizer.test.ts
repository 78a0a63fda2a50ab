import type { KubeObject } from '@coffer/api/meta/object';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { openMemoryBackend } from '@coffer/storage/backend/memory';
import { openStorage } from '@coffer/storage/store/storage';
import { identityTransformer } from '@coffer/storage/value/transformer';
import { describe, expect, it } from 'vitest';
import type { Attributes } from '../authorizer.ts';
import { RbacAuthorizer } from './rbac-authorizer.ts';
import { RbacIndex } from './rbac-index.ts';

async function setUp() {
  const storage = await openStorage({
    backend: openMemoryBackend(),
    clock: systemClock,
    logger: silentLogger,
    transformerFor: () => identityTransformer,
  });
  const open = (prefix: string, kind: string, namespaced: boolean) =>
    storage.resource({ prefix, namespaced, apiVersion: 'rbac.authorization.k8s.io/v1', kind, selectableFields: () => ({}) });
  const stores = {
    roles: await open('roles', 'Role', true),
    clusterRoles: await open('clusterroles', 'ClusterRole', false),
    roleBindings: await open('rolebindings', 'RoleBinding', true),
    clusterRoleBindings: await open('clusterrolebindings', 'ClusterRoleBinding', false),
  };
  const ended: Error[] = [];
  const index = new RbacIndex(stores, (error) => ended.push(error));
  const close = async () => {
    index.close();
    await storage.close();
    expect(ended).toEqual([]);
  };
  return { stores, authorizer: new RbacAuthorizer(index), close };
}

const object = (kind: string, namespace: string, name: string, fields: object): KubeObject => ({
  apiVersion: 'rbac.authorization.k8s.io/v1',
  kind,
  metadata: { name, uid: `${kind}-${namespace}-${name}`, ...(namespace === '' ? {} : { namespace }) },
  ...fields,
});

const attributes = (fields: Partial<Attributes>): Attributes => ({
  user: { name: 'jane', groups: ['system:authenticated'] },
  verb: 'get',
  isResourceRequest: true,
  group: '',
  version: 'v1',
  resource: 'secrets',
  subresource: '',
  namespace: 'a',
  name: 'x',
  path: '',
  ...fields,
});

const reader = [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }];

describe('RbacAuthorizer', () => {
  it('allows what a RoleBinding grants in its namespace, says why, and follows every change at once', async () => {
    const { stores, authorizer, close } = await setUp();
    expect(authorizer.authorize(attributes({})).decision).toBe('no-opinion');
    await stores.roles.create(object('Role', 'a', 'reader', { rules: reader }));
    await stores.roleBindings.create(
      object('RoleBinding', 'a', 'b', {
        roleRef: { kind: 'Role', name: 'reader', apiGroup: 'rbac.authorization.k8s.io' },
        subjects: [{ kind: 'User', name: 'jane' }],
      }),
    );
    expect(authorizer.authorize(attributes({}))).toEqual({
      decision: 'allow',
      reason: 'RBAC: allowed by RoleBinding "b/a" of Role "reader" to User "jane"',
    });
    expect(authorizer.authorize(attributes({ namespace: 'b' })).decision).toBe('no-opinion');
    expect(authorizer.authorize(attributes({ verb: 'list', name: '' })).decision).toBe('no-opinion');
    await stores.roleBindings.guaranteedUpdate('a', 'b', () => ({ action: 'delete' }));
    expect(authorizer.authorize(attributes({})).decision).toBe('no-opinion');
    await close();
  });

  it('counts a service account by its user name and groups of every kind of binding', async () => {
    const { stores, authorizer, close } = await setUp();
    await stores.clusterRoles.create(object('ClusterRole', '', 'reader', { rules: reader }));
    const roleRef = { kind: 'ClusterRole', name: 'reader', apiGroup: 'rbac.authorization.k8s.io' };
    await stores.clusterRoleBindings.create(
      object('ClusterRoleBinding', '', 'group', { roleRef, subjects: [{ kind: 'Group', name: 'devs' }] }),
    );
    await stores.roleBindings.create(
      object('RoleBinding', 'a', 'account', { roleRef, subjects: [{ kind: 'ServiceAccount', name: 'app', namespace: 'a' }] }),
    );
    const as = (name: string, groups: string[]) => ({ user: { name, groups } });
    expect(authorizer.authorize(attributes({ ...as('joe', ['devs']), namespace: 'zzz' })).decision).toBe('allow');
    expect(authorizer.authorize(attributes(as('system:serviceaccount:a:app', []))).reason).toBe(
      'RBAC: allowed by RoleBinding "account/a" of ClusterRole "reader" to ServiceAccount "app/a"',
    );
    expect(authorizer.authorize(attributes({ ...as('system:serviceaccount:a:app', []), namespace: 'b' })).decision).toBe('no-opinion');
    await close();
  });

  it('names the role that a binding misses', async () => {
    const { stores, authorizer, close } = await setUp();
    const roleRef = { kind: 'Role', name: 'gone', apiGroup: 'rbac.authorization.k8s.io' };
    await stores.roleBindings.create(object('RoleBinding', 'a', 'b', { roleRef, subjects: [{ kind: 'User', name: 'jane' }] }));
    expect(authorizer.authorize(attributes({}))).toEqual({
      decision: 'no-opinion',
      reason: 'RBAC: role.rbac.authorization.k8s.io "gone" not found',
    });
    await close();
  });

  it('lists every rule of a user for a namespace', async () => {
    const { stores, authorizer, close } = await setUp();
    await stores.clusterRoles.create(object('ClusterRole', '', 'health', { rules: [{ verbs: ['get'], nonResourceURLs: ['/healthz'] }] }));
    await stores.clusterRoleBindings.create(
      object('ClusterRoleBinding', '', 'health', {
        roleRef: { kind: 'ClusterRole', name: 'health' },
        subjects: [{ kind: 'User', name: 'jane' }],
      }),
    );
    await stores.roles.create(object('Role', 'a', 'reader', { rules: reader }));
    await stores.roleBindings.create(
      object('RoleBinding', 'a', 'b', { roleRef: { kind: 'Role', name: 'reader' }, subjects: [{ kind: 'User', name: 'jane' }] }),
    );
    const rules = authorizer.rulesFor({ name: 'jane', groups: [] }, 'a').rules;
    expect(rules).toEqual([{ verbs: ['get'], nonResourceURLs: ['/healthz'] }, ...reader]);
    await close();
  });
});
