import { describe, expect, it } from 'vitest';
import { formatFieldError } from '../../../errors/field-error.ts';
import { createProblems, type Fields, statusProblems, updateProblems } from '../../testing/written-object.ts';
import { pod } from '../pod.ts';
import { validatePodResize } from './pod-resize-validation.ts';

const create = (spec: Fields, container: Fields = {}): string[] =>
  createProblems(pod, { spec: { serviceAccountName: 'default', containers: [{ name: 'c', image: 'i', ...container }], ...spec } });

describe('restart rules of a container', () => {
  const rule = (fields: Fields): Fields => ({ action: 'Restart', exitCodes: { operator: 'In', values: [1] }, ...fields });

  it('restart the container or all of them', () => {
    expect(create({}, { restartPolicy: 'Never', restartPolicyRules: [rule({}), rule({ action: 'RestartAllContainers' })] })).toEqual([]);
    expect(create({}, { restartPolicy: 'Never', restartPolicyRules: [rule({ action: 'Stop' })] })).toEqual([
      'spec.containers[0].restartPolicyRules[0].action: Unsupported value: "Stop": supported values: "Restart", "RestartAllContainers"',
    ]);
  });

  it('may name no exit code, but need a policy beside them', () => {
    expect(create({}, { restartPolicy: 'Never', restartPolicyRules: [rule({ exitCodes: { operator: 'NotIn' } })] })).toEqual([]);
    expect(create({}, { restartPolicyRules: [rule({ exitCodes: null })] })).toEqual([
      'spec.containers[0].restartPolicy: Required value: must specify restartPolicy when restart rules are used',
      'spec.containers[0].restartPolicyRules[0].exitCodes: Required value: must be specified',
    ]);
  });
});

describe('the restart at a resize', () => {
  const init = (cpu: string, more: Fields = {}): Fields => ({
    name: 'init',
    image: 'i',
    resources: { requests: { cpu } },
    resizePolicy: [
      { resourceName: 'memory', restartPolicy: 'NotRequired' },
      { resourceName: 'cpu', restartPolicy: 'RestartContainer' },
    ],
    ...more,
  });

  it('is for init containers that keep running', () => {
    expect(create({ initContainers: [init('1', { restartPolicy: 'Always' })] })).toEqual([]);
    expect(create({ initContainers: [init('1')] })).toEqual([
      `spec.initContainers[0].resizePolicy[1].restartPolicy: Invalid value: "RestartContainer": must not be set to 'RestartContainer' for non-sidecar initContainers`,
    ]);
  });

  it('keeps the others that have it the size they have', () => {
    const podOf = (container: Fields) => ({ metadata: { name: 'p' }, spec: { containers: [], initContainers: [container] } }) as never;
    const problems = (container: Fields, old: Fields) => validatePodResize(podOf(container), podOf(old)).map(formatFieldError);
    expect(problems(init('2'), init('1'))).toEqual([
      'spec.initContainers[0]: Forbidden: non-sidecar init containers with a resize policy of RestartContainer cannot be resized',
    ]);
    expect(problems(init('1'), init('1'))).toEqual([]);
    expect(problems(init('2', { restartPolicy: 'Always' }), init('1', { restartPolicy: 'Always' }))).toEqual([]);
  });
});

describe('huge pages of a container', () => {
  const limits = (amount: string): string[] => create({}, { resources: { limits: { cpu: '1', 'hugepages-2Mi': amount } } });

  it('are whole pages, or none', () => {
    expect(limits('4Mi')).toEqual([]);
    expect(limits('0')).toEqual([]);
    expect(limits('3Mi')).toContain(
      'spec.containers[0].resources.limits[hugepages-2Mi]: Invalid value: "3Mi": 3Mi is not positive integer multiple of hugepages-2Mi',
    );
  });
});

