import { type FieldError, forbiddenField, invalid } from '@coffer/api/errors/field-error';
import { badRequest, internalError, invalidObject, StatusError } from '@coffer/api/errors/status-error';
import { type ByteSink, type LogOptions, NodeRefusal } from '@coffer/api/node/node-api';
import type { HttpRequest, HttpResponse, StreamSink } from '@coffer/base/http/handler';
import { podSpec } from '../../registry/core/pod-strategy.ts';
import type { RequestContext } from '../../request/context.ts';
import { boolParameter, intParameter } from '../options/query.ts';
import type { Scope } from '../scope.ts';
import { chooseProtocol, isWebSocketUpgrade } from '../streaming/web-socket.ts';
import { serveWebSocketStream } from '../streaming/web-socket-sink.ts';
import { containerOf, podRefOf } from './pod-container.ts';
import { type ConnectDeps, reachNode } from './reach-node.ts';

/** How long a quiet log may take before the answer starts: an error must come first to have a status of its own. */
const headersAfterMs = 250;

/** GET `pods/…/log`: the container's output as its node has it, as plain text. */
export async function podLogs(context: RequestContext, scope: Scope, deps: ConnectDeps): Promise<HttpResponse> {
  const { namespace, name } = context.info;
  const { http } = context;
  const options = parseLogOptions(context.query, name);
  const pod = scope.registry.served(scope.registry.get(namespace, name));
  const container = containerOf(pod, options.container);
  const nodeName = podSpec(pod).nodeName ?? '';
  if (nodeName === '') return { kind: 'full', status: 204, headers: {}, body: '' };
  const node = await reachNode(deps, nodeName);

  const relay = new LogRelay();
  const gone = new AbortController();
  const signal = AbortSignal.any([http.signal, gone.signal]);
  const reading = node.logs(podRefOf(pod), { ...options, container }, relay, signal).catch((error: unknown) => {
    throw error instanceof NodeRefusal ? refusedLog(name, error) : error;
  });
  // The rejection is seen by whoever awaits first; it must not count as unhandled until then.
  reading.catch(() => {});
  const started = new Promise<void>((resolve) => scope.tools.clock.setTimer(headersAfterMs, resolve));
  await Promise.race([relay.firstWrite, reading, started]);
  const run = async (sink: StreamSink) => {
    relay.attach(sink);
    const abort = () => gone.abort(new Error('client closed the connection'));
    sink.signal.addEventListener('abort', abort, { once: true });
    sink.flush();
    try {
      await reading;
    } catch (error) {
      if (!signal.aborted) throw error;
    } finally {
      sink.signal.removeEventListener('abort', abort);
    }
  };
  if (isWebSocketUpgrade(http)) return serveLogWebSocket(http, run);
  return { kind: 'stream', status: 200, headers: { 'content-type': 'text/plain' }, run };
}

/** The log as messages. An empty one comes first; a log that breaks off just ends. */
function serveLogWebSocket(http: HttpRequest, run: (sink: StreamSink) => Promise<void>): HttpResponse {
  const protocol = chooseProtocol(http, undefined, ['', 'binary.k8s.io', 'base64.binary.k8s.io']);
  const format = protocol.startsWith('base64.') ? 'base64' : 'binary';
  return serveWebSocketStream(http, { protocol, format }, async (sink) => {
    sink.write('');
    await run(sink).catch(() => {});
  });
}

/** A kubelet's answer as the Status that clients of the log read. */
function refusedLog(podName: string, { code, message }: NodeRefusal): StatusError {
  switch (code) {
    case 400:
      return badRequest(message);
    case 404:
      return new StatusError(404, 'NotFound', `the server could not find the requested resource ( pods/log ${podName})`, {
        name: podName,
        kind: 'pods/log',
      });
    default:
      return internalError(message);
  }
}

/** Holds the first write back until the answer has started; then passes everything on with back-pressure. */
class LogRelay implements ByteSink {
  readonly firstWrite: Promise<void>;
  #announce: () => void = () => {};
  #attached: (sink: StreamSink) => void = () => {};
  readonly #sink: Promise<StreamSink>;

  constructor() {
    this.firstWrite = new Promise((resolve) => {
      this.#announce = resolve;
    });
    this.#sink = new Promise((resolve) => {
      this.#attached = resolve;
    });
  }

  attach(sink: StreamSink): void {
    this.#attached(sink);
  }

  async write(chunk: Uint8Array): Promise<void> {
    this.#announce();
    const sink = await this.#sink;
    if (!sink.write(chunk)) await sink.drained();
  }
}

function parseLogOptions(query: URLSearchParams, podName: string): LogOptions {
  const tailLines = intParameter(query, 'tailLines');
  const limitBytes = intParameter(query, 'limitBytes');
  const sinceSeconds = intParameter(query, 'sinceSeconds');
  const sinceTime = query.get('sinceTime') || undefined;
  if (sinceTime !== undefined && Number.isNaN(Date.parse(sinceTime))) {
    throw badRequest(
      `parsing time ${JSON.stringify(sinceTime)} as "2006-01-02T15:04:05Z07:00": cannot parse ${JSON.stringify(sinceTime)} as "2006"`,
    );
  }
  const errors: FieldError[] = [];
  if (tailLines !== undefined && tailLines < 0) errors.push(invalid('tailLines', tailLines, 'must be greater than or equal to 0'));
  if (limitBytes !== undefined && limitBytes < 1) errors.push(invalid('limitBytes', limitBytes, 'must be greater than 0'));
  if (sinceSeconds !== undefined && sinceTime !== undefined) {
    errors.push(forbiddenField('', 'at most one of `sinceTime` or `sinceSeconds` may be specified'));
  } else if (sinceSeconds !== undefined && sinceSeconds < 1) {
    errors.push(invalid('sinceSeconds', sinceSeconds, 'must be greater than 0'));
  }
  // PodLogsQuerySplitStreams is off in Kubernetes 1.36.
  if (query.has('stream')) errors.push(forbiddenField('stream', 'may not be specified'));
  if (errors.length > 0) throw invalidObject({ group: '', kind: 'PodLogOptions' }, podName, errors);
  return {
    container: query.get('container') ?? '',
    follow: boolParameter(query, 'follow') ?? false,
    previous: boolParameter(query, 'previous') ?? false,
    timestamps: boolParameter(query, 'timestamps') ?? false,
    tailLines,
    limitBytes,
    sinceSeconds,
    sinceTime,
  };
}
