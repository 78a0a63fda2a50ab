import { Duplex } from 'node:stream';
import type { DuplexBytes } from '@coffer/api/node/node-api';
import { ByteQueue } from './byte-queue.ts';

const maxQueuedBytes = 256 * 1024;

/** A connection that a port-forward carries: this is its near end, for Node's clients, and `far` is what the forwarder takes. */
export class ForwardedStream extends Duplex {
  readonly far: DuplexBytes;
  readonly #input: ByteQueue;
  #room: (() => void) | undefined;
  #wanted: (() => void) | undefined;
  #finished = false;

  constructor() {
    super();
    this.#input = new ByteQueue(maxQueuedBytes, () => this.#continue());
    this.far = { input: this.#input, output: { write: (chunk) => this.#arrive(chunk) }, end: () => this.finish() };
  }

  /** No more comes from the far end. */
  finish(): void {
    if (!this.destroyed && !this.#finished) this.push(null);
    this.#finished = true;
  }

  async #arrive(chunk: Uint8Array): Promise<void> {
    if (this.destroyed) throw new Error('the receiver has gone');
    if (this.push(chunk)) return;
    await new Promise<void>((resolve) => {
      this.#wanted = resolve;
    });
  }

  override _read(): void {
    this.#wanted?.();
    this.#wanted = undefined;
  }

  override _write(chunk: Uint8Array, _encoding: BufferEncoding, done: () => void): void {
    if (this.#input.push(chunk)) done();
    else this.#room = done;
  }

  override _final(done: () => void): void {
    this.#input.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#input.end();
    this.#wanted?.();
    this.#continue();
    done(error);
  }

  #continue(): void {
    const room = this.#room;
    this.#room = undefined;
    room?.();
  }
}
