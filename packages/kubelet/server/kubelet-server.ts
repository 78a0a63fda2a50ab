import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import { StatusError } from '@coffer/api/errors/status-error';
import { type NodeApi, NodeRefusal } from '@coffer/api/node/node-api';
import { channelsOf, forwardTo, runOnChannels } from '@coffer/api/node/process-channels';
import { tlsPolicy } from '@coffer/base/http/tls-policy';
import type { Logger } from '@coffer/base/log/logger';
import { commandStatus } from '@coffer/base/spdy/command-status';
import { serveCommand, serveForwards } from '@coffer/base/spdy/serve';
import { acceptUpgrade, spdyProtocols } from '@coffer/base/spdy/upgrade';
import type { ApiClient } from '@coffer/client/rest/api-client';
import { drained } from './drained.ts';
import { KubeletAccess } from './kubelet-access.ts';
import { answerRoute, type PagesDeps } from './kubelet-pages.ts';
import { attributesFor } from './request-attributes.ts';
import { type Route, routeOf } from './routes.ts';

export interface KubeletServerDeps extends PagesDeps {
  readonly nodeApi: NodeApi;
  readonly nodeName: string;
  /** For TokenReview and SubjectAccessReview, as the kubelet's own identity. */
  readonly api: ApiClient;
  readonly tls: {
    readonly keyPem: string;
    readonly certificatePem: string;
    /** Whose client certificates count. */
    readonly clientAuthorityPem: string;
  };
  readonly logger: Logger;
}

export interface KubeletServer {
  /** Starts to listen; port 0 picks a free one. */
  listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number }>;
  replaceTls(tls: KubeletServerDeps['tls']): void;
  close(): Promise<void>;
}

/**
 * The kubelet's own port, where a kubelet runs in a process of its own: logs, exec, attach and port-forward for API servers, health and
 * lists of pods, under upstream's paths. TLS 1.2 or newer; everybody is authenticated, and authorised by the API server before
 * anything is looked at. What this kubelet does not serve is a 404.
 */
export function createKubeletServer(deps: KubeletServerDeps): KubeletServer {
  return new HttpsKubeletServer(deps);
}

/** Request line and headers; as much as the API server takes, whose requests to execute a command carry it in the address. */
const maxHeaderBytes = 1024 * 1024;

class HttpsKubeletServer implements KubeletServer {
  readonly #deps: KubeletServerDeps;
  readonly #access: KubeletAccess;
  readonly #server: Server;
  readonly #upgraded = new Set<Duplex>();

