import type { V1EndpointSlice, V1Endpoints } from '@coffer/api/generated/types';
import { ENDPOINT_SLICES, ENDPOINTS, NODES, PODS, SERVICES } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runEndpointSliceController } from './endpoint-slice-controller.ts';
import { runEndpointsController } from './endpoints-controller.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('endpointslice-controller', runEndpointSliceController);
  cluster.run('endpoint-controller', runEndpointsController);
});

afterEach(() => cluster.stop());

function putService(spec: object = {}): void {
  const ports = [{ name: 'http', port: 80, targetPort: 'web', protocol: 'TCP' }];
  cluster.api.put(SERVICES, {
    metadata: { name: 'svc', namespace: 'default', uid: 's-uid', labels: { l: '1' } },
    spec: { clusterIP: '10.96.0.5', ipFamilies: ['IPv4'], selector: { app: 'a' }, ports, ...spec },
  });
}

function putPod(name: string, ip: string, ready = true, metadata: object = {}): void {
  cluster.api.put(PODS, {
    metadata: { name, namespace: 'default', uid: `u-${name}`, labels: { app: 'a' }, ...metadata },
    spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i', ports: [{ name: 'web', containerPort: 8080, protocol: 'TCP' }] }] },
    status: { phase: 'Running', podIP: ip, podIPs: [{ ip }], conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  });
}

const slices = () => cluster.api.all(ENDPOINT_SLICES) as unknown as V1EndpointSlice[];
const endpoints = () => cluster.api.find(ENDPOINTS, 'default', 'svc') as V1Endpoints | undefined;
const ref = (name: string) => ({ kind: 'Pod', namespace: 'default', name, uid: `u-${name}` });

describe('endpoints of services', () => {
  it('shows ready and not ready pods on the resolved ports', async () => {
    putService();
    putPod('a', '10.0.0.1');
    putPod('b', '10.0.0.2', false);
    putPod('c', '10.0.0.3', true, { deletionTimestamp: '2026-01-01T00:00:00Z' });
    await cluster.settle();
    expect(slices()).toMatchObject([
      {
        metadata: {
          generateName: 'svc-',
          labels: {
            l: '1',
            'kubernetes.io/service-name': 'svc',
            'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
          },
          ownerReferences: [{ kind: 'Service', name: 'svc', controller: true }],
        },
        addressType: 'IPv4',
        ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        endpoints: [
          { addresses: ['10.0.0.1'], conditions: { ready: true, serving: true, terminating: false }, nodeName: 'n1', targetRef: ref('a') },
          { addresses: ['10.0.0.2'], conditions: { ready: false, serving: false, terminating: false } },
          { addresses: ['10.0.0.3'], conditions: { ready: false, serving: true, terminating: true } },
        ],
      },
    ]);
    expect(endpoints()).toMatchObject({
      metadata: { labels: { l: '1', 'endpoints.kubernetes.io/managed-by': 'endpoint-controller' } },
      subsets: [
        {
          addresses: [{ ip: '10.0.0.1', nodeName: 'n1', targetRef: ref('a') }],
          notReadyAddresses: [{ ip: '10.0.0.2', nodeName: 'n1', targetRef: ref('b') }],
          ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
        },
      ],
    });
  });

  it('follows pods and the service, and writes nothing without need', async () => {
    putService();
    putPod('a', '10.0.0.1');
    await cluster.settle();
    const revision = cluster.api.revision;
    putPod('a', '10.0.0.1');
    await cluster.settle();
    expect(Number(cluster.api.revision) - Number(revision)).toBe(1);
    cluster.api.remove(PODS, 'default', 'a');
    await cluster.settle();
    expect(slices()).toMatchObject([{ endpoints: [] }]);
    expect(endpoints()?.subsets ?? []).toEqual([]);
    cluster.api.remove(SERVICES, 'default', 'svc');
    await cluster.settle();
    expect(endpoints()).toBeUndefined();
    expect(slices()).toEqual([]);
  });

  it('cuts many endpoints into slices and marks headless services', async () => {
    putService({ clusterIP: 'None' });
    for (let i = 0; i < 150; i++) putPod(`p${String(i).padStart(3, '0')}`, `10.0.1.${i}`);
    await cluster.settle();
    expect(slices().map((slice) => slice.endpoints?.length)).toEqual([100, 50]);
    expect(slices()[0]?.metadata?.labels).toHaveProperty('service.kubernetes.io/headless', '');
  });

  it('leaves services without a selector to their owners', async () => {
    putService({ selector: {} });
    cluster.api.put(ENDPOINTS, { metadata: { name: 'svc', namespace: 'default' }, subsets: [{ addresses: [{ ip: '1.2.3.4' }] }] });
    cluster.api.put(ENDPOINTS, { metadata: { name: 'alone', namespace: 'default' } });
    putPod('a', '10.0.0.1');
    await cluster.settle();
    expect(endpoints()?.subsets).toEqual([{ addresses: [{ ip: '1.2.3.4' }] }]);
    expect(cluster.api.find(ENDPOINTS, 'default', 'alone')).toBeDefined();
    expect(slices()).toEqual([]);
    expect(cluster.api.requests.some((request) => request.path.startsWith('/api/v1/pods'))).toBe(false);
  });

  it('says since when what it writes is so: the creation of the service, then what changed in its pods', async () => {
    const key = 'endpoints.kubernetes.io/last-change-trigger-time';
    const times = () => [endpoints()?.metadata?.annotations?.[key], slices()[0]?.metadata?.annotations?.[key]];
    putService();
    const created = cluster.api.find(SERVICES, 'default', 'svc')?.metadata.creationTimestamp;
    await cluster.settle();
    expect(times()).toEqual([created, created]);
    putPod('a', '10.0.0.1', false);
    await cluster.settle();
    expect(endpoints()?.metadata?.annotations ?? {}).not.toHaveProperty(key);
    expect(slices()[0]?.metadata?.annotations ?? {}).not.toHaveProperty(key);
    await cluster.clock.advance(90_000);
    for (const pod of cluster.pods()) cluster.makeReady(pod);
    await cluster.settle();
    expect(times()).toEqual(['2026-01-01T00:01:30Z', '2026-01-01T00:01:30Z']);
  });

  it('deletes Endpoints that somebody wrote for a service together with the service', async () => {
    putService({ selector: undefined });
    for (const name of ['svc', 'lock']) cluster.api.put(ENDPOINTS, { metadata: { name, namespace: 'default' }, subsets: [] });
    await cluster.settle();
    cluster.api.remove(SERVICES, 'default', 'svc');
    await cluster.settle();
    expect(cluster.api.all(ENDPOINTS).map((one) => one.metadata.name)).toEqual(['lock']);
  });

  it('leaves pods that offer none of the ports out of Endpoints', async () => {
    putService({ ports: [{ name: 'http', port: 80, targetPort: 'elsewhere', protocol: 'TCP' }] });
    putPod('a', '10.0.0.1');
    await cluster.settle();
    expect(endpoints()).toBeDefined();
    expect(endpoints()?.subsets ?? []).toEqual([]);
  });

  it.each([
    [undefined, undefined],
    ['PreferClose', { forZones: [{ name: 'z1' }] }],
    ['PreferSameZone', { forZones: [{ name: 'z1' }] }],
    ['PreferSameNode', { forZones: [{ name: 'z1' }], forNodes: [{ name: 'n1' }] }],
  ])('hints at who should use a ready endpoint when traffic is distributed by %s', async (trafficDistribution, hints) => {
    cluster.api.put(NODES, { metadata: { name: 'n1', labels: { 'topology.kubernetes.io/zone': 'z1' } } });
    putService({ trafficDistribution });
    putPod('a', '10.0.0.1');
    putPod('b', '10.0.0.2', false);
    await cluster.settle();
    expect(slices()[0]?.endpoints?.map((endpoint) => [endpoint.zone, endpoint.hints])).toEqual([
      ['z1', hints],
      ['z1', undefined],
    ]);
  });

  it('puts ports together that the same pods offer', async () => {
    const port = (name: string, targetPort: string | number) => ({ name, port: 80, targetPort, protocol: 'TCP' });
    putService({ ports: [port('all', 81), port('named', 'web'), port('more', 82)] });
    putPod('a', '10.0.0.1');
    putPod('b', '10.0.0.2');
    const bare = cluster.api.find(PODS, 'default', 'b');
    cluster.api.put(PODS, { ...bare, spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] } });
    await cluster.settle();
    const told = endpoints()?.subsets?.map(({ ports, addresses }) => [
      ports?.map(({ name = '' }) => name).toSorted((a, b) => a.localeCompare(b)),
      addresses?.map(({ ip }) => ip),
    ]);
    expect(told).toHaveLength(2);
    expect(told).toContainEqual([
      ['all', 'more'],
      ['10.0.0.1', '10.0.0.2'],
    ]);
    expect(told).toContainEqual([['named'], ['10.0.0.1']]);
  });

  it('orders ports and addresses of Endpoints as Kubernetes does', async () => {
    const port = (name: string, number: number, protocol: string) => ({ name, port: number, targetPort: number, protocol });
    putService({ ports: [port('dns', 53, 'UDP'), port('metrics', 9153, 'TCP'), port('dns-tcp', 53, 'TCP')] });
    putPod('a', '10.0.0.9');
    putPod('b', '10.0.0.10');
    await cluster.settle();
    expect(endpoints()?.subsets?.map(({ ports, addresses }) => [ports?.map(({ name }) => name), addresses?.map(({ ip }) => ip)])).toEqual([
      [
        ['dns-tcp', 'dns', 'metrics'],
        ['10.0.0.10', '10.0.0.9'],
      ],
    ]);
    expect(slices()[0]?.ports?.map(({ name }) => name)).toEqual(['dns', 'metrics', 'dns-tcp']);
  });
});
