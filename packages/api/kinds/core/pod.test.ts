import { describe, expect, it } from 'vitest';
import { formatFieldError } from '../../errors/field-error.ts';
import type { KubeObject } from '../../meta/object.ts';
import { createErrors, statusErrors, updateErrors } from '../validate-object.ts';
import { validateEphemeralContainersUpdate } from './pod/pod-update-validation.ts';
import { defaultPullPolicy } from './pod/pull-policy.ts';
import { pod } from './pod.ts';

type Fields = Record<string, unknown>;

function build(spec: Fields, container: Fields = {}, metadata: Fields = {}): KubeObject {
  const object: KubeObject = {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'p', namespace: 'n', uid: 'u', resourceVersion: '1', ...metadata },
    spec: { serviceAccountName: 'default', containers: [{ name: 'c', image: 'busybox', ...container }], ...spec },
  };
  pod.applyDefaults(object);
  return object;
}

const create = (spec: Fields, container: Fields = {}): string[] => createErrors(pod, build(spec, container)).map(formatFieldError);
const env = (variable: Fields): string[] => create({}, { env: [variable] });
const volume = (source: Fields): string[] => create({ volumes: [{ name: 'v', ...source }] });
const mount = (fields: Fields): string[] => {
  return create({ volumes: [{ name: 'v', emptyDir: {} }] }, { volumeMounts: [{ name: 'v', mountPath: '/x', ...fields }] });
};

describe('Pod defaults', () => {
  it('fills in what a minimal pod needs, and nothing twice', () => {
    const object = build({}, { ports: [{ containerPort: 80 }], livenessProbe: { httpGet: { port: 80 } } });
    const want = {
      serviceAccountName: 'default',
      serviceAccount: 'default',
      containers: [
        {
          name: 'c',
          image: 'busybox',
          imagePullPolicy: 'Always',
          terminationMessagePath: '/dev/termination-log',
          terminationMessagePolicy: 'File',
          resources: {},
          ports: [{ containerPort: 80, protocol: 'TCP' }],
          livenessProbe: {
            httpGet: { port: 80, path: '/', scheme: 'HTTP' },
            timeoutSeconds: 1,
            periodSeconds: 10,
            successThreshold: 1,
            failureThreshold: 3,
          },
        },
      ],
      dnsPolicy: 'ClusterFirst',
      restartPolicy: 'Always',
      securityContext: {},
      terminationGracePeriodSeconds: 30,
      schedulerName: 'default-scheduler',
      enableServiceLinks: true,
    };
    expect(object.spec).toEqual(want);
    pod.applyDefaults(object);
    expect(object.spec).toEqual(want);
  });

  it('gives volumes their modes, versions and lifetimes', () => {
    const sources = [
      { serviceAccountToken: { path: 't' } },
      { downwardAPI: { items: [{ path: 'l', fieldRef: { fieldPath: 'metadata.labels' } }] } },
    ];
    const object = build({
      volumes: [{ name: 'none' }, { name: 's', secret: { secretName: 'y' } }, { name: 'p', projected: { sources } }],
    });
    expect((object.spec as Fields).volumes).toEqual([
      { name: 'none', emptyDir: {} },
      { name: 's', secret: { secretName: 'y', defaultMode: 420 } },
      {
        name: 'p',
        projected: {
          defaultMode: 420,
          sources: [
            { serviceAccountToken: { path: 't', expirationSeconds: 3600 } },
            { downwardAPI: { items: [{ path: 'l', fieldRef: { fieldPath: 'metadata.labels', apiVersion: 'v1' } }] } },
          ],
        },
      },
    ]);
  });

  it('requests what is limited, and ports of the host', () => {
    const object = build({ hostNetwork: true }, { resources: { limits: { cpu: '0.0001' } }, ports: [{ containerPort: 80 }] });
    expect((object.spec as { containers: Fields[] }).containers[0]).toMatchObject({
      resources: { limits: { cpu: '1m' }, requests: { cpu: '1m' } },
      ports: [{ containerPort: 80, hostPort: 80, protocol: 'TCP' }],
    });
  });

  it.each([
    ['busybox', 'Always'],
    ['busybox:latest', 'Always'],
    ['busybox:1.36', 'IfNotPresent'],
    ['registry:5000/busybox', 'Always'],
    ['busybox@sha256:0000', 'IfNotPresent'],
  ])('pull policy of %s is %s', (image, policy) => expect(defaultPullPolicy(image)).toBe(policy));
});

