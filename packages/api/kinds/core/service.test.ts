import { describe, expect, it } from 'vitest';
import { formatFieldError } from '../../errors/field-error.ts';
import type { KubeObject } from '../../meta/object.ts';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, statusProblems, written } from '../testing/written-object.ts';
import { createErrors, updateErrors } from '../validate-object.ts';
import { service } from './service.ts';
import { prepareServiceCreate, prepareServiceUpdate } from './service-changes.ts';

const ports = [{ port: 80 }];
const create = (spec: Fields): string[] => problems(created(spec));
const problems = (object: KubeObject): string[] => createErrors(service, object).map(formatFieldError);

/** As the server checks a new service. */
function created(spec: Fields): KubeObject {
  const object = written(service, { spec: { ports, ...spec } });
  prepareServiceCreate(object);
  return object;
}

/** As the server checks a change; what the client did not send is absent. */
function updated(spec: Fields, old: KubeObject): KubeObject {
  const object = written(service, { spec: { ports, ...spec } });
  prepareServiceUpdate(object, old);
  return object;
}

function update(spec: Fields, old: Fields): string[] {
  const before = created(old);
  return updateErrors(service, updated(spec, before), before).map(formatFieldError);
}

describe('Service defaults', () => {
  it('make a cluster-internal service', () => {
    expect(written(service, { spec: { ports } }).spec).toEqual({
      ports: [{ protocol: 'TCP', port: 80, targetPort: 80 }],
      type: 'ClusterIP',
      sessionAffinity: 'None',
      internalTrafficPolicy: 'Cluster',
    });
    expect(create({})).toEqual([]);
  });

  it('let outside traffic reach every node', () => {
    expect(written(service, { spec: { ports, type: 'NodePort' } }).spec).toMatchObject({ externalTrafficPolicy: 'Cluster' });
    expect(written(service, { spec: { ports, type: 'LoadBalancer' } }).spec).toMatchObject({
      externalTrafficPolicy: 'Cluster',
      allocateLoadBalancerNodePorts: true,
    });
  });

  it('end sessions of one client after three hours', () => {
    const spec = { ports, sessionAffinity: 'ClientIP' };
    expect(written(service, { spec }).spec).toMatchObject({ sessionAffinityConfig: { clientIP: { timeoutSeconds: 10_800 } } });
  });
});

