import { ENDPOINT_SLICES, ENDPOINTS, SERVICES } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runEndpointSliceMirroring } from './endpoint-slice-mirroring.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('endpointslicemirroring-controller', runEndpointSliceMirroring);
});

afterEach(() => cluster.stop());

const slices = () => cluster.api.all(ENDPOINT_SLICES, 'default');

function putService(spec: object = { ports: [{ port: 80 }] }): void {
  cluster.api.put(SERVICES, { metadata: { name: 'db', namespace: 'default', uid: 'svc' }, spec });
}

function putEndpoints(subsets: readonly object[], metadata: object = {}): void {
  cluster.api.put(ENDPOINTS, { metadata: { name: 'db', namespace: 'default', uid: 'ep', ...metadata }, subsets });
}

describe('endpoint slice mirroring', () => {
  it('copies addresses and ports, and follows them', async () => {
    putService();
    putEndpoints([{ addresses: [{ ip: '10.1.2.3', hostname: 'h' }], notReadyAddresses: [{ ip: '10.1.2.4' }], ports: [{ port: 80 }] }], {
      labels: { team: 'a' },
      annotations: { note: 'n', 'kubectl.kubernetes.io/last-applied-configuration': '{}' },
    });
    await cluster.settle();
    expect(slices()).toMatchObject([
      {
        metadata: {
          labels: {
            team: 'a',
            'kubernetes.io/service-name': 'db',
            'endpointslice.kubernetes.io/managed-by': 'endpointslicemirroring-controller.k8s.io',
          },
          annotations: { note: 'n' },
          ownerReferences: [{ kind: 'Endpoints', name: 'db', uid: 'ep', controller: true }],
        },
        addressType: 'IPv4',
        endpoints: [
          { addresses: ['10.1.2.3'], conditions: { ready: true }, hostname: 'h' },
          { addresses: ['10.1.2.4'], conditions: { ready: false } },
        ],
        ports: [{ name: '', port: 80, protocol: 'TCP' }],
      },
    ]);
    expect(slices()[0]?.metadata.annotations).toEqual({ note: 'n' });
    putEndpoints([{ addresses: [{ ip: '10.2.3.4' }], ports: [{ port: 9090 }] }]);
    await cluster.settle();
    expect(slices()).toMatchObject([{ endpoints: [{ addresses: ['10.2.3.4'] }], ports: [{ port: 9090 }] }]);
    cluster.api.remove(ENDPOINTS, 'default', 'db');
    await cluster.settle();
    expect(slices()).toEqual([]);
  });

  it('keeps kinds of addresses and sets of ports apart', async () => {
    putService();
    putEndpoints([
      { addresses: [{ ip: '10.0.0.1' }, { ip: 'fd00::1' }], ports: [{ port: 80 }] },
      { addresses: [{ ip: '10.0.0.2' }], ports: [{ port: 80 }] },
      { addresses: [{ ip: '10.0.0.3' }], ports: [{ port: 81 }] },
    ]);
    await cluster.settle();
    const shown = slices().map(({ addressType, endpoints, ports }) => [
      addressType,
      (endpoints as object[]).length,
      (ports as { port: number }[])[0]?.port,
    ]);
    expect(shown.sort()).toEqual([
      ['IPv4', 1, 81],
      ['IPv4', 2, 80],
      ['IPv6', 1, 80],
    ]);
  });

  it('puts the ports of one address together', async () => {
    putService();
    putEndpoints([
      { addresses: [{ ip: '10.0.0.1' }], ports: [{ name: 'port1', port: 80 }] },
      { addresses: [{ ip: '10.0.0.1' }], ports: [{ name: 'port2', port: 90 }] },
    ]);
    await cluster.settle();
    const ports = slices().map((slice) => (slice.ports as { port: number }[]).map(({ port }) => port).toSorted((a, b) => a - b));
    expect(ports).toEqual([[80, 90]]);
  });

  it('leaves alone what selects pods, has no service or does not want it', async () => {
    putEndpoints([{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80 }] }]);
    await cluster.settle();
    expect(slices()).toEqual([]);
    putService({ selector: { app: 'x' }, ports: [{ port: 80 }] });
    await cluster.settle();
    expect(slices()).toEqual([]);
    putService();
    await cluster.settle();
    expect(slices()).toHaveLength(1);
    putEndpoints([{ addresses: [{ ip: '10.0.0.1' }], ports: [{ port: 80 }] }], {
      labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' },
    });
    await cluster.settle();
    expect(slices()).toEqual([]);
  });
});