describe('Pod validation', () => {
  const at = 'spec.containers[0]';
  const cases: readonly { name: string; got: readonly string[]; want: readonly string[] }[] = [
    { name: 'a plain pod', got: create({}), want: [] },
    { name: 'no containers', got: create({ containers: [] }), want: ['spec.containers: Required value'] },
    { name: 'env without a name', got: env({ name: '', value: 'x' }), want: [`${at}.env[0].name: Required value`] },
    {
      name: 'env with value and source',
      got: env({ name: 'A', value: 'x', valueFrom: { configMapKeyRef: { name: 'c', key: 'k' } } }),
      want: [`${at}.env[0].valueFrom: Invalid value: "": may not be specified when \`value\` is not empty`],
    },
    {
      name: 'env from nothing',
      got: env({ name: 'A', valueFrom: {} }),
      want: [
        `${at}.env[0].valueFrom: Invalid value: "": must specify one of: \`fieldRef\`, \`resourceFieldRef\`, \`configMapKeyRef\`, \`secretKeyRef\` or \`fileKeyRef\``,
      ],
    },
    {
      name: 'env from an unknown field',
      got: env({ name: 'A', valueFrom: { fieldRef: { fieldPath: 'spec.bogus' } } }),
      want: [
        `${at}.env[0].valueFrom.fieldRef.fieldPath: Invalid value: "spec.bogus": error converting fieldPath: field label not supported: spec.bogus`,
      ],
    },
    {
      name: 'env from a field that is for volumes only',
      got: env({ name: 'A', valueFrom: { fieldRef: { fieldPath: 'metadata.labels' } } }),
      want: [
        `${at}.env[0].valueFrom.fieldRef.fieldPath: Unsupported value: "metadata.labels": supported values: "metadata.name", "metadata.namespace", "metadata.uid", "spec.nodeName", "spec.serviceAccountName", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs"`,
      ],
    },
    { name: 'env from one label', got: env({ name: 'A', valueFrom: { fieldRef: { fieldPath: "metadata.labels['a']" } } }), want: [] },
    {
      name: 'env from cpu with a wrong divisor',
      got: env({ name: 'A', valueFrom: { resourceFieldRef: { resource: 'limits.cpu', divisor: '2' } } }),
      want: [
        `${at}.env[0].valueFrom.resourceFieldRef.divisor: Invalid value: "limits.cpu": only divisor's values 1m and 1 are supported with the cpu resource`,
      ],
    },
    {
      name: 'envFrom two sources',
      got: create({}, { envFrom: [{ configMapRef: { name: 'c' }, secretRef: { name: 's' } }] }),
      want: [`${at}.envFrom: Invalid value: "": may not have more than one field specified at a time`],
    },
    {
      name: 'two volume types',
      got: volume({ configMap: { name: 'x' }, secret: { secretName: 'y' } }),
      want: ['spec.volumes[0].configMap: Forbidden: may not specify more than 1 volume type'],
    },
    {
      name: 'volume with a decimal mode',
      got: volume({ configMap: { name: 'x', defaultMode: 600 } }),
      want: ['spec.volumes[0].configMap.defaultMode: Invalid value: 600: must be a number between 0 and 0777 (octal), both inclusive'],
    },
    {
      name: 'volume with paths that leave it',
      got: volume({
        secret: {
          secretName: 'x',
          items: [
            { key: 'k', path: '/abs' },
            { key: 'k', path: '..x' },
          ],
        },
      }),
      want: [
        'spec.volumes[0].secret.items[0].path: Invalid value: "/abs": must be a relative path',
        'spec.volumes[0].secret.items[1].path: Invalid value: "..x": must not start with \'..\'',
      ],
    },
    {
      name: 'colliding projections',
      got: volume({
        projected: {
          sources: [
            { configMap: { name: 'a', items: [{ key: 'k', path: 's' }] } },
            { secret: { name: 'b', items: [{ key: 'k', path: 's' }] } },
          ],
        },
      }),
      want: ['spec.volumes[0].projected: Invalid value: "b": conflicting duplicate paths'],
    },
    {
      name: 'short-lived token',
      got: volume({ projected: { sources: [{ serviceAccountToken: { path: 't', expirationSeconds: 60 } }] } }),
      want: [
        'spec.volumes[0].projected.sources[0].serviceAccountToken.expirationSeconds: Invalid value: 60: may not specify a duration less than 10 minutes',
      ],
    },
    {
      name: 'mount without a volume',
      got: create({}, { volumeMounts: [{ name: 'none', mountPath: '/x' }] }),
      want: [`${at}.volumeMounts[0].name: Not found: "none"`],
    },
    {
      name: 'subPath upwards',
      got: mount({ subPath: '../up' }),
      want: [`${at}.volumeMounts.subPath: Invalid value: "../up": must not contain '..'`],
    },
    {
      name: 'both subPath and subPathExpr',
      got: mount({ subPath: 'a', subPathExpr: '$(B)' }),
      want: [`${at}.volumeMounts[0].subPathExpr: Invalid value: "$(B)": subPathExpr and subPath are mutually exclusive`],
    },
    {
      name: 'probe without a handler, with a wrong threshold',
      got: create({}, { livenessProbe: { successThreshold: 2 } }),
      want: [
        `${at}.livenessProbe: Required value: must specify a handler type`,
        `${at}.livenessProbe.successThreshold: Invalid value: 2: must be 1`,
      ],
    },
    {
      name: 'request above the limit',
      got: create({}, { resources: { limits: { cpu: '1' }, requests: { cpu: '1500m' } } }),
      want: [`${at}.resources.requests: Invalid value: "1500m": must be less than or equal to cpu limit of 1`],
    },
    {
      name: 'unknown resource',
      got: create({}, { resources: { requests: { apples: '1' } } }),
      want: [
        `${at}.resources.requests[apples]: Invalid value: "apples": must be a standard resource type or fully qualified`,
        `${at}.resources.requests[apples]: Invalid value: "apples": must be a standard resource for containers`,
      ],
    },
    {
      name: 'init container with a probe',
      got: create({ initContainers: [{ name: 'i', image: 'x', livenessProbe: { exec: { command: ['a'] } } }] }),
      want: ['spec.initContainers[0].livenessProbe: Forbidden: may not be set for init containers without restartPolicy=Always'],
    },
    {
      name: 'same name for init container and container',
      got: create({ initContainers: [{ name: 'c', image: 'x' }] }),
      want: ['spec.initContainers[0].name: Duplicate value: "c"'],
    },
    {
      name: 'toleration without a key',
      got: create({ tolerations: [{ operator: 'Equal', value: 'x', tolerationSeconds: 1 }] }),
      want: [
        'spec.tolerations[0].operator: Invalid value: "Equal": operator must be Exists when `key` is empty, which means "match all values and all keys"',
        'spec.tolerations[0].effect: Invalid value: "": effect must be \'NoExecute\' when `tolerationSeconds` is set',
      ],
    },
    {
      name: 'DNS policy None without a configuration',
      got: create({ dnsPolicy: 'None' }),
      want: ['spec.dnsConfig: Required value: must provide `dnsConfig` when `dnsPolicy` is None'],
    },
    {
      name: 'unknown restart policy',
      got: create({ restartPolicy: 'Sometimes' }),
      want: ['spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never"'],
    },
    {
      name: 'deadline of zero',
      got: create({ activeDeadlineSeconds: 0 }),
      want: ['spec.activeDeadlineSeconds: Invalid value: 0: must be between 1 and 2147483647, inclusive'],
    },
    {
      name: 'padded image',
      got: create({}, { image: ' busybox' }),
      want: [`${at}.image: Invalid value: " busybox": must not have leading or trailing whitespace`],
    },
    {
      name: 'two constraints of one kind',
      got: create({
        topologySpreadConstraints: [
          { maxSkew: 1, topologyKey: 'z', whenUnsatisfiable: 'DoNotSchedule' },
          { maxSkew: 0, topologyKey: 'z', whenUnsatisfiable: 'DoNotSchedule' },
        ],
      }),
      want: [
        'spec.topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable}: Duplicate value: "{z, DoNotSchedule}"',
        'spec.topologySpreadConstraints[1].maxSkew: Invalid value: 0: must be greater than zero',
      ],
    },
    {
      name: 'ephemeral container on create',
      got: create({ ephemeralContainers: [{ name: 'e', image: 'x' }] }),
      want: ['spec.ephemeralContainers: Forbidden: cannot be set on create'],
    },
  ];
  it.each(cases)('$name', ({ got, want }) => expect(got).toEqual(want));
});

