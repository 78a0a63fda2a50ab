import type { V1PodSpec } from '@coffer/api/generated/types';
import { describe, expect, it } from 'vitest';
import type { Pod } from '../types.ts';
import { rejectionOf } from './pod-admission.ts';
import { dottedSysctl } from './sysctl-allowlist.ts';

const pod = (spec: Partial<V1PodSpec>, labels: Record<string, string> = {}): Pod => ({
  metadata: { name: 'p', namespace: 'n', uid: 'u', labels },
  spec: { containers: [{ name: 'c' }], ...spec },
  status: {},
});
const asking = (requests: Record<string, string>) => pod({ containers: [{ name: 'c', resources: { requests } }] });
const onPort = (hostPort: number, hostIP?: string) =>
  pod({ containers: [{ name: 'c', ports: [{ containerPort: 80, hostPort, ...(hostIP === undefined ? {} : { hostIP }) }] }] });
const setting = (name: string, spec: Partial<V1PodSpec> = {}) => pod({ securityContext: { sysctls: [{ name, value: '1' }] }, ...spec });

const reject = (candidate: Pod, others: readonly Pod[] = [], allowedUnsafeSysctls: readonly string[] = []) =>
  rejectionOf({
    pod: candidate,
    others,
    node: { metadata: { name: 'node', labels: { disk: 'ssd' } }, spec: { taints: [{ key: 'k', effect: 'NoExecute' }] } },
    allocatable: { cpu: '2', memory: '1Gi', pods: '3', 'example.com/gpu': '1' },
    allowedUnsafeSysctls,
  });
const tolerations = [{ operator: 'Exists' }];
const tolerant = (candidate: Pod): Pod => ({ ...candidate, spec: { ...candidate.spec, tolerations } });

describe('rejectionOf', () => {
  it('takes strict groups where the node has them', () => {
    const strict = pod({ tolerations, securityContext: { supplementalGroupsPolicy: 'Strict' } });
    expect(reject(strict)).toEqual({
      reason: 'SupplementalGroupsPolicyNotSupported',
      message: 'SupplementalGroupsPolicy=Strict is not supported in this node',
    });
    const node = { metadata: { name: 'node' }, status: { features: { supplementalGroupsPolicy: true } } };
    const allocatable = { cpu: '2', memory: '1Gi', pods: '3' };
    expect(rejectionOf({ pod: strict, others: [], node, allocatable, allowedUnsafeSysctls: [] })).toBeUndefined();
  });

  it('takes what fits', () => {
    expect(reject(tolerant(asking({ cpu: '2', 'example.com/gpu': '1', 'example.com/counted-elsewhere': '5' })))).toBeUndefined();
    expect(reject(tolerant(pod({ nodeSelector: { disk: 'ssd' } })))).toBeUndefined();
    expect(reject(tolerant(onPort(80, '127.0.0.1')), [onPort(80, '127.0.0.2'), onPort(81)])).toBeUndefined();
    expect(reject(tolerant(setting('net/ipv4/tcp_syncookies')))).toBeUndefined();
    expect(reject(tolerant(setting('kernel.msgmax')), [], ['kernel.msg*'])).toBeUndefined();
  });

  it.each([
    [
      asking({ cpu: '1500m', memory: '2Gi' }),
      [asking({ cpu: '1' })],
      'OutOfcpu',
      "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
    ],
    [
      asking({ memory: '2Gi' }),
      [],
      'OutOfmemory',
      "Node didn't have enough resource: memory, requested: 2147483648, used: 0, capacity: 1073741824",
    ],
    [
      asking({ 'example.com/gpu': '2' }),
      [],
      'OutOfexample.com/gpu',
      "Node didn't have enough resource: example.com/gpu, requested: 2, used: 0, capacity: 1",
    ],
    [pod({}), [pod({}), pod({}), pod({})], 'OutOfpods', "Node didn't have enough resource: pods, requested: 1, used: 3, capacity: 3"],
    [
      pod({ nodeSelector: { disk: 'hdd' } }),
      [],
      'NodeAffinity',
      "Predicate NodeAffinity failed: node(s) didn't match Pod's node affinity/selector",
    ],
    [
      onPort(80),
      [onPort(80, '10.0.0.1')],
      'NodePorts',
      "Predicate NodePorts failed: node(s) didn't have free ports for the requested pod ports",
    ],
    [pod({}), [], 'TaintToleration', 'Predicate TaintToleration failed: node(s) had untolerated taint(s)'],
    [
      pod({ securityContext: { appArmorProfile: { type: 'Localhost', localhostProfile: 'own' } } }),
      [],
      'AppArmor',
      'Cannot enforce AppArmor: profiles of the machine are not applied by this kubelet',
    ],
    [pod({ os: { name: 'windows' } }), [], 'PodOSNotSupported', "Failed to admit pod as the OS field doesn't match node OS"],
    [setting('kernel.msgmax'), [], 'SysctlForbidden', 'forbidden sysctl: "kernel.msgmax" not allowlisted'],
    [
      setting('net.ipv4.tcp_syncookies', { hostNetwork: true }),
      [],
      'SysctlForbidden',
      'forbidden sysctl: "net.ipv4.tcp_syncookies" not allowed with host Net enabled',
    ],
  ])('refuses %#', (candidate, others, reason, message) => {
    expect(reject(candidate, others)).toEqual({ reason, message });
  });
});

describe('dottedSysctl', () => {
  it.each([
    ['kernel.sem', 'kernel.sem'],
    ['net/ipv4/conf/eth0.1/forwarding', 'net.ipv4.conf.eth0/1.forwarding'],
    ['net.ipv4.conf.eth0/1.forwarding', 'net.ipv4.conf.eth0/1.forwarding'],
  ])('%s', (given, dotted) => {
    expect(dottedSysctl(given)).toBe(dotted);
  });
});
