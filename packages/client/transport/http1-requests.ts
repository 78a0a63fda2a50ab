/** Requests over HTTP/1.1 with kept-alive connections. */
import type { ClientRequest, Agent as HttpAgent, IncomingMessage } from 'node:http';
import { request as httpRequest } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { request as httpsRequest } from 'node:https';
import type { RawAnswer, RawRequest, RequestSender } from './raw-request.ts';
import { plainHeaders } from './raw-request.ts';

export class Http1Requests implements RequestSender {
  readonly #base: URL;
  readonly #agent: HttpAgent | HttpsAgent;

  constructor(base: URL, agent: HttpAgent | HttpsAgent) {
    this.#base = base;
    this.#agent = agent;
  }

  send(request: RawRequest): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string | string[]> = {};
      for (const [name, value] of Object.entries(request.headers)) headers[name] = typeof value === 'string' ? value : [...value];
      if (request.body !== undefined) headers['content-length'] = String(request.body.length);
      const options = {
        method: request.method,
        hostname: this.#base.hostname.replace(/^\[|\]$/g, ''),
        port: this.#base.port,
        path: request.path,
        headers,
        agent: this.#agent,
        signal: request.signal,
      };
      const onAnswer = (answer: IncomingMessage) =>
        resolve({ status: answer.statusCode ?? 0, headers: plainHeaders(answer.headers), chunks: answer as AsyncIterable<Uint8Array> });
      const sent: ClientRequest = this.#base.protocol === 'https:' ? httpsRequest(options, onAnswer) : httpRequest(options, onAnswer);
      sent.on('error', (error) => reject(request.signal.aborted ? request.signal.reason : error));
      sent.end(request.body);
    });
  }

  close(): void {
    this.#agent.destroy();
  }
}
