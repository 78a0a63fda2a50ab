import type { ResourceInfo, SubresourceInfo } from './resource.ts';

/** The resources every server has, with upstream's names, verbs and storage paths. Facts only; look-ups are in `catalog.ts`. */

const everyVerb = ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'] as const;
const withoutDeleteCollection = ['create', 'delete', 'get', 'list', 'patch', 'update', 'watch'] as const;
const readAndWrite = ['get', 'patch', 'update'] as const;
const connect = ['create', 'get'] as const;
const proxied = ['create', 'delete', 'get', 'patch', 'update'] as const;
const createOnly = ['create'] as const;

type Facts = Pick<ResourceInfo, 'group' | 'version' | 'resource' | 'kind'> & Partial<ResourceInfo>;

function row(facts: Facts): ResourceInfo {
  const { group, version, resource, kind } = facts;
  return {
    storageApiVersion: group === '' ? version : `${group}/${version}`,
    singular: kind.toLowerCase(),
    listKind: `${kind}List`,
    namespaced: true,
    shortNames: [],
    categories: [],
    verbs: everyVerb,
    storagePrefix: resource,
    subresources: [],
    ...facts,
  };
}

/** A kind that is answered and never stored. */
function review(facts: Facts): ResourceInfo {
  return row({ namespaced: false, verbs: createOnly, storagePrefix: '', ...facts });
}

function status(kind: string): SubresourceInfo {
  return { name: 'status', kind, verbs: readAndWrite };
}

const scale: SubresourceInfo = { name: 'scale', kind: 'Scale', group: 'autoscaling', version: 'v1', verbs: readAndWrite };

const core = { group: '', version: 'v1' } as const;
const apps = { group: 'apps', version: 'v1' } as const;
const authentication = { group: 'authentication.k8s.io', version: 'v1' } as const;
const authorization = { group: 'authorization.k8s.io', version: 'v1' } as const;
const rbac = { group: 'rbac.authorization.k8s.io', version: 'v1' } as const;