describe('a user namespace of its own', () => {
  it('excludes namespaces of the host, and block devices', () => {
    const volumes = [{ name: 'v', persistentVolumeClaim: { claimName: 'v' } }];
    const volumeDevices = [{ name: 'v', devicePath: '/dev/x' }];
    expect(create({ hostUsers: false, hostNetwork: true, hostPID: true, hostIPC: true, volumes }, { volumeDevices })).toEqual([
      'spec.hostNetwork: Forbidden: when `hostUsers` is false',
      'spec.HostPID: Forbidden: when `hostUsers` is false',
      'spec.HostIPC: Forbidden: when `hostUsers` is false',
      'spec.containers[0].volumeDevices: Forbidden: when `hostUsers` is false',
    ]);
  });
});

describe('hostnameOverride', () => {
  it('goes with neither another host name nor that of the host, and is checked before the names that follow', () => {
    expect(create({ hostnameOverride: 'a', setHostnameAsFQDN: true, hostNetwork: true, hostname: 'A' })).toEqual([
      'spec.hostnameOverride: Forbidden: may not be specified when setHostnameAsFQDN is true',
      'spec.hostnameOverride: Forbidden: may not be specified when hostNetwork is true',
      expect.stringMatching(/^spec\.hostname: Invalid value: "A"/),
    ]);
    expect(create({ hostnameOverride: 'a'.repeat(65) })).toEqual(['spec.hostnameOverride: Too long: may not be more than 64 bytes']);
  });
});

describe('variables from files', () => {
  const variable = (volumeName: string): Fields => ({ name: 'A', valueFrom: { fileKeyRef: { volumeName, path: 'f', key: 'A' } } });

  it('come from emptyDir volumes; that is checked last', () => {
    const volumes = [{ name: 'v', configMap: { name: 'c' } }];
    expect(create({ volumes, restartPolicy: 'x' }, { env: [variable('v'), variable('w')] })).toEqual([
      'spec.restartPolicy: Unsupported value: "x": supported values: "Always", "OnFailure", "Never"',
      'spec.containers[0].env[0].valueFrom.fileKeyRef.volumeName: Invalid value: "v": referenced volume must be of type emptyDir',
      'spec.containers[0].env[1].valueFrom.fileKeyRef.volumeName: Not found: "w"',
    ]);
  });
});

describe('tolerations', () => {
  it.each([
    ['In', '"Equal", "Exists"'],
    ['Lt', '"Equal", "Exists", "Lt", "Gt"'],
    ['Gt', '"Equal", "Exists", "Lt", "Gt"'],
  ])('do not compare with %s', (operator, known) => {
    expect(create({ tolerations: [{ key: 'k', operator, value: '1' }] })).toEqual([
      `spec.tolerations[0].operator: Unsupported value: "${operator}": supported values: ${known}`,
    ]);
  });
});

describe('resources of the pod as a whole', () => {
  it('are enough for the containers, where they are given', () => {
    const resources = { requests: { cpu: '1', memory: '1Gi' } };
    expect(create({ resources: { requests: { cpu: '500m' } } }, { resources })).toEqual([
      'spec.resources.requests[cpu]: Invalid value: "500m": must be greater than or equal to aggregate container requests of 1',
    ]);
    expect(create({ resources: { claims: [{ name: 'c' }] } })).toContain(
      'spec.resources.claims: Forbidden: claims may not be set for Resources at pod-level',
    );
  });

  it('are not for Windows', () => {
    expect(create({ os: { name: 'windows' }, resources: { requests: { x: '1' } } })).toEqual([
      'spec.resources: Forbidden: may not be set for a windows pod',
    ]);
  });
});

describe('the operating system', () => {
  it('is one of two, and keeps out what the other one has', () => {
    expect(create({ os: { name: 'plan9' } })).toEqual(['spec.os.name: Unsupported value: "plan9": supported values: "linux", "windows"']);
    const windowsOptions = { runAsUserName: 'u' };
    expect(create({ os: { name: 'linux' }, securityContext: { windowsOptions } }, { securityContext: { windowsOptions } })).toEqual([
      'spec.securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod',
      'spec.containers[0].securityContext.windowsOptions: Forbidden: windows options cannot be set for a linux pod',
    ]);
    const spec = { os: { name: 'windows' }, hostPID: true, hostIPC: false, securityContext: { fsGroup: 1, runAsUser: 1, sysctls: [] } };
    expect(create(spec, { securityContext: { privileged: false } })).toEqual([
      'spec.hostPID: Forbidden: cannot be set for a windows pod',
      'spec.securityContext.fsGroup: Forbidden: cannot be set for a windows pod',
      'spec.securityContext.runAsUser: Forbidden: cannot be set for a windows pod',
      'spec.containers[0].securityContext.privileged: Forbidden: cannot be set for a windows pod',
    ]);
  });
});

