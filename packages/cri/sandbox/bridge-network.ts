/**
 * Pod networking: one bridge per state directory with an address of the node, one veth pair per pod. Pods reach each other and the
 * node, and are reached from it; nothing is routed or translated to the outside. Needs root.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { AddressPool } from './address-pool.ts';
import type { Instruction } from './program.ts';

/** What other parts of the node need to know of the pod network. */
export interface PodNetworkInfo {
  /** The bridge, as the machine shows it. */
  readonly interfaceName: string;
  /** Address of the node on the bridge: what pods use to reach the API server. */
  readonly gateway: string;
  /** All pod addresses, e.g. `10.93.4.0/22`. */
  readonly podCidr: string;
}

/** The address of a pod, and what connects its new network namespace. */
export interface PodConnection {
  readonly ip: string;
  /** Before the pod's namespace is entered. */
  readonly before: readonly Instruction[];
  /** In the pod's namespace. */
  readonly inside: readonly Instruction[];
}

type RunProgram = (instructions: readonly Instruction[]) => Promise<void>;

export class BridgeNetwork {
  readonly info: PodNetworkInfo;
  readonly #addresses: AddressPool;
  readonly #runProgram: RunProgram;
  /** Of the bridge, among the machine's interfaces. */
  #index = 0;

  private constructor(interfaceName: string, addresses: AddressPool, runProgram: RunProgram) {
    this.#addresses = addresses;
    this.#runProgram = runProgram;
    this.info = { interfaceName, gateway: addresses.reserved(1), podCidr: addresses.cidr };
  }

  /** Makes the bridge, or finds the one of an earlier start. `podCidr` fixes the addresses; otherwise a free range is taken. */
  static async open(stateDir: string, podCidr: string | undefined, runProgram: RunProgram): Promise<BridgeNetwork> {
    const name = `coffer-${createHash('sha256').update(stateDir).digest('hex').slice(0, 8)}`;
    const addresses = await AddressPool.open(stateDir, podCidr, 2, name);
    const network = new BridgeNetwork(name, addresses, runProgram);
    await runProgram([['netlink'], ['bridge', name], ['address', name, network.info.gateway, addresses.netmask], ['link_up', name]]);
    network.#index = Number(await readFile(`/sys/class/net/${name}/ifindex`, 'utf8'));
    return network;
  }

  /** Marks the address of a pod of an earlier start as used. */
  adopt(podId: string, ip: string): void {
    this.#addresses.adopt(podId, ip);
  }

  connect(podId: string): PodConnection {
    const ip = this.#addresses.take(podId);
    return {
      ip,
      before: [['netlink']],
      inside: [
        ['veth', linkName(podId), this.#index, 'eth0'],
        ['link_up', 'lo'],
        ['address', 'eth0', ip, this.#addresses.netmask],
        ['link_up', 'eth0'],
        ['default_route', this.info.gateway],
      ],
    };
  }

  /** The pod's address is free again; what takes its link away. */
  disconnect(podId: string): Instruction[] {
    this.#addresses.release(podId);
    return removal([linkName(podId)]);
  }

  /** Takes away links of pods that are not known any more. */
  async sweep(): Promise<void> {
    const known = new Set(this.#addresses.owners().map(linkName));
    const links = await readdir(`/sys/class/net/${this.info.interfaceName}/brif`).catch(() => []);
    await this.#runProgram(removal(links.filter((link) => !known.has(link))));
  }

  /** Removes the bridge; no pod is left. */
  async close(): Promise<void> {
    await this.#runProgram(removal([this.info.interfaceName]));
  }
}

function removal(links: readonly string[]): Instruction[] {
  return links.length === 0 ? [] : [['netlink'], ...links.map((link): Instruction => ['remove_link', link])];
}

/** Interface names have at most 15 characters. */
function linkName(podId: string): string {
  return `cfv${podId.slice(0, 12)}`;
}
