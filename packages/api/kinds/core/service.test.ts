import { describe, expect, it } from 'vitest';
import type { Fields } from '../testing/written-object.ts';
import { cellsOf, createProblems, statusProblems, updateProblems, written } from '../testing/written-object.ts';
import { service } from './service.ts';

const ports = [{ port: 80 }];
const create = (spec: Fields): string[] => createProblems(service, { spec: { ports, ...spec } });
const update = (spec: Fields, old: Fields): string[] => updateProblems(service, { spec: { ports, ...spec } }, { spec: { ports, ...old } });

describe('Service defaults', () => {
  it('make a cluster-internal service', () => {
    expect(written(service, { spec: { ports } }).spec).toEqual({
      ports: [{ protocol: 'TCP', port: 80, targetPort: 80 }],
      type: 'ClusterIP',
      sessionAffinity: 'None',
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
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

  it('keep both forms of the address equal', () => {
    expect(written(service, { spec: { ports, clusterIP: 'None' } }).spec).toMatchObject({ clusterIPs: ['None'] });
    expect(written(service, { spec: { ports, clusterIPs: ['fd00::1'] } }).spec).toMatchObject({
      clusterIP: 'fd00::1',
      ipFamilies: ['IPv6'],
    });
  });

  it('keep what was allocated', () => {
    const old = written(service, { spec: { type: 'NodePort', ports: [{ port: 80, nodePort: 30_001 }], clusterIP: '10.0.0.1' } });
    expect(written(service, { spec: { type: 'NodePort', ports } }, old).spec).toMatchObject({
      clusterIP: '10.0.0.1',
      clusterIPs: ['10.0.0.1'],
      ports: [{ port: 80, nodePort: 30_001 }],
    });
  });
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
      { clusterIPs: ['10.0.0.1', '10.0.0.2'], ipFamilyPolicy: 'RequireDualStack' },
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
      'a balancer of another type',
      { loadBalancerClass: 'example.com/x' },
      ["spec.loadBalancerClass: Forbidden: may only be used when `type` is 'LoadBalancer'"],
    ],
  ])('of %s', (_what, spec, want) => {
    expect(create(spec)).toEqual(want);
  });

  it('keeps the name short and the address for ever', () => {
    expect(createProblems(service, { metadata: { name: '1a' }, spec: { ports } })[0]).toMatch(
      /^metadata.name: Invalid value: "1a": a DNS-1035 label must consist of/,
    );
    expect(update({ clusterIP: '10.0.0.2' }, { clusterIP: '10.0.0.1' })).toEqual([
      'spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set',
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
      'status.loadBalancer.ingress: Forbidden: may only be used when `spec.type` is "LoadBalancer"',
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
