/**
 * Calls a request handler in this process as one identity: the same request object and the same filter chain as over TLS, without
 * sockets. What the handler streams is buffered up to `maxBufferedBytes`; beyond that the sink reports back-pressure, exactly as a
 * slow network client would.
 */
import { setMaxListeners } from 'node:events';
import type { Handler, HttpHeaders, HttpRequest, HttpResponse, StreamSink, UserInfo } from '@coffer/base/http/handler';
import { BodyTooLargeError } from '@coffer/base/http/handler';
import type { TurnGate } from '@coffer/base/time/turn-gate';
import type { Transport, TransportRequest, TransportResponse, TransportStream } from './transport.ts';

export interface InProcessTransportOptions {
  readonly handler: Handler;
  /** Who the calls are made as. */
  readonly identity: UserInfo;
  /** Sent as `user-agent`; names the field manager of what is written. */
  readonly userAgent: string;
  readonly maxBufferedBytes?: number;
  /** Shared by the transports of a process, so that all their requests together leave the event loop to others now and then. */
  readonly turns?: TurnGate;
}

const encoder = new TextEncoder();

/** A transport that hands requests to `handler` directly. `close` ends every open stream. */
export function inProcessTransport(options: InProcessTransportOptions): Transport {
  const closed = new AbortController();

  function prepare(request: TransportRequest): { http: HttpRequest; controller: AbortController; release: () => void } {
    const controller = new AbortController();
    const signals = request.signal === undefined ? [closed.signal] : [closed.signal, request.signal];
    const onAbort = (event: Event) => controller.abort((event.target as AbortSignal).reason);
    for (const signal of signals) {
      // One signal ends many requests at a time; that is no leak.
      setMaxListeners(0, signal);
      if (signal.aborted) controller.abort(signal.reason);
      else signal.addEventListener('abort', onAbort, { once: true });
    }
    const release = () => {
      for (const signal of signals) signal.removeEventListener('abort', onAbort);
    };
    const body = typeof request.body === 'string' ? encoder.encode(request.body) : request.body;
    const http: HttpRequest = {
      method: request.method,
      url: request.path,
      headers: requestHeaders(request.headers, options.userAgent, body),
      readBody: async (maxBytes) => {
        if (body !== undefined && body.length > maxBytes) throw new BodyTooLargeError(maxBytes);
        return body ?? new Uint8Array();
      },
      signal: controller.signal,
      peer: { address: 'in-process', identity: options.identity },
    };
    return { http, controller, release };
  }

  return {
    async request(request) {
      const { http, controller, release } = prepare(request);
      try {
        const turn = options.turns?.pass();
        if (turn !== undefined) await turn;
        controller.signal.throwIfAborted();
        return await wholeAnswer(await untilAborted(options.handler(http), controller.signal), controller);
      } finally {
        release();
      }
    },
    async stream(request) {
      const { http, controller, release } = prepare(request);
      try {
        controller.signal.throwIfAborted();
        const response = await untilAborted(options.handler(http), controller.signal);
        return streamedAnswer(response, controller, release, options.maxBufferedBytes ?? 4 * 1024 * 1024);
      } catch (error) {
        release();
        throw error;
      }
    },
    close() {
      closed.abort(new Error('the transport is closed'));
    },
  };
}

function requestHeaders(given: HttpHeaders | undefined, userAgent: string, body: Uint8Array | undefined): HttpRequest['headers'] {
  const headers: Record<string, string | readonly string[]> = { 'user-agent': userAgent };
  for (const [name, value] of Object.entries(given ?? {}))
    headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : String(value);
  if (body !== undefined) headers['content-length'] = String(body.length);
  return headers;
}

function responseHeaders(given: HttpHeaders): Record<string, string | undefined> {
  const headers: Record<string, string | undefined> = {};
  for (const [name, value] of Object.entries(given)) headers[name.toLowerCase()] = Array.isArray(value) ? value.join(', ') : String(value);
  return headers;
}

