import { badRequest } from '@coffer/api/errors/status-error';
import type { ByteSink, ExecOptions, RunProcess } from '@coffer/api/node/node-api';
import { channelsOf, type ProcessChannels, runOnChannels } from '@coffer/api/node/process-channels';
import type { HttpRequest, HttpResponse } from '@coffer/base/http/handler';
import { commandStatus } from '@coffer/base/spdy/command-status';
import { serveCommand } from '@coffer/base/spdy/serve';
import { spdyProtocols } from '@coffer/base/spdy/upgrade';
import type { Clock } from '@coffer/base/time/clock';
import type { WebSocket } from 'ws';
import { headerText } from '../negotiation.ts';
import { ByteQueue } from './byte-queue.ts';
import { ChannelSocket } from './channel-socket.ts';
import { acceptSpdyUpgrade, isSpdyUpgrade } from './spdy-upgrade.ts';
import { acceptWebSocket, chooseProtocol, isWebSocketUpgrade } from './web-socket.ts';

/** exec and attach over WebSocket, where every message starts with the number of its channel, or over SPDY, for older clients. */
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
/** The one with a message for the end of the input. */
const closingProtocol = 'v5.channel.k8s.io';
/** In the newer of these the result is a Status, in the first versions it is a text, and nothing after a success. */
const statusProtocols = ['v4.channel.k8s.io', 'v4.base64.channel.k8s.io'];
const textProtocols = ['', 'channel.k8s.io', 'base64.channel.k8s.io'];
const maxQueuedInputBytes = 256 * 1024;

export interface ServedProcess {
  readonly kind: 'exec' | 'attach';
  readonly options: ExecOptions;
  readonly run: RunProcess;
  readonly clock: Clock;
}

export function serveExec(http: HttpRequest, { kind, options, run, clock }: ServedProcess): HttpResponse {
  const status = async (channels: ProcessChannels) => commandStatus(kind, await runOnChannels(run, options, channels), options.command);
  const result = async (channels: ProcessChannels) => JSON.stringify(await status(channels));
  if (isWebSocketUpgrade(http)) {
    const protocol = chooseProtocol(http, closingProtocol, [...statusProtocols, ...textProtocols]);
    const asText = async (channels: ProcessChannels) => (await status(channels)).message ?? '';
    const told = textProtocols.includes(protocol) ? asText : result;
    acceptWebSocket(http, protocol, (socket) => void new ExecSession(socket, protocol, options).run(told));
    return { kind: 'upgraded' };
  }
  if (!isSpdyUpgrade(http)) throw badRequest('unable to upgrade: only WebSocket and SPDY/3.1 are supported');
  const offered = headerText(http, 'x-stream-protocol-version').split(/, ?/);
  if (!offered.includes(spdyProtocols.command)) {
    const only = `only ${spdyProtocols.command}`;
    throw badRequest(`unable to upgrade: none of the protocols ${JSON.stringify(offered)} is supported, ${only}`);
  }
  serveCommand(acceptSpdyUpgrade(http, spdyProtocols.command), {
    channels: channelsOf(options),
    run: (streams) => result(Object.fromEntries(streams)),
    clock,
  });
  return { kind: 'upgraded' };
}

class ExecSession {
  readonly #socket: WebSocket;
  readonly #channels: ChannelSocket;
  readonly #closesInput: boolean;
  readonly #options: ExecOptions;
  readonly #stdin: ByteQueue;
  readonly #resize: ByteQueue;

  constructor(socket: WebSocket, protocol: string, options: ExecOptions) {
    this.#socket = socket;
    this.#channels = new ChannelSocket(socket, protocol, (number, payload) => this.#receive(number, payload));
    this.#closesInput = protocol === closingProtocol;
    this.#options = options;
    this.#stdin = new ByteQueue(maxQueuedInputBytes, () => socket.resume());
    this.#resize = new ByteQueue(maxQueuedInputBytes, () => {});
    socket.on('close', () => {
      this.#stdin.end();
      this.#resize.end();
    });
  }

  async run(result: (channels: ProcessChannels) => Promise<string>): Promise<void> {
    const { stdout, stderr } = this.#options;
    // An empty message on the first channel there is tells the client that the stream is open.
    const first = stdout ? channel.stdout : stderr ? channel.stderr : channel.error;
    await this.#channels.send(first, new Uint8Array(0)).catch(() => {});
    const status = await result({
      stdin: this.#stdin,
      stdout: this.#output(channel.stdout),
      stderr: this.#output(channel.stderr),
      resize: this.#resize,
    });
    if (status !== '') await this.#channels.send(channel.error, Buffer.from(status)).catch(() => {});
    this.#socket.close(1000);
  }

  #receive(number: number, payload: Uint8Array): void {
    switch (number) {
      case channel.stdin:
        if (!this.#stdin.push(payload)) this.#socket.pause();
        return;
      case channel.resize:
        this.#resize.push(payload);
        return;
      case channel.close:
        if (this.#closesInput && payload[0] === channel.stdin) this.#stdin.end();
        return;
      default:
        return;
    }
  }

  #output(number: number): ByteSink {
    return { write: (chunk) => this.#channels.send(number, chunk) };
  }
}
