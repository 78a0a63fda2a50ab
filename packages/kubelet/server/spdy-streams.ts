import type { Duplex } from 'node:stream';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { ExecOptions, ExecResult, NodeApi, PodRef, ProcessStreams } from '@coffer/api/node/node-api';
import { SpdySession, type SpdyStream } from '@coffer/base/spdy/session';
import type { Clock } from '@coffer/base/time/clock';
import { messageOf } from '../volumes/payloads.ts';

/** exec, attach and port-forward on a connection that was upgraded to SPDY/3.1, as API servers speak it with kubelets. */

export const execProtocol = 'v4.channel.k8s.io';
export const portForwardProtocol = 'portforward.k8s.io';

const streamsTimeoutMs = 30_000;
const maxWaitingPairs = 1000;

type Start = (streams: ProcessStreams, signal: AbortSignal) => Promise<ExecResult>;

/** One stream per channel, opened by the API server; the result goes as a Status to the error stream. */
export function serveProcess(connection: Duplex, options: ExecOptions, clock: Clock, start: Start): void {
  const wanted = new Set(['error', ...channelsOf(options)]);
  const streams = new Map<string, SpdyStream>();
  const gone = new AbortController();
  const session = new SpdySession(connection, {
    role: 'server',
    onStream(stream) {
      const type = stream.headers.get('streamtype') ?? '';
      if (!wanted.has(type) || streams.has(type)) {
        stream.reset();
        return;
      }
      stream.accept();
      streams.set(type, stream);
      if (streams.size < wanted.size) return;
      cancelTimeout();
      void run(streams, options, (process) => start(process, gone.signal)).finally(() => session.close());
    },
  });
  const cancelTimeout = clock.setTimer(streamsTimeoutMs, () => session.close());
  void session.closed.then(() => {
    cancelTimeout();
    gone.abort(new Error('client closed the connection'));
  });
}

function channelsOf(options: ExecOptions): string[] {
  return [
    ...(options.stdin ? ['stdin'] : []),
    ...(options.stdout ? ['stdout'] : []),
    ...(options.stderr ? ['stderr'] : []),
    ...(options.tty ? ['resize'] : []),
  ];
}

async function run(
  streams: ReadonlyMap<string, SpdyStream>,
  options: ExecOptions,
  start: (process: ProcessStreams) => Promise<ExecResult>,
): Promise<void> {
  const resize = streams.get('resize');
  const process: ProcessStreams = {
    stdin: streams.get('stdin'),
    stdout: streams.get('stdout'),
    stderr: streams.get('stderr'),
    resize: resize && terminalSizes(resize),
  };
  const result = await start(process).catch((error: unknown): ExecResult => ({ kind: 'failed', message: messageOf(error) }));
  const status = Buffer.from(JSON.stringify(statusOf(result, options.command)));
  const error = streams.get('error');
  await error?.write(status).catch(() => {});
  for (const stream of streams.values()) stream.discard();
  await Promise.allSettled([...streams.values()].map((stream) => stream.end()));
}

function statusOf(result: ExecResult, command: readonly string[]): object {
  if (result.kind === 'failed') {
    const message = `error executing command in container: ${result.message}`;
    return { metadata: {}, status: 'Failure', message, reason: 'InternalError', details: { causes: [{ message }] }, code: 500 };
  }
  if (result.code === 0) return { metadata: {}, status: 'Success' };
  return {
    metadata: {},
    status: 'Failure',
    message: `command terminated with non-zero exit code: error executing command [${command.join(' ')}], exit code ${result.code}`,
    reason: 'NonZeroExitCode',
    details: { causes: [{ reason: 'ExitCode', message: String(result.code) }] },
  };
}

async function* terminalSizes(messages: AsyncIterable<Uint8Array>): AsyncGenerator<{ readonly width: number; readonly height: number }> {
  for await (const message of messages) {
    let size: unknown;
    try {
      size = JSON.parse(Buffer.from(message).toString('utf8'));
    } catch {
      continue;
    }
    if (isRecord(size) && typeof size.Width === 'number' && typeof size.Height === 'number')
      yield { width: size.Width, height: size.Height };
  }
}

interface StreamPair {
  readonly error?: SpdyStream;
  readonly data?: SpdyStream;
}

/** For each connection the API server opens an error and a data stream that share a `requestid`. */
export function servePortForward(connection: Duplex, node: NodeApi, pod: PodRef): void {
  const waiting = new Map<string, StreamPair>();
  const gone = new AbortController();
  const session = new SpdySession(connection, {
    role: 'server',
    onStream(stream) {
      const type = stream.headers.get('streamtype');
      const port = Number(stream.headers.get('port'));
      const isPort = Number.isInteger(port) && port >= 1 && port <= 65_535;
      if ((type !== 'error' && type !== 'data') || !isPort || waiting.size >= maxWaitingPairs) {
        stream.reset();
        return;
      }
      stream.accept();
      const key = stream.headers.get('requestid') ?? `port-${port}`;
      const pair: StreamPair = { ...waiting.get(key), [type]: stream };
      waiting.set(key, pair);
      if (!pair.error || !pair.data) return;
      waiting.delete(key);
      void forward(node, pod, port, pair.data, pair.error, gone.signal);
    },
  });
  void session.closed.then(() => gone.abort(new Error('client closed the connection')));
}

async function forward(node: NodeApi, pod: PodRef, port: number, data: SpdyStream, error: SpdyStream, signal: AbortSignal): Promise<void> {
  error.discard();
  try {
    await node.portForward(pod, port, { input: data, output: data, end: () => void data.end().catch(() => {}) }, signal);
  } catch (failure) {
    const text = `error forwarding port ${port} to pod ${pod.uid}, uid : ${messageOf(failure)}`;
    await error.write(Buffer.from(text)).catch(() => {});
  }
  data.discard();
  await Promise.allSettled([data.end(), error.end()]);
}
