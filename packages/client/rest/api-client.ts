/**
 * Calls of one API server over one transport: JSON in and out, errors as StatusError. An answer that asks to come again later
 * (429, or 5xx with `Retry-After`) is retried up to `maxRetries` times after the time it names. Network errors are the caller's.
 */
import type { Clock } from '@coffer/base/time/clock';
import type { Transport, TransportRequest, TransportResponse, TransportStream } from '../transport/transport.ts';
import { errorFromAnswer } from './answer-error.ts';
import type { ApiObject } from './api-object.ts';
import { ResourceClient } from './resource-client.ts';
import type { ResourceRef } from './resource-ref.ts';

export interface ApiClientDeps {
  readonly transport: Transport;
  readonly clock: Clock;
  readonly maxRetries?: number;
}

const decoder = new TextDecoder();

export class ApiClient {
  readonly #transport: Transport;
  readonly #clock: Clock;
  readonly #maxRetries: number;

  constructor(deps: ApiClientDeps) {
    this.#transport = deps.transport;
    this.#clock = deps.clock;
    this.#maxRetries = deps.maxRetries ?? 10;
  }

  /** The typed client of one resource. */
  resource<T extends ApiObject>(ref: ResourceRef<T>): ResourceClient<T> {
    return new ResourceClient<T>(this, ref);
  }

  /** Sends a request and returns the parsed JSON of a 2xx answer; anything else is thrown as StatusError. */
  async json(request: TransportRequest): Promise<unknown> {
    const response = await this.raw(request);
    if (response.body.length === 0) return undefined;
    return JSON.parse(decoder.decode(response.body));
  }

  /** Sends a request and returns a 2xx answer as it is. */
  async raw(request: TransportRequest): Promise<TransportResponse> {
    const sent = { ...request, headers: { accept: 'application/json', ...request.headers } };
    for (let attempt = 0; ; attempt++) {
      const response = await this.#transport.request(sent);
      if (response.status >= 200 && response.status < 300) return response;
      const retryAfterMs = retryDelayMs(response);
      if (retryAfterMs === undefined || attempt >= this.#maxRetries) throw errorFromAnswer(response.status, response.body);
      await this.#clock.sleep(retryAfterMs, request.signal);
    }
  }

  /** Opens a streamed answer (watch, logs). */
  async stream(request: TransportRequest): Promise<TransportStream> {
    const sent = { ...request, headers: { accept: 'application/json', ...request.headers } };
    for (let attempt = 0; ; attempt++) {
      const response = await this.#transport.stream(sent);
      if (response.status >= 200 && response.status < 300) return response;
      const chunks: Uint8Array[] = [];
      for await (const chunk of response.chunks) chunks.push(chunk);
      const retryAfterMs = retryDelayMs(response);
      if (retryAfterMs === undefined || attempt >= this.#maxRetries) throw errorFromAnswer(response.status, Buffer.concat(chunks));
      await this.#clock.sleep(retryAfterMs, request.signal);
    }
  }
}

/** How long the server asked to wait, or undefined when it did not ask. */
function retryDelayMs(response: Pick<TransportResponse, 'status' | 'headers'>): number | undefined {
  if (response.status !== 429 && response.status < 500) return undefined;
  const seconds = Number(response.headers['retry-after'] ?? Number.NaN);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}
