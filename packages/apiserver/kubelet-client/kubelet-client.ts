import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { StatusError } from '@coffer/api/errors/status-error';
import { isRecord } from '@coffer/api/meta/safe-object';
import type {
  ByteSink,
  DuplexBytes,
  ExecOptions,
  ExecResult,
  LogOptions,
  NodeApi,
  PodRef,
  ProcessStreams,
} from '@coffer/api/node/node-api';
import { SpdySession, type SpdyStream } from '@coffer/base/spdy/session';
import { dialError } from './dial-error.ts';

/** Where a kubelet listens, as its Node object says. */
export interface KubeletAddress {
  /** Host name or IP address: the kubelet's certificate must be for it. */
  readonly host: string;
  readonly port: number;
}

export interface KubeletClientOptions {
  readonly address: KubeletAddress;
  /** The API server's client certificate. */
  readonly keyPem: string;
  readonly certificatePem: string;
  /** The cluster's authority: signs kubelets' serving certificates. */
  readonly authorityPem: string;
}

const execProtocol = 'v4.channel.k8s.io';
const portForwardProtocol = 'portforward.k8s.io';
const connectTimeoutMs = 30_000;
const maxErrorBytes = 64 * 1024;

/**
 * A kubelet in another process, by its port: TLS with the API server's certificate, and the kubelet's certificate verified against the
 * cluster's authority and the address asked for. Streams are SPDY/3.1, which every kubelet speaks.
 */
export class KubeletClient implements NodeApi {
  readonly #options: KubeletClientOptions;
  readonly #agent: Agent;

