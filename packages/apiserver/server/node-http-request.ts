import type { IncomingMessage } from 'node:http';
import type { Http2ServerRequest } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { BodyTooLargeError, type HttpPeer, type UpgradedConnection } from '@coffer/base/http/handler';
import { certificateFingerprint } from '../authentication/client-authorities.ts';
import { abortWhenGone, type ListenerRequest } from './listener-request.ts';

export type RawRequest = IncomingMessage | Http2ServerRequest;

/** The parts of Node's two response classes (`ServerResponse`, `Http2ServerResponse`) that the listener uses. */
export interface RawResponse {
  /** HTTP/2 only. */
  readonly stream?: { readonly destroyed?: boolean; close?: () => void };
  readonly socket: Duplex | null;
  /** HTTP/1.1 only: the body goes out in chunked encoding. Known once the head is written. */
  readonly chunkedEncoding?: boolean;
  readonly headersSent: boolean;
  readonly writableLength: number;
  readonly writableEnded: boolean;
  readonly destroyed?: boolean;
  writeHead(status: number, headers: object): unknown;
  flushHeaders(): void;
  write(chunk: Uint8Array | string): boolean;
  end(chunk?: Uint8Array | string, encoding?: BufferEncoding): unknown;
  on(event: string, listener: (...args: never[]) => void): unknown;
  once(event: string, listener: (...args: never[]) => void): unknown;
  off(event: string, listener: (...args: never[]) => void): unknown;
}

const peers = new WeakMap<object, HttpPeer>();

/** `HttpRequest` over Node's HTTP/1.1 and HTTP/2 request objects. Whatever is costly is made when first asked for. */
export class NodeHttpRequest implements ListenerRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: ListenerRequest['headers'];
  readonly upgrade?: () => UpgradedConnection;
  readonly #raw: RawRequest;
  readonly #response: RawResponse | undefined;
  readonly #serverClosing: AbortSignal;
  readonly #socket: Duplex | undefined;
  #signal: AbortSignal | undefined;
  #bodyRead = false;
  /** Kept, because it is asked for when the connection is gone as well. */
  #peer: HttpPeer | undefined;

  constructor(
    raw: RawRequest,
    response: RawResponse | undefined,
    serverClosing: AbortSignal,
    upgraded?: { readonly socket: Duplex; readonly head: Uint8Array },
  ) {
    this.#raw = raw;
    this.#response = response;
    this.#serverClosing = serverClosing;
    this.#socket = upgraded?.socket;
    this.method = raw.method ?? 'GET';
    this.url = raw.url ?? '/';
    this.headers = raw.headers;
    if (upgraded) this.upgrade = () => upgraded;
  }

  get rawHeaders(): readonly string[] {
    return this.#raw.rawHeaders;
  }

  get httpVersionMajor(): number {
    return this.#raw.httpVersionMajor;
  }

  get bodyUnread(): boolean {
    return !this.#bodyRead && !this.#raw.complete && (this.headers['content-length'] ?? this.headers['transfer-encoding']) !== undefined;
  }

  get peer(): HttpPeer {
    this.#peer ??= this.#readPeer();
    return this.#peer;
  }

  get signal(): AbortSignal {
    this.#signal ??= abortWhenGone(this.#response ?? this.#socket ?? this.#raw, this.#response, this.#serverClosing);
    return this.#signal;
  }

  discardBody(maxMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, maxMs);
      const done = () => {
        clearTimeout(timer);
        resolve();
      };
      for (const event of ['end', 'close', 'error']) this.#raw.once(event, done);
      this.#raw.resume();
    });
  }

  readBody(maxBytes: number): Promise<Uint8Array> {
    const announced = Number(this.headers['content-length'] ?? 0);
    if (announced > maxBytes) return Promise.reject(new BodyTooLargeError(maxBytes));
    return new Promise((resolve, reject) => {
      const chunks: Buffer[] = [];
      let size = 0;
      const onData = (chunk: Buffer) => {
        size += chunk.length;
        if (size > maxBytes) {
          this.#raw.off('data', onData);
          this.#raw.pause();
          reject(new BodyTooLargeError(maxBytes));
          return;
        }
        chunks.push(chunk);
      };
      this.#raw.on('data', onData);
      this.#raw.once('end', () => {
        this.#bodyRead = true;
        resolve(chunks.length === 1 && chunks[0] ? chunks[0] : Buffer.concat(chunks, size));
      });
      this.#raw.once('error', reject);
      this.#raw.once('close', () => {
        // Every request is closed at last, and an error is costly to make.
        if (!this.#bodyRead) reject(new Error('client closed the connection'));
      });
    });
  }

  #readPeer(): HttpPeer {
    const socket = (this.#raw instanceof Object && 'stream' in this.#raw ? this.#raw.stream.session?.socket : this.#raw.socket) as
      | TLSSocket
      | undefined;
    return socket ? peerOf(socket) : { address: '' };
  }
}

/** Who is at the other end; the same object for every request of a connection. */
export function peerOf(socket: TLSSocket): HttpPeer {
  // HTTP/2 hands out a proxy of the socket per session: stable enough as a key, and one look-up per connection.
  let peer = peers.get(socket);
  if (!peer) {
    const certificate = socket.getPeerX509Certificate?.()?.raw;
    peer = {
      address: socket.remoteAddress ?? '',
      ...(certificate ? { certificate, certificateVerified: socket.authorized } : {}),
      ...(certificate && socket.authorized ? authorityOf(socket) : {}),
    };
    peers.set(socket, peer);
  }
  return peer;
}

/** Longer chains count as unverified: authorities that sign each other would have no end. */
const maxChainLength = 16;

/** The last certificate of the chain that the TLS layer built. */
function authorityOf(socket: TLSSocket): Pick<HttpPeer, 'certificateAuthority'> {
  let certificate = socket.getPeerCertificate(true);
  for (let depth = 0; certificate.issuerCertificate && certificate.issuerCertificate !== certificate; depth++) {
    if (depth === maxChainLength) return {};
    certificate = certificate.issuerCertificate;
  }
  return certificate.raw ? { certificateAuthority: certificateFingerprint(certificate.raw) } : {};
}
