import { describe, expect, it } from 'vitest';
import type { Container, Pod } from '../types.ts';
import { containerResources, podMemoryLimit, qosClassOf } from './pod-resources.ts';

function pod(containers: readonly Container['resources'][], more: Partial<Pod['spec']> = {}): Pod {
  const specs = containers.map((resources, i) => ({ name: `c${i}`, ...(resources === undefined ? {} : { resources }) }));
  return { metadata: { name: 'p', namespace: 'n', uid: 'u' }, spec: { containers: specs, ...more }, status: {} };
}

const full = { requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '1000m', memory: '1024Mi' } };

describe('qosClassOf', () => {
  it.each<[string, Pod]>([
    ['BestEffort', pod([undefined])],
    ['BestEffort', pod([{ requests: { cpu: '0' } }])],
    ['Guaranteed', pod([full])],
    ['Burstable', pod([full, undefined])],
    ['Burstable', pod([{ requests: { cpu: '1' } }])],
    ['Burstable', pod([{ requests: { cpu: '1', memory: '1Gi' }, limits: { cpu: '2', memory: '1Gi' } }])],
    ['Burstable', pod([full], { initContainers: [{ name: 'i' }] })],
    ['Guaranteed', pod([undefined], { resources: full })],
  ])('is %s', (expected, of) => {
    expect(qosClassOf(of)).toBe(expected);
  });
});

describe('podMemoryLimit', () => {
  const limit = (memory: string) => ({ limits: { memory } });
  it.each<[string, string | undefined, Pod]>([
    ['the sum of all containers', '192Mi', pod([limit('64Mi'), limit('128Mi')])],
    ['the largest init container', '1Gi', pod([limit('64Mi')], { initContainers: [{ name: 'i', resources: limit('1Gi') }] })],
    ['nothing when one is not limited', undefined, pod([limit('64Mi'), undefined])],
    ['nothing when an init container is not limited', undefined, pod([limit('64Mi')], { initContainers: [{ name: 'i' }] })],
    ['that of the pod as a whole', '256Mi', pod([undefined], { resources: limit('256Mi') })],
  ])('is %s', (_, expected, of) => {
    expect(podMemoryLimit(of)).toBe(expected);
  });
});

describe('containerResources', () => {
  const gib = 1024 ** 3;
  const of = (resources: Container['resources'], more: Partial<Pod['spec']> = {}) => {
    const whole = pod([resources], more);
    const container = whole.spec.containers[0];
    if (container === undefined) throw new Error('no container');
    return containerResources(whole, container, 10 * gib);
  };

  it('turns limits and requests into cgroup figures', () => {
    expect(of({ requests: { cpu: '250m' }, limits: { cpu: '500m', memory: '64Mi' } })).toEqual({
      memoryLimitBytes: 64 * 1024 * 1024,
      cpuQuotaUs: 50_000,
      cpuPeriodUs: 100_000,
      cpuShares: 256,
      oomScoreAdj: 999,
      pidsLimit: undefined,
    });
    expect(of({ limits: { cpu: '1m' } })).toMatchObject({ cpuQuotaUs: 1000, cpuShares: 2 });
    expect(of(undefined)).toMatchObject({ cpuQuotaUs: undefined, memoryLimitBytes: undefined, cpuShares: 2 });
  });

  it('lets those die first that were promised least', () => {
    expect(of(undefined).oomScoreAdj).toBe(1000);
    expect(of(full).oomScoreAdj).toBe(-997);
    expect(of({ requests: { memory: '5Gi' } }).oomScoreAdj).toBe(500);
    expect(of({ requests: { memory: '10Gi' } }).oomScoreAdj).toBe(3);
    expect(of(undefined, { priority: 2_000_001_000 }).oomScoreAdj).toBe(-997);
  });
});
