import type { TLSSocket } from 'node:tls';
import type { ListenerRequest } from '../listener-request.ts';
import { peerOf, type RawResponse } from '../node-http-request.ts';
import { PlainRequest } from './plain-request.ts';
import { PlainResponse } from './plain-response.ts';
import { WholeRequestReader } from './whole-request.ts';

export interface PlainConnectionOptions {
  readonly serverClosing: AbortSignal;
  /** Time for the first byte to arrive. */
  readonly headersTimeoutMs: number;
  /** A connection without a request is closed after this time. */
  readonly idleTimeoutMs: number;
  readonly serve: (request: ListenerRequest, response: RawResponse) => void;
  /** Gives the connection to Node's HTTP/1.1 server, for good. What was read and not served is in the socket again. */
  readonly handOver: (socket: TLSSocket) => void;
}

/**
 * An HTTP/1.1 connection whose requests arrive whole, one after the other: what client libraries send almost always. Node's server
 * takes 40 µs for such a request and its answer, a quarter of a write and a half of a read; this takes a third of that. The first chunk
 * that is anything else, a part of a request, two of them or a broken one, goes to Node's server with the connection.
 */
export class PlainConnection {
  readonly #socket: TLSSocket;
  readonly #options: PlainConnectionOptions;
  readonly #keepAlive: string;
  readonly #reader = new WholeRequestReader();
  /** The answer that is being given. */
  #response: PlainResponse | undefined;
  /** What arrived before it was complete. */
  #early: Buffer | undefined;

  constructor(socket: TLSSocket, options: PlainConnectionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#keepAlive = `Connection: keep-alive\r\nKeep-Alive: timeout=${Math.floor(options.idleTimeoutMs / 1000)}\r\n`;
  }

  start(): void {
    this.#socket.on('data', this.#onData);
    this.#socket.on('end', this.#onEnd);
    this.#socket.on('close', this.#onClose);
    this.#socket.on('timeout', this.#onTimeout);
    this.#socket.setTimeout(this.#options.headersTimeoutMs);
  }

  readonly #onData = (chunk: Buffer): void => {
    // The client has not waited for its answer: the connection goes on when it is complete.
    if (this.#response !== undefined || this.#socket.writableNeedDrain) {
      this.#early = this.#early === undefined ? chunk : Buffer.concat([this.#early, chunk]);
      this.#socket.pause();
      if (this.#response === undefined) this.#socket.once('drain', this.#goOn);
      return;
    }
    const whole = this.#reader.read(chunk);
    if (whole === undefined) {
      this.#handOver(chunk);
      return;
    }
    const response = new PlainResponse(this.#socket, this.#keepAlive, this.#goOn);
    this.#response = response;
    const { serverClosing, serve } = this.#options;
    serve(new PlainRequest(whole, peerOf(this.#socket), response, serverClosing), response);
  };

  /** The answer is complete. */
  readonly #goOn = (): void => {
    this.#response = undefined;
    this.#socket.setTimeout(this.#options.idleTimeoutMs);
    const early = this.#early;
    if (early === undefined) return;
    this.#early = undefined;
    this.#socket.resume();
    this.#onData(early);
  };

  /** Who sends no more has gone, as for Node's server. */
  readonly #onEnd = (): void => {
    this.#socket.end();
  };

  readonly #onClose = (): void => this.#response?.close();

  readonly #onTimeout = (): void => {
    if (this.#response === undefined) this.#socket.destroy();
  };

  #handOver(chunk: Buffer): void {
    const socket = this.#socket;
    socket.off('data', this.#onData);
    socket.off('end', this.#onEnd);
    socket.off('close', this.#onClose);
    socket.off('timeout', this.#onTimeout);
    socket.setTimeout(0);
    socket.pause();
    socket.unshift(chunk);
    this.#options.handOver(socket);
    socket.resume();
  }
}