describe('status of a pod', () => {
  const container = { name: 'c', image: 'i' };
  const status = (spec: Fields, before: Fields, after: Fields): string[] => {
    const all = { serviceAccountName: 'default', containers: [container], ...spec };
    return statusProblems(pod, { spec: all, status: after }, { spec: all, status: before });
  };
  const ended = (name: string, exitCode: number): Fields => ({ name, state: { terminated: { exitCode } } });
  const running = (name: string): Fields => ({ name, state: { running: {} } });
  const back = (spec: Fields, name: string, exitCode: number): string[] =>
    status(spec, { containerStatuses: [ended(name, exitCode)] }, { containerStatuses: [running(name)] });
  const stays = ['status.containerStatuses[0].state: Forbidden: may not be transitioned to non-terminated state'];

  it('brings back what may restart, by rule, own policy or the policy of the pod', () => {
    const rules = [{ action: 'Restart', exitCodes: { operator: 'In', values: [3] } }];
    const own = { ...container, restartPolicy: 'Never', restartPolicyRules: rules };
    expect(back({ restartPolicy: 'Never' }, 'c', 0)).toEqual(stays);
    expect(back({ restartPolicy: 'OnFailure' }, 'c', 1)).toEqual([]);
    expect(back({ containers: [own] }, 'c', 3)).toEqual([]);
    expect(back({ containers: [own] }, 'c', 4)).toEqual(stays);
    expect(back({ restartPolicy: 'Never', containers: [{ ...container, restartPolicy: 'Always' }] }, 'c', 0)).toEqual([]);
  });

  it('does not bring back a container that the pod does not have', () => {
    expect(back({}, 'other', 1)).toEqual(stays);
    const all = [{ action: 'RestartAllContainers', exitCodes: { operator: 'In', values: [3] } }];
    expect(back({ containers: [{ ...container, restartPolicy: 'Never', restartPolicyRules: all }] }, 'other', 1)).toEqual([]);
  });

  it('counts generations from zero, and nominates no node for a pod that has one', () => {
    const after = { observedGeneration: -1, conditions: [{ type: 'x y', observedGeneration: -2 }], nominatedNodeName: 'm' };
    expect(status({ nodeName: 'n' }, {}, after)).toEqual([
      'status.conditions[0].observedGeneration: Invalid value: -2: must be a non-negative integer',
      expect.stringMatching(/^status\.conditions\[0\]\.Type: Invalid value: "x y": name part must consist of/),
      'status.nominatedNodeName: Forbidden: may not be set on pods that are already bound to a node',
      'status.observedGeneration: Invalid value: -1: must be a non-negative integer',
    ]);
    expect(status({}, {}, { nominatedNodeName: 'm' })).toEqual([]);
  });
});

