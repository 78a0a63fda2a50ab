/**
 * A SPDY/3.1 session over any duplex byte stream, in either role: streams with headers that both sides open, write to and half-close.
 * What Kubernetes' exec, attach and port-forward need of the protocol: no push, no priorities, no flow control windows (peers of that
 * kind keep none); instead the connection is not read while much of what came is not consumed.
 */
import { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { HeaderReader, HeaderWriter, type SpdyHeaders } from './header-block.ts';

const frame = { synStream: 1, synReply: 2, rstStream: 3, settings: 4, ping: 6, goAway: 7, headers: 8, windowUpdate: 9 } as const;
const flagFin = 1;
const controlBit = 0x8000;
const version = 3;
const maxFrameBytes = 1024 * 1024;
const maxDataBytes = 32 * 1024;
const maxUnreadBytes = 1024 * 1024;
/** A peer that neither reads nor hangs up for so long after GOAWAY is disconnected; one that reads slowly loses nothing, as upstream. */
const hangUpTimeoutMs = 900_000;

export interface SpdySessionOptions {
  readonly role: 'client' | 'server';
  /** Called for each stream the other side opens; it must be accepted or reset by the callee. */
  readonly onStream?: (stream: SpdyStream) => void;
}

export class SpdySession {
  /** Settles when the session is over; never rejects. */
  readonly closed: Promise<void>;
  readonly #socket: Duplex;
  readonly #options: SpdySessionOptions;
  readonly #streams = new Map<number, SpdyStream>();
  readonly #headerWriter = new HeaderWriter();
  readonly #headerReader = new HeaderReader();
  #nextId: number;
  #unreadBytes = 0;
  #resume: (() => void) | undefined;
  #resolveClosed: () => void = () => {};
  #ended = false;

  constructor(socket: Duplex, options: SpdySessionOptions) {
    this.#socket = socket;
    this.#options = options;
    this.#nextId = options.role === 'client' ? 1 : 2;
    this.closed = new Promise((resolve) => {
      this.#resolveClosed = resolve;
    });
    socket.on('error', () => this.#end());
    // What has arrived is still handled: reading ends by itself, unless it waits for room.
    socket.on('close', () => this.#resume?.());
    void this.#readFrames().finally(() => this.#end());
  }

  /** Opens a stream; resolves when the other side has answered. */
  async openStream(headers: SpdyHeaders): Promise<SpdyStream> {
    if (this.#ended) throw new Error('the session is closed');
    const id = this.#nextId;
    this.#nextId += 2;
    const stream = this.#addStream(id, headers);
    const block = this.#headerWriter.write(headers);
    const body = Buffer.alloc(10);
    body.writeUInt32BE(id, 0);
    this.#writeControl(frame.synStream, 0, Buffer.concat([body, block]));
    await stream.replied;
    return stream;
  }

  /** Ends all streams, then the connection, as soon as what was written has gone out and the other side has hung up. */
  close(): void {
    if (this.#ended) return;
    this.#writeControl(frame.goAway, 0, Buffer.alloc(8));
    this.#socket.end();
    if (this.#socket instanceof Socket) this.#socket.setTimeout(hangUpTimeoutMs, () => this.#socket.destroy());
    this.#endStreams();
  }

  #addStream(id: number, headers: SpdyHeaders): SpdyStream {
    const stream = new SpdyStream(id, headers, {
      reply: (answer) => {
        const head = Buffer.alloc(4);
        head.writeUInt32BE(id);
        this.#writeControl(frame.synReply, 0, Buffer.concat([head, this.#headerWriter.write(answer)]));
      },
      data: (chunk, fin) => this.#writeData(id, chunk, fin),
      reset: () => {
        const body = Buffer.alloc(8);
        body.writeUInt32BE(id, 0);
        body.writeUInt32BE(5, 4);
        this.#writeControl(frame.rstStream, 0, body);
      },
      consumed: (bytes) => this.#consumed(bytes),
      finished: () => this.#streams.delete(id),
    });
    this.#streams.set(id, stream);
    return stream;
  }

  async #readFrames(): Promise<void> {
    let buffered: Buffer = Buffer.alloc(0);
    try {
      for await (const chunk of this.#socket) {
        if (this.#ended) continue;
        buffered = buffered.length === 0 ? (chunk as Buffer) : Buffer.concat([buffered, chunk as Buffer]);
        for (;;) {
          if (this.#ended || buffered.length < 8) break;
          const length = buffered.readUInt32BE(4) & 0xffffff;
          if (length > maxFrameBytes) throw new Error('frame too large');
          if (buffered.length < 8 + length) break;
          const head = buffered.subarray(0, 8);
          const body = buffered.subarray(8, 8 + length);
          buffered = buffered.subarray(8 + length);
          await this.#handleFrame(head, body);
        }
        if (this.#unreadBytes > maxUnreadBytes && !this.#socket.destroyed) {
          await new Promise<void>((resolve) => {
            this.#resume = resolve;
          });
        }
      }
    } catch {
      this.#socket.destroy();
    }
  }

  async #handleFrame(head: Buffer, body: Buffer): Promise<void> {
    const flags = head.readUInt8(4);
    const first = head.readUInt16BE(0);
    if ((first & controlBit) === 0) {
      const stream = this.#streams.get(head.readUInt32BE(0) & 0x7fffffff);
      if (!stream) return;
      if (body.length > 0) {
        this.#unreadBytes += body.length;
        stream.receive(Buffer.from(body));
      }
      if (flags & flagFin) stream.receiveEnd();
      return;
    }
    if ((first & 0x7fff) !== version) throw new Error('unsupported SPDY version');
    switch (head.readUInt16BE(2)) {
      case frame.synStream: {
        const id = body.readUInt32BE(0) & 0x7fffffff;
        const stream = this.#addStream(id, await this.#headerReader.read(body.subarray(10)));
        if (flags & flagFin) stream.receiveEnd();
        if (this.#options.onStream) this.#options.onStream(stream);
        else stream.reset();
        return;
      }
      case frame.synReply: {
        const headers = await this.#headerReader.read(body.subarray(4));
        const stream = this.#streams.get(body.readUInt32BE(0) & 0x7fffffff);
        stream?.receiveReply(headers);
        if (flags & flagFin) stream?.receiveEnd();
        return;
      }
      case frame.headers:
        await this.#headerReader.read(body.subarray(4));
        return;
      case frame.rstStream: {
        const id = body.readUInt32BE(0) & 0x7fffffff;
        this.#streams.get(id)?.receiveReset();
        this.#streams.delete(id);
        return;
      }
      case frame.ping: {
        const own = this.#options.role === 'client' ? 1 : 0;
        if (body.readUInt32BE(0) % 2 !== own) this.#writeControl(frame.ping, 0, Buffer.from(body));
        return;
      }
      case frame.goAway:
        this.#socket.end();
        return;
      default:
        // SETTINGS, WINDOW_UPDATE and what is not known ask for nothing here.
        return;
    }
  }

  async #writeData(id: number, chunk: Uint8Array, fin: boolean): Promise<void> {
    const bytes = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    let start = 0;
    do {
      const piece = bytes.subarray(start, start + maxDataBytes);
      start += piece.length;
      const head = Buffer.alloc(8);
      head.writeUInt32BE(id, 0);
      head.writeUInt32BE(piece.length, 4);
      head.writeUInt8(fin && start >= bytes.length ? flagFin : 0, 4);
      await this.#write(Buffer.concat([head, piece]));
    } while (start < bytes.length);
  }

  #writeControl(type: number, flags: number, body: Buffer): void {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(controlBit | version, 0);
    head.writeUInt16BE(type, 2);
    head.writeUInt32BE(body.length, 4);
    head.writeUInt8(flags, 4);
    if (!this.#ended) this.#socket.write(Buffer.concat([head, body]));
  }

  /** Resolves when the connection takes more. */
  #write(bytes: Buffer): Promise<void> {
    if (this.#ended) return Promise.reject(new Error('the session is closed'));
    if (this.#socket.write(bytes)) return Promise.resolve();
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done);
        this.#socket.off('close', done);
        resolve();
      };
      this.#socket.on('drain', done);
      this.#socket.on('close', done);
    });
  }

  #consumed(bytes: number): void {
    this.#unreadBytes -= bytes;
    if (this.#unreadBytes <= maxUnreadBytes) this.#resume?.();
  }

  #end(): void {
    this.#endStreams();
    this.#socket.destroy();
  }

  #endStreams(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const stream of this.#streams.values()) stream.receiveReset();
    this.#streams.clear();
    this.#headerReader.close();
    this.#resume?.();
    this.#resolveClosed();
  }
}