async function wholeAnswer(response: HttpResponse, controller: AbortController): Promise<TransportResponse> {
  if (response.kind === 'upgraded') throw new Error('the server took over a connection that does not exist');
  const headers = responseHeaders(response.headers);
  if (response.kind === 'full') return { status: response.status, headers, body: joinBody(response.body) };
  const buffer = new BufferedSink(Number.POSITIVE_INFINITY, controller);
  await response.run(buffer);
  return { status: response.status, headers, body: buffer.takeAll() };
}

function streamedAnswer(
  response: HttpResponse,
  controller: AbortController,
  release: () => void,
  maxBufferedBytes: number,
): TransportStream {
  if (response.kind === 'upgraded') throw new Error('the server took over a connection that does not exist');
  const headers = responseHeaders(response.headers);
  if (response.kind === 'full') {
    release();
    return { status: response.status, headers, chunks: oneChunk(joinBody(response.body)) };
  }
  const sink = new BufferedSink(maxBufferedBytes, controller);
  response.run(sink).then(
    () => sink.end(),
    (error: unknown) => sink.end(error),
  );
  return { status: response.status, headers, chunks: sink.read(release) };
}

async function* oneChunk(body: Uint8Array): AsyncGenerator<Uint8Array> {
  if (body.length > 0) yield body;
}

function joinBody(body: Uint8Array | string | readonly Uint8Array[]): Uint8Array {
  if (typeof body === 'string') return encoder.encode(body);
  return body instanceof Uint8Array ? body : Buffer.concat(body);
}

/** Resolves with the handler's answer, or rejects as soon as the signal is aborted. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort));
  });
}

class BufferedSink implements StreamSink {
  readonly signal: AbortSignal;
  readonly #controller: AbortController;
  readonly #maxBufferedBytes: number;
  #chunks: Uint8Array[] = [];
  #bufferedBytes = 0;
  #ended = false;
  #error: unknown;
  #wakeReader: (() => void) | undefined;
  #drainWaiters: { resolve: () => void; reject: (reason: unknown) => void }[] = [];

  constructor(maxBufferedBytes: number, controller: AbortController) {
    this.#maxBufferedBytes = maxBufferedBytes;
    this.#controller = controller;
    this.signal = controller.signal;
    this.signal.addEventListener('abort', () => this.#abort(), { once: true });
  }

  get bufferedBytes(): number {
    return this.#bufferedBytes;
  }

  write(chunk: Uint8Array | string): boolean {
    if (this.#ended || this.signal.aborted) return false;
    const bytes = typeof chunk === 'string' ? encoder.encode(chunk) : chunk;
    this.#chunks.push(bytes);
    this.#bufferedBytes += bytes.length;
    this.#wake();
    return this.#bufferedBytes < this.#maxBufferedBytes;
  }

  drained(): Promise<void> {
    if (this.signal.aborted) return Promise.reject(this.signal.reason);
    if (this.#bufferedBytes < this.#maxBufferedBytes) return Promise.resolve();
    return new Promise((resolve, reject) => this.#drainWaiters.push({ resolve, reject }));
  }

  flush(): void {}

  end(error?: unknown): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }

  takeAll(): Uint8Array {
    const all = this.#chunks.length === 1 && this.#chunks[0] ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [];
    this.#bufferedBytes = 0;
    return all;
  }

  async *read(release: () => void): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        while (this.#chunks.length > 0) {
          const batch = this.#chunks;
          this.#chunks = [];
          this.#bufferedBytes = 0;
          this.#settleDrainWaiters();
          yield batch.length === 1 && batch[0] ? batch[0] : Buffer.concat(batch);
        }
        this.signal.throwIfAborted();
        if (this.#ended) {
          if (this.#error !== undefined) throw this.#error;
          return;
        }
        await new Promise<void>((resolve) => {
          this.#wakeReader = resolve;
        });
      }
    } finally {
      release();
      this.#controller.abort(new Error('the reader has gone'));
    }
  }

  #abort(): void {
    for (const waiter of this.#drainWaiters.splice(0)) waiter.reject(this.signal.reason);
    this.#wake();
  }

  #settleDrainWaiters(): void {
    for (const waiter of this.#drainWaiters.splice(0)) waiter.resolve();
  }

  #wake(): void {
    const wake = this.#wakeReader;
    this.#wakeReader = undefined;
    wake?.();
  }
}
