import type { PolicyRule } from './policy-rule.ts';

/** A ClusterRole that exists from the first start on, by upstream's name. */
export interface BootstrapClusterRole {
  readonly name: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly rules?: readonly PolicyRule[];
  /** Label that aggregated roles carry, as `rbac.authorization.k8s.io/aggregate-to-<value>`. */
  readonly aggregates?: readonly string[];
}

export interface BootstrapBinding {
  readonly name: string;
  readonly role: string;
  readonly subjects: readonly { readonly kind: 'User' | 'Group' | 'ServiceAccount'; readonly name: string; readonly namespace?: string }[];
}

const read = ['get', 'list', 'watch'];
const readWrite = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
const write = ['create', 'delete', 'deletecollection', 'patch', 'update'];
const reviewGroups = {
  tokens: 'authentication.k8s.io',
  access: 'authorization.k8s.io',
  rbac: 'rbac.authorization.k8s.io',
  certificates: 'certificates.k8s.io',
};

function rule(
  verbs: readonly string[],
  apiGroups: readonly string[],
  resources: readonly string[],
  resourceNames?: readonly string[],
): PolicyRule {
  return { verbs, apiGroups, resources, ...(resourceNames ? { resourceNames } : {}) };
}

function urls(nonResourceURLs: readonly string[]): PolicyRule {
  return { verbs: ['get'], nonResourceURLs };
}

const healthUrls = ['/healthz', '/livez', '/readyz'];
const versionUrls = ['/version', '/version/'];
const discoveryUrls = ['/api', '/api/*', '/apis', '/apis/*', '/openapi', '/openapi/*'];

const viewedCore = [
  'configmaps',
  'endpoints',
  'persistentvolumeclaims',
  'persistentvolumeclaims/status',
  'pods',
  'replicationcontrollers',
  'replicationcontrollers/scale',
  'serviceaccounts',
  'services',
  'services/status',
];
const viewedCoreStatus = [
  'bindings',
  'events',
  'limitranges',
  'namespaces/status',
  'pods/log',
  'pods/status',
  'replicationcontrollers/status',
  'resourcequotas',
  'resourcequotas/status',
];
const viewedApps = [
  'controllerrevisions',
  'daemonsets',
  'daemonsets/status',
  'deployments',
  'deployments/scale',
  'deployments/status',
  'replicasets',
  'replicasets/scale',
  'replicasets/status',
  'statefulsets',
  'statefulsets/scale',
  'statefulsets/status',
];
const editedApps = [
  'daemonsets',
  'deployments',
  'deployments/rollback',
  'deployments/scale',
  'replicasets',
  'replicasets/scale',
  'statefulsets',
  'statefulsets/scale',
];
const viewedOthers: readonly (readonly [string, readonly string[]])[] = [
  ['autoscaling', ['horizontalpodautoscalers', 'horizontalpodautoscalers/status']],
  ['batch', ['cronjobs', 'cronjobs/status', 'jobs', 'jobs/status']],
  ['policy', ['poddisruptionbudgets', 'poddisruptionbudgets/status']],
  ['networking.k8s.io', ['ingresses', 'ingresses/status', 'networkpolicies']],
];

const toAdmin = { 'rbac.authorization.k8s.io/aggregate-to-admin': 'true' };
const toEdit = { 'rbac.authorization.k8s.io/aggregate-to-edit': 'true' };
const toView = { 'rbac.authorization.k8s.io/aggregate-to-view': 'true' };

const viewRules: readonly PolicyRule[] = [
  rule(read, [''], viewedCore),
  rule(read, [''], viewedCoreStatus),
  rule(read, [''], ['namespaces']),
  rule(read, ['discovery.k8s.io'], ['endpointslices']),
  rule(read, ['apps'], viewedApps),
  ...viewedOthers.map(([group, resources]) => rule(read, [group], resources)),
];

const editRules: readonly PolicyRule[] = [
  rule(read, [''], ['pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy', 'secrets', 'services/proxy']),
  rule(['impersonate'], [''], ['serviceaccounts']),
  rule(write, [''], ['pods', 'pods/attach', 'pods/exec', 'pods/portforward', 'pods/proxy']),
  rule(['create'], [''], ['pods/eviction']),
  rule(
    write,
    [''],
    [
      'configmaps',
      'events',
      'persistentvolumeclaims',
      'replicationcontrollers',
      'replicationcontrollers/scale',
      'secrets',
      'serviceaccounts',
      'services',
      'services/proxy',
    ],
  ),
  rule(['create'], [''], ['serviceaccounts/token']),
  rule(write, ['apps'], editedApps),
  rule(write, ['autoscaling'], ['horizontalpodautoscalers']),
  rule(write, ['batch'], ['cronjobs', 'jobs']),
  rule(write, ['policy'], ['poddisruptionbudgets']),
  rule(write, ['networking.k8s.io'], ['ingresses', 'networkpolicies']),
  rule(readWrite, ['coordination.k8s.io'], ['leases']),
];

