import type { Cipher } from '../ciphers.ts';

/**
 * Ciphers of decrypted seeds and keys, in order of use. Beyond the limit the one that was used longest ago is dropped and its key
 * overwritten, but never the one that is used for writing.
 */
export class SourceCache {
  readonly #limit: number;
  readonly #onSize: (size: number) => void;
  readonly #sources = new Map<string, { readonly cipher: Cipher; readonly key: Buffer }>();
  #writing: string | undefined;

  constructor(limit: number, onSize: (size: number) => void) {
    this.#limit = limit;
    this.#onSize = onSize;
  }

  get(id: string): Cipher | undefined {
    const source = this.#sources.get(id);
    if (source === undefined) return undefined;
    this.#sources.delete(id);
    this.#sources.set(id, source);
    return source.cipher;
  }

  /** `key` belongs to the cache from now on. */
  add(id: string, key: Buffer, cipher: Cipher): Cipher {
    this.#drop(id);
    this.#sources.set(id, { cipher, key });
    for (const other of this.#sources.keys()) {
      if (this.#sources.size <= this.#limit) break;
      if (other !== id && other !== this.#writing) this.#drop(other);
    }
    this.#onSize(this.#sources.size);
    return cipher;
  }

  /** This one is used for writing from now on. */
  writeWith(id: string): void {
    this.#writing = id;
  }

  /** Overwrites and forgets everything. */
  clear(): void {
    for (const id of [...this.#sources.keys()]) this.#drop(id);
    this.#onSize(0);
  }

  #drop(id: string): void {
    this.#sources.get(id)?.key.fill(0);
    this.#sources.delete(id);
  }
}
