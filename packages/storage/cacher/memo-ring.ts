/** Holds something derived from `bytes` bytes, until it is told to forget it. */
export interface MemoHolder {
  readonly memoBytes: number;
  forget(): void;
}

/**
 * Remembers which objects hold something derived that is worth keeping for a moment (a parsed copy, a serialised line) and makes
 * the oldest forget when there are too many, or they are too large. Keeps memory bounded where a map with an eviction policy would cost
 * more than it saves.
 */
export class MemoRing {
  readonly #slots: (MemoHolder | undefined)[];
  readonly #maxBytes: number;
  #oldest = 0;
  #count = 0;
  #bytes = 0;

  constructor(size: number, maxBytes: number) {
    this.#slots = new Array(size).fill(undefined);
    this.#maxBytes = maxBytes;
  }

  add(holder: MemoHolder): void {
    if (this.#count === this.#slots.length) this.#dropOldest();
    this.#slots[(this.#oldest + this.#count) % this.#slots.length] = holder;
    this.#count++;
    this.#bytes += holder.memoBytes;
    // The newest one stays, however large it is.
    while (this.#bytes > this.#maxBytes && this.#count > 1) this.#dropOldest();
  }

  #dropOldest(): void {
    const holder = this.#slots[this.#oldest];
    this.#slots[this.#oldest] = undefined;
    this.#oldest = (this.#oldest + 1) % this.#slots.length;
    this.#count--;
    if (holder === undefined) return;
    this.#bytes -= holder.memoBytes;
    holder.forget();
  }
}
