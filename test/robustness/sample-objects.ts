/** One valid, richly filled object per kind that can be written, for tests that then break it. */
import type { Tree } from './json-tree.ts';

export interface Sample {
  readonly apiVersion: string;
  readonly kind: string;
  /** Where it is posted, for the namespace `default`. */
  readonly path: string;
  /** Reviews are answered and not stored. */
  readonly stored: boolean;
  /** `name` is unique in the cluster. */
  readonly object: (name: string) => Tree;
}

const container = (): Tree => ({
  name: 'main',
  image: 'busybox:1.36',
  command: ['sh', '-c', 'sleep 1'],
  args: ['$(A)'],
  env: [
    { name: 'A', value: 'b' },
    { name: 'C', valueFrom: { configMapKeyRef: { name: 'app', key: 'k', optional: true } } },
    { name: 'S', valueFrom: { secretKeyRef: { name: 'app', key: 'k', optional: true } } },
    { name: 'N', valueFrom: { fieldRef: { apiVersion: 'v1', fieldPath: 'metadata.name' } } },
  ],
  envFrom: [{ prefix: 'P_', configMapRef: { name: 'app', optional: true } }],
  ports: [{ name: 'http', containerPort: 8080, protocol: 'TCP' }],
  resources: { requests: { cpu: '100m', memory: '64Mi' }, limits: { memory: '128Mi' } },
  volumeMounts: [{ name: 'config', mountPath: '/etc/config', readOnly: true, subPath: 'a' }],
  livenessProbe: { httpGet: { path: '/', port: 'http', scheme: 'HTTP' }, periodSeconds: 5, failureThreshold: 2 },
  readinessProbe: { tcpSocket: { port: 8080 }, initialDelaySeconds: 1 },
  securityContext: { runAsUser: 1000, allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
  lifecycle: { preStop: { exec: { command: ['true'] } } },
});

const sources = (): unknown[] => [
  { configMap: { name: 'app', optional: true } },
  { downwardAPI: { items: [{ path: 'n', fieldRef: { fieldPath: 'metadata.name' } }] } },
];
const nodeTerms = (): unknown[] => [{ matchExpressions: [{ key: 'a', operator: 'In', values: ['b'] }] }];

const podSpec = (): Tree => ({
  containers: [container()],
  initContainers: [{ name: 'init', image: 'busybox:1.36', command: ['true'] }],
  volumes: [
    { name: 'config', configMap: { name: 'app', items: [{ key: 'k', path: 'a', mode: 420 }], defaultMode: 256, optional: true } },
    { name: 'secret', secret: { secretName: 'app', optional: true } },
    { name: 'all', projected: { sources: sources() } },
    { name: 'empty', emptyDir: { medium: 'Memory', sizeLimit: '1Mi' } },
  ],
  nodeSelector: { disk: 'none-such' },
  tolerations: [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }],
  affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: nodeTerms() } } },
  securityContext: { fsGroup: 1000 },
  terminationGracePeriodSeconds: 1,
  restartPolicy: 'Always',
  dnsPolicy: 'ClusterFirst',
  imagePullSecrets: [{ name: 'pull' }],
  hostAliases: [{ ip: '10.0.0.1', hostnames: ['a.example'] }],
});

const template = (): Tree => ({ metadata: { labels: { app: 'x' }, annotations: { note: 'y' } }, spec: podSpec() });
const replicated = (): Tree => ({ replicas: 0, minReadySeconds: 1, selector: { matchLabels: { app: 'x' } }, template: template() });
const rules = (): Tree[] => [{ apiGroups: [''], resources: ['configmaps'], verbs: ['get', 'list'], resourceNames: ['a'] }];
const involved = (name: string): Tree => ({ kind: 'Pod', namespace: 'default', name, apiVersion: 'v1', uid: 'u' });
const rbac = 'rbac.authorization.k8s.io';
const time = '2026-01-01T00:00:00Z';
const microTime = '2026-01-01T00:00:00.000000Z';

const certificateRequest =
  'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlITU1ITUNBUUF3RVRFUE1BMEdBMVVFQXd3R2MyRnRjR3hsTUZrd0V3WUhLb1pJemowQ0FRWUlLb1pJemowRApBUWNEUWdBRW1aZW9jbFFLWXdUV3pzODhSbnc2bk1EMWVVL09PbzdSTFgvYm94RUczREYrcUtmSzFGajRvRU9yCmMrbWhJUk9aY0kvRjBGT0JUOG40M0N3TEs5czR1cUFBTUFvR0NDcUdTTTQ5QkFNQ0Ewa0FNRVlDSVFER0thNkwKYVJMSEY2QzZlUU9BMHRuT2lrNTUya201Vm5zaHNtYlhyWGF4T2dJaEFOd3UzZ3lLdWhjQU5yZWpnc1hIakNmdgprNVE2bTVERDBmZ1BYdzgrM3VxegotLS0tLUVORCBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0K';

