import { maxNeedleBytes, minValueBytes } from './needles.ts';

/**
 * Finds any of very many byte strings (8 to 64 bytes each) in one pass: a rolling hash over windows of 8, 16 and 32 bytes, a bit
 * filter, and a comparison only where a window's hash is that of a needle. Memory is a few hundred bytes per needle.
 */
export interface SearchHit<T> {
  readonly tag: T;
  readonly offset: number;
}

/** Bytes to keep from one block in front of the next one, so that nothing is missed between them. */
export const overlapBytes = maxNeedleBytes - 1;

const windowLengths = [minValueBytes, 16, 32] as const;
const base = 0x01000193;

interface Entry<T> {
  readonly bytes: Buffer;
  readonly windowStart: number;
  readonly tag: T;
}

export class NeedleSearch<T> {
  readonly #windows: readonly WindowIndex<T>[];
  #count = 0;

  /** `expected` needles, roughly. */
  constructor(expected: number) {
    this.#windows = windowLengths.map((length) => new WindowIndex<T>(length, expected));
  }

  get count(): number {
    return this.#count;
  }

  add(bytes: Buffer, tag: T): void {
    if (bytes.length < minValueBytes || bytes.length > maxNeedleBytes) throw new Error(`a needle has ${bytes.length} bytes`);
    const index = this.#windows.findLast(({ length }) => length <= bytes.length);
    index?.add({ bytes, windowStart: Math.floor((bytes.length - index.length) / 2), tag });
    this.#count++;
  }

  /** Calls `onHit` for every occurrence in `block`. */
  search(block: Buffer, onHit: (hit: SearchHit<T>) => void): void {
    for (const index of this.#windows) index.search(block, onHit);
  }
}

class WindowIndex<T> {
  readonly length: number;
  readonly #entries = new Map<number, Entry<T>[]>();
  readonly #filter: Uint8Array;
  readonly #mask: number;
  /** `base` to the power of the window's length: the weight of the byte that leaves the window. */
  readonly #leaving: number;

  constructor(length: number, expected: number) {
    this.length = length;
    const bits = 2 ** Math.min(28, Math.max(16, Math.ceil(Math.log2((expected + 1) * 32))));
    this.#filter = new Uint8Array(bits / 8);
    this.#mask = bits - 1;
    let leaving = 1;
    for (let i = 0; i < length; i++) leaving = Math.imul(leaving, base);
    this.#leaving = leaving;
  }

  add(entry: Entry<T>): void {
    let hash = 0;
    for (let i = 0; i < this.length; i++) hash = (Math.imul(hash, base) + (entry.bytes[entry.windowStart + i] ?? 0)) | 0;
    const bit = mix(hash) & this.#mask;
    this.#filter[bit >>> 3] = (this.#filter[bit >>> 3] ?? 0) | (1 << (bit & 7));
    const entries = this.#entries.get(hash);
    if (entries === undefined) this.#entries.set(hash, [entry]);
    else entries.push(entry);
  }

  search(block: Buffer, onHit: (hit: SearchHit<T>) => void): void {
    if (this.#entries.size === 0 || block.length < this.length) return;
    const { length } = this;
    const filter = this.#filter;
    const mask = this.#mask;
    const leaving = this.#leaving;
    let hash = 0;
    for (let i = 0; i < length - 1; i++) hash = (Math.imul(hash, base) + (block[i] as number)) | 0;
    for (let end = length - 1; end < block.length; end++) {
      hash = (Math.imul(hash, base) + (block[end] as number)) | 0;
      if (end >= length) hash = (hash - Math.imul(leaving, block[end - length] as number)) | 0;
      const bit = mix(hash) & mask;
      if (((filter[bit >>> 3] as number) & (1 << (bit & 7))) === 0) continue;
      this.#compare(block, end - length + 1, hash, onHit);
    }
  }

  #compare(block: Buffer, windowOffset: number, hash: number, onHit: (hit: SearchHit<T>) => void): void {
    for (const { bytes, windowStart, tag } of this.#entries.get(hash) ?? []) {
      const offset = windowOffset - windowStart;
      if (offset < 0 || offset + bytes.length > block.length) continue;
      if (block.compare(bytes, 0, bytes.length, offset, offset + bytes.length) === 0) onHit({ tag, offset });
    }
  }
}

function mix(hash: number): number {
  return Math.imul(hash ^ (hash >>> 15), 0x2c1b3c6d) >>> 4;
}
