/**
 * Pod networking: one bridge per state directory with an address of the node, one veth pair per pod. Pods reach each other and the
 * node, and are reached from it; nothing is routed or translated to the outside. Needs root.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import type { Instruction } from './program.ts';
import { readRecord, writeAtomically } from './state-directory.ts';

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

const prefixBits = 22;
const addressCount = 2 ** (32 - prefixBits);
const netmask = text(2 ** 32 - addressCount);

export class BridgeNetwork {
  readonly info: PodNetworkInfo;
  readonly #base: number;
  readonly #runProgram: RunProgram;
  /** Of the bridge, among the machine's interfaces. */
  #index = 0;
  readonly #used = new Map<number, string>();
  #next = 2;

  private constructor(interfaceName: string, base: number, runProgram: RunProgram) {
    this.#base = base;
    this.#runProgram = runProgram;
    this.info = { interfaceName, gateway: text(base + 1), podCidr: `${text(base)}/${prefixBits}` };
  }

  /** Makes the bridge, or finds the one of an earlier start. `podCidr` fixes the addresses; otherwise a free range is taken. */
  static async open(stateDir: string, podCidr: string | undefined, runProgram: RunProgram): Promise<BridgeNetwork> {
    const hash = createHash('sha256').update(stateDir).digest();
    const name = `coffer-${hash.toString('hex').slice(0, 8)}`;
    const path = join(stateDir, 'network.json');
    const kept = await readRecord<{ podCidr: string }>(path);
    const base = numberOf(podCidr ?? kept?.podCidr ?? freeRange(hash, name));
    const network = new BridgeNetwork(name, base, runProgram);
    await runProgram([['netlink'], ['bridge', name], ['address', name, network.info.gateway, netmask], ['link_up', name]]);
    network.#index = Number(await readFile(`/sys/class/net/${name}/ifindex`, 'utf8'));
    await writeAtomically(path, JSON.stringify({ podCidr: network.info.podCidr }));
    return network;
  }

  /** Marks the address of a pod of an earlier start as used. */
  adopt(podId: string, ip: string): void {
    this.#used.set(numberOf(`${ip}/32`) - this.#base, podId);
  }

  /** Gives a pod an address; addresses are used again as late as possible. */
  connect(podId: string): PodConnection {
    const offset = this.#freeOffset();
    this.#used.set(offset, podId);
    const ip = text(this.#base + offset);
    return {
      ip,
      before: [['netlink']],
      inside: [
        ['veth', linkName(podId), this.#index, 'eth0'],
        ['link_up', 'lo'],
        ['address', 'eth0', ip, netmask],
        ['link_up', 'eth0'],
        ['default_route', this.info.gateway],
      ],
    };
  }

  /** The pod's address is free again; what takes its link away. */
  disconnect(podId: string): Instruction[] {
    for (const [offset, owner] of this.#used) if (owner === podId) this.#used.delete(offset);
    return removal([linkName(podId)]);
  }

  /** Takes away links of pods that are not known any more. */
  async sweep(): Promise<void> {
    const known = new Set([...this.#used.values()].map(linkName));
    const links = await readdir(`/sys/class/net/${this.info.interfaceName}/brif`).catch(() => []);
    await this.#runProgram(removal(links.filter((link) => !known.has(link))));
  }

  /** Removes the bridge; no pod is left. */
  async close(): Promise<void> {
    await this.#runProgram(removal([this.info.interfaceName]));
  }

  #freeOffset(): number {
    for (let tried = 0; tried < addressCount; tried++) {
      const offset = this.#next;
      this.#next = this.#next + 1 >= addressCount - 1 ? 2 : this.#next + 1;
      if (!this.#used.has(offset)) return offset;
    }
    throw new Error(`no pod address is left in ${this.info.podCidr}`);
  }
}

function removal(links: readonly string[]): Instruction[] {
  return links.length === 0 ? [] : [['netlink'], ...links.map((link): Instruction => ['remove_link', link])];
}

/** Interface names have at most 15 characters. */
function linkName(podId: string): string {
  return `cfv${podId.slice(0, 12)}`;
}

/** A range of 10.64.0.0/10 that no interface of the machine has an address in; which one is tried first depends on the state directory. */
function freeRange(hash: Buffer, ownName: string): string {
  const taken = Object.entries(networkInterfaces())
    .filter(([name]) => name !== ownName)
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ family }) => family === 'IPv4')
    .map(({ address, netmask }) => ({ start: numberOf(`${address}/32`), bits: maskBits(netmask) }));
  const ranges = 2 ** (prefixBits - 10);
  const first = hash.readUInt16BE(8) % ranges;
  for (let tried = 0; tried < ranges; tried++) {
    const base = numberOf('10.64.0.0/10') + ((first + tried) % ranges) * addressCount;
    if (!taken.some(({ start, bits }) => overlaps(base, prefixBits, start, bits))) return `${text(base)}/${prefixBits}`;
  }
  throw new Error('no range of 10.64.0.0/10 is free for pods');
}

function overlaps(a: number, aBits: number, b: number, bBits: number): boolean {
  const size = 2 ** (32 - Math.min(aBits, bBits));
  return Math.floor(a / size) === Math.floor(b / size);
}

function maskBits(mask: string): number {
  return numberOf(`${mask}/32`).toString(2).replaceAll('0', '').length;
}

/** First address of a range as a number. */
function numberOf(cidr: string): number {
  const parts = (cidr.split('/')[0] ?? '').split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) throw new Error(`${cidr} is not an IPv4 range`);
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function text(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