const nodeRules: readonly PolicyRule[] = [
  rule(['create'], [reviewGroups.tokens], ['tokenreviews']),
  rule(['create'], [reviewGroups.access], ['localsubjectaccessreviews', 'subjectaccessreviews']),
  rule(read, [''], ['services']),
  rule(['create', 'get', 'list', 'watch'], [''], ['nodes']),
  rule(['patch', 'update'], [''], ['nodes/status']),
  rule(['delete', 'patch', 'update'], [''], ['nodes']),
  rule(read, [''], ['pods']),
  rule(['create', 'delete'], [''], ['pods']),
  rule(['patch', 'update'], [''], ['pods/status']),
  rule(['create'], [''], ['pods/eviction']),
  rule(read, [''], ['configmaps', 'secrets']),
  rule(['get'], [''], ['persistentvolumeclaims', 'persistentvolumes']),
  rule(['get'], [''], ['endpoints']),
  rule(['create', 'get', 'list', 'watch'], [reviewGroups.certificates], ['certificatesigningrequests']),
  rule(['create', 'delete', 'get', 'patch', 'update'], ['coordination.k8s.io'], ['leases']),
  rule(['create', 'patch', 'update'], ['', 'events.k8s.io'], ['events']),
  rule(['create'], [''], ['serviceaccounts/token']),
];

