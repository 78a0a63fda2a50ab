/**
 * Requests over HTTP/2. One connection carries up to the number of streams its server allows; another is opened when all are full. A
 * connection that does not answer a ping is destroyed with everything on it.
 */
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders, SecureClientSessionOptions } from 'node:http2';
import { connect, constants } from 'node:http2';
import type { Clock } from '@coffer/base/time/clock';
import type { RawAnswer, RawRequest, RequestSender } from './raw-request.ts';
import { plainHeaders } from './raw-request.ts';

const PING_EVERY_MS = 30_000;
const PING_TIMEOUT_MS = 15_000;
/** Streams per connection where the server sets no limit. */
const MAX_STREAMS = 1000;

export class Http2Requests implements RequestSender {
  readonly #base: URL;
  readonly #tls: SecureClientSessionOptions;
  readonly #clock: Clock;
  readonly #sessions = new Set<Session>();

  constructor(base: URL, tls: SecureClientSessionOptions, clock: Clock) {
    this.#base = base;
    this.#tls = tls;
    this.#clock = clock;
  }

  async send(request: RawRequest): Promise<RawAnswer> {
    for (;;) {
      const session = this.#session();
      await session.ready;
      // While it connected, others may have filled it.
      if (session.hasRoom) return session.send(request);
    }
  }

  close(): void {
    for (const session of this.#sessions) session.destroy(new Error('the transport is closed'));
  }

  #session(): Session {
    for (const session of this.#sessions) if (session.connecting || session.hasRoom) return session;
    const session = new Session(connect(this.#base.origin, this.#tls), this.#clock, () => this.#sessions.delete(session));
    this.#sessions.add(session);
    return session;
  }
}

class Session {
  readonly #session: ClientHttp2Session;
  readonly #clock: Clock;
  readonly #onEnd: () => void;
  /** Resolves when the server has said what it allows; rejects when there is no connection. */
  readonly ready: Promise<void>;
  #streams = 0;
  #connecting = true;
  #ending = false;
  #cancelTimer: () => void = () => {};

  constructor(session: ClientHttp2Session, clock: Clock, onEnd: () => void) {
    this.#session = session;
    this.#clock = clock;
    this.#onEnd = onEnd;
    this.ready = new Promise((resolve, reject) => {
      session.once('remoteSettings', () => {
        this.#connecting = false;
        resolve();
      });
      session.once('error', reject);
      session.once('close', () => reject(new Error('the connection was closed')));
    });
    this.ready.catch(() => undefined);
    // Streams report what ended them; without a listener the error would end the process.
    session.on('error', () => this.#end());
    session.on('goaway', () => this.#end());
    session.on('close', () => this.#end());
    this.#pingLater();
  }

  get hasRoom(): boolean {
    if (this.#ending || this.#session.closed || this.#session.destroyed) return false;
    return this.#streams < Math.min(this.#session.remoteSettings?.maxConcurrentStreams ?? MAX_STREAMS, MAX_STREAMS);
  }

  get connecting(): boolean {
    return this.#connecting && !this.#ending;
  }

  destroy(error: Error): void {
    this.#end();
    this.#session.destroy(error);
  }

  send(request: RawRequest): Promise<RawAnswer> {
    return new Promise((resolve, reject) => {
      const headers: Record<string, string | string[]> = { ':method': request.method, ':path': request.path };
      for (const [name, value] of Object.entries(request.headers)) headers[name] = typeof value === 'string' ? value : [...value];
      if (request.body !== undefined) headers['content-length'] = String(request.body.length);
      const stream = this.#session.request(headers, { endStream: request.body === undefined });
      this.#streams++;
      const onAbort = () => {
        stream.close(constants.NGHTTP2_CANCEL);
        reject(request.signal.reason);
      };
      if (request.signal.aborted) onAbort();
      request.signal.addEventListener('abort', onAbort, { once: true });
      stream.on('error', (error) => reject(request.signal.aborted ? request.signal.reason : error));
      stream.on('close', () => {
        this.#streams--;
        request.signal.removeEventListener('abort', onAbort);
        reject(request.signal.aborted ? request.signal.reason : new Error('the connection was closed before an answer came'));
        if (this.#ending && this.#streams === 0) this.#session.close();
      });
      stream.on('response', (answer: IncomingHttpHeaders & { ':status'?: number }) => {
        const { ':status': status, ...rest } = answer;
        resolve({ status: status ?? 0, headers: plainHeaders(rest), chunks: readStream(stream, request.signal) });
      });
      if (request.body !== undefined) stream.end(request.body);
    });
  }

  #pingLater(): void {
    this.#cancelTimer = this.#clock.setTimer(PING_EVERY_MS, () => {
      if (this.#session.destroyed) return;
      const cancelTimeout = this.#clock.setTimer(PING_TIMEOUT_MS, () => this.destroy(new Error('the server did not answer a ping')));
      this.#cancelTimer = cancelTimeout;
      const sent = this.#session.ping((error) => {
        cancelTimeout();
        if (error === null && !this.#ending) this.#pingLater();
      });
      if (!sent) cancelTimeout();
    });
  }

  #end(): void {
    if (this.#ending) return;
    this.#ending = true;
    this.#cancelTimer();
    this.#onEnd();
    if (this.#streams === 0 && !this.#session.destroyed) this.#session.close();
  }
}

/** The body; a stream that ends before its time is an error, and leaving early cancels it. */
async function* readStream(stream: ClientHttp2Stream, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of stream) yield chunk as Uint8Array;
    if (signal.aborted) throw signal.reason;
    if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) throw new Error('the server broke the answer off');
  } finally {
    if (!stream.closed) stream.close(constants.NGHTTP2_CANCEL);
  }
}
