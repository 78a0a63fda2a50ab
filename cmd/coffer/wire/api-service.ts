import { networkInterfaces } from 'node:os';
import type { Handler } from '@coffer/base/http/handler';
import type { ResourceStore } from '@coffer/storage/store/store';
import { writeAsServer } from './write-as-server.ts';

/** Where clients inside the cluster reach the API server. */
export interface ApiAddress {
  readonly host: string;
  readonly port: number;
}

export interface ApiServiceStores {
  readonly services: ResourceStore;
  readonly endpoints: ResourceStore;
  readonly endpointSlices: ResourceStore;
}

const name = 'kubernetes';
const clusterIp = '10.96.0.1';

/**
 * The Service `kubernetes` in `default` and the Endpoints and EndpointSlice behind it, as a kube-apiserver keeps them. There is no
 * kube-proxy, so the cluster IP leads nowhere: the address that works is the one of the endpoints, and the kubelet gives that one
 * to containers as KUBERNETES_SERVICE_HOST. Without an address (the server listens on loopback only) the endpoints are left as they are.
 */
export async function publishApiService(handler: Handler, stores: ApiServiceStores, address: ApiAddress | undefined): Promise<void> {
  const base = '/api/v1/namespaces/default';
  if (!stores.services.get('default', name)) await writeAsServer(handler, `${base}/services`, service(address?.port ?? 6443), false);
  if (!address) return;
  const port = { name: 'https', port: address.port, protocol: 'TCP' };
  await writeAsServer(
    handler,
    `${base}/endpoints`,
    {
      apiVersion: 'v1',
      kind: 'Endpoints',
      metadata: { name, namespace: 'default', labels: { 'endpointslice.kubernetes.io/skip-mirror': 'true' } },
      subsets: [{ addresses: [{ ip: address.host }], ports: [port] }],
    },
    stores.endpoints.get('default', name) !== undefined,
  );
  await writeAsServer(
    handler,
    '/apis/discovery.k8s.io/v1/namespaces/default/endpointslices',
    {
      apiVersion: 'discovery.k8s.io/v1',
      kind: 'EndpointSlice',
      metadata: { name, namespace: 'default', labels: { 'kubernetes.io/service-name': name } },
      addressType: address.host.includes(':') ? 'IPv6' : 'IPv4',
      endpoints: [{ addresses: [address.host], conditions: { ready: true } }],
      ports: [port],
    },
    stores.endpointSlices.get('default', name) !== undefined,
  );
}

/** The address to publish of a server that listens on `bindAddress`: undefined for loopback, which is nowhere for others. */
export function advertisedHost(bindAddress: string): string | undefined {
  if (bindAddress !== '0.0.0.0' && bindAddress !== '::') return isLoopback(bindAddress) ? undefined : bindAddress;
  return Object.values(networkInterfaces())
    .flatMap((addresses) => addresses ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address;
}

/** True for an address that only the machine itself reaches. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || host.startsWith('127.');
}

function service(targetPort: number): object {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace: 'default', labels: { component: 'apiserver', provider: 'kubernetes' } },
    spec: {
      type: 'ClusterIP',
      clusterIP: clusterIp,
      clusterIPs: [clusterIp],
      ipFamilies: ['IPv4'],
      ipFamilyPolicy: 'SingleStack',
      sessionAffinity: 'None',
      ports: [{ name: 'https', protocol: 'TCP', port: 443, targetPort }],
    },
  };
}
