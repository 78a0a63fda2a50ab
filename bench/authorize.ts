/**
 * Prints what an RBAC decision costs at 10 000 rules: wall time, and CPU time of the whole process (collector included), which other load
 * of the machine changes little. Run by `node bench/authorize.mjs`, which bundles it.
 */
import type { KubeObject } from '@coffer/api/meta/object';
import type { Attributes } from '@coffer/apiserver/authorization/authorizer';
import { RbacAuthorizer } from '@coffer/apiserver/authorization/rbac/rbac-authorizer';
import { RbacIndex } from '@coffer/apiserver/authorization/rbac/rbac-index';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { openMemoryBackend } from '@coffer/storage/backend/memory';
import { openStorage } from '@coffer/storage/store/storage';
import { identityTransformer } from '@coffer/storage/value/transformer';

const namespaces = 100;
const rolesPerNamespace = 20;
const rulesPerRole = 5;
const apiVersion = 'rbac.authorization.k8s.io/v1';

const storage = await openStorage({
  backend: openMemoryBackend(),
  clock: systemClock,
  logger: silentLogger,
  transformerFor: () => identityTransformer,
});
const open = (prefix: string, kind: string, namespaced: boolean) =>
  storage.resource({ prefix, namespaced, apiVersion, kind, selectableFields: () => ({}) });
const stores = {
  roles: await open('roles', 'Role', true),
  clusterRoles: await open('clusterroles', 'ClusterRole', false),
  roleBindings: await open('rolebindings', 'RoleBinding', true),
  clusterRoleBindings: await open('clusterrolebindings', 'ClusterRoleBinding', false),
};
const index = new RbacIndex(stores, (error) => {
  throw error;
});
const object = (kind: string, namespace: string, name: string, fields: object): KubeObject => ({
  apiVersion,
  kind,
  metadata: { name, namespace, uid: `${kind}-${namespace}-${name}` },
  ...fields,
});
for (let n = 0; n < namespaces; n++) {
  for (let r = 0; r < rolesPerNamespace; r++) {
    const rules = Array.from({ length: rulesPerRole }, (_, i) => ({
      verbs: ['get', 'list'],
      apiGroups: [''],
      resources: [i === 0 ? 'secrets' : `resource-${i}`],
      resourceNames: [`secret-${r}`],
    }));
    await stores.roles.create(object('Role', `ns-${n}`, `role-${r}`, { rules }));
    // One team is in every role of its namespace: the worst case, every rule may count.
    const subjects = [{ kind: 'Group', name: 'team' }];
    await stores.roleBindings.create(
      object('RoleBinding', `ns-${n}`, `binding-${r}`, { subjects, roleRef: { kind: 'Role', name: `role-${r}` } }),
    );
  }
}

let counter = 0;
const ask = (name: string): Attributes => ({
  user: { name: 'jane', groups: ['team', 'system:authenticated'] },
  verb: 'get',
  isResourceRequest: true,
  group: '',
  version: 'v1',
  resource: 'secrets',
  subresource: '',
  namespace: `ns-${counter++ % namespaces}`,
  name,
  path: '',
});
const authorizer = new RbacAuthorizer(index);

function measure(title: string, attributes: () => Attributes): void {
  for (let i = 0; i < 5_000; i++) authorizer.authorize(attributes());
  const rounds = 100_000;
  const startedMs = performance.now();
  const startedCpu = process.cpuUsage();
  for (let i = 0; i < rounds; i++) authorizer.authorize(attributes());
  const wallUs = ((performance.now() - startedMs) / rounds) * 1000;
  const { user, system } = process.cpuUsage(startedCpu);
  console.log(`${title.padEnd(44)} ${wallUs.toFixed(2).padStart(8)} µs   CPU ${((user + system) / rounds).toFixed(2).padStart(6)} µs`);
}

console.log(`${namespaces * rolesPerNamespace * rulesPerRole} rules; target below 20 µs`);
measure('allowed, asked before', () => ask('secret-7'));
measure('allowed, new question each time', () => ({
  ...ask('secret-7'),
  verb: counter % 2 === 0 ? 'get' : 'list',
  version: String(counter),
}));
measure('denied, new question each time', () => ask(`unknown-${counter}`));
const startedMs = performance.now();
await stores.roles.create(object('Role', 'ns-0', 'one-more', { rules: [] }));
authorizer.authorize(ask('secret-7'));
console.log(
  `${'first decision after a change, with the write'.padEnd(44)} ${((performance.now() - startedMs) * 1000).toFixed(2).padStart(8)} µs`,
);
index.close();
await storage.close();
