import { badRequest } from '@coffer/api/errors/status-error';
import type { ExecOptions, ExecResult, NodeApi, PodRef } from '@coffer/api/node/node-api';
import type { HttpResponse } from '@coffer/base/http/handler';
import { SpdySession, type SpdyStream } from '@coffer/base/spdy/session';
import type { Clock } from '@coffer/base/time/clock';
import type { RequestContext } from '../../request/context.ts';
import { headerText } from '../negotiation.ts';
import { execStatus } from './exec-status.ts';
import { acceptSpdyUpgrade, isSpdyUpgrade } from './spdy-upgrade.ts';
import { sizes } from './terminal-sizes.ts';

const protocol = 'v4.channel.k8s.io';
const streamsTimeoutMs = 30_000;

/** exec and attach over a SPDY upgrade, for clients older than the WebSocket protocol: one stream per channel, opened by the client. */
export function serveExecSpdy(
  context: RequestContext,
  node: NodeApi,
  pod: PodRef,
  subresource: 'exec' | 'attach',
  options: ExecOptions,
  clock: Clock,
): HttpResponse {
  if (!isSpdyUpgrade(context.http)) throw badRequest('unable to upgrade: only WebSocket and SPDY/3.1 are supported');
  const offered = headerText(context.http, 'x-stream-protocol-version').split(/, ?/);
  if (!offered.includes(protocol)) {
    throw badRequest(`unable to upgrade: none of the protocols ${JSON.stringify(offered)} is supported, only ${protocol}`);
  }
  const wanted = wantedStreams(options);
  const streams = new Map<string, SpdyStream>();
  const gone = new AbortController();
  const session = new SpdySession(acceptSpdyUpgrade(context.http, protocol), {
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
      void run(streams, options, (process) => node[subresource](pod, options, process, gone.signal)).finally(() => session.close());
    },
  });
  const cancelTimeout = clock.setTimer(streamsTimeoutMs, () => session.close());
  void session.closed.then(() => {
    cancelTimeout();
    gone.abort(new Error('client closed the connection'));
  });
  return { kind: 'upgraded' };
}

function wantedStreams(options: ExecOptions): ReadonlySet<string> {
  const wanted = ['error'];
  if (options.stdin) wanted.push('stdin');
  if (options.stdout) wanted.push('stdout');
  if (options.stderr) wanted.push('stderr');
  if (options.tty) wanted.push('resize');
  return new Set(wanted);
}

async function run(
  streams: ReadonlyMap<string, SpdyStream>,
  options: ExecOptions,
  start: (process: Parameters<NodeApi['exec']>[2]) => Promise<ExecResult>,
): Promise<void> {
  const resize = streams.get('resize');
  let result: ExecResult;
  try {
    result = await start({
      stdin: streams.get('stdin'),
      stdout: streams.get('stdout'),
      stderr: streams.get('stderr'),
      resize: resize === undefined ? undefined : sizes(resize),
    });
  } catch (error) {
    result = { kind: 'failed', message: error instanceof Error ? error.message : String(error) };
  }
  const status = Buffer.from(JSON.stringify(execStatus(result, options.command)));
  await streams
    .get('error')
    ?.write(status)
    .catch(() => {});
  for (const stream of streams.values()) stream.discard();
  await Promise.allSettled([...streams.values()].map((stream) => stream.end()));
}
