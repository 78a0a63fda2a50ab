import { allow, bindToLoop } from './bootstrap-controllers.ts';
import type { BootstrapBinding, BootstrapClusterRole } from './bootstrap-policy.ts';
import type { PolicyRule } from './policy-rule.ts';

/**
 * What Coffer's own loops need beyond upstream's roles, as ClusterRoles `coffer:controller:<name>`. In Kubernetes all loops read through
 * the informers of one controller manager that may list everything; here each reads as itself. Least privilege: a loop that needs
 * more gets a line here.
 */
const loopRules: Readonly<Record<string, readonly PolicyRule[]>> = {
  'deployment-controller': [allow('patch', 'apps', 'deployments/status')],
  'disruption-controller': [allow('get list watch', '', 'pods')],
  'legacy-service-account-token-cleaner': [allow('get list watch', '', 'pods secrets serviceaccounts')],
  'node-controller': [allow('get list watch', 'coordination.k8s.io', 'leases')],
  'replicaset-controller': [allow('patch', 'apps', 'replicasets/status'), allow('get', '', 'pods')],
  'replication-controller': [allow('patch', '', 'replicationcontrollers/status'), allow('get', '', 'pods')],
  'root-ca-cert-publisher': [allow('get list watch', '', 'configmaps namespaces')],
  'service-account-controller': [allow('get list watch', '', 'namespaces serviceaccounts')],
  'token-controller': [allow('delete get list update watch', '', 'secrets'), allow('get list update watch', '', 'serviceaccounts')],
  'ttl-controller': [allow('delete list watch', '', 'events')],
};

export const loopClusterRoles: readonly BootstrapClusterRole[] = Object.entries(loopRules).map(([name, rules]) => ({
  name: `coffer:controller:${name}`,
  ownLabels: { 'coffer.dev/bootstrapping': 'rbac-defaults' },
  rules,
}));

export const loopClusterRoleBindings: readonly BootstrapBinding[] = Object.keys(loopRules).map((name) => ({
  ...bindToLoop(`coffer:controller:${name}`, name),
  ownLabels: { 'coffer.dev/bootstrapping': 'rbac-defaults' },
}));
