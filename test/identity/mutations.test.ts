import type { KubeObject } from '@coffer/api/meta/object';
import { nodeAuthorizer } from '@coffer/apiserver/authorization/node/node-authorizer';
import { NodeGraph } from '@coffer/apiserver/authorization/node/node-graph';
import {
  type BootstrapClusterRole,
  bootstrapClusterRoleBindings,
  bootstrapClusterRoles,
} from '@coffer/apiserver/authorization/rbac/bootstrap-policy';
import type { PolicyRule } from '@coffer/apiserver/authorization/rbac/policy-rule';
import { RbacAuthorizer } from '@coffer/apiserver/authorization/rbac/rbac-authorizer';
import { RbacIndex } from '@coffer/apiserver/authorization/rbac/rbac-index';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { openMemoryBackend } from '@coffer/storage/backend/memory';
import { openStorage } from '@coffer/storage/store/storage';
import { identityTransformer } from '@coffer/storage/value/transformer';
import { describe, expect, it } from 'vitest';
import { expectedLines, linesOf } from './decision-file.ts';
import { identities, type Question, questions } from './questions.ts';

// Is the matrix able to see a wrong rule? Fifty times one verb of one resource is taken from a default role, or given to it.

const flips = 50;
const seed = Number(process.env.COFFER_SEED ?? Math.floor(Math.random() * 2 ** 31));
const rbacVersion = 'rbac.authorization.k8s.io/v1';

/** mulberry32: enough for choosing. */
function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function observe(roles: readonly BootstrapClusterRole[]): Promise<readonly string[]> {
  const storage = await openStorage({
    backend: openMemoryBackend(),
    clock: systemClock,
    logger: silentLogger,
    transformerFor: () => identityTransformer,
  });
  const open = (prefix: string, kind: string, namespaced: boolean, apiVersion = rbacVersion) =>
    storage.resource({
      prefix,
      namespaced,
      apiVersion,
      kind,
      selectableFields: (object) => ({ 'spec.nodeName': (object.spec as { nodeName?: string } | undefined)?.nodeName ?? '' }),
    });
  const stores = {
    roles: await open('roles', 'Role', true),
    clusterRoles: await open('clusterroles', 'ClusterRole', false),
    roleBindings: await open('rolebindings', 'RoleBinding', true),
    clusterRoleBindings: await open('clusterrolebindings', 'ClusterRoleBinding', false),
  };
  const pods = await open('pods', 'Pod', true, 'v1');
  const object = (kind: string, namespace: string, name: string, fields: object): KubeObject => ({
    apiVersion: kind === 'Pod' ? 'v1' : rbacVersion,
    kind,
    metadata: { name, uid: name, ...(namespace === '' ? {} : { namespace }) },
    ...fields,
  });
  for (const role of roles) await stores.clusterRoles.create(object('ClusterRole', '', role.name, { rules: rulesOf(roles, role) }));
  for (const { name, role, subjects } of bootstrapClusterRoleBindings) {
    const fields = { subjects, roleRef: { kind: 'ClusterRole', name: role } };
    await stores.clusterRoleBindings.create(object('ClusterRoleBinding', '', name, fields));
  }
  for (const [name, role] of [
    ['viewer', 'view'],
    ['editor', 'edit'],
    ['admin', 'admin'],
  ] as const) {
    const fields = { subjects: [{ kind: 'User', name }], roleRef: { kind: 'ClusterRole', name: role } };
    await stores.roleBindings.create(object('RoleBinding', 'matrix', name, fields));
  }
  const rules = [{ apiGroups: [''], resources: ['secrets'], resourceNames: ['one', 'two'], verbs: ['get'] }];
  await stores.roles.create(object('Role', 'matrix', 'two-secrets', { rules }));
  const reader = {
    subjects: [{ kind: 'ServiceAccount', name: 'reader', namespace: 'matrix' }],
    roleRef: { kind: 'Role', name: 'two-secrets' },
  };
  await stores.roleBindings.create(object('RoleBinding', 'matrix', 'reader', reader));
  const envFrom = [{ secretRef: { name: 'used' } }, { configMapRef: { name: 'used' } }];
  await pods.create(
    object('Pod', 'matrix', 'p', { spec: { nodeName: 'n1', serviceAccountName: 'default', containers: [{ name: 'c', envFrom }] } }),
  );

  const fail = (error: Error) => {
    throw error;
  };
  const index = new RbacIndex(stores, fail);
  const graph = new NodeGraph(pods, fail);
  const authorizers = [nodeAuthorizer(graph), new RbacAuthorizer(index)];
  const lines = linesOf((identity, question) => authorizers.some((one) => isAllowed(one, identity, question)));
  graph.close();
  index.close();
  await storage.close();
  return lines;
}