export const builtInResources: readonly ResourceInfo[] = [
  review({ ...core, resource: 'bindings', kind: 'Binding', namespaced: true }),
  row({ ...core, resource: 'configmaps', kind: 'ConfigMap', shortNames: ['cm'] }),
  row({
    ...core,
    resource: 'endpoints',
    kind: 'Endpoints',
    shortNames: ['ep'],
    storagePrefix: 'services/endpoints',
  }),
  row({ ...core, resource: 'events', kind: 'Event', shortNames: ['ev'] }),
  row({ ...core, resource: 'limitranges', kind: 'LimitRange', shortNames: ['limits'] }),
  row({
    ...core,
    resource: 'namespaces',
    kind: 'Namespace',
    namespaced: false,
    shortNames: ['ns'],
    verbs: withoutDeleteCollection,
    subresources: [{ name: 'finalize', kind: 'Namespace', verbs: ['update'] }, status('Namespace')],
  }),
  row({
    ...core,
    resource: 'nodes',
    kind: 'Node',
    namespaced: false,
    shortNames: ['no'],
    storagePrefix: 'minions',
    subresources: [{ name: 'proxy', kind: 'NodeProxyOptions', verbs: proxied }, status('Node')],
  }),
  row({
    ...core,
    resource: 'pods',
    kind: 'Pod',
    shortNames: ['po'],
    categories: ['all'],
    subresources: [
      { name: 'attach', kind: 'PodAttachOptions', verbs: connect },
      { name: 'binding', kind: 'Binding', verbs: createOnly },
      { name: 'ephemeralcontainers', kind: 'Pod', verbs: readAndWrite },
      { name: 'eviction', kind: 'Eviction', group: 'policy', version: 'v1', verbs: createOnly },
      { name: 'exec', kind: 'PodExecOptions', verbs: connect },
      { name: 'log', kind: 'Pod', verbs: ['get'] },
      { name: 'portforward', kind: 'PodPortForwardOptions', verbs: connect },
      { name: 'proxy', kind: 'PodProxyOptions', verbs: proxied },
      { name: 'resize', kind: 'Pod', verbs: readAndWrite },
      status('Pod'),
    ],
  }),
  row({ ...core, resource: 'podtemplates', kind: 'PodTemplate' }),
  row({
    ...core,
    resource: 'replicationcontrollers',
    kind: 'ReplicationController',
    shortNames: ['rc'],
    categories: ['all'],
    storagePrefix: 'controllers',
    subresources: [scale, status('ReplicationController')],
  }),
  row({
    ...core,
    resource: 'resourcequotas',
    kind: 'ResourceQuota',
    shortNames: ['quota'],
    subresources: [status('ResourceQuota')],
  }),
  row({ ...core, resource: 'secrets', kind: 'Secret' }),
  row({
    ...core,
    resource: 'serviceaccounts',
    kind: 'ServiceAccount',
    shortNames: ['sa'],
    subresources: [{ name: 'token', kind: 'TokenRequest', group: 'authentication.k8s.io', version: 'v1', verbs: createOnly }],
  }),
  row({
    ...core,
    resource: 'services',
    kind: 'Service',
    shortNames: ['svc'],
    categories: ['all'],
    storagePrefix: 'services/specs',
    subresources: [{ name: 'proxy', kind: 'ServiceProxyOptions', verbs: proxied }, status('Service')],
  }),

  row({
    ...apps,
    resource: 'deployments',
    kind: 'Deployment',
    shortNames: ['deploy'],
    categories: ['all'],
    subresources: [scale, status('Deployment')],
  }),
  row({
    ...apps,
    resource: 'replicasets',
    kind: 'ReplicaSet',
    shortNames: ['rs'],
    categories: ['all'],
    subresources: [scale, status('ReplicaSet')],
  }),

  row({ group: 'events.k8s.io', version: 'v1', storageApiVersion: 'v1', resource: 'events', kind: 'Event', shortNames: ['ev'] }),

  review({ ...authentication, resource: 'selfsubjectreviews', kind: 'SelfSubjectReview' }),
  review({ ...authentication, resource: 'tokenreviews', kind: 'TokenReview' }),

  review({ ...authorization, resource: 'localsubjectaccessreviews', kind: 'LocalSubjectAccessReview', namespaced: true }),
  review({ ...authorization, resource: 'selfsubjectaccessreviews', kind: 'SelfSubjectAccessReview' }),
  review({ ...authorization, resource: 'selfsubjectrulesreviews', kind: 'SelfSubjectRulesReview' }),
  review({ ...authorization, resource: 'subjectaccessreviews', kind: 'SubjectAccessReview' }),

  row({
    group: 'certificates.k8s.io',
    version: 'v1',
    resource: 'certificatesigningrequests',
    kind: 'CertificateSigningRequest',
    namespaced: false,
    shortNames: ['csr'],
    subresources: [{ name: 'approval', kind: 'CertificateSigningRequest', verbs: readAndWrite }, status('CertificateSigningRequest')],
  }),

  row({
    group: 'policy',
    version: 'v1',
    resource: 'poddisruptionbudgets',
    kind: 'PodDisruptionBudget',
    shortNames: ['pdb'],
    subresources: [status('PodDisruptionBudget')],
  }),

  row({ ...rbac, resource: 'clusterrolebindings', kind: 'ClusterRoleBinding', namespaced: false }),
  row({ ...rbac, resource: 'clusterroles', kind: 'ClusterRole', namespaced: false }),
  row({ ...rbac, resource: 'rolebindings', kind: 'RoleBinding' }),
  row({ ...rbac, resource: 'roles', kind: 'Role' }),

  // There are no custom resources: the list is always empty, which kubectl asks for before it calls a kind unknown.
  row({
    group: 'apiextensions.k8s.io',
    version: 'v1',
    resource: 'customresourcedefinitions',
    kind: 'CustomResourceDefinition',
    namespaced: false,
    shortNames: ['crd', 'crds'],
    categories: ['api-extensions'],
    verbs: ['get', 'list', 'watch'],
    storagePrefix: 'apiextensions.k8s.io/customresourcedefinitions',
  }),

  row({
    group: 'scheduling.k8s.io',
    version: 'v1',
    resource: 'priorityclasses',
    kind: 'PriorityClass',
    namespaced: false,
    shortNames: ['pc'],
  }),

  row({ group: 'coordination.k8s.io', version: 'v1', resource: 'leases', kind: 'Lease' }),

  row({ group: 'node.k8s.io', version: 'v1', resource: 'runtimeclasses', kind: 'RuntimeClass', namespaced: false }),

  row({ group: 'discovery.k8s.io', version: 'v1', resource: 'endpointslices', kind: 'EndpointSlice' }),
];

/** The order in which discovery names the groups (upstream's group priority); groups that are not here come last, by name. */
export const groupOrder: readonly string[] = [
  '',
  'apiregistration.k8s.io',
  'apps',
  'events.k8s.io',
  'authentication.k8s.io',
  'authorization.k8s.io',
  'autoscaling',
  'batch',
  'certificates.k8s.io',
  'networking.k8s.io',
  'policy',
  'rbac.authorization.k8s.io',
  'storage.k8s.io',
  'admissionregistration.k8s.io',
  'apiextensions.k8s.io',
  'scheduling.k8s.io',
  'coordination.k8s.io',
  'node.k8s.io',
  'discovery.k8s.io',
];
