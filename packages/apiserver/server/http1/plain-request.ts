import { BodyTooLargeError, type HttpPeer } from '@coffer/base/http/handler';
import type { ListenerRequest } from '../listener-request.ts';
import { abortWhenGone } from '../listener-request.ts';
import type { RawResponse } from '../node-http-request.ts';
import type { WholeRequest } from './whole-request.ts';

/** `HttpRequest` that arrived in one piece. */
export class PlainRequest implements ListenerRequest {
  readonly method: string;
  readonly url: string;
  readonly headers: WholeRequest['headers'];
  readonly httpVersionMajor = 1;
  readonly bodyUnread = false;
  readonly peer: HttpPeer;
  readonly #body: Buffer;
  readonly #response: RawResponse;
  readonly #serverClosing: AbortSignal;
  #signal: AbortSignal | undefined;

  constructor(request: WholeRequest, peer: HttpPeer, response: RawResponse, serverClosing: AbortSignal) {
    this.method = request.method;
    this.url = request.url;
    this.headers = request.headers;
    this.peer = peer;
    this.#body = request.body;
    this.#response = response;
    this.#serverClosing = serverClosing;
  }

  get signal(): AbortSignal {
    this.#signal ??= abortWhenGone(this.#response, this.#response, this.#serverClosing);
    return this.#signal;
  }

  readBody(maxBytes: number): Promise<Uint8Array> {
    return this.#body.length > maxBytes ? Promise.reject(new BodyTooLargeError(maxBytes)) : Promise.resolve(this.#body);
  }

  async discardBody(): Promise<void> {}
}
