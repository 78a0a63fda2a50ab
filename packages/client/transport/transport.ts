import type { HttpHeaders } from '@coffer/base/http/handler';

/**
 * How a client reaches an API server: over TLS with a kubeconfig, or in process by calling the server's handler with an
 * identity attached. Everything above it (`rest/`, reflector, informers) works unchanged with both.
 */
export interface Transport {
  /** Sends one request and reads the whole answer. Rejects only when no answer came (network, abort). */
  request(request: TransportRequest): Promise<TransportResponse>;
  /** Sends one request whose answer is read as it comes (watch, logs). For a status other than 2xx the body is the error. */
  stream(request: TransportRequest): Promise<TransportStream>;
  close(): void;
}

export interface TransportRequest {
  readonly method: string;
  /** Path and query. */
  readonly path: string;
  readonly headers?: HttpHeaders;
  readonly body?: Uint8Array | string;
  readonly signal?: AbortSignal;
}

export interface TransportResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: Uint8Array;
}

export interface TransportStream {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly chunks: AsyncIterable<Uint8Array>;
}