describe('Pod update', () => {
  const old = build({}, { command: ['sleep', '1000'] });
  const change = (spec: Fields, container: Fields = {}): string[] =>
    updateErrors(pod, build(spec, { command: ['sleep', '1000'], ...container }), old).map(formatFieldError);

  it('allows images, and refuses the rest with the difference', () => {
    expect(change({}, { image: 'other', imagePullPolicy: 'Always' })).toEqual([]);
    const [error = '', ...more] = change({}, { env: [{ name: 'A', value: 'b' }] });
    expect(more).toEqual([]);
    expect(error.split('\n')).toEqual([
      'spec: Forbidden: pod updates may not change fields other than `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,`spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` (allow it to be set to 1 if it was previously negative)',
      '@@ -13,7 +13,13 @@',
      '    "WorkingDir": "",',
      '    "Ports": null,',
      '    "EnvFrom": null,',
      '-   "Env": null,',
      '+   "Env": [',
      '+    {',
      '+     "Name": "A",',
      '+     "Value": "b",',
      '+     "ValueFrom": null',
      '+    }',
      '+   ],',
      '    "Resources": {',
      '     "Limits": null,',
      '     "Requests": null,',
      '',
    ]);
  });
  it('keeps the number of containers', () => {
    const two = [
      { name: 'c', image: 'busybox', command: ['sleep', '1000'] },
      { name: 'd', image: 'x' },
    ];
    expect(change({ containers: two })).toEqual(['spec.containers: Forbidden: pod updates may not add or remove containers']);
  });
  it('adds tolerations and sets a deadline, but takes neither back', () => {
    const toleration = { key: 'a', operator: 'Exists' };
    expect(change({ tolerations: [toleration], activeDeadlineSeconds: 5 })).toEqual([]);
    const tolerant = build({ tolerations: [toleration], activeDeadlineSeconds: 5 });
    expect(updateErrors(pod, build({}), tolerant).map(formatFieldError)).toEqual([
      'spec.activeDeadlineSeconds: Invalid value: null: must not update from a positive integer to nil value',
      'spec.tolerations: Forbidden: existing toleration can not be modified except its tolerationSeconds',
    ]);
  });
  it('adds ephemeral containers only', () => {
    const before = build({ ephemeralContainers: [{ name: 'e', image: 'x' }] });
    const after = build({ ephemeralContainers: [{ name: 'f', image: 'x' }] });
    expect(validateEphemeralContainersUpdate(after, before).map((e) => e.message)).toEqual([
      'Forbidden: existing ephemeral containers "e" may not be removed\n',
    ]);
  });
});

