import type { Duplex } from 'node:stream';
import type { Clock } from '../time/clock.ts';
import { SpdySession, type SpdyStream } from './session.ts';

/** The server's side of Kubernetes' streams on a connection that was upgraded to SPDY/3.1: commands, and forwarded ports. */

const streamsTimeoutMs = 30_000;
/** Streams whose other half has not come: more of them than this is no client of this protocol. */
const maxWaitingPairs = 1000;

export interface ServedCommand {
  /** Names of the streams the client opens, besides that for the result. */
  readonly channels: readonly string[];
  /** Called when all are there; what it resolves to is written to the stream for the result. Must not reject. */
  readonly run: (streams: ReadonlyMap<string, SpdyStream>) => Promise<string>;
  readonly clock: Clock;
}

/** exec and attach: one stream per channel, opened by the client within a time limit, and `error` for the result. */
export function serveCommand(connection: Duplex, { channels, run, clock }: ServedCommand): void {
  const wanted = new Set(['error', ...channels]);
  const streams = new Map<string, SpdyStream>();
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
      void run(streams)
        .then((result) => finish(streams, result))
        .finally(() => session.close());
    },
  });
  const cancelTimeout = clock.setTimer(streamsTimeoutMs, () => session.close());
  void session.closed.then(cancelTimeout);
}

async function finish(streams: ReadonlyMap<string, SpdyStream>, result: string): Promise<void> {
  await streams
    .get('error')
    ?.write(Buffer.from(result))
    .catch(() => {});
  for (const stream of streams.values()) stream.discard();
  await Promise.allSettled([...streams.values()].map((stream) => stream.end()));
}

/** One forwarded connection, seen from the port. */
export interface ForwardedConnection {
  readonly input: AsyncIterable<Uint8Array>;
  readonly output: { write(chunk: Uint8Array): Promise<void> };
  end(): void;
}

/**
 * Port-forwarding: for each connection the client opens an error and a data stream that share a `requestid`. The pair is forwarded
 * when both are there, whichever came first; the message of a rejection is written to the error stream.
 */
export function serveForwards(connection: Duplex, forward: (port: number, data: ForwardedConnection) => Promise<void>): void {
  const waiting = new Map<string, { readonly error?: SpdyStream; readonly data?: SpdyStream }>();
  new SpdySession(connection, {
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
      const pair = { ...waiting.get(key), [type]: stream };
      waiting.set(key, pair);
      const { error, data } = pair;
      if (error === undefined || data === undefined) return;
      waiting.delete(key);
      void forwardPair(data, error, (connected) => forward(port, connected));
    },
  });
}

async function forwardPair(data: SpdyStream, error: SpdyStream, forward: (connected: ForwardedConnection) => Promise<void>): Promise<void> {
  error.discard();
  try {
    await forward({ input: data, output: data, end: () => void data.end().catch(() => {}) });
  } catch (failure) {
    await error.write(Buffer.from(failure instanceof Error ? failure.message : String(failure))).catch(() => {});
  }
  data.discard();
  await Promise.allSettled([data.end(), error.end()]);
}