function sample(apiVersion: string, kind: string, resource: string, fields: (name: string) => Tree, namespaced = true): Sample {
  const prefix = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return {
    apiVersion,
    kind,
    path: `${prefix}${namespaced ? '/namespaces/default' : ''}/${resource}`,
    stored: true,
    object: (name) => ({
      apiVersion,
      kind,
      metadata: {
        name,
        ...(namespaced ? { namespace: 'default' } : {}),
        labels: { app: 'x', 'example.com/part': 'y' },
        annotations: { note: 'some text', 'example.com/json': '{"a":1}' },
        finalizers: [],
      },
      ...fields(name),
    }),
  };
}

function review(group: string, kind: string, resource: string, fields: Tree, namespaced = false): Sample {
  const base = sample(`${group}.k8s.io/v1`, kind, resource, () => fields, namespaced);
  return { ...base, stored: false, object: () => ({ apiVersion: base.apiVersion, kind, metadata: {}, ...structuredClone(fields) }) };
}

const podAttributes = { verb: 'get', resource: 'pods', namespace: 'default', group: '', version: 'v1', name: 'p' };

export const samples: readonly Sample[] = [
  sample('v1', 'ConfigMap', 'configmaps', () => ({
    data: { LOG_LEVEL: 'DEBUG', 'app.yaml': 'a: 1\n', empty: '' },
    binaryData: { blob: 'AAEC' },
    immutable: false,
  })),
  sample('v1', 'Secret', 'secrets', () => ({
    type: 'Opaque',
    data: { user: 'YWRtaW4=', password: 'czNjcjN0' },
    stringData: { url: 'postgres://x' },
    immutable: false,
  })),
  sample('v1', 'ServiceAccount', 'serviceaccounts', () => ({
    secrets: [{ name: 's' }],
    imagePullSecrets: [{ name: 'p' }],
    automountServiceAccountToken: false,
  })),
  sample('v1', 'Namespace', 'namespaces', () => ({ spec: { finalizers: [] } }), false),
  sample('v1', 'Pod', 'pods', () => ({ spec: podSpec() })),
  sample(
    'v1',
    'Node',
    'nodes',
    () => ({
      spec: {
        podCIDR: '10.1.0.0/24',
        podCIDRs: ['10.1.0.0/24'],
        unschedulable: true,
        taints: [{ key: 'k', value: 'v', effect: 'NoSchedule' }],
      },
      status: { capacity: { cpu: '2', memory: '4Gi' }, conditions: [{ type: 'Ready', status: 'False' }] },
    }),
    false,
  ),
  sample('v1', 'Event', 'events', (name) => ({
    involvedObject: involved(name),
    reason: 'Tested',
    message: 'a message',
    source: { component: 'test' },
    firstTimestamp: time,
    lastTimestamp: time,
    count: 2,
    type: 'Normal',
  })),
  sample('events.k8s.io/v1', 'Event', 'events', (name) => ({
    regarding: involved(name),
    eventTime: microTime,
    reason: 'Tested',
    action: 'Testing',
    note: 'a message',
    reportingController: 'example.com/test',
    reportingInstance: 'test-1',
    type: 'Normal',
  })),
  sample('coordination.k8s.io/v1', 'Lease', 'leases', () => ({
    spec: { holderIdentity: 'a', leaseDurationSeconds: 15, leaseTransitions: 1, acquireTime: microTime, renewTime: microTime },
  })),
  sample('apps/v1', 'Deployment', 'deployments', () => ({
    spec: {
      ...replicated(),
      strategy: { type: 'RollingUpdate', rollingUpdate: { maxSurge: '25%', maxUnavailable: 1 } },
      revisionHistoryLimit: 3,
      progressDeadlineSeconds: 60,
      paused: true,
    },
  })),
  sample('apps/v1', 'ReplicaSet', 'replicasets', () => ({ spec: replicated() })),
  sample('v1', 'ReplicationController', 'replicationcontrollers', () => ({
    spec: { replicas: 0, minReadySeconds: 1, selector: { app: 'x' }, template: template() },
  })),
  sample('v1', 'PodTemplate', 'podtemplates', () => ({ template: template() })),
  sample('v1', 'ResourceQuota', 'resourcequotas', () => ({
    spec: {
      hard: { pods: '100000', 'requests.cpu': '1000', 'count/deployments.apps': '100000' },
      scopeSelector: { matchExpressions: [{ scopeName: 'PriorityClass', operator: 'In', values: ['none-such'] }] },
    },
  })),
  sample('v1', 'LimitRange', 'limitranges', () => ({
    spec: {
      limits: [
        {
          type: 'Container',
          max: { cpu: '10', memory: '4Gi' },
          min: { cpu: '1m' },
          default: { cpu: '2' },
          defaultRequest: { cpu: '1' },
          maxLimitRequestRatio: { cpu: '100' },
        },
      ],
    },
  })),
  sample('policy/v1', 'PodDisruptionBudget', 'poddisruptionbudgets', () => ({
    spec: { minAvailable: '50%', selector: { matchLabels: { app: 'none-such' } }, unhealthyPodEvictionPolicy: 'AlwaysAllow' },
  })),
  sample(
    'scheduling.k8s.io/v1',
    'PriorityClass',
    'priorityclasses',
    () => ({ value: 1000, globalDefault: false, description: 'some text', preemptionPolicy: 'Never' }),
    false,
  ),
  sample(
    'node.k8s.io/v1',
    'RuntimeClass',
    'runtimeclasses',
    () => ({
      handler: 'some-handler',
      overhead: { podFixed: { cpu: '10m', memory: '8Mi' } },
      scheduling: { nodeSelector: { disk: 'none-such' }, tolerations: [{ key: 'k', operator: 'Equal', value: 'v', effect: 'NoSchedule' }] },
    }),
    false,
  ),
  sample('v1', 'Service', 'services', () => ({
    spec: {
      type: 'ClusterIP',
      selector: { app: 'x' },
      ports: [{ name: 'http', port: 80, targetPort: 'http', protocol: 'TCP' }],
      sessionAffinity: 'ClientIP',
      sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
      ipFamilyPolicy: 'SingleStack',
    },
  })),
  sample('v1', 'Endpoints', 'endpoints', () => ({
    subsets: [
      {
        addresses: [{ ip: '10.2.3.4', hostname: 'h', nodeName: 'n', targetRef: { kind: 'Pod', name: 'p' } }],
        ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
      },
    ],
  })),
  sample('discovery.k8s.io/v1', 'EndpointSlice', 'endpointslices', () => ({
    addressType: 'IPv4',
    endpoints: [
      { addresses: ['10.2.3.4'], conditions: { ready: true }, hostname: 'h', nodeName: 'n', hints: { forZones: [{ name: 'z' }] } },
    ],
    ports: [{ name: 'http', port: 80, protocol: 'TCP' }],
  })),
  sample(`${rbac}/v1`, 'Role', 'roles', () => ({ rules: rules() })),
  sample(`${rbac}/v1`, 'RoleBinding', 'rolebindings', () => ({
    roleRef: { apiGroup: rbac, kind: 'Role', name: 'r' },
    subjects: [
      { kind: 'User', name: 'jane', apiGroup: rbac },
      { kind: 'ServiceAccount', name: 's', namespace: 'default' },
    ],
  })),
  sample(
    `${rbac}/v1`,
    'ClusterRole',
    'clusterroles',
    () => ({ rules: [...rules(), { nonResourceURLs: ['/healthz'], verbs: ['get'] }] }),
    false,
  ),
  sample(
    `${rbac}/v1`,
    'ClusterRoleBinding',
    'clusterrolebindings',
    () => ({
      roleRef: { apiGroup: rbac, kind: 'ClusterRole', name: 'view' },
      subjects: [{ kind: 'Group', name: 'g', apiGroup: rbac }],
    }),
    false,
  ),
  sample(
    'certificates.k8s.io/v1',
    'CertificateSigningRequest',
    'certificatesigningrequests',
    () => ({
      spec: {
        request: certificateRequest,
        signerName: 'example.com/signer',
        usages: ['client auth', 'digital signature'],
        expirationSeconds: 3600,
      },
    }),
    false,
  ),
  review('authentication', 'TokenReview', 'tokenreviews', { spec: { token: 'x', audiences: ['a'] } }),
  review('authentication', 'SelfSubjectReview', 'selfsubjectreviews', { status: {} }),
  review('authorization', 'SubjectAccessReview', 'subjectaccessreviews', {
    spec: { user: 'jane', groups: ['g'], uid: 'u', extra: { a: ['b'] }, resourceAttributes: podAttributes },
  }),
  review('authorization', 'SelfSubjectAccessReview', 'selfsubjectaccessreviews', {
    spec: { nonResourceAttributes: { path: '/x', verb: 'get' } },
  }),
  review('authorization', 'SelfSubjectRulesReview', 'selfsubjectrulesreviews', { spec: { namespace: 'default' } }),
  review(
    'authorization',
    'LocalSubjectAccessReview',
    'localsubjectaccessreviews',
    { metadata: { namespace: 'default' }, spec: { user: 'jane', resourceAttributes: podAttributes } },
    true,
  ),
];