describe('Windows options', () => {
  const named = (runAsUserName: string): string[] =>
    create({}, { securityContext: { windowsOptions: { runAsUserName } } }).map((problem) => problem.replace(/^.*runAsUserName'?s? /, ''));

  it('name credential specs and users as Windows does', () => {
    const windowsOptions = { gmsaCredentialSpecName: 'A', gmsaCredentialSpec: '', runAsUserName: '' };
    const problems = create({ securityContext: { windowsOptions } });
    expect(problems.map((problem) => problem.slice(0, problem.indexOf(': Invalid value')))).toEqual([
      'spec.securityContext.windowsOptions.gmsaCredentialSpecName',
      'spec.securityContext.windowsOptions.gmsaCredentialSpec',
      'spec.securityContext.windowsOptions.runAsUserName',
    ]);
    const long = { gmsaCredentialSpec: 'x'.repeat(64 * 1024 + 1) };
    expect(create({ securityContext: { windowsOptions: long } })[0]).toMatch(/: gmsaCredentialSpec size must be under 64 KiB$/);
    for (const name of ['user', 'DOMAIN\\user', 'sub.domain-1.example\\user name', 'a.b']) expect(named(name)).toEqual([]);
    expect(named('')).toEqual(['cannot be an empty string']);
    expect(named('a\tb')).toEqual(['cannot contain control characters']);
    expect(named('a\\b\\c')).toEqual(['cannot contain more than one backslash']);
    expect(named('.dot\\')).toEqual(["Domain doesn't match the NetBios nor the DNS format", 'User cannot be empty']);
    expect(named('..')).toEqual(['User cannot contain only periods or spaces']);
    expect(named(`${'d'.repeat(256)}\\${'u'.repeat(105)}`)).toEqual([
      'Domain length must be under 256 characters',
      "Domain doesn't match the NetBios nor the DNS format",
      'User length must not be longer than 104 characters',
    ]);
    expect(named('a@b')).toEqual(['User cannot contain the following characters: "/\\:;|=,+*?<>@[]']);
  });

  it('run all containers of a pod on the host, or none', () => {
    const onHost = (hostProcess: boolean): Fields => ({ securityContext: { windowsOptions: { hostProcess } } });
    expect(create({ hostNetwork: true, ...onHost(true) })).toEqual([]);
    expect(create({ hostNetwork: true }, onHost(true))).toEqual([]);
    expect(create(onHost(false), onHost(false))).toEqual([]);
    expect(create({ initContainers: [{ name: 'i', image: 'i' }] }, onHost(true))).toEqual([
      'spec: Invalid value: "": If pod contains any hostProcess containers then all containers must be HostProcess containers',
      'spec.hostNetwork: Invalid value: false: hostNetwork must be true if pod contains any hostProcess containers',
    ]);
    expect(create({ hostNetwork: true, ...onHost(true) }, onHost(false))).toEqual([
      'spec.containers[0].securityContext.windowsOptions.hostProcess: Invalid value: false: pod hostProcess value must be identical if both are specified, was true',
    ]);
  });
});

describe('the status of a pod', () => {
  const problems = (status: Fields, spec: Fields = {}): string[] => {
    const all = { containers: [{ name: 'c', image: 'i' }], ...spec };
    return statusProblems(pod, { spec: all, status }, { spec: all });
  };

  it('says as whom its containers run', () => {
    const run = (linux: Fields): Fields => ({ containerStatuses: [{ name: 'c', user: { linux } }] });
    expect(problems(run({ uid: 0, gid: 1, supplementalGroups: [2] }))).toEqual([]);
    const range = 'must be between 0 and 4294967295, inclusive';
    expect(problems(run({ uid: -1, gid: 2 ** 32, supplementalGroups: [0, -2] }))).toEqual([
      `status.containerStatuses[0].linux.uid: Invalid value: -1: ${range}`,
      `status.containerStatuses[0].linux.gid: Invalid value: 4294967296: ${range}`,
      `status.containerStatuses[0].linux.supplementalGroups[1]: Invalid value: -2: ${range}`,
    ]);
    expect(problems(run({ uid: 0, gid: 0 }), { os: { name: 'windows' } })).toEqual([
      'status.containerStatuses[0].linux: Forbidden: cannot be set for a windows pod',
    ]);
  });

  it('says how what a container asked for does', () => {
    const resources = { requests: { cpu: '1' }, claims: [{ name: 'a' }, { name: 'b', request: 'r' }] };
    const spec = { containers: [{ name: 'c', image: 'i', resources }], initContainers: [{ name: 'first', image: 'i' }] };
    const device = (resourceID: string, health: string) => ({ resourceID, health });
    const report = (name: string, ...allocatedResourcesStatus: Fields[]): Fields => ({ name, allocatedResourcesStatus });
    const fine = [
      { name: 'cpu', resources: [device('1', 'Healthy'), device('2', 'Unknown')] },
      { name: 'claim:a', resources: [device('1', 'Unhealthy')] },
      { name: 'claim:b/r' },
    ];
    expect(problems({ containerStatuses: [report('c', ...fine), report('gone', { name: 'gpu' })] }, spec)).toEqual([]);
    const wrong = {
      containerStatuses: [report('c', { name: 'claim:b', resources: [device('1', 'Sick'), device('1', 'Healthy')] })],
      initContainerStatuses: [report('first', { name: 'cpu' })],
      ephemeralContainerStatuses: [report('debug'), report('other', { name: 'cpu' })],
    };
    const at = 'status.containerStatuses[0].allocatedResourcesStatus[0]';
    expect(problems(wrong, spec)).toEqual([
      `${at}.name: Invalid value: "claim:b": must match one of the container's resource claims in a format 'claim:<claimName>/<request>' or 'claim:<claimName>' if request is empty`,
      `${at}.resources[0].health: Unsupported value: "Sick": supported values: "Healthy", "Unhealthy", "Unknown"`,
      `${at}.resources[1].resourceID: Duplicate value: "1"`,
      `status.initContainerStatuses[0].allocatedResourcesStatus[0].name: Invalid value: "cpu": must match one of the container's resource requests`,
      'status.ephemeralContainerStatuses[1].allocatedResourcesStatus: Forbidden: must not be specified in container status',
    ]);
  });

  it('names claims of the pod, each once', () => {
    const spec = { resourceClaims: [{ name: 'a', resourceClaimName: 'x' }] };
    expect(problems({ resourceClaimStatuses: [{ name: 'a', resourceClaimName: 'x-1' }] }, spec)).toEqual([]);
    const unknown = problems({ resourceClaimStatuses: [{ name: 'b' }, { name: 'a' }, { name: 'b', resourceClaimName: 'X' }] }, spec);
    expect(unknown.map((problem) => problem.replace(/ a lowercase.*/, ''))).toEqual([
      'status.resourceClaimStatuses[0].name: Invalid value: "b": must match the name of an entry in `spec.resourceClaims`',
      'status.resourceClaimStatuses[2].name: Invalid value: "b": must match the name of an entry in `spec.resourceClaims`',
      'status.resourceClaimStatuses[2].name: Duplicate value: "b"',
      'status.resourceClaimStatuses[2].name: Invalid value: "X":',
    ]);
  });

  it('has one address of each family', () => {
    expect(problems({ podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }] })).toEqual([]);
    expect(problems({ podIP: '10.0.0.1', podIPs: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }] })).toEqual([
      'status.podIPs: Invalid value: [{"IP":"10.0.0.1"},{"IP":"10.0.0.2"}]: may specify no more than one IP for each IP family',
    ]);
  });
});

