import type { IncomingMessage } from 'node:http';
import { Agent, request } from 'node:https';
import { isIP } from 'node:net';
import {
  type ByteSink,
  type ExecOptions,
  type ForwardPort,
  type LogOptions,
  type NodeAnswer,
  type NodeApi,
  NodeRefusal,
  type NodeRequest,
  type PodRef,
  type RunProcess,
} from '@coffer/api/node/node-api';
import { connectionOf, writerTo } from '@coffer/api/node/process-channels';
import { relayCommand, relayPort } from '@coffer/base/spdy/client';
import { readCommandStatus } from '@coffer/base/spdy/command-status';
import { SpdySession } from '@coffer/base/spdy/session';
import { requestUpgrade, type SpdyProtocol, spdyProtocols, upgradeHeaders } from '@coffer/base/spdy/upgrade';
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
    const path = pathOf('containerLogs', pod.namespace, pod.name, options.container);
    const target = query.size === 0 ? path : `${path}?${query.toString()}`;
    const answer = await this.#send({ method: 'GET', path: target, headers: {}, body: new Uint8Array(0) }, signal);
    if (answer.statusCode !== 200) throw await refusalOf(answer);
    for await (const chunk of answer) await out.write(chunk as Buffer);
  }

  exec(pod: PodRef, options: ExecOptions, signal: AbortSignal): Promise<RunProcess> {
    return this.#process('exec', pod, options, signal);
  }

  attach(pod: PodRef, options: ExecOptions, signal: AbortSignal): Promise<RunProcess> {
    return this.#process('attach', pod, options, signal);
  }

  async portForward(pod: PodRef, signal: AbortSignal): Promise<ForwardPort> {
    const path = pathOf('portForward', pod.namespace, pod.name, pod.uid);
    const session = await this.#upgrade(path, spdyProtocols.portForward, signal);
    let connections = 0;
    return async (port, stream) => {
      const failure = await relayPort(session, port, connections++, connectionOf(stream));
      if (failure !== '') throw new Error(failure);
    };
  }

  async request(request: NodeRequest, signal: AbortSignal): Promise<NodeAnswer> {
    const answer = await this.#send(request, signal);
    return { status: answer.statusCode ?? 502, headers: answer.headers as NodeAnswer['headers'], body: answer };
  }

  async #process(kind: 'exec' | 'attach', pod: PodRef, options: ExecOptions, signal: AbortSignal): Promise<RunProcess> {
    const query = new URLSearchParams();
    if (options.stdin) query.set('input', '1');
    if (options.stdout) query.set('output', '1');
    if (options.stderr) query.set('error', '1');
    if (options.tty) query.set('tty', '1');
    for (const word of options.command) query.append('command', word);
    const path = pathOf(kind, pod.namespace, pod.name, pod.uid, options.container);
    const session = await this.#upgrade(`${path}?${query.toString()}`, spdyProtocols.command, signal);
    return async ({ stdin, stdout, stderr, resize }) => {
      const streams = { stdin, stdout: writerTo(stdout), stderr: writerTo(stderr), tty: options.tty, resize };
      const result = await relayCommand(session, streams).finally(() => session.close());
      return readCommandStatus(result);
    };
  }

  #send({ method, path, headers, body }: NodeRequest, signal: AbortSignal): Promise<IncomingMessage> {
    const { host, port } = this.#options.address;
    const verb = method[0] + method.slice(1).toLowerCase();
    const what = `${verb} "https://${host.includes(':') ? `[${host}]` : host}:${port}${path}"`;
    const sent = { ...headers, ...(body.byteLength === 0 ? {} : { 'content-length': String(body.byteLength) }) };
    return new Promise((resolve, reject) => {
      const options = { host, port, method, path, headers: sent as Record<string, string>, agent: this.#agent, signal };
      const outgoing = request({ ...options, timeout: connectTimeoutMs }, (answer) => {
        outgoing.setTimeout(0);
        resolve(answer);
      });
      outgoing.on('timeout', () => outgoing.destroy(new Error(`the kubelet at ${host}:${port} does not answer`)));
      outgoing.on('error', (error) => reject(dialError(what, this.#options.address, error)));
      outgoing.end(body);
    });
  }

  /** The session ends when the signal is aborted. */
  async #upgrade(path: string, protocol: SpdyProtocol, signal: AbortSignal): Promise<SpdySession> {
    const { host, port } = this.#options.address;
    const outgoing = request({
      host,
      port,
      method: 'POST',
      path,
      agent: this.#agent,
      headers: upgradeHeaders(protocol),
      signal,
      timeout: connectTimeoutMs,
    });
    outgoing.on('timeout', () => outgoing.destroy(new Error('no answer')));
    const answer = await requestUpgrade(outgoing).catch((error: Error) => {
      throw dialError('error dialing backend', this.#options.address, error);
    });
    if (!(answer instanceof SpdySession)) throw await refusalOf(answer);
    const close = () => answer.close();
    signal.addEventListener('abort', close, { once: true });
    void answer.closed.then(() => signal.removeEventListener('abort', close));
    return answer;
  }
}

async function refusalOf(answer: IncomingMessage): Promise<NodeRefusal> {
  let text = '';
  for await (const chunk of answer) {
    text += String(chunk);
    if (text.length > maxErrorBytes) break;
  }
  return new NodeRefusal(answer.statusCode ?? 500, text);
}

/** Parts of a path that users chose, escaped. */
function pathOf(...parts: readonly string[]): string {
  return `/${parts.map(encodeURIComponent).join('/')}`;
}
