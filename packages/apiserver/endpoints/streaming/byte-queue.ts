/** Chunks on their way from a socket to a reader: an async iterable that says when the sender should pause. */
export class ByteQueue implements AsyncIterable<Uint8Array> {
  readonly #chunks: Uint8Array[] = [];
  readonly #maxBytes: number;
  readonly #onRoom: () => void;
  #bytes = 0;
  #ended = false;
  #failure: Error | undefined;
  #wake: () => void = () => {};

  /** `onRoom` is called when the queue has room again after `push` returned false. */
  constructor(maxBytes: number, onRoom: () => void) {
    this.#maxBytes = maxBytes;
    this.#onRoom = onRoom;
  }

  /** Returns false when the queue is full: the sender should pause. */
  push(chunk: Uint8Array): boolean {
    if (this.#ended || chunk.byteLength === 0) return true;
    this.#chunks.push(chunk);
    this.#bytes += chunk.byteLength;
    this.#wake();
    return this.#bytes < this.#maxBytes;
  }

  end(): void {
    this.#ended = true;
    this.#wake();
  }

  /** The sender is gone: readers get what is queued, then the error. */
  fail(error: Error): void {
    if (this.#ended) return;
    this.#failure = error;
    this.end();
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) {
        const wasFull = this.#bytes >= this.#maxBytes;
        this.#bytes -= chunk.byteLength;
        if (wasFull && this.#bytes < this.#maxBytes) this.#onRoom();
        yield chunk;
      } else if (this.#ended) {
        if (this.#failure !== undefined) throw this.#failure;
        return;
      } else {
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
      }
    }
  }
}
