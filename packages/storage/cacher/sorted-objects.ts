import { compareKeys } from '../backend/key-order.ts';
import type { ObjectVersion } from './object-version.ts';

/**
 * The current objects of a resource: by path in constant time, and in key order from any position without copying. Kept as
 * sorted chunks, so that an insertion moves a few hundred entries however many objects there are.
 */
const maxChunk = 512;

export class SortedObjects {
  readonly #byPath = new Map<string, ObjectVersion>();
  /** Sorted, none empty. */
  readonly #chunks: ObjectVersion[][] = [];
  readonly #perNamespace = new Map<string, number>();

  get size(): number {
    return this.#byPath.size;
  }

  countIn(namespace: string): number {
    return this.#perNamespace.get(namespace) ?? 0;
  }

  get(path: string): ObjectVersion | undefined {
    return this.#byPath.get(path);
  }

  set(object: ObjectVersion): void {
    const isNew = !this.#byPath.has(object.path);
    this.#byPath.set(object.path, object);
    if (isNew) this.#perNamespace.set(object.namespace, this.countIn(object.namespace) + 1);
    const c = this.#isLast(object.path) ? this.#chunks.length - 1 : this.#chunkOf(object.path);
    const chunk = this.#chunks[c];
    if (chunk === undefined) {
      this.#chunks.push([object]);
      return;
    }
    const i = lowerBound(chunk, object.path);
    if (!isNew) {
      chunk[i] = object;
      return;
    }
    chunk.splice(i, 0, object);
    if (chunk.length <= maxChunk) return;
    // Keys mostly arrive in order: then the left part stays full and the right one takes what follows.
    const appended = i === chunk.length - 1 && c === this.#chunks.length - 1;
    this.#chunks.splice(c + 1, 0, chunk.splice(appended ? chunk.length - 1 : chunk.length >> 1));
  }

  delete(path: string): void {
    const object = this.#byPath.get(path);
    if (object === undefined) return;
    this.#byPath.delete(path);
    const left = this.countIn(object.namespace) - 1;
    if (left === 0) this.#perNamespace.delete(object.namespace);
    else this.#perNamespace.set(object.namespace, left);
    const c = this.#chunkOf(path);
    const chunk = this.#chunks[c];
    if (chunk === undefined) return;
    chunk.splice(lowerBound(chunk, path), 1);
    if (chunk.length === 0) this.#chunks.splice(c, 1);
  }

  /** Objects with `from` ≤ path < `to` in order; `to` undefined has no end. */
  *range(from: string, to: string | undefined): Generator<ObjectVersion, void> {
    for (let c = this.#chunkOf(from); c < this.#chunks.length; c++) {
      const chunk = this.#chunks[c] ?? [];
      for (let i = lowerBound(chunk, from); i < chunk.length; i++) {
        const object = chunk[i];
        if (object === undefined || (to !== undefined && compareKeys(object.path, to) >= 0)) return;
        yield object;
      }
    }
  }

  /** How many objects have `from` ≤ path < `to`, without looking at each. */
  countRange(from: string, to: string | undefined): number {
    return (to === undefined ? this.size : this.#rank(to)) - this.#rank(from);
  }

  #rank(path: string): number {
    const c = this.#chunkOf(path);
    let rank = 0;
    for (let i = 0; i < c; i++) rank += this.#chunks[i]?.length ?? 0;
    const chunk = this.#chunks[c];
    return chunk === undefined ? rank : rank + lowerBound(chunk, path);
  }

  /** True when `path` comes behind all others: how objects are loaded. */
  #isLast(path: string): boolean {
    const last = this.#chunks.at(-1)?.at(-1);
    return last !== undefined && compareKeys(last.path, path) < 0;
  }

  /** The chunk where `path` is or belongs: the last one whose first path is not behind it. */
  #chunkOf(path: string): number {
    let low = 0;
    let high = this.#chunks.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      const first = this.#chunks[middle]?.[0];
      if (first !== undefined && compareKeys(first.path, path) <= 0) low = middle + 1;
      else high = middle;
    }
    return Math.max(0, low - 1);
  }
}

/** Index of the first object whose path is not before `path`. */
function lowerBound(chunk: readonly ObjectVersion[], path: string): number {
  let low = 0;
  let high = chunk.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    const object = chunk[middle];
    if (object !== undefined && compareKeys(object.path, path) < 0) low = middle + 1;
    else high = middle;
  }
  return low;
}
