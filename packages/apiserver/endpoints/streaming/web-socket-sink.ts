import type { HttpRequest, HttpResponse, StreamSink } from '@coffer/base/http/handler';
import type { WebSocket } from 'ws';
import { acceptWebSocket } from './web-socket.ts';

/** How a message carries what was written: as it is, or in base64 for clients that have only text. */
export type MessageFormat = 'text' | 'binary' | 'base64';

/** A stream over WebSocket: every write is one message. */
class WebSocketSink implements StreamSink {
  readonly signal: AbortSignal;
  readonly #socket: WebSocket;
  readonly #format: MessageFormat;
  readonly #waiting: ((error: Error | undefined) => void)[] = [];

  constructor(socket: WebSocket, format: MessageFormat, signal: AbortSignal) {
    this.#socket = socket;
    this.#format = format;
    this.signal = signal;
    signal.addEventListener('abort', () => this.#settle(new Error('client closed the connection')), { once: true });
  }

  write(chunk: Uint8Array | string): boolean {
    const message = this.#format === 'base64' ? Buffer.from(chunk).toString('base64') : chunk;
    this.#socket.send(message, { binary: this.#format === 'binary' }, () => {
      if (this.#socket.bufferedAmount === 0) this.#settle(undefined);
    });
    return this.#socket.bufferedAmount === 0;
  }

  drained(): Promise<void> {
    if (this.signal.aborted) return Promise.reject(new Error('client closed the connection'));
    if (this.#socket.bufferedAmount === 0) return Promise.resolve();
    return new Promise((resolve, reject) => {
      this.#waiting.push((error) => (error === undefined ? resolve() : reject(error)));
    });
  }

  #settle(error: Error | undefined): void {
    for (const done of this.#waiting.splice(0)) done(error);
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  flush(): void {}
}

/** Completes the handshake and runs the stream; the socket is closed when it ends. `run` tells its errors itself. */
export function serveWebSocketStream(
  http: HttpRequest,
  { protocol, format }: { readonly protocol: string; readonly format: MessageFormat },
  run: (sink: StreamSink) => Promise<void>,
): HttpResponse {
  acceptWebSocket(http, protocol, (socket) => {
    const gone = new AbortController();
    socket.on('close', () => gone.abort(new Error('client closed the connection')));
    void run(new WebSocketSink(socket, format, AbortSignal.any([gone.signal, http.signal]))).finally(() => socket.close(1000));
  });
  return { kind: 'upgraded' };
}