  constructor(deps: KubeletServerDeps) {
    this.#deps = deps;
    this.#access = new KubeletAccess(deps);
    this.#server = createServer({
      ...secureContext(deps.tls),
      requestCert: true,
      rejectUnauthorized: false,
      handshakeTimeout: 10_000,
      requestTimeout: 60_000,
      headersTimeout: 20_000,
      maxHeaderSize: maxHeaderBytes,
    });
    this.#server.on('request', (request, response) => void this.#serve(request, response));
    this.#server.on('upgrade', (request, socket, head) => void this.#serveUpgrade(request, socket, head));
    this.#server.on('tlsClientError', (error) => deps.logger.debug('TLS handshake failed', { err: error }));
  }

  listen(host: string, port: number): Promise<{ readonly host: string; readonly port: number }> {
    return new Promise((resolve, reject) => {
      this.#server.once('error', (error) => reject(new Error(`the kubelet cannot listen on ${host}:${port}`, { cause: error })));
      this.#server.listen({ host, port }, () => {
        const { address, port: actual } = this.#server.address() as AddressInfo;
        resolve({ host: address, port: actual });
      });
    });
  }

  replaceTls(tls: KubeletServerDeps['tls']): void {
    this.#server.setSecureContext(secureContext(tls));
  }

  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
    for (const socket of this.#upgraded) socket.destroy();
    this.#server.closeAllConnections();
    await closed;
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    try {
      const route = await this.#admit(request);
      if (route instanceof Refusal) {
        answer(response, route.status, route.text);
        return;
      }
      await this.#answer(route, response);
    } catch (error) {
      if (response.headersSent) response.destroy();
      else if (error instanceof StatusError || error instanceof NodeRefusal) answer(response, error.code, error.message);
      else {
        this.#deps.logger.error('a request to the kubelet failed', { err: error });
        answer(response, 500, 'Internal Server Error');
      }
    }
  }

  /** Authenticates, authorises, then finds out what is asked for. */
  async #admit(request: IncomingMessage): Promise<Route | Refusal> {
    const { pathname, searchParams } = new URL(request.url ?? '/', 'https://kubelet');
    const method = request.method ?? 'GET';
    const socket = request.socket as TLSSocket;
    const certificate = socket.authorized ? socket.getPeerX509Certificate()?.raw : undefined;
    const user = await this.#access.authenticate({ certificate, bearerToken: bearerTokenOf(request) });
    if (!user) return new Refusal(401, 'Unauthorized');
    const attributes = attributesFor(method, pathname);
    if (!(await this.#access.authorize(user, attributes))) {
      const [first] = attributes;
      const what = `(user=${user.name}, verb=${first?.verb}, resource=nodes, subresource(s)=[${attributes.map((a) => a.subresource).join(' ')}])`;
      return new Refusal(403, `Forbidden ${what}`);
    }
    return routeOf(method, pathname, searchParams, this.#deps.pods()) ?? new Refusal(404, '404 page not found');
  }

  async #answer(route: Route, response: ServerResponse): Promise<void> {
    const gone = new AbortController();
    response.on('close', () => gone.abort(new Error('client closed the connection')));
    const { status, headers, body } = await answerRoute(route, this.#deps, gone.signal);
    response.writeHead(status, headers as Record<string, string>).flushHeaders();
    for await (const chunk of body) if (!response.write(chunk)) await drained(response, gone.signal);
    response.end();
  }

  async #serveUpgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    socket.on('error', () => {});
    this.#upgraded.add(socket);
    socket.on('close', () => this.#upgraded.delete(socket));
    try {
      const route = await this.#admit(request);
      if (route instanceof Refusal) refuseUpgrade(socket, route.status, route.text);
      else if (route.kind === 'missing') refuseUpgrade(socket, 404, route.message);
      else await this.#stream(route, request, socket, head);
    } catch (error) {
      if (error instanceof StatusError || error instanceof NodeRefusal) {
        refuseUpgrade(socket, error.code, error.message);
        return;
      }
      this.#deps.logger.error('a stream to the kubelet failed', { err: error });
      refuseUpgrade(socket, 500, 'Internal Server Error');
    }
  }

  async #stream(route: Route, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    if (route.kind !== 'exec' && route.kind !== 'attach' && route.kind !== 'portForward') {
      refuseUpgrade(socket, 400, 'this path is not a stream');
      return;
    }
    const protocol = route.kind === 'portForward' ? spdyProtocols.portForward : spdyProtocols.command;
    const offered = String(request.headers['x-stream-protocol-version'] ?? '').split(/, */);
    const isSpdy = String(request.headers.upgrade ?? '').toLowerCase() === 'spdy/3.1';
    if (!isSpdy || !offered.includes(protocol)) {
      refuseUpgrade(socket, 403, `unable to upgrade: only SPDY/3.1 with ${protocol} is supported`);
      return;
    }
    const gone = new AbortController();
    socket.once('close', () => gone.abort(new Error('client closed the connection')));
    const { nodeApi, clock } = this.#deps;
    const { kind, pod } = route;
    if (kind === 'portForward') {
      const forward = forwardTo(pod, await nodeApi.portForward(pod, gone.signal));
      acceptUpgrade(socket, head, protocol);
      serveForwards(socket, forward);
      return;
    }
    const { options } = route;
    const process = await nodeApi[kind](pod, options, gone.signal);
    acceptUpgrade(socket, head, protocol);
    serveCommand(socket, {
      channels: channelsOf(options),
      run: async (streams) => {
        const result = await runOnChannels(process, options, Object.fromEntries(streams));
        return JSON.stringify(commandStatus(kind, result, options.command));
      },
      clock,
    });
  }
}

class Refusal {
  readonly status: number;
  readonly text: string;

  constructor(status: number, text: string) {
    this.status = status;
    this.text = text;
  }
}

function secureContext({ keyPem, certificatePem, clientAuthorityPem }: KubeletServerDeps['tls']) {
  return { ...tlsPolicy, key: keyPem, cert: certificatePem, ca: clientAuthorityPem };
}

function bearerTokenOf(request: IncomingMessage): string | undefined {
  const [scheme = '', token = ''] = (request.headers.authorization ?? '').trim().split(' ');
  return scheme.toLowerCase() === 'bearer' && token !== '' ? token : undefined;
}

function answer(response: ServerResponse, status: number, text: string): void {
  response.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' });
  response.end(text);
}

function refuseUpgrade(socket: Duplex, status: number, text: string): void {
  const length = Buffer.byteLength(text);
  socket.end(`HTTP/1.1 ${status} ${status}\r\nConnection: close\r\nContent-Type: text/plain\r\nContent-Length: ${length}\r\n\r\n${text}`);
}
