import { badRequest } from '@coffer/api/errors/status-error';
import type { ForwardPort } from '@coffer/api/node/node-api';
import type { HttpRequest, HttpResponse } from '@coffer/base/http/handler';
import { serveForwards } from '@coffer/base/spdy/serve';
import { spdyProtocols } from '@coffer/base/spdy/upgrade';
import { createWebSocketStream, type WebSocket } from 'ws';
import { ByteQueue } from './byte-queue.ts';
import { ChannelSocket } from './channel-socket.ts';
import { acceptSpdyUpgrade, isSpdyUpgrade } from './spdy-upgrade.ts';
import { acceptWebSocket, chooseProtocol, isWebSocketUpgrade } from './web-socket.ts';

/**
 * Port-forwarding: a SPDY session, as an upgrade of the connection or (current kubectl) tunnelled through a WebSocket; or a WebSocket
 * with two channels per port of the query, data and errors.
 */
const tunnelProtocol = 'SPDY/3.1+portforward.k8s.io';
const channelProtocols = ['', 'v4.channel.k8s.io', 'v4.base64.channel.k8s.io'];
const maxQueuedInputBytes = 256 * 1024;

export function servePortForward(http: HttpRequest, query: URLSearchParams, forward: ForwardPort): HttpResponse {
  if (isSpdyUpgrade(http)) {
    serveForwards(acceptSpdyUpgrade(http, spdyProtocols.portForward), forward);
    return { kind: 'upgraded' };
  }
  if (!isWebSocketUpgrade(http)) throw badRequest('unable to upgrade: only WebSocket and SPDY/3.1 are supported');
  const protocol = chooseProtocol(http, tunnelProtocol, channelProtocols);
  if (protocol === tunnelProtocol) {
    acceptWebSocket(http, protocol, (socket) => serveForwards(createWebSocketStream(socket), forward));
    return { kind: 'upgraded' };
  }
  const ports = parsePorts(query);
  acceptWebSocket(http, protocol, (socket) => void new ChannelForwarder(socket, protocol, forward, ports).run());
  return { kind: 'upgraded' };
}

function parsePorts(query: URLSearchParams): number[] {
  const ports = query.getAll('ports').flatMap((value) => value.split(','));
  if (ports.length === 0) throw badRequest('query parameter "ports" is required');
  return ports.map((text) => {
    const port = Number(text);
    if (!/^\d+$/.test(text) || port < 1 || port > 65_535) throw badRequest(`unable to parse ${JSON.stringify(text)} as a port`);
    return port;
  });
}

class ChannelForwarder {
  readonly #socket: WebSocket;
  readonly #channels: ChannelSocket;
  readonly #toPort: ForwardPort;
  readonly #ports: readonly number[];
  readonly #inputs: readonly ByteQueue[];

  constructor(socket: WebSocket, protocol: string, forward: ForwardPort, ports: readonly number[]) {
    this.#socket = socket;
    this.#channels = new ChannelSocket(socket, protocol, (number, payload) => this.#receive(number, payload));
    this.#toPort = forward;
    this.#ports = ports;
    this.#inputs = ports.map(() => new ByteQueue(maxQueuedInputBytes, () => socket.resume()));
    socket.on('close', () => {
      for (const input of this.#inputs) input.end();
    });
  }

  async run(): Promise<void> {
    await Promise.all(this.#ports.map((port, i) => this.#forward(port, i)));
    this.#socket.close(1000);
  }

  async #forward(port: number, index: number): Promise<void> {
    const input = this.#inputs[index];
    if (input === undefined) return;
    const announcement = Buffer.from([port % 256, port >> 8]);
    try {
      await this.#channels.send(2 * index, announcement);
      await this.#channels.send(2 * index + 1, announcement);
      const output = { write: (chunk: Uint8Array) => this.#channels.send(2 * index, chunk) };
      await this.#toPort(port, { input, output, end: () => {} });
    } catch (error) {
      const text = error instanceof Error ? error.message : String(error);
      await this.#channels.send(2 * index + 1, Buffer.from(text)).catch(() => {});
    }
  }

  #receive(number: number, payload: Uint8Array): void {
    if (number % 2 !== 0) return;
    if (this.#inputs[number / 2]?.push(payload) === false) this.#socket.pause();
  }
}
