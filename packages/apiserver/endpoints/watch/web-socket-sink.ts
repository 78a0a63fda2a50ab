import type { IncomingMessage } from 'node:http';
import type { HttpRequest, HttpResponse, StreamSink } from '@coffer/base/http/handler';
import { type WebSocket, WebSocketServer } from 'ws';

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
export function acceptWebSocket(http: HttpRequest, run: (sink: StreamSink) => Promise<void>): HttpResponse {
  const connection = http.upgrade?.();
  if (connection === undefined) throw new Error('the request does not ask for an upgrade');
  const server = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 64 * 1024 });
  const request = { method: http.method, url: http.url, headers: http.headers } as unknown as IncomingMessage;
  server.handleUpgrade(request, connection.socket, Buffer.from(connection.head), (socket) => {
    const gone = new AbortController();
    socket.on('close', () => gone.abort(new Error('client closed the connection')));
    socket.on('error', () => socket.terminate());
    void run(new WebSocketSink(socket, AbortSignal.any([gone.signal, http.signal]))).finally(() => socket.close(1000));
  });
  return { kind: 'upgraded' };
}
