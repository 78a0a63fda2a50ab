/**
 * Pod networking: one bridge per state directory with an address of the node, one veth pair per pod. Pods reach each other and the
 * node, and are reached from it; nothing is routed or translated to the outside. Needs root and iproute2.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { readRecord, writeAtomically } from './state-directory.ts';
import { requireTool, runTool } from './tools.ts';

/** What other parts of the node need to know of the pod network. */
export interface PodNetworkInfo {
  /** The bridge, as the machine shows it. */
  readonly interfaceName: string;
  /** Address of the node on the bridge: what pods use to reach the API server. */
  readonly gateway: string;
  /** All pod addresses, e.g. `10.93.4.0/22`. */
  readonly podCidr: string;
}

/** Commands for `ip -batch` that connect a pod, and its address. */
export interface PodConnection {
  readonly ip: string;
  /** Run inside the pod's network namespace. */
  readonly inside: string;
  /** Run in the node's. */
  readonly outside: string;
}

const prefixBits = 22;
const addressCount = 2 ** (32 - prefixBits);

export class BridgeNetwork {
  readonly info: PodNetworkInfo;
  readonly #base: number;
  readonly #used = new Map<number, string>();
  #next = 2;

  private constructor(interfaceName: string, base: number) {
    this.#base = base;
    this.info = { interfaceName, gateway: text(base + 1), podCidr: `${text(base)}/${prefixBits}` };
  }

  /** Makes the bridge, or finds the one of an earlier start. `podCidr` fixes the addresses; otherwise a free range is taken. */
  static async open(stateDir: string, podCidr: string | undefined): Promise<BridgeNetwork> {
    const hash = createHash('sha256').update(stateDir).digest();
    const name = `coffer-${hash.toString('hex').slice(0, 8)}`;
    const path = join(stateDir, 'network.json');
    const kept = await readRecord<{ podCidr: string }>(path);
    const base = numberOf(podCidr ?? kept?.podCidr ?? freeRange(hash, name));
    const network = new BridgeNetwork(name, base);
    const address = `${network.info.gateway}/${prefixBits}`;
    const add = existsSync(`/sys/class/net/${name}`) ? '' : `link add name ${name} type bridge\n`;
    await requireTool('ip', ['-batch', '-'], `${add}address replace ${address} dev ${name}\nlink set dev ${name} up\n`);
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
    const link = linkName(podId);
    return {
      ip,
      inside: [
        `link add name eth0 type veth peer name ${link} netns /proc/${process.pid}/ns/net`,
        `address add ${ip}/${prefixBits} dev eth0`,
        'link set dev eth0 up',
        `route add default via ${this.info.gateway}`,
        '',
      ].join('\n'),
      outside: `link set dev ${link} master ${this.info.interfaceName} up\n`,
    };
  }

  /** Takes the pod's link away; its address is free again. */
  async disconnect(podId: string): Promise<void> {
    for (const [offset, owner] of this.#used) if (owner === podId) this.#used.delete(offset);
    await runTool('ip', ['link', 'delete', 'dev', linkName(podId)]);
  }

  /** Takes away links of pods that are not known any more. */
  async sweep(): Promise<void> {
    const known = new Set([...this.#used.values()].map(linkName));
    const links = await readdir(`/sys/class/net/${this.info.interfaceName}/brif`).catch(() => []);
    for (const link of links) if (!known.has(link)) await runTool('ip', ['link', 'delete', 'dev', link]);
  }

  /** Removes the bridge; no pod is left. */
  async close(): Promise<void> {
    await runTool('ip', ['link', 'delete', 'dev', this.info.interfaceName]);
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
