/** The services of the cluster, for environment variables. An API that serves no services counts as having none. */
import { isReason } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { isRecord } from '@coffer/api/meta/safe-object';
import { type KubeletApi, type ObjectWatch, resources } from '../deps.ts';
import type { ServiceAddress, ServiceLookup } from './service-env.ts';

/** Where pods reach the API server. */
export interface ApiServerAddress {
  readonly host: string;
  readonly port: number;
}

/** By the network that a pod has; undefined for the cluster IP of the service `kubernetes`. */
export interface ApiServerAddresses {
  readonly onHostNetwork: ApiServerAddress | undefined;
  readonly inPodNetworks: ApiServerAddress | undefined;
}

export class WatchedServices implements ServiceLookup {
  readonly #services = new Map<string, ServiceAddress>();
  readonly #apiServer: ApiServerAddresses;
  #watch: ObjectWatch | undefined;
  #ready = false;

  /** `apiServer` replaces the cluster IP of the service `kubernetes`, where nothing forwards that IP. */
  constructor(apiServer: ApiServerAddresses) {
    this.#apiServer = apiServer;
  }

  get ready(): boolean {
    return this.#ready;
  }

  list(hostNetwork: boolean): readonly ServiceAddress[] {
    const address = this.#apiServer[hostNetwork ? 'onHostNetwork' : 'inPodNetworks'];
    return [...this.#services.values()].map((service) => reachable(service, address));
  }

  /** Starts following; resolves when services have been read once or the API said that it has none. */
  async start(api: KubeletApi): Promise<void> {
    try {
      await api.get({ resource: resources.services, namespace: 'default', name: 'kubernetes' });
    } catch (error) {
      // The path itself is unknown, or nodes may not read services here: there is nothing to inject.
      if (isUnknownResource(error) || isReason(error, 'Forbidden')) {
        this.#ready = true;
        return;
      }
      if (!isReason(error, 'NotFound')) throw error;
    }
    this.#watch = api.watch(
      { resource: resources.services, namespace: undefined, fieldSelector: undefined },
      {
        onChange: (object) => this.#services.set(keyOf(object), addressOf(object)),
        onDelete: (object) => this.#services.delete(keyOf(object)),
      },
    );
    await this.#watch.synced;
    this.#ready = true;
  }

  stop(): void {
    this.#watch?.stop();
  }
}

function reachable(service: ServiceAddress, address: ApiServerAddress | undefined): ServiceAddress {
  if (address === undefined || service.namespace !== 'default' || service.name !== 'kubernetes') return service;
  return { ...service, clusterIp: address.host, ports: service.ports.map((port) => ({ ...port, port: address.port })) };
}

/** A 404 that is about the path and not about the object. */
function isUnknownResource(error: unknown): boolean {
  return isReason(error, 'NotFound') && error.status.details?.name !== 'kubernetes';
}

function keyOf(object: KubeObject): string {
  return `${object.metadata.namespace ?? ''}/${object.metadata.name ?? ''}`;
}

function addressOf(object: KubeObject): ServiceAddress {
  const spec = isRecord(object.spec) ? object.spec : {};
  const ports = Array.isArray(spec.ports) ? spec.ports.filter(isRecord) : [];
  return {
    namespace: object.metadata.namespace ?? '',
    name: object.metadata.name ?? '',
    clusterIp: typeof spec.clusterIP === 'string' ? spec.clusterIP : '',
    ports: ports.map((port) => ({
      name: typeof port.name === 'string' ? port.name : '',
      port: Number(port.port),
      protocol: typeof port.protocol === 'string' ? port.protocol : 'TCP',
    })),
  };
}
