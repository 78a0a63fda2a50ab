import type { HttpRequest, HttpResponse, StreamSink } from '@coffer/base/http/handler';
import type { WebSocket } from 'ws';
import { acceptWebSocket } from '../streaming/web-socket.ts';

/** A watch over WebSocket: every write of the stream is one text message. */
class WebSocketSink implements StreamSink {
  readonly signal: AbortSignal;
  readonly #socket: WebSocket;
  readonly #waiting: ((error: Error | undefined) => void)[] = [];

  constructor(socket: WebSocket, signal: AbortSignal) {
    this.#socket = socket;
    this.signal = signal;
    signal.addEventListener('abort', () => this.#settle(new Error('client closed the connection')), { once: true });
  }

  write(chunk: Uint8Array | string): boolean {
    this.#socket.send(chunk, { binary: false }, () => {
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

/** Completes the handshake and runs the stream; the socket is closed when it ends. */
export function serveWatchWebSocket(http: HttpRequest, run: (sink: StreamSink) => Promise<void>): HttpResponse {
  acceptWebSocket(http, undefined, (socket) => {
    const gone = new AbortController();
    socket.on('close', () => gone.abort(new Error('client closed the connection')));
    void run(new WebSocketSink(socket, AbortSignal.any([gone.signal, http.signal]))).finally(() => socket.close(1000));
  });
  return { kind: 'upgraded' };
}
