import { describe, expect, it } from 'vitest';
import type { V1ResourceQuota } from '../generated/types.ts';
import type { KubeObject } from '../meta/object.ts';
import { usedBy } from './evaluator.ts';
import { evaluatorsOf } from './evaluators.ts';
import { podEvaluator } from './pods.ts';

const nowMs = Date.UTC(2026, 0, 1);

function pod(spec: object, rest: object = {}): KubeObject {
  return { apiVersion: 'v1', kind: 'Pod', metadata: {}, spec, ...rest };
}

const container = (requests: object, limits: object = {}) => ({ containers: [{ name: 'c', resources: { requests, limits } }] });

describe('podEvaluator', () => {
  it('counts requests and limits, and devices as requests', () => {
    const spec = container({ cpu: '1', memory: '1Gi', 'a.b/gpu': '2', 'hugepages-2Mi': '4Mi' }, { cpu: '2' });
    expect(podEvaluator.usage(pod(spec), nowMs)).toEqual({
      'count/pods': '1',
      pods: '1',
      cpu: '1',
      'requests.cpu': '1',
      'limits.cpu': '2',
      memory: '1Gi',
      'requests.memory': '1Gi',
      'requests.a.b/gpu': '2',
      'hugepages-2Mi': '4Mi',
      'requests.hugepages-2Mi': '4Mi',
    });
  });

  it('counts pods that have ended as objects only', () => {
    expect(podEvaluator.usage(pod(container({ cpu: '1' }), { status: { phase: 'Succeeded' } }), nowMs)).toEqual({ 'count/pods': '1' });
    const leaving = { deletionTimestamp: '2025-12-31T23:59:00Z', deletionGracePeriodSeconds: 30 };
    expect(podEvaluator.usage(pod(container({}), { metadata: leaving }), nowMs)).toEqual({ 'count/pods': '1' });
  });

  it('wants every container to say what is limited', () => {
    const spec = { containers: [{ name: 'b' }, { name: 'a', resources: { requests: { cpu: '1' } } }], initContainers: [{ name: 'i' }] };
    expect(podEvaluator.problem?.(pod(spec), ['requests.cpu', 'limits.memory', 'pods'])).toBe(
      'must specify limits.memory for: a,b,i; requests.cpu for: b,i',
    );
    expect(podEvaluator.problem?.(pod(spec), ['pods', 'ephemeral-storage'])).toBeUndefined();
  });

  it('tells scopes', () => {
    const has = (spec: object, scopeName: string, operator = 'Exists', values: string[] = []) =>
      podEvaluator.hasScope?.(pod(spec), { scopeName, operator, values });
    expect(has({ activeDeadlineSeconds: 5 }, 'Terminating')).toBe(true);
    expect(has({ activeDeadlineSeconds: 5 }, 'NotTerminating')).toBe(false);
    expect(has(container({}), 'BestEffort')).toBe(true);
    expect(has(container({ cpu: '1' }), 'NotBestEffort')).toBe(true);
    expect(has({ priorityClassName: 'high' }, 'PriorityClass', 'In', ['high'])).toBe(true);
    expect(has({ priorityClassName: 'high' }, 'PriorityClass', 'NotIn', ['high'])).toBe(false);
    expect(has({}, 'PriorityClass', 'DoesNotExist')).toBe(true);
    const term = { topologyKey: 'k', namespaces: ['other'] };
    const affinity = { podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term] } };
    expect(has({ affinity }, 'CrossNamespacePodAffinity')).toBe(true);
    expect(has({}, 'CrossNamespacePodAffinity')).toBe(false);
  });
});

describe('usedBy', () => {
  const objects: Readonly<Record<string, readonly KubeObject[]>> = {
    pods: [pod(container({ cpu: '300m' })), pod(container({ cpu: '700m' })), pod(container({}))],
    services: [
      { apiVersion: 'v1', kind: 'Service', metadata: {}, spec: { type: 'NodePort', ports: [{ port: 1 }, { port: 2 }] } },
      { apiVersion: 'v1', kind: 'Service', metadata: {}, spec: { type: 'LoadBalancer', ports: [{ port: 1 }] } },
    ],
    deployments: [{ apiVersion: 'apps/v1', kind: 'Deployment', metadata: {} }],
  };
  const resources = [
    { group: '', resource: 'pods' },
    { group: '', resource: 'services' },
    { group: 'apps', resource: 'deployments' },
  ];
  const count = (spec: V1ResourceQuota['spec']) =>
    usedBy(spec === undefined ? {} : { spec }, evaluatorsOf(resources), ({ resource }) => objects[resource] ?? [], nowMs);

  it('adds up what is limited and can be counted', async () => {
    const hard = {
      pods: '9',
      cpu: '9',
      services: '9',
      'services.nodeports': '9',
      'services.loadbalancers': '9',
      'count/deployments.apps': '9',
    };
    expect(await count({ hard: { ...hard, 'requests.storage': '1Gi', 'count/unknown.example.com': '1' } })).toEqual({
      pods: '3',
      cpu: '1',
      services: '2',
      'services.nodeports': '3',
      'services.loadbalancers': '1',
      'count/deployments.apps': '1',
      'requests.storage': '0',
    });
  });

  it('counts only objects of its scopes', async () => {
    expect(await count({ hard: { pods: '9', services: '9' }, scopes: ['BestEffort'] })).toEqual({ pods: '1', services: '0' });
  });
});
