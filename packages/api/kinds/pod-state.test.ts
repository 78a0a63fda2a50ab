import { describe, expect, it } from 'vitest';
import { aggregateRequests, podPorts, podRequests, qosClass } from './pod-state.ts';

const container = (requests: Record<string, string>, limits: Record<string, string> = {}, more = {}) => ({
  name: 'c',
  resources: { requests, limits },
  ...more,
});

describe('qosClass', () => {
  it.each([
    ['no resources', [container({})], 'BestEffort'],
    ['requests only', [container({ cpu: '1' })], 'Burstable'],
    ['equal requests and limits', [container({ cpu: '1', memory: '1Gi' }, { cpu: '1000m', memory: '1024Mi' })], 'Guaranteed'],
    ['one container without limits', [container({ cpu: '1', memory: '1Gi' }, { cpu: '1', memory: '1Gi' }), container({})], 'Burstable'],
    ['zero counts as nothing', [container({ cpu: '0' })], 'BestEffort'],
  ])('%s', (_name, containers, want) => expect(qosClass({ containers })).toBe(want));
});

describe('aggregateRequests', () => {
  it('adds containers and sidecars, and takes the largest init container', () => {
    const spec = {
      containers: [container({ cpu: '100m' }), container({ cpu: '200m', memory: '1Gi' })],
      initContainers: [container({ cpu: '50m' }, {}, { restartPolicy: 'Always' }), container({ cpu: '1' })],
    };
    expect(aggregateRequests(spec)).toEqual({ cpu: '1050m', memory: '1Gi' });
    expect(podRequests({ ...spec, overhead: { cpu: '50m' } })).toEqual({ cpu: '1100m', memory: '1Gi' });
  });
});

it('podPorts lists ports of containers and sidecars', () => {
  const ports = [{ containerPort: 80 }];
  const initContainers = [
    { name: 'i', ports: [{ containerPort: 1 }] },
    { name: 's', restartPolicy: 'Always', ports: [{ containerPort: 2 }] },
  ];
  expect(podPorts({ containers: [{ name: 'c', ports }], initContainers })).toEqual([{ containerPort: 80 }, { containerPort: 2 }]);
});
