import { networkInterfaces } from 'node:os';
import { isReason } from '@coffer/api/errors/status-error';
import type { V1EndpointSlice, V1Endpoints } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import type { Handler } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { ApiClient } from '@coffer/client/rest/api-client';
import type { ApiObject } from '@coffer/client/rest/api-object';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { ENDPOINT_SLICES, ENDPOINTS, NAMESPACES, SERVICES } from '@coffer/client/rest/well-known';
import type { AddressLeases } from '@coffer/storage/servers/address-leases';
import { transportAsServer } from './write-as-server.ts';

/** Where clients inside the cluster reach the API server. */
export interface ApiAddress {
  readonly host: string;
  readonly port: number;
}

export interface ApiServiceDeps {
  readonly handler: Handler;
  readonly clock: Clock;
  readonly logger: Logger;
  /**
   * Where this server is reached; undefined when it listens on loopback only: then the endpoints are left as they are.
   */
  readonly address: ApiAddress | undefined;
  /** The servers that share the store; undefined for a server that has it for itself. */
  readonly leases: AddressLeases | undefined;
}

const namespace = 'default';
const name = 'kubernetes';
const clusterIp = '10.96.0.1';
const reconcileEveryMs = 10_000;
/** Another server may write in between, each of them a few times. */
const maxAttempts = 10;

/**
 * The Service `kubernetes` in `default` and the Endpoints and EndpointSlice behind it, as kube-apiservers keep them: they list every server
 * that lives, and what somebody changed or deleted is mended within ten seconds. There is no kube-proxy, so the cluster IP leads nowhere: the
 * address that works is the one of the endpoints, and the kubelet gives that one to containers as KUBERNETES_SERVICE_HOST.
 */
export class ApiService {
  readonly #deps: ApiServiceDeps;
  readonly #api: ApiClient;
  #reconciling: Promise<void> = Promise.resolve();
  #cancelTimer = () => {};
  #closed = false;

  constructor(deps: ApiServiceDeps) {
    this.#deps = deps;
    this.#api = new ApiClient({ transport: transportAsServer(deps.handler), clock: deps.clock });
  }

  /** Resolves when this server can be found. */
  async open(): Promise<void> {
    await this.#reconcile();
    this.#arm();
  }

  /** Takes this server out of the endpoints; the last one stays in them, as upstream. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    await this.#reconciling;
    const { leases, address } = this.#deps;
    if (leases === undefined || address === undefined) return;
    await leases.remove();
    await this.#publishAddresses(address);
  }

  #arm(): void {
    this.#cancelTimer = this.#deps.clock.setTimer(reconcileEveryMs, () => {
      this.#reconciling = this.#reconcile()
        .catch((error: unknown) => this.#deps.logger.warn('the Service of the API server could not be kept up to date', { err: error }))
        .finally(() => {
          if (!this.#closed) this.#arm();
        });
    });
  }

  async #reconcile(): Promise<void> {
    const { address, leases } = this.#deps;
    await this.#ensure(NAMESPACES, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace } });
    await this.#ensure(SERVICES, service(address?.port ?? 6443));
    if (!address) return;
    await leases?.renew();
    await this.#publishAddresses(address);
  }

  async #publishAddresses({ host, port }: ApiAddress): Promise<void> {
    const ports = [{ name: 'https', port, protocol: 'TCP' }];
    // The leases are read after what is to be replaced: whoever comes later writes again.
    const hosts = async () => (await this.#deps.leases?.living()) ?? [host];
    await this.#write(ENDPOINTS, async (existing: V1Endpoints | undefined) => {
      const addresses = (await hosts()).map((ip) => ({ ip }));
      if (addresses.length === 0) return undefined;
      const labels = { ...existing?.metadata?.labels, 'endpointslice.kubernetes.io/skip-mirror': 'true' };
      return { ...(existing ?? { apiVersion: 'v1', kind: 'Endpoints' }), ...identity(existing, labels), subsets: [{ addresses, ports }] };
    });
    await this.#write(ENDPOINT_SLICES, async (existing: V1EndpointSlice | undefined) => {
      const addresses = await hosts();
      if (addresses.length === 0) return undefined;
      const labels = { ...existing?.metadata?.labels, 'kubernetes.io/service-name': name };
      return {
        ...(existing ?? { apiVersion: 'discovery.k8s.io/v1', kind: 'EndpointSlice' }),
        ...identity(existing, labels),
        addressType: host.includes(':') ? 'IPv6' : 'IPv4',
        endpoints: addresses.map((one) => ({ addresses: [one], conditions: { ready: true } })),
        ports,
      };
    });
  }

  async #ensure<T extends ApiObject>(ref: ResourceRef<T>, object: T): Promise<void> {
    const scope = ref.namespaced ? { namespace } : {};
    const client = this.#api.resource(ref);
    if (await found(client.get(object.metadata?.name ?? '', scope))) return;
    await client.create(object, scope).catch((error: unknown) => {
      if (!isReason(error, 'AlreadyExists')) throw error;
    });
  }

  /** Writes what `change` makes of the object `kubernetes`, from the present one again when somebody else was faster. */
  async #write<T extends ApiObject>(ref: ResourceRef<T>, change: (existing: T | undefined) => Promise<T | undefined>): Promise<void> {
    const client = this.#api.resource(ref);
    for (let attempt = 1; ; attempt++) {
      const existing = await found(client.get(name, { namespace }));
      const wanted = await change(existing);
      if (wanted === undefined || (existing !== undefined && equalJson(existing, wanted))) return;
      try {
        await (existing === undefined ? client.create(wanted, { namespace }) : client.update(wanted, { namespace }));
        return;
      } catch (error) {
        const isRace = isReason(error, 'Conflict') || isReason(error, 'AlreadyExists') || isReason(error, 'NotFound');
        if (!isRace || attempt >= maxAttempts) throw error;
      }
    }
  }
}

async function found<T>(reading: Promise<T>): Promise<T | undefined> {
  try {
    return await reading;
  } catch (error) {
    if (isReason(error, 'NotFound')) return undefined;
    throw error;
  }
}

function identity(existing: ApiObject | undefined, labels: Readonly<Record<string, string>>) {
  return { metadata: { ...(existing?.metadata ?? { name, namespace }), labels } };
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

function service(targetPort: number) {
  return {
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels: { component: 'apiserver', provider: 'kubernetes' } },
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
