import type { BootstrapBinding, BootstrapClusterRole } from './bootstrap-policy.ts';
import type { PolicyRule } from './policy-rule.ts';

/**
 * What control loops may do: the `system:controller:<name>` roles of a fresh Kubernetes, each bound to the service account of that name in
 * kube-system, whether Coffer runs the loop or somebody else does. What Coffer's own loops need beyond them, because they read under
 * their own identities and not under that of one controller manager, is in `loop-roles.ts`. Words are separated by spaces.
 */
export function allow(verbs: string, groups: string, resources: string, names?: string): PolicyRule {
  return {
    verbs: verbs.split(' '),
    apiGroups: groups.split(' '),
    resources: resources.split(' '),
    ...(names === undefined ? {} : { resourceNames: names.split(' ') }),
  };
}

const read = 'get list watch';
const apps = 'apps extensions';
const events: PolicyRule = { verbs: ['create', 'patch', 'update'], apiGroups: ['', 'events.k8s.io'], resources: ['events'] };

const controllerRules: Readonly<Record<string, readonly PolicyRule[]>> = {
  'attachdetach-controller': [
    allow('list watch', '', 'persistentvolumeclaims persistentvolumes'),
    allow(read, '', 'nodes'),
    allow('patch update', '', 'nodes/status'),
    allow('list watch', '', 'pods'),
    events,
    allow('create delete get list watch', 'storage.k8s.io', 'volumeattachments'),
    allow(read, 'storage.k8s.io', 'csidrivers'),
    allow(read, 'storage.k8s.io', 'csinodes'),
  ],
  'certificate-controller': [
    allow('delete get list watch', 'certificates.k8s.io', 'certificatesigningrequests'),
    allow('update', 'certificates.k8s.io', 'certificatesigningrequests/approval certificatesigningrequests/status'),
    allow('approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kube-apiserver-client-kubelet'),
    allow(
      'sign',
      'certificates.k8s.io',
      'signers',
      'kubernetes.io/kube-apiserver-client kubernetes.io/kube-apiserver-client-kubelet kubernetes.io/kubelet-serving kubernetes.io/legacy-unknown',
    ),
    allow('create', 'authorization.k8s.io', 'subjectaccessreviews'),
    events,
  ],
  'clusterrole-aggregation-controller': [allow('escalate get list patch update watch', 'rbac.authorization.k8s.io', 'clusterroles')],
  'cronjob-controller': [
    allow('get list update watch', 'batch', 'cronjobs'),
    allow('create delete get list patch update watch', 'batch', 'jobs'),
    allow('update', 'batch', 'cronjobs/status'),
    allow('update', 'batch', 'cronjobs/finalizers'),
    allow('delete list watch', '', 'pods'),
    events,
  ],
  'daemon-set-controller': [
    allow(read, apps, 'daemonsets'),
    allow('update', apps, 'daemonsets/status'),
    allow('update', apps, 'daemonsets/finalizers'),
    allow('list watch', '', 'nodes'),
    allow('create delete list patch watch', '', 'pods'),
    allow('create', '', 'pods/binding'),
    allow('create delete get list patch update watch', 'apps', 'controllerrevisions'),
    events,
  ],
  'deployment-controller': [
    allow('get list update watch', apps, 'deployments'),
    allow('update', apps, 'deployments/status'),
    allow('update', apps, 'deployments/finalizers'),
    allow('create delete get list patch update watch', apps, 'replicasets'),
    allow('get list update watch', '', 'pods'),
    events,
  ],
  'device-taint-eviction-controller': [
    allow('delete get list watch', '', 'pods'),
    allow('patch update', '', 'pods/status'),
    allow(read, 'resource.k8s.io', 'resourceclaims'),
    allow(read, 'resource.k8s.io', 'resourceslices'),
    allow(read, 'resource.k8s.io', 'deviceclasses'),
    events,
  ],
  'disruption-controller': [
    allow(read, apps, 'deployments'),
    allow(read, apps, 'replicasets'),
    allow(read, '', 'replicationcontrollers'),
    allow(read, 'policy', 'poddisruptionbudgets'),
    allow(read, 'apps', 'statefulsets'),
    allow('update', 'policy', 'poddisruptionbudgets/status'),
    allow('patch update', '', 'pods/status'),
    allow('get', '*', '*/scale'),
    events,
  ],
  'endpoint-controller': [
    allow(read, '', 'pods services'),
    allow('create delete get list update watch', '', 'endpoints'),
    allow('create', '', 'endpoints/restricted'),
    events,
  ],
  'endpointslice-controller': [
    allow(read, '', 'nodes pods services'),
    allow('update', '', 'services/finalizers'),
    allow('create delete get list update watch', 'discovery.k8s.io', 'endpointslices'),
    events,
  ],
  'endpointslicemirroring-controller': [
    allow(read, '', 'endpoints services'),
    allow('update', '', 'services/finalizers'),
    allow('update', '', 'endpoints/finalizers'),
    allow('create delete get list update watch', 'discovery.k8s.io', 'endpointslices'),
    events,
  ],
  'ephemeral-volume-controller': [
    allow(read, '', 'pods'),
    allow('update', '', 'pods/finalizers'),
    allow('create get list watch', '', 'persistentvolumeclaims'),
    events,
  ],
  'expand-controller': [
    allow('get list patch update watch', '', 'persistentvolumes'),
    allow('patch update', '', 'persistentvolumeclaims/status'),
    allow(read, '', 'persistentvolumeclaims'),
    events,
  ],
  'generic-garbage-collector': [allow('delete get list patch update watch', '*', '*'), events],
  'horizontal-pod-autoscaler': [
    allow(read, 'autoscaling', 'horizontalpodautoscalers'),
    allow('update', 'autoscaling', 'horizontalpodautoscalers/status'),
    allow('get update', '*', '*/scale'),
    allow('list watch', '', 'pods'),
    allow('list watch', 'metrics.k8s.io', 'pods'),
    allow(read, 'custom.metrics.k8s.io', '*'),
    allow(read, 'external.metrics.k8s.io', '*'),
    events,
  ],
  'job-controller': [
    allow('get list patch update watch', 'batch', 'jobs'),
    allow('update', 'batch', 'jobs/status'),
    allow('update', 'batch', 'jobs/finalizers'),
    allow('create delete list patch watch', '', 'pods'),
    events,
  ],
  'legacy-service-account-token-cleaner': [
    allow('get', '', 'configmaps', 'kube-apiserver-legacy-service-account-token-tracking'),
    allow('delete patch', '', 'secrets'),
  ],
  'namespace-controller': [
    allow('delete get list watch', '', 'namespaces'),
    allow('update', '', 'namespaces/finalize namespaces/status'),
    allow('delete deletecollection get list watch', '*', '*'),
  ],
  'node-controller': [
    allow('delete get list patch update watch', '', 'nodes'),
    allow('patch update', '', 'nodes/status'),
    allow('patch update', '', 'pods/status'),
    allow('delete get list watch', '', 'pods'),
    events,
  ],
  'persistent-volume-binder': [
    allow('create delete get list update watch', '', 'persistentvolumes'),
    allow('update', '', 'persistentvolumes/status'),
    allow('get list update watch', '', 'persistentvolumeclaims'),
    allow('update', '', 'persistentvolumeclaims/status'),
    allow('create delete get list watch', '', 'pods'),
    allow(read, 'storage.k8s.io', 'storageclasses'),
    allow('list watch', '', 'nodes'),
    events,
    allow('watch', '', 'events'),
  ],
  'pod-garbage-collector': [allow('delete list watch', '', 'pods'), allow(read, '', 'nodes'), allow('patch', '', 'pods/status')],
  'pv-protection-controller': [allow('get list update watch', '', 'persistentvolumes'), events],
  'pvc-protection-controller': [allow('get list update watch', '', 'persistentvolumeclaims'), allow(read, '', 'pods'), events],
  'replicaset-controller': [
    allow('get list update watch', apps, 'replicasets'),
    allow('update', apps, 'replicasets/status'),
    allow('update', apps, 'replicasets/finalizers'),
    allow('create delete list patch watch', '', 'pods'),
    events,
  ],
  'replication-controller': [
    allow('get list update watch', '', 'replicationcontrollers'),
    allow('update', '', 'replicationcontrollers/status'),
    allow('update', '', 'replicationcontrollers/finalizers'),
    allow('create delete list patch watch', '', 'pods'),
    events,
  ],
  'resource-claim-controller': [
    allow(read, '', 'pods'),
    allow('update', '', 'pods/finalizers'),
    allow('create delete get list watch', 'resource.k8s.io', 'resourceclaims'),
    allow('patch update', 'resource.k8s.io', 'resourceclaims resourceclaims/status'),
    allow('patch update', '', 'pods/status'),
    events,
    allow('patch update', 'resource.k8s.io', 'resourceclaims/binding'),
  ],
  'resourcequota-controller': [allow('list watch', '*', '*'), allow('update', '', 'resourcequotas/status'), events],
  'root-ca-cert-publisher': [allow('create update', '', 'configmaps'), events],
  'route-controller': [allow('list watch', '', 'nodes'), allow('patch', '', 'nodes/status'), events],
  'selinux-warning-controller': [
    events,
    allow(read, '', 'persistentvolumes'),
    allow(read, '', 'persistentvolumeclaims'),
    allow(read, '', 'pods'),
    allow(read, 'storage.k8s.io', 'csidrivers'),
  ],
  'service-account-controller': [allow('create', '', 'serviceaccounts'), events],
  'service-cidrs-controller': [
    allow('get list patch update watch', 'networking.k8s.io', 'servicecidrs'),
    allow('patch update', 'networking.k8s.io', 'servicecidrs/finalizers'),
    allow('patch update', 'networking.k8s.io', 'servicecidrs/status'),
    allow(read, 'networking.k8s.io', 'ipaddresses'),
    events,
  ],
  'service-controller': [
    allow(read, '', 'services'),
    allow('patch update', '', 'services/status'),
    allow('list watch', '', 'nodes'),
    events,
  ],
  'statefulset-controller': [
    allow('list watch', '', 'pods'),
    allow(read, 'apps', 'statefulsets'),
    allow('update', 'apps', 'statefulsets/status'),
    allow('update', 'apps', 'statefulsets/finalizers'),
    allow('create delete get patch update', '', 'pods'),
    allow('create delete get list patch update watch', 'apps', 'controllerrevisions'),
    allow('create get list watch', '', 'persistentvolumeclaims'),
    allow('delete update', '', 'persistentvolumeclaims'),
    allow('update', '', 'pods/finalizers'),
    events,
  ],
  'ttl-after-finished-controller': [allow('delete get list watch', 'batch', 'jobs'), events],
  'ttl-controller': [allow('list patch update watch', '', 'nodes'), events],
  'validatingadmissionpolicy-status-controller': [
    allow(read, 'admissionregistration.k8s.io', 'validatingadmissionpolicies'),
    allow('get patch update', 'admissionregistration.k8s.io', 'validatingadmissionpolicies/status'),
    events,
  ],
  'volumeattributesclass-protection-controller': [
    allow(read, '', 'persistentvolumeclaims'),
    allow(read, '', 'persistentvolumes'),
    allow('get list update watch', 'storage.k8s.io', 'volumeattributesclasses'),
    events,
  ],
};

export const controllerClusterRoles: readonly BootstrapClusterRole[] = Object.entries(controllerRules).map(([name, rules]) => ({
  name: `system:controller:${name}`,
  rules,
}));

export const controllerClusterRoleBindings: readonly BootstrapBinding[] = Object.keys(controllerRules).map((name) =>
  bindToLoop(`system:controller:${name}`, name),
);

/** A binding named like its role, to the service account of a loop. */
export function bindToLoop(role: string, loop: string): BootstrapBinding {
  return { name: role, role, subjects: [{ kind: 'ServiceAccount', name: loop, namespace: 'kube-system' }] };
}