describe('a negative grace period', () => {
  it('becomes one second in a pod', () => {
    const object = build({ terminationGracePeriodSeconds: -1 });
    pod.applyDefaults(object);
    expect(object.spec).toMatchObject({ terminationGracePeriodSeconds: 1 });
  });
});

describe('Pod status', () => {
  const withStatus = (status: Fields): KubeObject => ({ ...build({ restartPolicy: 'Never' }), status });
  it('keeps the class and does not bring containers back', () => {
    const old = withStatus({ qosClass: 'BestEffort', containerStatuses: [{ name: 'c', state: { terminated: { exitCode: 0 } } }] });
    const next = withStatus({ qosClass: 'Burstable', containerStatuses: [{ name: 'c', state: { running: {} } }] });
    expect(statusErrors(pod, next, old).map(formatFieldError)).toEqual([
      'status.qosClass: Invalid value: "Burstable": field is immutable',
      'status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state',
    ]);
  });
  it('keeps both forms of the address equal', () => {
    const object = withStatus({ podIP: '10.0.0.1' });
    pod.normalize?.(object, undefined);
    expect(object.status).toEqual({ podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }] });
    expect(pod.selectableFields(object)['status.podIP']).toBe('10.0.0.1');
  });
});

describe('Pod warnings', () => {
  it('names hidden variables, ambiguous ports and old labels', () => {
    const object = build(
      { nodeSelector: { 'beta.kubernetes.io/os': 'linux' }, imagePullSecrets: [{ name: 'r' }, { name: 'r' }] },
      {
        env: [
          { name: 'A', value: '1' },
          { name: 'A', value: '$(A)2' },
          { name: 'A', value: '3' },
        ],
        ports: [{ containerPort: 80 }, { containerPort: 80 }],
      },
    );
    expect(pod.warnings(object, undefined)).toEqual([
      'spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use "kubernetes.io/os" instead',
      'spec.imagePullSecrets[1].name: duplicate name "r"',
      'spec.containers[0].env[2]: hides previous definition of "A", which may be dropped when using apply',
      'spec.containers[0].ports[1]: duplicate port definition with spec.containers[0].ports[0]',
    ]);
    expect(pod.warnings(object, object)).toEqual([]);
  });

  it('names paths of a volume that hide each other', () => {
    const item = (path: string) => ({ key: 'k', path });
    const object = build({
      volumes: [
        { name: 'c', configMap: { name: 'cfg', items: [item('a'), item('a/b'), item('ab'), item('a/')] } },
        { name: 's', secret: { secretName: 'sec', items: [item('x'), item('x')] } },
        { name: 'd', downwardAPI: { items: [item('p/q'), item('p')] } },
        {
          name: 'p',
          projected: { sources: [{ configMap: { name: 'cfg', items: [item('t')] } }, { serviceAccountToken: { path: 't/u' } }, {}] },
        },
      ],
    });
    expect(pod.warnings(object, undefined)).toEqual([
      'volume "c" (ConfigMap "cfg"): overlapping paths: "a/b" with "a"',
      'volume "c" (ConfigMap "cfg"): overlapping paths: "a" with "a"',
      'volume "c" (ConfigMap "cfg"): overlapping paths: "a" with "a/b"',
      'volume "s" (Secret "sec"): overlapping paths: "x" with "x"',
      'volume "d" (DownwardAPI): overlapping paths: "p" with "p/q"',
      'volume "p" (Projected) has no sources provided',
      'volume "p" (Projected): overlapping paths: "t/u" (ServiceAccountToken) with "t" (ConfigMap "cfg")',
    ]);
  });

  it('names port names that are taken, addresses without ports, and affinity that selects nobody', () => {
    const object = build(
      {
        affinity: {
          nodeAffinity: {
            preferredDuringSchedulingIgnoredDuringExecution: [
              { weight: 1, preference: { matchExpressions: [{ key: 'k', operator: 'In', values: ['-x'] }] } },
            ],
          },
          podAntiAffinity: {
            requiredDuringSchedulingIgnoredDuringExecution: [{ topologyKey: 'zone' }],
            preferredDuringSchedulingIgnoredDuringExecution: [{ weight: 1, podAffinityTerm: { topologyKey: 'zone' } }],
          },
        },
        dnsConfig: { nameservers: ['FD00::1'] },
      },
      {
        ports: [
          { containerPort: 80, name: 'web' },
          { containerPort: 81, name: 'web', protocol: 'TCP', hostIP: '10.0.0.1' },
        ],
      },
    );
    object.metadata.name = 'a.b';
    const preference = 'spec.affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0]';
    const nobody = 'labelSelector: a null labelSelector results in matching no pod';
    expect(pod.warnings(object, undefined)).toEqual([
      expect.stringMatching(
        /^metadata\.name: this is used in the Pod's hostname, .* a DNS label is recommended: \[must not contain dots\]$/,
      ),
      expect.stringContaining(`${preference}.values[0]: -x is invalid, a valid label must be`),
      'spec.containers[0].ports[1]: hostIP set without hostPort: {Name:web HostPort:0 ContainerPort:81 Protocol:TCP HostIP:10.0.0.1}',
      'spec.containers[0].ports[1]: duplicate port name "web" with spec.containers[0].ports[0], services and probes that select ports by name will use spec.containers[0].ports[0]',
      `spec.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].${nobody}`,
      `spec.affinity.podAntiAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].podAffinityTerm.${nobody}`,
      'spec.dnsConfig.nameservers[0]: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")',
    ]);
  });
});
