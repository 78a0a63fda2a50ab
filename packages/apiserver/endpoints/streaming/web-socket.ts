import type { IncomingMessage } from 'node:http';
import { badRequest, StatusError } from '@coffer/api/errors/status-error';
import type { HttpRequest } from '@coffer/base/http/handler';
import { type WebSocket, WebSocketServer } from 'ws';
import { headerText } from '../negotiation.ts';

/** Server side of the WebSocket handshake for streams, with one of the subprotocols the caller knows. */

const maxMessageBytes = 32 * 1024 * 1024;
/** How long a client may take to read what was sent before the end. The library's own limit loses output that somebody pages through. */
const closeTimeoutMs = 900_000;

export function isWebSocketUpgrade(http: HttpRequest): boolean {
  return http.upgrade !== undefined && headerText(http, 'upgrade').toLowerCase() === 'websocket';
}

/**
 * The subprotocol for this client: `preferred` when it offers that, else the first of its own that is in `others`. A client that offers
 * none asks for `''`. Throws StatusError 403 when there is none.
 */
export function chooseProtocol(http: HttpRequest, preferred: string | undefined, others: readonly string[]): string {
  const offered = headerText(http, 'sec-websocket-protocol')
    .split(',')
    .map((token) => token.trim());
  if (preferred !== undefined && offered.includes(preferred)) return preferred;
  const chosen = offered.find((protocol) => others.includes(protocol));
  if (chosen === undefined) {
    const supported = preferred === undefined ? others : [preferred, ...others];
    const message = `requested protocol(s) are not supported: [${offered.join(' ')}]; supports [${supported.join(' ')}]`;
    throw new StatusError(403, 'Forbidden', message);
  }
  return chosen;
}

/** Completes the handshake, with a subprotocol or (`''`) without, and hands the open socket to `serve`. */
export function acceptWebSocket(http: HttpRequest, protocol: string, serve: (socket: WebSocket) => void): void {
  const connection = http.upgrade?.();
  if (connection === undefined) throw badRequest('Upgrade request required');
  const options = { noServer: true, perMessageDeflate: false, maxPayload: maxMessageBytes, closeTimeout: closeTimeoutMs };
  const server = new WebSocketServer(options);
  // The library refuses names like `SPDY/3.1+…`, which are not tokens but what Kubernetes uses: it does not get to see them.
  const { 'sec-websocket-protocol': _offered, ...headers } = http.headers;
  if (protocol !== '') server.on('headers', (lines) => lines.push(`Sec-WebSocket-Protocol: ${protocol}`));
  const request = { method: 'GET', url: http.url, headers } as unknown as IncomingMessage;
  server.handleUpgrade(request, connection.socket, Buffer.from(connection.head), (socket) => {
    socket.on('error', () => socket.terminate());
    serve(socket);
  });
}

const highWaterBytes = 1024 * 1024;

/** Sends one binary message; resolves when the client keeps up, rejects when it has gone. */
export function sendBinary(socket: WebSocket, message: Uint8Array): Promise<void> {
  return send(socket, message, true);
}

/** As `sendBinary`, for text. */
export function sendText(socket: WebSocket, message: string): Promise<void> {
  return send(socket, message, false);
}

function send(socket: WebSocket, message: Uint8Array | string, binary: boolean): Promise<void> {
  return new Promise((resolve, reject) => {
    if (socket.readyState !== socket.OPEN) {
      reject(new Error('client closed the connection'));
      return;
    }
    const slow = socket.bufferedAmount > highWaterBytes;
    socket.send(message, { binary }, (error) => {
      if (error) reject(error);
      else if (slow) resolve();
    });
    if (!slow) resolve();
  });
}
