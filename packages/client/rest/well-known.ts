/** The resources that the loops, the kubelet and the commands use by name. */
import type {
  CoreV1Event,
  EventsV1Event,
  V1CertificateSigningRequest,
  V1ClusterRole,
  V1ConfigMap,
  V1Deployment,
  V1EndpointSlice,
  V1Endpoints,
  V1Lease,
  V1Namespace,
  V1Node,
  V1Pod,
  V1PodDisruptionBudget,
  V1ReplicaSet,
  V1ReplicationController,
  V1ResourceQuota,
  V1RuntimeClass,
  V1Secret,
  V1Service,
  V1ServiceAccount,
  V1SubjectAccessReview,
} from '@coffer/api/generated/types';
import type { ApiObject } from './api-object.ts';
import type { ResourceRef } from './resource-ref.ts';

function core<T extends ApiObject>(resource: string, kind: string, namespaced = true): ResourceRef<T> {
  return { group: '', version: 'v1', resource, kind, namespaced };
}

function grouped<T extends ApiObject>(group: string, resource: string, kind: string, namespaced = true): ResourceRef<T> {
  return { group, version: 'v1', resource, kind, namespaced };
}

export const NAMESPACES = core<V1Namespace>('namespaces', 'Namespace', false);
export const NODES = core<V1Node>('nodes', 'Node', false);
export const PODS = core<V1Pod>('pods', 'Pod');
export const CONFIG_MAPS = core<V1ConfigMap>('configmaps', 'ConfigMap');
export const SECRETS = core<V1Secret>('secrets', 'Secret');
export const SERVICE_ACCOUNTS = core<V1ServiceAccount>('serviceaccounts', 'ServiceAccount');
export const REPLICATION_CONTROLLERS = core<V1ReplicationController>('replicationcontrollers', 'ReplicationController');
export const RESOURCE_QUOTAS = core<V1ResourceQuota>('resourcequotas', 'ResourceQuota');
export const SERVICES = core<V1Service>('services', 'Service');
export const ENDPOINTS = core<V1Endpoints>('endpoints', 'Endpoints');
export const EVENTS = core<CoreV1Event>('events', 'Event');
export const NEW_EVENTS = grouped<EventsV1Event>('events.k8s.io', 'events', 'Event');
export const DEPLOYMENTS = grouped<V1Deployment>('apps', 'deployments', 'Deployment');
export const REPLICA_SETS = grouped<V1ReplicaSet>('apps', 'replicasets', 'ReplicaSet');
export const RUNTIME_CLASSES = grouped<V1RuntimeClass>('node.k8s.io', 'runtimeclasses', 'RuntimeClass', false);
export const POD_DISRUPTION_BUDGETS = grouped<V1PodDisruptionBudget>('policy', 'poddisruptionbudgets', 'PodDisruptionBudget');
export const LEASES = grouped<V1Lease>('coordination.k8s.io', 'leases', 'Lease');
export const ENDPOINT_SLICES = grouped<V1EndpointSlice>('discovery.k8s.io', 'endpointslices', 'EndpointSlice');
export const CERTIFICATE_SIGNING_REQUESTS = grouped<V1CertificateSigningRequest>(
  'certificates.k8s.io',
  'certificatesigningrequests',
  'CertificateSigningRequest',
  false,
);
export const CLUSTER_ROLES = grouped<V1ClusterRole>('rbac.authorization.k8s.io', 'clusterroles', 'ClusterRole', false);
export const SUBJECT_ACCESS_REVIEWS = grouped<V1SubjectAccessReview>(
  'authorization.k8s.io',
  'subjectaccessreviews',
  'SubjectAccessReview',
  false,
);