function isAllowed(authorizer: RbacAuthorizer | ReturnType<typeof nodeAuthorizer>, identity: string, question: Question): boolean {
  const { about: _about, http: _http, ...about } = question;
  const known = identities[identity];
  const user = known
    ? { ...known, groups: [...known.groups, 'system:authenticated'] }
    : { name: 'system:anonymous', groups: ['system:unauthenticated'] };
  const decision = authorizer.authorize({ ...about, user, isResourceRequest: question.path === '' });
  if (decision instanceof Promise) throw new Error('these authorizers decide at once');
  return decision.decision === 'allow';
}

/** Rules with those of all roles that aggregate into it, as the loop would write them. */
function rulesOf(roles: readonly BootstrapClusterRole[], role: BootstrapClusterRole): readonly PolicyRule[] {
  if (!role.aggregates) return role.rules ?? [];
  const labels = role.aggregates.map((to) => `rbac.authorization.k8s.io/aggregate-to-${to}`);
  const sources = roles.filter((other) => other !== role && labels.some((label) => other.labels?.[label] === 'true'));
  return sources.flatMap((source) => rulesOf(roles, source));
}

/** Only `view` knows widgets, by a role of the cluster's owner. */
const widgets: BootstrapClusterRole = {
  name: 'widgets-view',
  labels: { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' },
  rules: [{ apiGroups: ['example.com'], resources: ['widgets'], verbs: ['get', 'list', 'watch'] }],
};
const allRoles = [...bootstrapClusterRoles, widgets];

/** A role, the identity that has it in namespace matrix, and the smaller role that it contains. */
const mutable: readonly (readonly [role: string, identity: string, contained: readonly string[]])[] = [
  ['system:aggregate-to-view', 'viewer', []],
  ['system:aggregate-to-edit', 'editor', ['viewer']],
  ['system:aggregate-to-admin', 'admin', ['viewer', 'editor']],
  ['system:basic-user', 'jane', []],
];

/** Takes one verb of one resource from a role, or gives it. */
function flip(role: BootstrapClusterRole, { group, resource, subresource, verb }: Question, take: boolean): BootstrapClusterRole {
  const target = subresource === '' ? resource : `${resource}/${subresource}`;
  if (!take) return { ...role, rules: [...(role.rules ?? []), { apiGroups: [group], resources: [target], verbs: [verb] }] };
  const rules = (role.rules ?? []).flatMap((rule): PolicyRule[] => {
    if (!rule.apiGroups?.includes(group) || !rule.resources?.includes(target) || !rule.verbs.includes(verb)) return [rule];
    const others = rule.resources.filter((name) => name !== target);
    const otherGroups = rule.apiGroups.filter((name) => name !== group);
    return [
      ...(others.length > 0 ? [{ ...rule, resources: others }] : []),
      ...(otherGroups.length > 0 ? [{ ...rule, resources: [target], apiGroups: otherGroups }] : []),
      { ...rule, apiGroups: [group], resources: [target], verbs: rule.verbs.filter((name) => name !== verb) },
    ].filter(({ verbs }) => verbs.length > 0);
  });
  return { ...role, rules };
}

describe('the decision matrix', () => {
  it('describes the default roles', async () => {
    expect(await observe(allRoles)).toEqual(expectedLines());
  });

  it(`sees each of ${flips} flipped rules (COFFER_SEED=${seed})`, async () => {
    const random = generator(seed);
    const choose = <T>(list: readonly T[]): T => {
      const item = list[Math.floor(random() * list.length)];
      if (item === undefined) throw new Error('nothing to choose from');
      return item;
    };
    const expected = expectedLines();
    const isExpected = (identity: string, question: Question) =>
      expected.some((line) => line.startsWith(`${identity} ${question.about} `) && line.split(' ')[2]?.split(',').includes(question.verb));
    const unseen: string[] = [];
    for (let done = 0; done < flips; ) {
      const [roleName, identity, contained] = choose(mutable);
      // What a contained role grants as well would stay granted: that is no change of the policy.
      const question = choose(
        questions.filter(
          (candidate) =>
            candidate.path === '' &&
            candidate.http !== undefined &&
            candidate.namespace === 'matrix' &&
            candidate.resource !== 'namespaces' &&
            !contained.some((smaller) => isExpected(smaller, candidate)) &&
            !(identity !== 'jane' && isExpected('jane', candidate)),
        ),
      );
      const take = isExpected(identity, question);
      if (take && !grants(roleName, question)) continue;
      done++;
      const changed = allRoles.map((role) => (role.name === roleName ? flip(role, question, take) : role));
      const observed = await observe(changed);
      if (JSON.stringify(observed) === JSON.stringify(expected)) unseen.push(`${roleName} ${question.about} ${question.verb}`);
    }
    expect(unseen).toEqual([]);
  });
});

function grants(roleName: string, { group, resource, subresource, verb }: Question): boolean {
  const target = subresource === '' ? resource : `${resource}/${subresource}`;
  const role = allRoles.find(({ name }) => name === roleName);
  return (role?.rules ?? []).some((r) => r.apiGroups?.includes(group) && r.resources?.includes(target) && r.verbs.includes(verb));
}