/** The roles of people and components, as a fresh Kubernetes has them (for the resources Coffer serves and those others add). */
export const bootstrapClusterRoles: readonly BootstrapClusterRole[] = [
  { name: 'cluster-admin', rules: [rule(['*'], ['*'], ['*']), { verbs: ['*'], nonResourceURLs: ['*'] }] },
  { name: 'system:discovery', rules: [urls([...discoveryUrls, ...healthUrls, ...versionUrls].sort())] },
  {
    name: 'system:basic-user',
    rules: [
      rule(['create'], [reviewGroups.access], ['selfsubjectaccessreviews', 'selfsubjectrulesreviews']),
      rule(['create'], [reviewGroups.tokens], ['selfsubjectreviews']),
    ],
  },
  { name: 'system:public-info-viewer', rules: [urls([...healthUrls, ...versionUrls].sort())] },
  {
    name: 'system:monitoring',
    rules: [urls(['/healthz', '/healthz/*', '/livez', '/livez/*', '/metrics', '/metrics/slis', '/readyz', '/readyz/*'])],
  },
  { name: 'admin', labels: { 'kubernetes.io/bootstrapping': 'rbac-defaults' }, aggregates: ['admin'] },
  { name: 'edit', labels: toAdmin, aggregates: ['edit'] },
  { name: 'view', labels: toEdit, aggregates: ['view'] },
  {
    name: 'system:aggregate-to-admin',
    labels: toAdmin,
    rules: [
      rule(['create'], [reviewGroups.access], ['localsubjectaccessreviews']),
      rule(readWrite.toSorted(), [reviewGroups.rbac], ['rolebindings', 'roles']),
    ],
  },
  { name: 'system:aggregate-to-edit', labels: toEdit, rules: editRules },
  { name: 'system:aggregate-to-view', labels: toView, rules: viewRules },
  {
    name: 'system:heapster',
    rules: [rule(read, [''], ['events', 'namespaces', 'nodes', 'pods']), rule(read, ['extensions'], ['deployments'])],
  },
  { name: 'system:node', rules: nodeRules },
  {
    name: 'system:node-problem-detector',
    rules: [
      rule(['get'], [''], ['nodes']),
      rule(['patch'], [''], ['nodes/status']),
      rule(['create', 'patch', 'update'], ['', 'events.k8s.io'], ['events']),
    ],
  },
  {
    name: 'system:kubelet-api-admin',
    rules: [
      rule(read, [''], ['nodes']),
      rule(['proxy'], [''], ['nodes']),
      rule(['*'], [''], ['nodes/configz', 'nodes/healthz', 'nodes/log', 'nodes/metrics', 'nodes/pods', 'nodes/proxy', 'nodes/stats']),
    ],
  },
  {
    name: 'system:node-bootstrapper',
    rules: [rule(['create', 'get', 'list', 'watch'], [reviewGroups.certificates], ['certificatesigningrequests'])],
  },
  {
    name: 'system:auth-delegator',
    rules: [rule(['create'], [reviewGroups.tokens], ['tokenreviews']), rule(['create'], [reviewGroups.access], ['subjectaccessreviews'])],
  },
  {
    name: 'system:service-account-issuer-discovery',
    rules: [urls(['/.well-known/openid-configuration', '/.well-known/openid-configuration/', '/openid/v1/jwks', '/openid/v1/jwks/'])],
  },
  {
    name: 'system:kube-scheduler',
    rules: [
      rule(['create', 'patch', 'update'], ['', 'events.k8s.io'], ['events']),
      rule(['create', 'get', 'list', 'watch'], ['coordination.k8s.io'], ['leases']),
      rule(['get', 'update'], ['coordination.k8s.io'], ['leases'], ['kube-scheduler']),
      rule(read, [''], ['nodes', 'namespaces']),
      rule(['delete', 'get', 'list', 'watch'], [''], ['pods']),
      rule(['create'], [''], ['bindings', 'pods/binding']),
      rule(['patch', 'update'], [''], ['pods/status']),
      rule(read, [''], ['replicationcontrollers', 'services', 'persistentvolumeclaims', 'persistentvolumes']),
      rule(read, ['apps', 'extensions'], ['replicasets']),
      rule(['create'], [reviewGroups.tokens], ['tokenreviews']),
      rule(['create'], [reviewGroups.access], ['subjectaccessreviews']),
    ],
  },
  {
    name: 'system:certificates.k8s.io:certificatesigningrequests:nodeclient',
    rules: [rule(['create'], [reviewGroups.certificates], ['certificatesigningrequests/nodeclient'])],
  },
  {
    name: 'system:certificates.k8s.io:certificatesigningrequests:selfnodeclient',
    rules: [rule(['create'], [reviewGroups.certificates], ['certificatesigningrequests/selfnodeclient'])],
  },
  {
    name: 'system:certificates.k8s.io:kube-apiserver-client-approver',
    rules: [rule(['approve'], [reviewGroups.certificates], ['signers'], ['kubernetes.io/kube-apiserver-client'])],
  },
  {
    name: 'system:certificates.k8s.io:kube-apiserver-client-kubelet-approver',
    rules: [rule(['approve'], [reviewGroups.certificates], ['signers'], ['kubernetes.io/kube-apiserver-client-kubelet'])],
  },
  {
    name: 'system:certificates.k8s.io:kubelet-serving-approver',
    rules: [rule(['approve'], [reviewGroups.certificates], ['signers'], ['kubernetes.io/kubelet-serving'])],
  },
  {
    name: 'system:certificates.k8s.io:legacy-unknown-approver',
    rules: [rule(['approve'], [reviewGroups.certificates], ['signers'], ['kubernetes.io/legacy-unknown'])],
  },
];

const group = (name: string) => ({ kind: 'Group' as const, name });

/** `system:node` is bound to nobody on purpose: the node authorizer gives a kubelet exactly what its pods need. */
export const bootstrapClusterRoleBindings: readonly BootstrapBinding[] = [
  { name: 'cluster-admin', role: 'cluster-admin', subjects: [group('system:masters')] },
  { name: 'kubeadm:cluster-admins', role: 'cluster-admin', subjects: [group('kubeadm:cluster-admins')] },
  { name: 'system:monitoring', role: 'system:monitoring', subjects: [group('system:monitoring')] },
  { name: 'system:discovery', role: 'system:discovery', subjects: [group('system:authenticated')] },
  { name: 'system:basic-user', role: 'system:basic-user', subjects: [group('system:authenticated')] },
  {
    name: 'system:public-info-viewer',
    role: 'system:public-info-viewer',
    subjects: [group('system:authenticated'), group('system:unauthenticated')],
  },
  { name: 'system:node', role: 'system:node', subjects: [] },
  { name: 'system:kube-scheduler', role: 'system:kube-scheduler', subjects: [{ kind: 'User', name: 'system:kube-scheduler' }] },
  {
    name: 'system:service-account-issuer-discovery',
    role: 'system:service-account-issuer-discovery',
    subjects: [group('system:serviceaccounts')],
  },
];
