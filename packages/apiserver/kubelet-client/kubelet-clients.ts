import type { V1Node } from '@coffer/api/generated/types';
import type { NodeApi } from '@coffer/api/node/node-api';
import type { ResourceStore } from '@coffer/storage/store/store';
import { type KubeletAddress, KubeletClient, type KubeletClientOptions } from './kubelet-client.ts';

export interface KubeletClientsDeps extends Omit<KubeletClientOptions, 'address'> {
  readonly nodes: ResourceStore;
  /** `--kubelet-preferred-address-types`. */
  readonly addressTypes?: readonly string[];
}

/** Addresses first: names of nodes are not in any DNS unless somebody puts them there. */
const defaultAddressTypes = ['InternalIP', 'Hostname', 'InternalDNS', 'ExternalDNS', 'ExternalIP'];

/** Clients of the kubelets whose nodes tell a port; one per address, kept while the address stays. */
export class KubeletClients {
  readonly #deps: KubeletClientsDeps;
  readonly #clients = new Map<string, { readonly address: KubeletAddress; readonly client: KubeletClient }>();

  constructor(deps: KubeletClientsDeps) {
    this.#deps = deps;
  }

  /** The kubelet of a node; undefined when the node does not exist or its kubelet opens no port. */
  for(nodeName: string): NodeApi | undefined {
    const node = this.#deps.nodes.get('', nodeName)?.peek() as unknown as V1Node | undefined;
    const address = node && this.#addressOf(node);
    const known = this.#clients.get(nodeName);
    if (known && address && known.address.host === address.host && known.address.port === address.port) return known.client;
    known?.client.close();
    this.#clients.delete(nodeName);
    if (!address) return undefined;
    const { keyPem, certificatePem, authorityPem } = this.#deps;
    const client = new KubeletClient({ address, keyPem, certificatePem, authorityPem });
    this.#clients.set(nodeName, { address, client });
    return client;
  }

  close(): void {
    for (const { client } of this.#clients.values()) client.close();
    this.#clients.clear();
  }

  #addressOf({ status }: V1Node): KubeletAddress | undefined {
    const port = status?.daemonEndpoints?.kubeletEndpoint?.Port ?? 0;
    if (port === 0) return undefined;
    for (const type of this.#deps.addressTypes ?? defaultAddressTypes) {
      const host = status?.addresses?.find((address) => address.type === type)?.address;
      if (host) return { host, port };
    }
    return undefined;
  }
}