interface StreamPort {
  reply(headers: SpdyHeaders): void;
  data(chunk: Uint8Array, fin: boolean): Promise<void>;
  reset(): void;
  consumed(bytes: number): void;
  finished(): void;
}

/** One stream: read it as an async iterable, once; write to it and end it independently. */
export class SpdyStream implements AsyncIterable<Uint8Array> {
  readonly id: number;
  readonly headers: SpdyHeaders;
  /** Settles when the other side has accepted the stream, or rejects when it has refused it. */
  readonly replied: Promise<void>;
  readonly #port: StreamPort;
  #pending: Buffer[] = [];
  #wake: (() => void) | undefined;
  #resolveReplied: () => void = () => {};
  #rejectReplied: (error: Error) => void = () => {};
  #remoteEnded = false;
  #localEnded = false;
  #wasReset = false;
  #discarding = false;

  constructor(id: number, headers: SpdyHeaders, port: StreamPort) {
    this.id = id;
    this.headers = headers;
    this.#port = port;
    this.replied = new Promise((resolve, reject) => {
      this.#resolveReplied = resolve;
      this.#rejectReplied = reject;
    });
    this.replied.catch(() => {});
  }

  /** True when the other side or the end of the connection cut the stream off, instead of ending it. */
  get wasReset(): boolean {
    return this.#wasReset;
  }