describe('a pod that is held back by gates', () => {
  const term = (...values: string[]): Fields => ({ matchExpressions: [{ key: 'zone', operator: 'In', values }] });
  const held = (...nodeSelectorTerms: Fields[]): Fields => ({
    spec: {
      serviceAccountName: 'default',
      containers: [{ name: 'c', image: 'i' }],
      schedulingGates: [{ name: 'g' }],
      affinity: { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms } } },
    },
  });

  it('may be narrowed to fewer nodes, term by term', () => {
    const path = 'spec.affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms';
    const shown = '{"MatchExpressions":[{"Key":"zone","Operator":"In","Values":["b"]}],"MatchFields":null}';
    const narrower = { matchExpressions: [...(term('a').matchExpressions as Fields[]), { key: 'disk', operator: 'Exists' }] };
    expect(updateProblems(pod, held(narrower), held(term('a')))).toEqual([]);
    expect(updateProblems(pod, held(term('b')), held(term('a')))).toEqual([
      `${path}[0]: Invalid value: ${shown}: only additions are allowed (no mutations or deletions)`,
    ]);
    expect(updateProblems(pod, held(term('b')), held(term('a'), term('b')))).toEqual([
      `${path}: Invalid value: [${shown}]: no additions/deletions to non-empty NodeSelectorTerms list are allowed`,
    ]);
  });
});
