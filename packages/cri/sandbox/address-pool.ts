/** Addresses of pods: one range per state directory, in which every pod gets one. Ranges are chosen free of the machine's own. */
import { createHash } from 'node:crypto';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { readRecord, writeAtomically } from './state-directory.ts';

const prefixBits = 22;
const addressCount = 2 ** (32 - prefixBits);

export class AddressPool {
  readonly cidr: string;
  readonly netmask = text(2 ** 32 - addressCount);
  readonly #base: number;
  readonly #firstOffset: number;
  readonly #used = new Map<number, string>();
  #next: number;

  private constructor(base: number, firstOffset: number) {
    this.#base = base;
    this.#firstOffset = firstOffset;
    this.#next = firstOffset;
    this.cidr = `${text(base)}/${prefixBits}`;
  }

  /**
   * The range of an earlier start, the one that is asked for, or a free one of 10.64.0.0/10. Pods get addresses from `firstOffset` on.
   * `ownInterface` is no reason against a range.
   */
  static async open(stateDir: string, wanted: string | undefined, firstOffset: number, ownInterface?: string): Promise<AddressPool> {
    const path = join(stateDir, 'network.json');
    const kept = await readRecord<{ podCidr: string }>(path);
    const hash = createHash('sha256').update(stateDir).digest();
    const pool = new AddressPool(numberOf(wanted ?? kept?.podCidr ?? freeRange(hash, ownInterface)), firstOffset);
    await writeAtomically(path, JSON.stringify({ podCidr: pool.cidr }));
    return pool;
  }

  /** An address that no pod gets. */
  reserved(offset: number): string {
    return text(this.#base + offset);
  }

  /** Marks the address of a pod of an earlier start as used. */
  adopt(podId: string, ip: string): void {
    this.#used.set(numberOf(ip) - this.#base, podId);
  }

  /** Gives a pod an address; addresses are used again as late as possible. */
  take(podId: string): string {
    for (let tried = 0; tried < addressCount; tried++) {
      const offset = this.#next;
      this.#next = this.#next + 1 >= addressCount - 1 ? this.#firstOffset : this.#next + 1;
      if (this.#used.has(offset)) continue;
      this.#used.set(offset, podId);
      return text(this.#base + offset);
    }
    throw new Error(`no pod address is left in ${this.cidr}`);
  }

  /** The pod's address is free again. */
  release(podId: string): void {
    for (const [offset, owner] of this.#used) if (owner === podId) this.#used.delete(offset);
  }

  owners(): string[] {
    return [...this.#used.values()];
  }
}

/** A range that no interface of the machine has an address in; which one is tried first depends on the state directory. */
function freeRange(hash: Buffer, ownInterface: string | undefined): string {
  const taken = Object.entries(networkInterfaces())
    .filter(([name]) => name !== ownInterface)
    .flatMap(([, addresses]) => addresses ?? [])
    .filter(({ family }) => family === 'IPv4')
    .map(({ address, netmask }) => ({ start: numberOf(address), bits: maskBits(netmask) }));
  const ranges = 2 ** (prefixBits - 10);
  const first = hash.readUInt16BE(8) % ranges;
  for (let tried = 0; tried < ranges; tried++) {
    const base = numberOf('10.64.0.0') + ((first + tried) % ranges) * addressCount;
    if (!taken.some(({ start, bits }) => overlaps(base, prefixBits, start, bits))) return `${text(base)}/${prefixBits}`;
  }
  throw new Error('no range of 10.64.0.0/10 is free for pods');
}

function overlaps(a: number, aBits: number, b: number, bBits: number): boolean {
  const size = 2 ** (32 - Math.min(aBits, bBits));
  return Math.floor(a / size) === Math.floor(b / size);
}

function maskBits(mask: string): number {
  return numberOf(mask).toString(2).replaceAll('0', '').length;
}

/** An address, or the first one of a range, as a number. */
function numberOf(cidr: string): number {
  const parts = (cidr.split('/')[0] ?? '').split('.').map(Number);
  if (parts.length !== 4 || parts.some((part) => !(part >= 0 && part <= 255))) throw new Error(`${cidr} is not an IPv4 range`);
  return parts.reduce((sum, part) => sum * 256 + part, 0);
}

function text(address: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(address / 2 ** shift) % 256).join('.');
}
