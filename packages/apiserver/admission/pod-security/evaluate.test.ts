import { describe, expect, it } from 'vitest';
import type { PodToCheck } from './check.ts';
import { createEvaluator, detailsText, reasonsText } from './evaluate.ts';
import { type Level, parsePolicy } from './policy.ts';

const evaluator = createEvaluator();

/** What a pod violates, as messages show it. */
function violated(level: Level, version: string, spec: object, annotations: Record<string, string> = {}): string {
  const { policy } = parsePolicy({ 'pod-security.kubernetes.io/enforce': level, 'pod-security.kubernetes.io/enforce-version': version });
  const pod: PodToCheck = { annotations, spec: { containers: [{ name: 'a' }], ...spec } };
  return detailsText(evaluator.evaluate(policy.enforce, pod));
}

/** Fine under restricted. */
const hardened = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};
const contexts = (...list: readonly object[]) => ({
  containers: list.map((securityContext, i) => ({ name: String.fromCharCode(97 + i), securityContext })),
});

describe('baseline', () => {
  const cases: readonly { name: string; spec?: object; annotations?: Record<string, string>; version?: string; expected: string }[] = [
    { name: 'an ordinary pod', spec: {}, expected: '' },
    {
      name: 'namespaces of the node',
      spec: { hostNetwork: true, hostPID: true, hostIPC: true },
      expected: 'host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)',
    },
    {
      name: 'privileged containers of every kind, in the order init, main, ephemeral',
      spec: {
        containers: [{ name: 'a', securityContext: { privileged: true } }],
        initContainers: [{ name: 'i', securityContext: { privileged: true } }],
        ephemeralContainers: [{ name: 'e', securityContext: { privileged: true } }],
      },
      expected: 'privileged (containers "i", "a", "e" must not set securityContext.privileged=true)',
    },
    {
      name: 'capabilities beyond the default ones',
      spec: contexts(
        { capabilities: { add: ['NET_RAW', 'CHOWN'] } },
        { capabilities: { add: ['BPF'] } },
        { capabilities: { add: ['KILL'] } },
      ),
      expected: 'non-default capabilities (containers "a", "b" must not include "BPF", "NET_RAW" in securityContext.capabilities.add)',
    },
    {
      name: 'paths of the node',
      spec: {
        volumes: [
          { name: 'v', hostPath: { path: '/' } },
          { name: 'w', emptyDir: {} },
        ],
      },
      expected: 'hostPath volumes (volume "v")',
    },
    {
      name: 'ports of the node, sorted as text',
      spec: {
        containers: [
          { name: 'a', ports: [{ containerPort: 1, hostPort: 80 }, { containerPort: 2, hostPort: 443 }, { containerPort: 3 }] },
          { name: 'b', ports: [{ containerPort: 1, hostPort: 0 }] },
        ],
      },
      expected: 'hostPort (container "a" uses hostPorts 443, 80)',
    },
    {
      name: 'hosts of probes and hooks',
      spec: {
        containers: [
          {
            name: 'b',
            livenessProbe: { httpGet: { host: '10.0.0.1', port: 1 } },
            lifecycle: { preStop: { tcpSocket: { host: 'x', port: 1 } } },
          },
          { name: 'a', readinessProbe: { tcpSocket: { host: 'x', port: 1 } }, startupProbe: { httpGet: { port: 1 } } },
        ],
      },
      expected: 'probe or lifecycle host (containers "a", "b" use probe or lifecycle hosts "10.0.0.1", "x")',
    },
    {
      name: 'hosts of probes before 1.34',
      version: 'v1.33',
      spec: { containers: [{ name: 'a', livenessProbe: { httpGet: { host: 'x' } } }] },
      expected: '',
    },
    {
      name: 'an unmasked /proc',
      spec: contexts({ procMount: 'Unmasked' }, { procMount: 'Default' }),
      expected: 'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    },
    { name: 'an unmasked /proc in a user namespace', spec: { hostUsers: false, ...contexts({ procMount: 'Unmasked' }) }, expected: '' },
    {
      name: 'an unmasked /proc in a user namespace before 1.35',
      version: 'v1.34',
      spec: { hostUsers: false, ...contexts({ procMount: 'Unmasked' }) },
      expected: 'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    },
    {
      name: 'AppArmor by fields and annotations',
      spec: { securityContext: { appArmorProfile: { type: 'Unconfined' } }, ...contexts({ appArmorProfile: { type: 'Unconfined' } }) },
      annotations: {
        'container.apparmor.security.beta.kubernetes.io/a': 'unconfined',
        'container.apparmor.security.beta.kubernetes.io/b': 'localhost/x',
      },
      expected:
        'forbidden AppArmor profiles (pod and container "a" and annotation must not set AppArmor profile type to "Unconfined", "container.apparmor.security.beta.kubernetes.io/a="unconfined"")',
    },
    {
      name: 'SELinux',
      spec: {
        securityContext: { seLinuxOptions: { type: 'foo' } },
        ...contexts({ seLinuxOptions: { type: 'container_engine_t' } }, { seLinuxOptions: { user: 'u', role: 'r' } }),
      },
      expected:
        'seLinuxOptions (pod and container "b" set forbidden securityContext.seLinuxOptions: type "foo"; user may not be set; role may not be set)',
    },
    {
      name: 'SELinux types before 1.31',
      version: 'v1.30',
      spec: contexts({ seLinuxOptions: { type: 'container_engine_t' } }),
      expected: 'seLinuxOptions (container "a" set forbidden securityContext.seLinuxOptions: type "container_engine_t")',
    },
    {
      name: 'seccomp by fields',
      spec: { securityContext: { seccompProfile: { type: 'Unconfined' } }, ...contexts({ seccompProfile: { type: 'Unconfined' } }) },
      annotations: { 'seccomp.security.alpha.kubernetes.io/pod': 'unconfined' },
      expected: 'seccompProfile (pod and container "a" must not set securityContext.seccompProfile.type to "Unconfined")',
    },
    {
      name: 'seccomp by annotations before 1.19',
      version: 'v1.18',
      spec: contexts({ seccompProfile: { type: 'Unconfined' } }),
      annotations: {
        'seccomp.security.alpha.kubernetes.io/pod': 'unconfined',
        'container.seccomp.security.alpha.kubernetes.io/a': 'x',
        'container.seccomp.security.alpha.kubernetes.io/other': 'x',
      },
      expected:
        'seccompProfile (forbidden annotations container.seccomp.security.alpha.kubernetes.io/a="x", seccomp.security.alpha.kubernetes.io/pod="unconfined")',
    },
    {
      name: 'sysctls',
      spec: {
        securityContext: { sysctls: [{ name: 'kernel.msgmax' }, { name: 'net.ipv4.tcp_rmem' }, { name: 'net.ipv4.tcp_fin_timeout' }] },
      },
      expected: 'forbidden sysctls (kernel.msgmax)',
    },
    {
      name: 'sysctls before 1.29',
      version: 'v1.28',
      spec: { securityContext: { sysctls: [{ name: 'net.ipv4.ip_local_reserved_ports' }, { name: 'net.ipv4.tcp_fin_timeout' }] } },
      expected: 'forbidden sysctls (net.ipv4.tcp_fin_timeout)',
    },
    {
      name: 'processes of the host on Windows',
      spec: { securityContext: { windowsOptions: { hostProcess: true } }, ...contexts({ windowsOptions: { hostProcess: true } }) },
      expected: 'hostProcess (pod and container "a" must not set securityContext.windowsOptions.hostProcess=true)',
    },
  ];
  for (const { name, spec = {}, annotations, version = 'latest', expected } of cases) {
    it(name, () => expect(violated('baseline', version, spec, annotations)).toBe(expected));
  }
});

describe('restricted', () => {
  const cases: readonly { name: string; spec: object; version?: string; expected: string }[] = [
    { name: 'a hardened pod', spec: contexts(hardened), expected: '' },
    {
      name: 'an ordinary pod',
      spec: {},
      expected:
        'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
    },
    {
      name: 'what holds for the whole pod',
      spec: {
        securityContext: { runAsNonRoot: true, seccompProfile: { type: 'Localhost', localhostProfile: 'x' } },
        ...contexts({ allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'], add: ['NET_BIND_SERVICE'] } }),
      },
      expected: '',
    },
    {
      name: 'containers against the pod',
      spec: {
        securityContext: { runAsNonRoot: true, runAsUser: 0 },
        ...contexts({ ...hardened, runAsNonRoot: false, runAsUser: 0 }, { ...hardened, capabilities: { drop: ['ALL'], add: ['CHOWN'] } }),
      },
      expected:
        'unrestricted capabilities (container "b" must not include "CHOWN" in securityContext.capabilities.add), runAsNonRoot != true (container "a" must not set securityContext.runAsNonRoot=false), runAsUser=0 (pod and container "a" must not set runAsUser=0)',
    },
    {
      name: 'volumes, instead of the check of baseline',
      spec: {
        ...contexts(hardened),
        volumes: [
          { name: 'h', hostPath: { path: '/' } },
          { name: 'n', nfs: {} },
          { name: 'u', future: {} },
          { name: 'i', image: {} },
          { name: 's', secret: {} },
        ],
      },
      expected: 'restricted volume types (volumes "h", "n", "u" use restricted volume types "hostPath", "nfs", "unknown")',
    },
    {
      name: 'baseline before its own checks',
      spec: { hostNetwork: true, ...contexts({ ...hardened, runAsNonRoot: undefined, privileged: true }) },
      expected:
        'host namespaces (hostNetwork=true), privileged (container "a" must not set securityContext.privileged=true), runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
    },
    {
      name: 'user namespaces make root harmless, not an unmasked /proc',
      spec: { hostUsers: false, ...contexts({ ...hardened, runAsNonRoot: false, runAsUser: 0, procMount: 'Unmasked' }) },
      expected: 'procMount (container "a" must not set securityContext.procMount to "Unmasked")',
    },
    {
      name: 'user namespaces before 1.35',
      version: 'v1.34',
      spec: { hostUsers: false, ...contexts({ ...hardened, runAsUser: 0 }) },
      expected: 'runAsUser=0 (container "a" must not set runAsUser=0)',
    },
    { name: 'settings of Linux on Windows', spec: { os: { name: 'windows' }, ...contexts({ runAsNonRoot: true }) }, expected: '' },
    {
      name: 'Windows before 1.25',
      version: 'v1.24',
      spec: { os: { name: 'windows' }, ...contexts({ ...hardened, allowPrivilegeEscalation: undefined }) },
      expected: 'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false)',
    },
    {
      name: 'the first version',
      version: 'v1.0',
      spec: {},
      expected: 'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true)',
    },
    { name: 'root by number before 1.23', version: 'v1.22', spec: contexts({ ...hardened, runAsUser: 0 }), expected: '' },
    {
      name: 'a version to come',
      version: 'v1.99',
      spec: contexts({ ...hardened, runAsUser: 0 }),
      expected: 'runAsUser=0 (container "a" must not set runAsUser=0)',
    },
  ];
  for (const { name, spec, version = 'latest', expected } of cases) {
    it(name, () => expect(violated('restricted', version, spec)).toBe(expected));
  }
});

it('privileged allows everything', () => {
  expect(violated('privileged', 'latest', { hostNetwork: true })).toBe('');
});

it('names the reasons alone for many pods at once', () => {
  const { policy } = parsePolicy({ 'pod-security.kubernetes.io/enforce': 'baseline' });
  const spec = { hostPID: true, ...contexts({ privileged: true }) };
  expect(reasonsText(evaluator.evaluate(policy.enforce, { annotations: {}, spec }))).toBe('host namespaces, privileged');
});
