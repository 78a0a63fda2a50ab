import type { BootstrapBinding } from './bootstrap-policy.ts';
import type { PolicyRule } from './policy-rule.ts';

/** A Role that exists from the first start on, with the binding of the same purpose. Upstream's names. */
export interface BootstrapRole {
  readonly namespace: string;
  readonly name: string;
  readonly rules: readonly PolicyRule[];
}

export interface BootstrapRoleBinding extends BootstrapBinding {
  readonly namespace: string;
}

const read = ['get', 'list', 'watch'];
const events: PolicyRule = { verbs: ['create', 'patch', 'update'], apiGroups: ['', 'events.k8s.io'], resources: ['events'] };

function core(verbs: readonly string[], resource: string, resourceNames?: readonly string[]): PolicyRule {
  return { verbs, apiGroups: [''], resources: [resource], ...(resourceNames ? { resourceNames } : {}) };
}

/** Leases and lease candidates of a component that elects a leader. */
const leaderLocking: readonly PolicyRule[] = ['leases', 'leasecandidates'].map((resource) => ({
  verbs: ['create', 'get', 'list', 'update', 'watch'],
  apiGroups: ['coordination.k8s.io'],
  resources: [resource],
}));

export const bootstrapRoles: readonly BootstrapRole[] = [
  {
    namespace: 'kube-public',
    name: 'system:controller:bootstrap-signer',
    rules: [core(read, 'configmaps'), core(['update'], 'configmaps', ['cluster-info']), events],
  },
  {
    namespace: 'kube-system',
    name: 'extension-apiserver-authentication-reader',
    rules: [core(read, 'configmaps', ['extension-apiserver-authentication'])],
  },
  { namespace: 'kube-system', name: 'system::leader-locking-kube-controller-manager', rules: leaderLocking },
  { namespace: 'kube-system', name: 'system::leader-locking-kube-scheduler', rules: leaderLocking },
  { namespace: 'kube-system', name: 'system:controller:bootstrap-signer', rules: [core(read, 'secrets')] },
  { namespace: 'kube-system', name: 'system:controller:cloud-provider', rules: [core(['create', ...read], 'configmaps')] },
  { namespace: 'kube-system', name: 'system:controller:token-cleaner', rules: [core(['delete', ...read], 'secrets'), events] },
];

const user = (name: string) => ({ kind: 'User' as const, name });
const account = (name: string) => ({ kind: 'ServiceAccount' as const, name, namespace: 'kube-system' });

/** A binding named like its role. */
function same(namespace: string, name: string, subjects: BootstrapBinding['subjects']): BootstrapRoleBinding {
  return { namespace, name, role: name, subjects };
}

export const bootstrapRoleBindings: readonly BootstrapRoleBinding[] = [
  same('kube-public', 'system:controller:bootstrap-signer', [account('bootstrap-signer')]),
  {
    namespace: 'kube-system',
    name: 'system::extension-apiserver-authentication-reader',
    role: 'extension-apiserver-authentication-reader',
    subjects: [user('system:kube-controller-manager'), user('system:kube-scheduler')],
  },
  same('kube-system', 'system::leader-locking-kube-controller-manager', [
    user('system:kube-controller-manager'),
    account('kube-controller-manager'),
    account('leader-election-controller'),
  ]),
  same('kube-system', 'system::leader-locking-kube-scheduler', [user('system:kube-scheduler'), account('kube-scheduler')]),
  same('kube-system', 'system:controller:bootstrap-signer', [account('bootstrap-signer')]),
  same('kube-system', 'system:controller:cloud-provider', [account('cloud-provider')]),
  same('kube-system', 'system:controller:token-cleaner', [account('token-cleaner')]),
];
