import type { ByteSink, ExecOptions, ExecResult, NodeApi, PodRef, ProcessStreams } from '@coffer/api/node/node-api';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import type { RawData, WebSocket } from 'ws';
import type { RequestContext } from '../../request/context.ts';
import { ByteQueue } from './byte-queue.ts';
import { serveExecSpdy } from './exec-spdy.ts';
import { execStatus } from './exec-status.ts';
import { sizes } from './terminal-sizes.ts';
import { acceptWebSocket, chooseProtocol, isWebSocketUpgrade, sendBinary } from './web-socket.ts';

/** exec and attach over WebSocket (or SPDY, for older clients): every message starts with the number of its channel. */
const channel = { stdin: 0, stdout: 1, stderr: 2, error: 3, resize: 4, close: 255 } as const;
const protocols = ['v5.channel.k8s.io', 'v4.channel.k8s.io'] as const;
const maxQueuedInputBytes = 256 * 1024;

export function serveExec(
  context: RequestContext,
  node: NodeApi,
  pod: PodRef,
  subresource: 'exec' | 'attach',
  options: ExecOptions,
  clock: Clock,
): HttpResponse {
  if (!isWebSocketUpgrade(context.http)) return serveExecSpdy(context, node, pod, subresource, options, clock);
  const protocol = chooseProtocol(context.http, protocols);
  acceptWebSocket(context.http, protocol, (socket) => {
    void new ExecSession(socket, options).run((streams, signal) => node[subresource](pod, options, streams, signal));
  });
  return { kind: 'upgraded' };
}

class ExecSession {
  readonly #socket: WebSocket;
  readonly #options: ExecOptions;
  readonly #gone = new AbortController();
  readonly #stdin: ByteQueue;
  readonly #resize: ByteQueue;

  constructor(socket: WebSocket, options: ExecOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#stdin = new ByteQueue(maxQueuedInputBytes, () => socket.resume());
    this.#resize = new ByteQueue(maxQueuedInputBytes, () => {});
    socket.on('message', (data) => this.#receive(data));
    socket.on('close', () => {
      this.#stdin.end();
      this.#resize.end();
      this.#gone.abort(new Error('client closed the connection'));
    });
  }

  async run(start: (streams: ProcessStreams, signal: AbortSignal) => Promise<ExecResult>): Promise<void> {
    const { stdin, stdout, stderr, tty, command } = this.#options;
    // An empty message on the first channel there is tells the client that the stream is open.
    const first = stdout ? channel.stdout : stderr ? channel.stderr : channel.error;
    await this.#send(first, new Uint8Array(0)).catch(() => {});
    let result: ExecResult;
    try {
      result = await start(
        {
          stdin: stdin ? this.#stdin : undefined,
          stdout: stdout ? this.#output(channel.stdout) : undefined,
          stderr: stderr ? this.#output(channel.stderr) : undefined,
          resize: tty ? sizes(this.#resize) : undefined,
        },
        this.#gone.signal,
      );
    } catch (error) {
      result = { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
    }
    const status = Buffer.from(JSON.stringify(execStatus(result, command)));
    await this.#send(channel.error, status).catch(() => {});
    this.#socket.close(1000);
  }

  #receive(data: RawData): void {
    const message = Buffer.isBuffer(data) ? data : Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data);
    const payload = message.subarray(1);
    switch (message[0]) {
      case channel.stdin:
        if (!this.#stdin.push(payload)) this.#socket.pause();
        return;
      case channel.resize:
        this.#resize.push(payload);
        return;
      case channel.close:
        if (payload[0] === channel.stdin) this.#stdin.end();
        return;
      default:
        return;
    }
  }

  #output(number: number): ByteSink {
    return { write: (chunk) => this.#send(number, chunk) };
  }

  #send(number: number, payload: Uint8Array): Promise<void> {
    const message = Buffer.allocUnsafe(payload.byteLength + 1);
    message[0] = number;
    message.set(payload, 1);
    return sendBinary(this.#socket, message);
  }
}
