/**
 * Reaches an API server over TLS. HTTP/2 with all requests and watches on few connections where the server offers it, else HTTP/1.1 with
 * keep-alive. A connection that stops answering pings is dropped, so that a watch on a dead line ends instead of waiting for ever.
 */
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { Clock } from '@coffer/base/time/clock';
import type { Connection } from '../kubeconfig/connection.ts';
import { Http1Requests } from './http1-requests.ts';
import { Http2Requests } from './http2-requests.ts';
import { negotiateProtocol } from './negotiate-protocol.ts';
import type { RawAnswer, RawRequest, RequestSender } from './raw-request.ts';
import type { Transport, TransportRequest, TransportResponse } from './transport.ts';

export interface HttpsTransportOptions {
  readonly connection: Connection;
  readonly clock: Clock;
  /** Sent as `user-agent`; names the field manager of what is written. */
  readonly userAgent: string;
}

/** A transport over the network. Connects with the first request. */
export function httpsTransport(options: HttpsTransportOptions): Transport {
  const { connection, clock } = options;
  const base = new URL(connection.server);
  const closed = new AbortController();
  let sender: Promise<RequestSender> | undefined;

  function connect(): Promise<RequestSender> {
    sender ??= openSender(base, connection, clock).catch((error: unknown) => {
      sender = undefined;
      throw error;
    });
    return sender;
  }

  async function send(request: TransportRequest): Promise<RawAnswer> {
    closed.signal.throwIfAborted();
    request.signal?.throwIfAborted();
    const headers: Record<string, string | readonly string[]> = { 'user-agent': options.userAgent };
    for (const [name, value] of Object.entries(request.headers ?? {}))
      headers[name.toLowerCase()] = typeof value === 'number' ? String(value) : value;
    Object.assign(headers, await connection.credentials());
    const raw: RawRequest = {
      method: request.method,
      path: (base.pathname === '/' ? '' : base.pathname) + request.path,
      headers,
      body: typeof request.body === 'string' ? Buffer.from(request.body) : request.body,
      signal: request.signal === undefined ? closed.signal : AbortSignal.any([closed.signal, request.signal]),
    };
    return (await connect()).send(raw);
  }

  return {
    async request(request): Promise<TransportResponse> {
      const answer = await send(request);
      const chunks: Uint8Array[] = [];
      for await (const chunk of answer.chunks) chunks.push(chunk);
      return { status: answer.status, headers: answer.headers, body: Buffer.concat(chunks) };
    },
    stream: send,
    close() {
      closed.abort(new Error('the transport is closed'));
      void sender?.then((open) => open.close()).catch(() => undefined);
    },
  };
}

async function openSender(base: URL, connection: Connection, clock: Clock): Promise<RequestSender> {
  if (base.protocol === 'http:') return new Http1Requests(base, new HttpAgent({ keepAlive: true }));
  if (base.protocol !== 'https:') throw new Error(`cannot reach a server by ${base.protocol}`);
  const tls = {
    ...(connection.tls.ca === undefined ? {} : { ca: connection.tls.ca }),
    ...(connection.tls.cert === undefined ? {} : { cert: connection.tls.cert }),
    ...(connection.tls.key === undefined ? {} : { key: connection.tls.key }),
    ...(connection.tls.serverName === undefined ? {} : { servername: connection.tls.serverName }),
    rejectUnauthorized: !connection.tls.skipVerification,
    minVersion: 'TLSv1.2' as const,
  };
  const protocol = await negotiateProtocol(base, tls);
  if (protocol === 'h2') return new Http2Requests(base, tls, clock);
  return new Http1Requests(base, new HttpsAgent({ keepAlive: true, ...tls }));
}
