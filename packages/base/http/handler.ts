import type { Duplex } from 'node:stream';

/**
 * One HTTP request and its answer, independent of sockets: the server core is a `Handler`, the TLS listener is one adapter of
 * it, the in-process transport of `coffer up` another.
 */
export interface HttpRequest {
  readonly method: string;
  /** Path and query exactly as they came, e.g. `/api/v1/namespaces/default/secrets?limit=5`. */
  readonly url: string;
  /** Names in lower case; repeated headers are joined with `, ` (Node's rule). */
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
  /** Names and values in turn, exactly as they came: where a value may hold a comma, `headers` is ambiguous. */
  readonly rawHeaders?: readonly string[];
  /** Reads the whole body. Rejects with `BodyTooLargeError` as soon as more than `maxBytes` arrived. Called at most once. */
  readBody(maxBytes: number): Promise<Uint8Array>;
  /** Aborted when the client has gone or the server stops waiting for it. */
  readonly signal: AbortSignal;
  readonly peer: HttpPeer;
  /** Present when the client asked for a protocol upgrade: takes over the connection. */
  readonly upgrade?: () => UpgradedConnection;
}

export interface HttpPeer {
  /** IP address without port; `in-process` for the in-process transport. */
  readonly address: string;
  /** The verified or unverified client certificate in DER, when one was sent over TLS. */
  readonly certificate?: Uint8Array;
  /** True when the TLS layer verified `certificate` against the client CA. */
  readonly certificateVerified?: boolean;
  /** SHA-256, in hexadecimal, of the authority at the end of the verified chain. */
  readonly certificateAuthority?: string;
  /** Identity attached by the in-process transport; never set from the network. */
  readonly identity?: UserInfo;
}

/** Who makes a request (authentication.k8s.io UserInfo). */
export interface UserInfo {
  readonly name: string;
  readonly uid?: string;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>>;
}

export interface UpgradedConnection {
  readonly socket: Duplex;
  /** Bytes that were read behind the request's head. */
  readonly head: Uint8Array;
}

export type HttpHeaders = Readonly<Record<string, string | number | readonly string[]>>;

/** A complete answer, a stream, or a connection that was taken over. */
export type HttpResponse =
  | {
      readonly kind: 'full';
      readonly status: number;
      readonly headers: HttpHeaders;
      readonly body: Uint8Array | string | readonly Uint8Array[];
    }
  | { readonly kind: 'stream'; readonly status: number; readonly headers: HttpHeaders; readonly run: (sink: StreamSink) => Promise<void> }
  | { readonly kind: 'upgraded' };

/** Where a streamed answer goes. `run` resolves when the answer is complete; the adapter then ends the response. */
export interface StreamSink {
  /** Queues bytes. Returns false when the client reads too slowly: then wait for `drained` or end the stream. */
  write(chunk: Uint8Array | string): boolean;
  /** Resolves when the buffer has room again; rejects when the client has gone. */
  drained(): Promise<void>;
  /** Bytes queued and not yet taken by the client. */
  readonly bufferedBytes: number;
  /** Sends what is queued so far. */
  flush(): void;
  /** Aborted when the client has gone. */
  readonly signal: AbortSignal;
}

export type Handler = (request: HttpRequest) => Promise<HttpResponse>;

export class BodyTooLargeError extends Error {
  readonly maxBytes: number;
  constructor(maxBytes: number) {
    super(`request body is larger than ${maxBytes} bytes`);
    this.name = 'BodyTooLargeError';
    this.maxBytes = maxBytes;
  }
}
