import type { Duplex } from 'node:stream';
import type { StreamSink } from '@coffer/base/http/handler';
import type { RawResponse } from './node-http-request.ts';

const neverAborted = new AbortController().signal;

/** Larger chunks are not copied into a frame. */
const maxFramedBytes = 64 * 1024;

/** Chunks with their chunked-encoding frame around them: an event that goes to a thousand watchers is framed once. */
const frames = new WeakMap<Uint8Array, Buffer>();

/** `StreamSink` over Node's response classes; also what the stall watch looks at. */
export class ResponseStreamSink implements StreamSink {
  readonly signal: AbortSignal;
  readonly #response: RawResponse;
  /** The socket, where a chunk can be written to it as one frame; Node itself makes three writes of a chunk. */
  #chunkedSocket: Duplex | undefined;
  #queuedBytes = 0;

  constructor(response: RawResponse, signal: AbortSignal | undefined) {
    this.#response = response;
    this.signal = signal ?? neverAborted;
  }

  write(chunk: Uint8Array | string): boolean {
    if (this.#response.destroyed === true || this.#response.writableEnded) return false;
    this.#queuedBytes += typeof chunk === 'string' ? Buffer.byteLength(chunk) : chunk.byteLength;
    const socket = this.#chunkedSocket;
    if (socket === undefined || typeof chunk === 'string' || chunk.byteLength > maxFramedBytes || chunk.byteLength === 0)
      return this.#response.write(chunk);
    return socket.write(frameOf(chunk));
  }

  drained(): Promise<void> {
    const writable = this.#chunkedSocket ?? this.#response;
    if (this.bufferedBytes === 0 || this.#chunkedSocket?.writableNeedDrain === false) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const onDrain = () => {
        this.#response.off('close', onClose);
        resolve();
      };
      const onClose = () => {
        writable.off('drain', onDrain);
        reject(new Error('client closed the connection'));
      };
      writable.once('drain', onDrain);
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
    if (this.#response.chunkedEncoding === true && this.#response.socket !== null) this.#chunkedSocket = this.#response.socket;
  }

  /** Ends the connection (HTTP/1.1) or the stream (HTTP/2) at once. */
  destroy(): void {
    const response = this.#response;
    if (response.stream?.close) response.stream.close();
    else response.socket?.destroy();
  }
}

function frameOf(chunk: Uint8Array): Buffer {
  let frame = frames.get(chunk);
  if (frame === undefined) {
    const length = `${chunk.byteLength.toString(16)}\r\n`;
    frame = Buffer.allocUnsafe(length.length + chunk.byteLength + 2);
    frame.write(length, 'latin1');
    frame.set(chunk, length.length);
    frame.write('\r\n', frame.byteLength - 2, 'latin1');
    frames.set(chunk, frame);
  }
  return frame;
}
