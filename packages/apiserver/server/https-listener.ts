import { setMaxListeners } from 'node:events';
import type { IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { Handler, HttpResponse } from '@coffer/base/http/handler';
import { tlsPolicy } from '@coffer/base/http/tls-policy';
import type { Logger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { TurnGate } from '@coffer/base/time/turn-gate';
import { PlainConnection } from './http1/plain-connection.ts';
import { describeListenError } from './listen-error.ts';
import type { ListenerRequest } from './listener-request.ts';
import { NodeHttpRequest, type RawResponse } from './node-http-request.ts';
import { writeRawResponse } from './raw-response.ts';
import { ResponseStreamSink } from './response-stream-sink.ts';
import { StallWatch } from './stall-watch.ts';

/**
 * The TLS socket side of the server core: HTTP/1.1 and HTTP/2 on one port, each request handed to one `Handler`. Promises:
 * a request is answered or its connection closed; slow senders (headers, bodies) and stalled readers are ended; closing drains
 * what is in flight. It knows nothing about Kubernetes.
 */
export interface HttpsListenerOptions {
  readonly handler: Handler;
  readonly logger: Logger;
  readonly tls: TlsMaterial;
  readonly limits?: Partial<ListenerLimits>;
}

export interface TlsMaterial {
  readonly keyPem: string;
  readonly certificatePem: string;
  /** Client certificates signed by these authorities are marked as verified. */
  readonly clientAuthoritiesPem: readonly string[];
}

export interface ListenerLimits {
  /** Request line and header block, bytes; as much as upstream takes, because a command to execute is part of the address. */
  readonly maxHeaderBytes: number;
  /** Time for the header block to arrive. */
  readonly headersTimeoutMs: number;
  /** Time for a whole request to arrive. */
  readonly requestTimeoutMs: number;
  /** A reader that takes nothing for this long is disconnected. */
  readonly stallTimeoutMs: number;
  /** Bytes that may wait for readers altogether; above it, those that stopped reading are disconnected earlier. */
  readonly maxWaitingBytes: number;
  /** A connection without a request is closed after this time. */
  readonly idleTimeoutMs: number;
}

/** Bytes; larger bodies are not copied into a string. */
const maxStringBody = 32 * 1024;

/** With fewer than these nobody waits for long. */
const manyRequests = 8;
/** What a write costs is 0.2 ms: a commit of the store waits for no more than sixteen of them. */
const turnLimits = { maxTurnMs: 1, perTurn: 16 };

const defaultLimits: ListenerLimits = {
  maxHeaderBytes: 1024 * 1024,
  headersTimeoutMs: 20_000,
  requestTimeoutMs: 60_000,
  stallTimeoutMs: 60_000,
  maxWaitingBytes: 256 * 1024 * 1024,
  idleTimeoutMs: 90_000,
};

export class HttpsListener {
  readonly #server: Http2SecureServer;
  readonly #handler: Handler;
  readonly #logger: Logger;
  readonly #sockets = new Set<Duplex>();
  readonly #stalls: StallWatch;
  readonly #turns = new TurnGate(systemClock, turnLimits);
  readonly #closing = new AbortController();
  #active = 0;

  constructor(options: HttpsListenerOptions) {
    const limits = { ...defaultLimits, ...options.limits };
    this.#handler = options.handler;
    this.#logger = options.logger;
    this.#stalls = new StallWatch(limits.stallTimeoutMs, limits.maxWaitingBytes);
    setMaxListeners(0, this.#closing.signal); // every open stream listens to it
    this.#server = createSecureServer({
      allowHTTP1: true,
      key: options.tls.keyPem,
      cert: options.tls.certificatePem,
      ca: [...options.tls.clientAuthoritiesPem],
      requestCert: true,
      rejectUnauthorized: false,
      ...tlsPolicy,
      handshakeTimeout: 10_000,
      // Bytes in flight are capped per response; Node's default session memory breaks parallel large lists on one connection.
      maxSessionMemory: 1000,
      maxHeaderSize: limits.maxHeaderBytes,
      settings: { maxConcurrentStreams: 1000, maxHeaderListSize: limits.maxHeaderBytes },
    } as Parameters<typeof createSecureServer>[0]);
    // What Node reads of a connection that speaks HTTP/1.1, and takes as an option for plain HTTPS servers only.
    Object.assign(this.#server, {
      maxHeaderSize: limits.maxHeaderBytes,
      headersTimeout: limits.headersTimeoutMs,
      requestTimeout: limits.requestTimeoutMs,
      keepAliveTimeout: limits.idleTimeoutMs,
      connectionsCheckingInterval: Math.min(limits.headersTimeoutMs, limits.requestTimeoutMs) / 4,
    });
    const plain = {
      serverClosing: this.#closing.signal,
      headersTimeoutMs: limits.headersTimeoutMs,
      idleTimeoutMs: limits.idleTimeoutMs,
      serve: (request: ListenerRequest, response: RawResponse) => this.#serveInTurn(request, response),
    };
    this.#server.on('session', (session) => closeWhenIdle(session, limits.idleTimeoutMs));
    this.#server.on('request', (request: Http2ServerRequest, response: Http2ServerResponse) => {
      const raw = response as unknown as RawResponse;
      request.on('error', () => {});
      this.#serveInTurn(new NodeHttpRequest(request, raw, this.#closing.signal), raw);
    });
    this.#server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      void this.#serveUpgrade(request, socket, head);
    });
    const nodeConnection = this.#server.listeners('secureConnection') as ((this: Http2SecureServer, socket: TLSSocket) => void)[];
    this.#server.removeAllListeners('secureConnection');
    const toNode = (socket: TLSSocket) => {
      for (const listener of nodeConnection) listener.call(this.#server, socket);
    };
    this.#server.on('secureConnection', (socket: TLSSocket) => {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on('close', () => this.#sockets.delete(socket));
      socket.on('error', () => {}); // the close event follows; the request side sees it as an abort
      if (socket.alpnProtocol === 'h2') toNode(socket);
      else new PlainConnection(socket, { ...plain, handOver: toNode }).start();
    });
    this.#server.on('sessionError', (error: Error) => this.#logger.debug('HTTP/2 session ended with an error', { err: error }));
    this.#server.on('tlsClientError', (error: Error) => this.#logger.debug('TLS handshake failed', { err: error }));
  }

  /** Starts to listen; port 0 picks a free one. Rejects with an error that names address and port. */
  listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number }> {
    return new Promise((resolve, reject) => {
      const onError = (error: NodeJS.ErrnoException) => reject(describeListenError(error, host, port));
      this.#server.once('error', onError);
      this.#server.listen({ host, port, backlog: 4096 }, () => {
        this.#server.off('error', onError);
        this.#server.on('error', (error: Error) => this.#logger.error('listener failed', { err: error }));
        const address = this.#server.address() as AddressInfo;
        resolve({ host: address.address, port: address.port });
      });
    });
  }

  /** Open connections. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** Replaces key and certificate for new connections. */
  replaceTls(tls: TlsMaterial): void {
    this.#server.setSecureContext({ ...tlsPolicy, key: tls.keyPem, cert: tls.certificatePem, ca: [...tls.clientAuthoritiesPem] });
  }

  /** Stops accepting, ends streams, waits up to `graceMs` for answers in flight, then closes every connection. */
  async close(graceMs: number): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    this.#closing.abort(new Error('server is shutting down'));
    const deadline = performance.now() + graceMs;
    while (this.#active > 0 && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
    for (const socket of this.#sockets) socket.destroy();
    this.#stalls.stop();
    await closed;
  }

  /**
   * Of many writes that came at once a few are begun in each turn of the event loop: otherwise the store, whose last commit is through,
   * would wait for all of them before it can begin the next, and all of them for the store. Reads cost too little to be told apart.
   */
  #serveInTurn(request: ListenerRequest, response: RawResponse): void {
    response.on('error', () => {});
    const turn = this.#active >= manyRequests && request.method !== 'GET' ? this.#turns.pass() : undefined;
    this.#active++;
    if (turn === undefined) void this.#serve(request, response);
    else {
      void turn.then(() => {
        // Who left in the meantime is told nothing, and would not be noticed any more.
        if (response.destroyed === true || response.stream?.destroyed === true) this.#active--;
        else void this.#serve(request, response);
      });
    }
  }

  async #serve(request: ListenerRequest, response: RawResponse): Promise<void> {
    try {
      const answer = await this.#handler(request);
      await this.#send(response, answer, request);
    } catch (error) {
      this.#logger.error('request failed outside the handler', { err: error });
      if (response.headersSent) response.stream?.close?.();
      else writeInternalError(response);
    } finally {
      this.#active--;
    }
  }

  async #send(response: RawResponse, answer: HttpResponse, request: ListenerRequest): Promise<void> {
    switch (answer.kind) {
      case 'full': {
        if (response.destroyed === true || response.writableEnded) return;
        // HTTP/2 has a stream of its own for every request; what is left of this one's body hinders no other.
        if (request.bodyUnread && request.httpVersionMajor === 1) await sendBeforeBodyEnds(response, answer, request);
        else this.#sendFull(response, answer.status, answer.headers, answer.body);
        return;
      }
      case 'stream': {
        response.writeHead(answer.status, answer.headers as Record<string, string>);
        const sink = new ResponseStreamSink(response, request.signal);
        // Until the client has taken all of it, which may be long after the last byte was written.
        response.once('close', this.#stalls.watch(sink));
        try {
          await answer.run(sink);
        } finally {
          if (!response.writableEnded) response.end();
        }
        return;
      }
      case 'upgraded':
        throw new Error('a request without Upgrade was answered by an upgrade');
    }
  }

  #sendFull(response: RawResponse, status: number, headers: object, body: Uint8Array | string | readonly Uint8Array[]): void {
    if (Array.isArray(body)) {
      const chunks = body as readonly Uint8Array[];
      const length = chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
      response.writeHead(status, { 'content-length': length, ...headers });
      for (const chunk of chunks) response.write(chunk);
      response.end();
    } else {
      const single = body as Uint8Array | string;
      const length = typeof single === 'string' ? Buffer.byteLength(single) : single.byteLength;
      response.writeHead(status, { 'content-length': length, ...headers });
      // With a string in the head's encoding Node makes one write of head and body; with bytes it makes two, at double the cost.
      if (single instanceof Buffer && length <= maxStringBody && response.stream === undefined)
        response.end(single.toString('latin1'), 'latin1');
      else response.end(single);
    }
    if (response.writableLength > 256 * 1024) {
      const sink = new ResponseStreamSink(response, undefined);
      response.once('close', this.#stalls.watch(sink));
    }
  }

  async #serveUpgrade(raw: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    this.#active++;
    socket.on('error', () => {});
    try {
      const request = new NodeHttpRequest(raw, undefined, this.#closing.signal, { socket, head });
      const answer = await this.#handler(request);
      if (answer.kind === 'upgraded') return;
      await writeRawResponse(socket, answer, request.signal);
    } catch (error) {
      this.#logger.error('upgrade failed outside the handler', { err: error });
      socket.destroy();
    } finally {
      this.#active--;
    }
  }
}