  constructor(options: KubeletClientOptions) {
    this.#options = options;
    this.#agent = new Agent({
      keepAlive: true,
      maxCachedSessions: 100,
      key: options.keyPem,
      cert: options.certificatePem,
      ca: options.authorityPem,
      minVersion: 'TLSv1.2',
      ...(isIP(options.address.host) === 0 ? { servername: options.address.host } : {}),
    });
  }

  close(): void {
    this.#agent.destroy();
  }

  async logs(pod: PodRef, options: LogOptions, out: ByteSink, signal: AbortSignal): Promise<void> {
    const query = new URLSearchParams();
    for (const name of ['follow', 'previous', 'timestamps'] as const) if (options[name]) query.set(name, 'true');
    for (const name of ['tailLines', 'limitBytes', 'sinceSeconds', 'sinceTime'] as const) {
      if (options[name] !== undefined) query.set(name, String(options[name]));
    }
    if (options.stream !== 'All') query.set('stream', options.stream);
    const answer = await this.#get(pathOf('containerLogs', pod.namespace, pod.name, options.container), query, signal);
    if (answer.statusCode !== 200) throw await errorOf(answer);
    for await (const chunk of answer) await out.write(chunk as Buffer);
  }

  exec(pod: PodRef, options: ExecOptions, streams: ProcessStreams, signal: AbortSignal): Promise<ExecResult> {
    return this.#process('exec', pod, options, streams, signal);
  }

  attach(pod: PodRef, options: Omit<ExecOptions, 'command'>, streams: ProcessStreams, signal: AbortSignal): Promise<ExecResult> {
    return this.#process('attach', pod, { ...options, command: [] }, streams, signal);
  }

  async portForward(pod: PodRef, port: number, stream: DuplexBytes, signal: AbortSignal): Promise<void> {
    const path = pathOf('portForward', pod.namespace, pod.name, pod.uid);
    const session = await this.#upgrade(path, new URLSearchParams(), portForwardProtocol, signal);
    const abort = () => session.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      const open = (streamtype: string) =>
        session.openStream(
          new Map([
            ['streamtype', streamtype],
            ['port', String(port)],
            ['requestid', '0'],
          ]),
        );
      const error = await open('error');
      await error.end();
      const data = await open('data');
      const failure = textOf(error);
      await Promise.all([copyIn(stream.input, data), copyOut(data, stream)]);
      const message = await failure;
      if (message !== '') throw new Error(message);
    } finally {
      signal.removeEventListener('abort', abort);
      session.close();
    }
  }

  async #process(
    kind: 'exec' | 'attach',
    pod: PodRef,
    options: ExecOptions,
    streams: ProcessStreams,
    signal: AbortSignal,
  ): Promise<ExecResult> {
    const query = new URLSearchParams();
    if (options.stdin) query.set('input', '1');
    if (options.stdout) query.set('output', '1');
    if (options.stderr) query.set('error', '1');
    if (options.tty) query.set('tty', '1');
    for (const word of options.command) query.append('command', word);
    const session = await this.#upgrade(pathOf(kind, pod.namespace, pod.name, pod.uid, options.container), query, execProtocol, signal);
    const abort = () => session.close();
    signal.addEventListener('abort', abort, { once: true });
    try {
      return await relay(session, options, streams);
    } finally {
      signal.removeEventListener('abort', abort);
      session.close();
    }
  }

  #get(path: string, query: URLSearchParams, signal: AbortSignal): Promise<IncomingMessage> {
    const { host, port } = this.#options.address;
    const target = query.size === 0 ? path : `${path}?${query.toString()}`;
    const what = `Get "https://${host.includes(':') ? `[${host}]` : host}:${port}${target}"`;
    return new Promise((resolve, reject) => {
      const outgoing = request({ host, port, path: target, agent: this.#agent, signal, timeout: connectTimeoutMs }, (answer) => {
        outgoing.setTimeout(0);
        resolve(answer);
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`the kubelet at ${host}:${port} does not answer`)));
      outgoing.on('error', (error) => reject(dialError(what, this.#options.address, error)));
      outgoing.end();
    });
  }

  #upgrade(path: string, query: URLSearchParams, protocol: string, signal: AbortSignal): Promise<SpdySession> {
    const { host, port } = this.#options.address;
    const headers = { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol };
    const options = {
      host,
      port,
      method: 'POST',
      path: `${path}?${query.toString()}`,
      agent: this.#agent,
      headers,
      signal,
      timeout: connectTimeoutMs,
    };
    return new Promise((resolve, reject) => {
      const outgoing = request(options);
      outgoing.on('upgrade', (_answer, socket: Duplex, head: Buffer) => {
        outgoing.setTimeout(0);
        if (head.length > 0) socket.unshift(head);
        resolve(new SpdySession(socket, { role: 'client' }));
      });
      outgoing.on('response', (answer) => void errorOf(answer).then(reject, reject));
      outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
      outgoing.on('error', (error) => reject(dialError('error dialing backend', this.#options.address, error)));
      outgoing.end();
    });
  }
}

/** Opens the streams in upstream's order and copies until the kubelet tells the result. */
async function relay(session: SpdySession, options: ExecOptions, streams: ProcessStreams): Promise<ExecResult> {
  const open = (streamtype: string) => session.openStream(new Map([['streamtype', streamtype]]));
  const error = await open('error');
  await error.end();
  const stdin = options.stdin && streams.stdin ? await open('stdin') : undefined;
  const stdout = options.stdout ? await open('stdout') : undefined;
  const stderr = options.stderr ? await open('stderr') : undefined;
  const resize = options.tty ? await open('resize') : undefined;
  if (stdin && streams.stdin) void copyIn(streams.stdin, stdin).catch(() => {});
  if (resize) void sendSizes(streams.resize, resize).catch(() => {});
  await Promise.all([
    stdout && streams.stdout ? copyTo(stdout, streams.stdout) : undefined,
    stderr && streams.stderr ? copyTo(stderr, streams.stderr) : undefined,
  ]);
  return resultOf(await textOf(error));
}

async function copyIn(from: AsyncIterable<Uint8Array>, to: SpdyStream): Promise<void> {
  for await (const chunk of from) await to.write(chunk);
  await to.end();
}

async function copyOut(from: SpdyStream, to: DuplexBytes): Promise<void> {
  await copyTo(from, to.output);
  to.end();
}

async function copyTo(from: AsyncIterable<Uint8Array>, to: ByteSink): Promise<void> {
  for await (const chunk of from) await to.write(chunk);
}

async function sendSizes(sizes: ProcessStreams['resize'], to: SpdyStream): Promise<void> {
  for await (const { width, height } of sizes ?? []) await to.write(Buffer.from(JSON.stringify({ Width: width, Height: height })));
  await to.end();
}

async function textOf(stream: SpdyStream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

/** The Status of the error stream as a result. */
function resultOf(text: string): ExecResult {
  let status: unknown;
  try {
    status = text === '' ? undefined : JSON.parse(text);
  } catch {
    return { kind: 'failed', message: text };
  }
  if (!isRecord(status)) return { kind: 'failed', message: 'the connection to the kubelet was lost' };
  if (status.status === 'Success') return { kind: 'exited', code: 0 };
  const details = isRecord(status.details) ? status.details : {};
  const causes: readonly unknown[] = Array.isArray(details.causes) ? details.causes : [];
  const exit = causes.find((cause) => isRecord(cause) && cause.reason === 'ExitCode');
  if (status.reason === 'NonZeroExitCode' && isRecord(exit)) return { kind: 'exited', code: Number(exit.message) };
  const message = (typeof status.message === 'string' ? status.message : '').replace(
    /^(Internal error occurred: )?error executing command in container: /,
    '',
  );
  return { kind: 'failed', message };
}

async function errorOf(answer: IncomingMessage): Promise<Error> {
  let text = '';
  for await (const chunk of answer) {
    text += String(chunk);
    if (text.length > maxErrorBytes) break;
  }
  const code = answer.statusCode ?? 500;
  if (code === 400) return new StatusError(400, 'BadRequest', text.trim());
  if (code === 404) return new StatusError(404, 'NotFound', text.trim());
  return new StatusError(500, 'InternalError', `Internal error occurred: the kubelet answered ${code}: ${text.trim()}`);
}

/** Parts of a path that users chose, escaped. */
function pathOf(...parts: readonly string[]): string {
  return `/${parts.map(encodeURIComponent).join('/')}`;
}
