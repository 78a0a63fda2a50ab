import type { BootstrapBinding, BootstrapClusterRole } from './bootstrap-policy.ts';
import type { PolicyRule } from './policy-rule.ts';

/**
 * What each control loop may do: upstream's `system:controller:<name>` roles for the loops Coffer runs, each bound to the service
 * account of that name in kube-system. Least privilege: a loop that needs more gets a line here.
 */
function allow(verbs: readonly string[], apiGroups: readonly string[], resources: readonly string[]): PolicyRule {
  return { verbs, apiGroups, resources };
}

function sign(verbs: readonly string[], resourceNames: readonly string[]): PolicyRule {
  return { verbs, apiGroups: ['certificates.k8s.io'], resources: ['signers'], resourceNames };
}

const read = ['get', 'list', 'watch'];
const appGroups = ['apps', 'extensions'];
const events = allow(['create', 'patch', 'update'], ['', 'events.k8s.io'], ['events']);

const controllerRules: Readonly<Record<string, readonly PolicyRule[]>> = {
  'deployment-controller': [
    allow(['get', 'list', 'update', 'watch'], appGroups, ['deployments']),
    allow(['update', 'patch'], appGroups, ['deployments/status']),
    allow(['update'], appGroups, ['deployments/finalizers']),
    allow(['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'], appGroups, ['replicasets']),
    allow(['get', 'list', 'update', 'watch'], [''], ['pods']),
    events,
  ],
  'replicaset-controller': [
    allow(['get', 'list', 'update', 'watch'], appGroups, ['replicasets']),
    allow(['update', 'patch'], appGroups, ['replicasets/status']),
    allow(['update'], appGroups, ['replicasets/finalizers']),
    allow(['create', 'delete', 'get', 'list', 'patch', 'watch'], [''], ['pods']),
    events,
  ],
  'namespace-controller': [
    allow(['delete', 'get', 'list', 'watch'], [''], ['namespaces']),
    allow(['update'], [''], ['namespaces/finalize', 'namespaces/status']),
    allow(['delete', 'deletecollection', 'get', 'list', 'watch'], ['*'], ['*']),
  ],
  'service-account-controller': [
    allow(['create'], [''], ['serviceaccounts']),
    allow(read, [''], ['serviceaccounts', 'namespaces']),
    events,
  ],
  'root-ca-cert-publisher': [allow(['create', 'update'], [''], ['configmaps']), allow(read, [''], ['configmaps', 'namespaces']), events],
  'generic-garbage-collector': [allow(['delete', 'get', 'list', 'patch', 'update', 'watch'], ['*'], ['*']), events],
  'pod-garbage-collector': [
    allow(['delete', 'list', 'watch'], [''], ['pods']),
    allow(['get', 'list', 'watch'], [''], ['nodes']),
    allow(['patch'], [''], ['pods/status']),
  ],
  'node-controller': [
    allow(['delete', 'get', 'list', 'patch', 'update', 'watch'], [''], ['nodes']),
    allow(['patch', 'update'], [''], ['nodes/status']),
    allow(['patch', 'update'], [''], ['pods/status']),
    allow(['delete', 'get', 'list', 'watch'], [''], ['pods']),
    allow(read, ['coordination.k8s.io'], ['leases']),
    events,
  ],
  'certificate-controller': [
    allow(['delete', 'get', 'list', 'watch'], ['certificates.k8s.io'], ['certificatesigningrequests']),
    allow(['update'], ['certificates.k8s.io'], ['certificatesigningrequests/approval', 'certificatesigningrequests/status']),
    sign(['approve'], ['kubernetes.io/kube-apiserver-client-kubelet']),
    sign(
      ['sign'],
      [
        'kubernetes.io/kube-apiserver-client',
        'kubernetes.io/kube-apiserver-client-kubelet',
        'kubernetes.io/kubelet-serving',
        'kubernetes.io/legacy-unknown',
      ],
    ),
    allow(['create'], ['authorization.k8s.io'], ['subjectaccessreviews']),
    events,
  ],
  'clusterrole-aggregation-controller': [
    allow(['escalate', 'get', 'list', 'patch', 'update', 'watch'], ['rbac.authorization.k8s.io'], ['clusterroles']),
  ],
  'ttl-controller': [
    allow(['delete', 'list', 'watch'], [''], ['events']),
    allow(['list', 'patch', 'update', 'watch'], [''], ['nodes']),
    events,
  ],
  'token-controller': [
    allow(['delete', 'get', 'list', 'update', 'watch'], [''], ['secrets']),
    allow(['get', 'list', 'update', 'watch'], [''], ['serviceaccounts']),
  ],
  'endpointslice-controller': [
    allow(read, [''], ['nodes', 'pods', 'services']),
    allow(['update'], [''], ['services/finalizers']),
    allow(['create', 'delete', 'get', 'list', 'update', 'watch'], ['discovery.k8s.io'], ['endpointslices']),
    events,
  ],
  'endpoint-controller': [
    allow(read, [''], ['pods', 'services']),
    allow(['create', 'delete', 'get', 'list', 'update', 'watch'], [''], ['endpoints']),
    allow(['create'], [''], ['endpoints/restricted']),
    events,
  ],
};

export const controllerClusterRoles: readonly BootstrapClusterRole[] = Object.entries(controllerRules).map(([name, rules]) => ({
  name: `system:controller:${name}`,
  rules,
}));

export const controllerClusterRoleBindings: readonly BootstrapBinding[] = Object.keys(controllerRules).map((name) => ({
  name: `system:controller:${name}`,
  role: `system:controller:${name}`,
  subjects: [{ kind: 'ServiceAccount', name, namespace: 'kube-system' }],
}));
