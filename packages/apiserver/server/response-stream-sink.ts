import type { StreamSink } from '@coffer/base/http/handler';
import type { RawResponse } from './node-http-request.ts';

const neverAborted = new AbortController().signal;

/** `StreamSink` over Node's response classes; also what the stall watch looks at. */
export class ResponseStreamSink implements StreamSink {
  readonly signal: AbortSignal;
  readonly #response: RawResponse;
  #queuedBytes = 0;

  constructor(response: RawResponse, signal: AbortSignal | undefined) {
    this.#response = response;
    this.signal = signal ?? neverAborted;
  }

  write(chunk: Uint8Array | string): boolean {
    if (this.#response.destroyed === true || this.#response.writableEnded) return false;
    this.#queuedBytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.byteLength;
    return this.#response.write(chunk);
  }

  drained(): Promise<void> {
    if (this.bufferedBytes === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onDrain = () => {
        this.#response.off('close', onClose);
        resolve();
      };
      const onClose = () => {
        this.#response.off('drain', onDrain);
        reject(new Error('client closed the connection'));
      };
      this.#response.once('drain', onDrain);
      this.#response.once('close', onClose);
    });
  }

  get bufferedBytes(): number {
    // Over HTTP/1.1 Node counts what waits in the socket too.
    return this.#response.writableLength;
  }

  /** Bytes the client's side has taken so far; grows while the reader reads. */
  get takenBytes(): number {
    return this.#queuedBytes - this.bufferedBytes;
  }

  /** Sends the header now, so that a watcher without events knows that its watch began. (`headersSent` is true once it is written.) */
  flush(): void {
    this.#response.flushHeaders();
  }

  /** Ends the connection (HTTP/1.1) or the stream (HTTP/2) at once. */
  destroy(): void {
    const response = this.#response;
    if (response.stream?.close) response.stream.close();
    else response.socket?.destroy();
  }
}