  /** Accepts a stream that the other side has opened. */
  accept(headers: SpdyHeaders = new Map()): void {
    this.#port.reply(headers);
  }

  /** Resolves when the connection takes more. Rejects when the stream is over. */
  async write(chunk: Uint8Array): Promise<void> {
    if (this.#localEnded || this.#wasReset) throw new Error('the stream is closed');
    if (chunk.byteLength > 0) await this.#port.data(chunk, false);
  }

  /** Says that nothing more will be written; idempotent. */
  async end(): Promise<void> {
    if (this.#localEnded || this.#wasReset) return;
    this.#localEnded = true;
    await this.#port.data(new Uint8Array(), true);
    this.#finishIfDone();
  }

  /** Ends both directions at once. */
  reset(): void {
    if (this.#wasReset) return;
    this.#port.reset();
    this.receiveReset();
    this.#port.finished();
  }

  /** Drops what comes, so that an unread stream does not hold up the others. */
  discard(): void {
    this.#discarding = true;
    for (const chunk of this.#pending.splice(0)) this.#port.consumed(chunk.length);
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#pending.shift();
        if (chunk) {
          this.#port.consumed(chunk.length);
          yield chunk;
        } else if (this.#remoteEnded) return;
        else {
          await new Promise<void>((resolve) => {
            this.#wake = resolve;
          });
        }
      }
    } finally {
      this.discard();
    }
  }

  /** For the session. */
  receive(chunk: Buffer): void {
    if (this.#discarding || this.#remoteEnded) this.#port.consumed(chunk.length);
    else this.#pending.push(chunk);
    this.#wake?.();
  }

  /** For the session. */
  receiveEnd(): void {
    this.#remoteEnded = true;
    this.#wake?.();
    this.#finishIfDone();
  }

  /** For the session. */
  receiveReply(_headers: SpdyHeaders): void {
    this.#resolveReplied();
  }

  /** For the session. */
  receiveReset(): void {
    this.#wasReset = true;
    this.#remoteEnded = true;
    this.#rejectReplied(new Error('the stream was refused'));
    this.#wake?.();
  }

  #finishIfDone(): void {
    if (this.#remoteEnded && this.#localEnded) this.#port.finished();
  }
}
