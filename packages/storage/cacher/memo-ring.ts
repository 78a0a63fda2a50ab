/**
 * Remembers which objects hold something derived that is worth keeping for a moment (a parsed copy, a serialised line) and makes
 * the oldest forget when there are too many. Keeps memory bounded where a map with an eviction policy would cost more than it saves.
 */
export class MemoRing {
  readonly #slots: ({ forget(): void } | undefined)[];
  #next = 0;

  constructor(size: number) {
    this.#slots = new Array(size).fill(undefined);
  }

  add(holder: { forget(): void }): void {
    this.#slots[this.#next]?.forget();
    this.#slots[this.#next] = holder;
    this.#next = (this.#next + 1) % this.#slots.length;
  }
}
