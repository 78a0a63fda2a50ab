import { STATUS_CODES } from 'node:http';
import type { TLSSocket } from 'node:tls';
import type { RawResponse } from '../node-http-request.ts';

const unsafeHeader = /[^\t\x20-\x7e\x80-\xff]/;
const unsafeName = /[^!#$%&'*+\-.^_`|~0-9A-Za-z]/;

/** Answers without a body, whatever is given (RFC 9110, 6.4.1). */
const bodiless = new Set([204, 304]);

/**
 * An HTTP/1.1 answer on a connection that is kept alive, written as Node's `ServerResponse` writes it. It is closed when all of it
 * has left this process or its connection is lost.
 */
export class PlainResponse implements RawResponse {
  readonly socket: TLSSocket;
  chunkedEncoding = false;
  headersSent = false;
  writableEnded = false;
  readonly #keepAlive: string;
  readonly #onEnd: () => void;
  #head = '';
  #bodiless = false;
  #closed = false;
  readonly #closeListeners = new Set<() => void>();

  /** `keepAlive`: the headers that say how long the connection is kept; `onEnd` is called when the last byte was written. */
  constructor(socket: TLSSocket, keepAlive: string, onEnd: () => void) {
    this.socket = socket;
    this.#keepAlive = keepAlive;
    this.#onEnd = onEnd;
  }

  /** Of the events of a `ServerResponse` these two are told: `close`, once, and `drain`. */
  on(event: string, listener: (...args: never[]) => void): void {
    if (event === 'close') this.#closeListeners.add(listener as () => void);
    else if (event === 'drain') this.socket.on('drain', listener as () => void);
  }

  once(event: string, listener: (...args: never[]) => void): void {
    if (event === 'drain') this.socket.once('drain', listener as () => void);
    else this.on(event, listener);
  }

  off(event: string, listener: (...args: never[]) => void): void {
    if (event === 'close') this.#closeListeners.delete(listener as () => void);
    else if (event === 'drain') this.socket.off('drain', listener as () => void);
  }

  get writableLength(): number {
    return this.socket.writableLength;
  }

  get destroyed(): boolean {
    return this.socket.destroyed;
  }

  /** Throws for a header that cannot be sent. */
  writeHead(status: number, headers: Readonly<Record<string, string | number | readonly string[]>>): void {
    let head = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? 'unknown'}\r\n`;
    let sized = false;
    let dated = false;
    for (const name in headers) {
      const value = headers[name] ?? '';
      const lowerCase = name.toLowerCase();
      if (lowerCase === 'content-length') sized = true;
      else if (lowerCase === 'date') dated = true; // of a pod that answered through the proxy
      if (unsafeName.test(name)) throw new TypeError(`header name ${JSON.stringify(name)} cannot be sent`);
      for (const item of typeof value === 'object' ? value : [String(value)]) {
        if (unsafeHeader.test(item)) throw new TypeError(`the value of header ${name} cannot be sent`);
        head += `${name}: ${item}\r\n`;
      }
    }
    this.#bodiless = bodiless.has(status);
    this.chunkedEncoding = !this.#bodiless && !sized;
    if (!dated) head += `Date: ${httpDate()}\r\n`;
    this.#head = `${head}${this.#keepAlive}${this.chunkedEncoding ? 'Transfer-Encoding: chunked\r\n' : ''}\r\n`;
    this.headersSent = true;
  }

  flushHeaders(): void {
    if (this.#head !== '') this.socket.write(this.#takeHead(), 'latin1');
  }

  write(chunk: Uint8Array | string): boolean {
    if (this.#bodiless || chunk.length === 0) return true;
    const bytes = typeof chunk === 'string' ? Buffer.from(chunk) : chunk;
    this.socket.cork();
    this.flushHeaders();
    if (this.chunkedEncoding) this.socket.write(`${bytes.length.toString(16)}\r\n`, 'latin1');
    const goesOn = this.socket.write(bytes);
    if (this.chunkedEncoding) this.socket.write('\r\n', 'latin1');
    this.socket.uncork();
    return goesOn;
  }

  end(chunk?: Uint8Array | string, encoding?: BufferEncoding): void {
    if (this.writableEnded) return;
    this.writableEnded = true;
    const left = () => this.close();
    // A body in the head's encoding goes with it.
    if (typeof chunk === 'string' && encoding === 'latin1' && this.#head !== '' && !this.chunkedEncoding) {
      this.socket.write(this.#bodiless ? this.#takeHead() : this.#takeHead() + chunk, 'latin1', left);
    } else {
      this.socket.cork();
      if (chunk !== undefined) this.write(chunk);
      this.flushHeaders();
      this.socket.write(this.chunkedEncoding ? '0\r\n\r\n' : '', 'latin1', left);
      this.socket.uncork();
    }
    this.#onEnd();
  }

  /** The connection is lost, or the answer has left. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const listener of this.#closeListeners) listener();
  }

  #takeHead(): string {
    const head = this.#head;
    this.#head = '';
    return head;
  }
}

let dateSecond = 0;
let dateText = '';

/** Now, as the `Date` header wants it (RFC 9110, 5.6.7); a new text each second. */
function httpDate(): string {
  const second = Math.floor(Date.now() / 1000);
  if (second !== dateSecond) {
    dateSecond = second;
    dateText = new Date(second * 1000).toUTCString();
  }
  return dateText;
}
