import type { Duplex } from 'node:stream';
import type { NodeApi, PodRef } from '@coffer/api/node/node-api';
import { SpdySession, type SpdyStream } from '@coffer/base/spdy/session';

/**
 * The port-forward protocol on a SPDY session: for each connection the client opens an error and a data stream that share a
 * `requestid`. The pair is forwarded when both are there, whichever came first.
 */
export function servePortForwardSession(connection: Duplex, node: NodeApi, pod: PodRef): void {
  const waiting = new Map<string, StreamPair>();
  const gone = new AbortController();
  const session = new SpdySession(connection, {
    role: 'server',
    onStream(stream) {
      const type = stream.headers.get('streamtype');
      const port = Number(stream.headers.get('port'));
      if ((type !== 'error' && type !== 'data') || !Number.isInteger(port) || port < 1 || port > 65_535 || waiting.size >= maxWaiting) {
        stream.reset();
        return;
      }
      stream.accept();
      const key = stream.headers.get('requestid') ?? `port-${port}`;
      const pair: StreamPair = { ...waiting.get(key), [type]: stream };
      waiting.set(key, pair);
      const { error, data } = pair;
      if (error === undefined || data === undefined) return;
      waiting.delete(key);
      void forward(node, pod, port, data, error, gone.signal);
    },
  });
  void session.closed.then(() => gone.abort(new Error('client closed the connection')));
}

interface StreamPair {
  readonly error?: SpdyStream;
  readonly data?: SpdyStream;
}

/** Streams whose other half has not come: more of them than this is no client of this protocol. */
const maxWaiting = 1000;

async function forward(node: NodeApi, pod: PodRef, port: number, data: SpdyStream, error: SpdyStream, signal: AbortSignal): Promise<void> {
  error.discard();
  try {
    await node.portForward(pod, port, { input: data, output: data, end: () => void data.end().catch(() => {}) }, signal);
  } catch (failure) {
    const reason = failure instanceof Error ? failure.message : String(failure);
    await error.write(Buffer.from(`error forwarding port ${port} to pod ${pod.uid}, uid : ${reason}`)).catch(() => {});
  }
  data.discard();
  await Promise.allSettled([data.end(), error.end()]);
}