describe('Service changes', () => {
  it('keep both forms of the address equal', () => {
    expect(created({ clusterIP: 'None' }).spec).toMatchObject({ clusterIPs: ['None'] });
    const old = created({ clusterIP: '10.0.0.1' });
    // A patch of one field sends the other one back as it was.
    expect(updated({ clusterIP: '10.0.0.2', clusterIPs: ['10.0.0.1'] }, old).spec).toMatchObject({ clusterIPs: ['10.0.0.2'] });
    expect(updated({ clusterIP: '10.0.0.2', clusterIPs: ['10.0.0.3'] }, old).spec).toMatchObject({ clusterIPs: ['10.0.0.3'] });
    expect(update({ clusterIP: '10.0.0.2', clusterIPs: ['10.0.0.1'] }, { clusterIP: '10.0.0.1' })).toEqual([
      'spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set',
    ]);
  });

  it('keep what was allocated', () => {
    const old = created({
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      healthCheckNodePort: 30_009,
      clusterIP: '10.0.0.1',
      ports: [
        { name: 'a', port: 80, nodePort: 30_001 },
        { name: 'b', port: 81, nodePort: 30_002 },
      ],
    });
    const sent = [
      { name: 'b', port: 82 },
      { name: 'c', port: 83, nodePort: 30_001 },
      { name: 'a', port: 80 },
    ];
    const { spec } = updated({ type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: sent }, old);
    expect(spec).toMatchObject({ clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], healthCheckNodePort: 30_009 });
    // The number of `a` has a new owner.
    expect((spec as { ports: Fields[] }).ports.map((port) => port.nodePort)).toEqual([30_002, 30_001, undefined]);
  });

  it('drop what the new type has no use for, unless the client changed it', () => {
    const spec = { type: 'NodePort', clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ports: [{ port: 80, nodePort: 30_001 }] };
    const old = created({ ...spec, ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
    const same = structuredClone(old.spec) as Fields;
    expect(updated({ ...same, type: 'ClusterIP' }, old).spec).toEqual({
      type: 'ClusterIP',
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1'],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      internalTrafficPolicy: 'Cluster',
      sessionAffinity: 'None',
      ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
    });
    const external = updated({ ...same, type: 'ExternalName', externalName: 'a.b' }, old);
    expect(external.spec).not.toHaveProperty('clusterIP');
    expect(updateErrors(service, external, old)).toEqual([]);
    const local = updated({ ...same, type: 'ClusterIP', externalTrafficPolicy: 'Local' }, old);
    expect(updateErrors(service, local, old).map(formatFieldError)).toEqual([
      'spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services',
    ]);
  });

  it('drop what only balancers have', () => {
    const old = created({ type: 'LoadBalancer', loadBalancerClass: 'a.b/c', externalTrafficPolicy: 'Local', healthCheckNodePort: 30_009 });
    const same = structuredClone(old.spec) as Fields;
    expect(Object.keys(updated({ ...same, type: 'NodePort' }, old).spec as object)).not.toEqual(
      expect.arrayContaining(['allocateLoadBalancerNodePorts', 'loadBalancerClass', 'healthCheckNodePort']),
    );
    expect(update({ ...same, type: 'NodePort' }, same)).toEqual([]);
  });
});

it('Service warnings', () => {
  const warn = (spec: Fields, annotations = {}): string[] => service.warnings({ ...created(spec), metadata: { annotations } }, undefined);
  expect(warn({ clusterIP: '10.0.0.1' })).toEqual([]);
  expect(warn({ clusterIP: 'None', sessionAffinity: 'ClientIP', externalIPs: ['1.2.3.4'], loadBalancerIP: '1.2.3.4' })).toEqual([
    'spec.loadBalancerIP is ignored for headless services',
    'spec.externalIPs is ignored for headless services',
    'spec.SessionAffinity is ignored for headless services',
  ]);
  expect(warn({ externalName: 'a.b', trafficDistribution: 'PreferClose', externalIPs: ['FD00::1'] })).toEqual([
    'spec.externalIPs[0]: IPv6 address "FD00::1" should be in RFC 5952 canonical format ("fd00::1")',
    'spec.externalIPs is deprecated',
    'spec.externalName is ignored when spec.type is not "ExternalName"',
    'spec.trafficDistribution: "PreferClose" is deprecated; use "PreferSameZone"',
  ]);
  expect(warn({}, { 'service.kubernetes.io/topology-aware-hints': 'auto' })).toEqual([
    'annotation service.kubernetes.io/topology-aware-hints is deprecated, please use service.kubernetes.io/topology-mode instead',
  ]);
});

describe('Service validation', () => {
  it.each<[string, Fields, string[]]>([
    ['no ports', { ports: [] }, ['spec.ports: Required value']],
    ['no ports without an address', { ports: [], clusterIP: 'None' }, []],
    [
      'ports out of range',
      { ports: [{ port: 0, targetPort: 65_536 }] },
      [
        'spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive',
        'spec.ports[0].targetPort: Invalid value: 65536: must be between 1 and 65535, inclusive',
      ],
    ],
    [
      'ports without names',
      { ports: [{ port: 80 }, { port: 81, name: 'b' }, { port: 82, name: 'b' }] },
      ['spec.ports[0].name: Required value', 'spec.ports[2].name: Duplicate value: "b"'],
    ],
    [
      'a protocol nobody speaks',
      { ports: [{ port: 80, protocol: 'XYZ' }] },
      ['spec.ports[0].protocol: Unsupported value: "XYZ": supported values: "SCTP", "TCP", "UDP"'],
    ],
    [
      'a node port inside',
      { ports: [{ port: 80, nodePort: 30_000 }] },
      ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ],
    [
      'an unknown type',
      { type: 'Magic' },
      ['spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"'],
    ],
    ['a name of elsewhere', { type: 'ExternalName', externalName: 'example.com' }, []],
    ['no name of elsewhere', { type: 'ExternalName' }, ['spec.externalName: Required value']],
    [
      'no address for nodes',
      { type: 'NodePort', clusterIP: 'None' },
      ['spec.clusterIPs[0]: Invalid value: "None": may not be set to \'None\' for NodePort services'],
    ],
    [
      'no address',
      { clusterIP: 'x' },
      ['spec.clusterIPs[0]: Invalid value: "x": must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)'],
    ],
    [
      'two addresses of one family',
      { clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1', '10.0.0.2'], ipFamilyPolicy: 'RequireDualStack' },
      ['spec.clusterIPs: Invalid value: ["10.0.0.1","10.0.0.2"]: may specify no more than one IP for each IP family'],
    ],
    [
      'a loopback outside',
      { externalIPs: ['127.0.0.1'] },
      ['spec.externalIPs[0]: Invalid value: "127.0.0.1": may not be in the loopback range (127.0.0.0/8, ::1/128)'],
    ],
    [
      'too long a session',
      { sessionAffinity: 'ClientIP', sessionAffinityConfig: { clientIP: { timeoutSeconds: 86_401 } } },
      ['spec.sessionAffinityConfig.clientIP.timeoutSeconds: Invalid value: 86401: must be greater than 0 and less than 86400'],
    ],
    [
      'an unknown affinity',
      { sessionAffinity: 'Friend' },
      ['spec.sessionAffinity: Unsupported value: "Friend": supported values: "ClientIP", "None"'],
    ],
    [
      'a policy for no traffic',
      { externalTrafficPolicy: 'Local' },
      ['spec.externalTrafficPolicy: Invalid value: "Local": may only be set for externally-accessible services'],
    ],
    [
      "the kubelet's port outside",
      { type: 'LoadBalancer', ports: [{ port: 10_250 }] },
      ['spec.ports[0]: Invalid value: 10250: may not expose port 10250 externally since it is used by kubelet'],
    ],
    [
      'ranges of senders',
      { loadBalancerSourceRanges: [' 10.0.0.0/8 ', '10.0.0.1/8'] },
      [
        "spec.LoadBalancerSourceRanges: Forbidden: may only be used when `type` is 'LoadBalancer'",
        'spec.LoadBalancerSourceRanges[1]: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length',
      ],
    ],
    [
      'the same port twice',
      {
        ports: [
          { port: 80, name: 'a' },
          { port: 80, name: 'b' },
          { port: 80, name: 'c', protocol: 'UDP' },
        ],
      },
      ['spec.ports[1]: Duplicate value: {"Name":"","Protocol":"TCP","AppProtocol":null,"Port":80,"TargetPort":0,"NodePort":0}'],
    ],
    [
      'an unknown distribution',
      { trafficDistribution: 'Far' },
      ['spec.trafficDistribution: Unsupported value: "Far": supported values: "PreferClose", "PreferSameZone", "PreferSameNode"'],
    ],
    [
      'a balancer of another type',
      { loadBalancerClass: 'example.com/x' },
      ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ],
  ])('of %s', (_what, spec, want) => {
    expect(create(spec)).toEqual(want);
  });

  it('keeps the name short and the address for ever', () => {
    expect(createProblems(service, { metadata: { name: '1a' }, spec: { ports } })).toEqual([]);
    expect(createProblems(service, { metadata: { name: 'a.b' }, spec: { ports } })).toEqual([
      'metadata.name: Invalid value: "a.b": must not contain dots',
    ]);
    expect(update({ clusterIP: '10.0.0.2' }, { clusterIP: '10.0.0.1' })).toEqual([
      'spec.clusterIPs[0]: Invalid value: null: primary clusterIP can not be unset',
      'spec.clusterIPs: Required value',
    ]);
    expect(update({}, { clusterIP: '10.0.0.1' })).toEqual([]);
    expect(update({ type: 'ExternalName', externalName: 'a.b' }, { clusterIP: '10.0.0.1' })).toEqual([]);
  });

  it('checks what a load balancer reports', () => {
    const spec = { ports, type: 'LoadBalancer' };
    const status = (ingress: Fields[]): Fields => ({ loadBalancer: { ingress } });
    expect(statusProblems(service, { spec, status: status([{ ip: '1.2.3.4' }]) }, { spec })).toEqual([]);
    expect(statusProblems(service, { spec, status: status([{ hostname: '1.2.3.4' }]) }, { spec })).toEqual([
      'status.loadBalancer.ingress[0].hostname: Invalid value: "1.2.3.4": must be a DNS name, not an IP address',
    ]);
    expect(statusProblems(service, { spec: { ports }, status: status([{ hostname: 'a.b' }]) }, { spec: { ports } })).toEqual([
      "status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is 'LoadBalancer'",
    ]);
  });
});

describe('Service table', () => {
  it.each<[Fields, unknown[]]>([
    [{ clusterIP: '10.0.0.1' }, ['ClusterIP', '10.0.0.1', '<none>', '80/TCP']],
    [{ clusterIP: 'None', ports: [] }, ['ClusterIP', 'None', '<none>', '<none>']],
    [
      { type: 'NodePort', clusterIP: '10.0.0.1', externalIPs: ['1.2.3.4'], ports: [{ port: 80, nodePort: 30_001, protocol: 'UDP' }] },
      ['NodePort', '10.0.0.1', '1.2.3.4', '80:30001/UDP'],
    ],
    [{ type: 'LoadBalancer', clusterIP: '10.0.0.1' }, ['LoadBalancer', '10.0.0.1', '<pending>', '80/TCP']],
    [{ type: 'ExternalName', externalName: 'a.b', ports: [] }, ['ExternalName', '<none>', 'a.b', '<none>']],
  ])('%j', (spec, want) => {
    const cells = cellsOf(service, { spec: { ports, ...spec } }, 0);
    expect([cells.Type, cells['Cluster-IP'], cells['External-IP'], cells['Port(s)']]).toEqual(want);
  });
});
