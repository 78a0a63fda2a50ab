import type { HttpRequest, HttpResponse, StreamSink } from '@coffer/base/http/handler';
import type { WebSocket } from 'ws';
import { acceptWebSocket } from '../streaming/web-socket.ts';

/** A watch over WebSocket: every write of the stream is one text message. */
class WebSocketSink implements StreamSink {
  readonly signal: AbortSignal;
  readonly #socket: WebSocket;

  constructor(socket: WebSocket, signal: AbortSignal) {
    this.#socket = socket;
    this.signal = signal;
  }

  write(chunk: Uint8Array | string): boolean {
    this.#socket.send(chunk, { binary: false });
    return this.#socket.bufferedAmount === 0;
  }

  drained(): Promise<void> {
    return new Promise((resolve, reject) => {
      const check = () => {
        if (this.signal.aborted) reject(new Error('client closed the connection'));
        else if (this.#socket.bufferedAmount === 0) resolve();
        else setTimeout(check, 10);
      };
      check();
    });
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