/** What HTTP/1.1's time-outs do: an HTTP/2 connection on which nothing moves and nothing is served is closed. */
function closeWhenIdle(session: ServerHttp2Session, idleTimeoutMs: number): void {
  let streams = 0;
  session.on('stream', (stream) => {
    streams++;
    stream.once('close', () => {
      streams--;
      // The timer runs once; what is sent and received starts it again, but the end of a stream is neither.
      if (streams === 0) session.setTimeout(idleTimeoutMs);
    });
  });
  session.setTimeout(idleTimeoutMs);
  session.on('timeout', () => {
    if (streams === 0) session.destroy();
  });
}

/** How long the rest of a body is read away that is not wanted. */
const maxLingerMs = 2_000;

/**
 * Answers over HTTP/1.1 while the client still sends: what is left of the body would be taken for the next request, so the connection
 * is closed behind the answer. Not at once, though: a connection that is closed on unread bytes is reset, and a client that was busy
 * sending never sees the answer.
 */
async function sendBeforeBodyEnds(response: RawResponse, answer: HttpResponse & { kind: 'full' }, request: ListenerRequest): Promise<void> {
  const body = Array.isArray(answer.body) ? Buffer.concat(answer.body) : Buffer.from(answer.body as Uint8Array | string);
  response.writeHead(answer.status, { 'content-length': body.length, ...answer.headers, connection: 'close' });
  response.flushHeaders();
  response.write(body);
  await request.discardBody(maxLingerMs);
  response.end();
}

function writeInternalError(response: RawResponse): void {
  const body = JSON.stringify({
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Failure',
    message: 'This request caused apiserver to panic. Look in the logs for details.',
    reason: 'InternalError',
    code: 500,
  });
  // Node remembers the length of an answer whose headers it then refused.
  response.writeHead(500, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) });
  response.end(body);
}
