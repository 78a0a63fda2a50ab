/**
 * Header blocks of SPDY/3.1: name and value pairs, compressed with zlib and a dictionary that both sides know. One compression
 * context per direction and session, so blocks must be read in the order in which they were written.
 */
import { createInflate, type Inflate } from 'node:zlib';

const prefixedWords =
  'options head post put delete trace accept accept-charset accept-encoding accept-language accept-ranges age allow authorization ' +
  'cache-control connection content-base content-encoding content-language content-length content-location content-md5 ' +
  'content-range content-type date etag expect expires from host if-match if-modified-since if-none-match if-range ' +
  'if-unmodified-since last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer ' +
  'retry-after server te trailer transfer-encoding upgrade user-agent vary via warning www-authenticate method get status ' +
  '200_OK version HTTP/1.1 url public set-cookie keep-alive origin';
const plainTail =
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505203 Non-Authoritative ' +
  'Information204 No Content301 Moved Permanently400 Bad Request401 Unauthorized403 Forbidden404 Not Found500 Internal Server ' +
  'Error501 Not Implemented503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 Mon, Tue, Wed, Thu, ' +
  'Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,application/xml,application/xhtml+xml,text/plain,' +
  'text/javascript,publicprivatemax-age=gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.';

/** The dictionary of the protocol: words with their length before them, then text. */
export function headerDictionary(): Buffer {
  const words = prefixedWords.split(' ').map((word) => {
    const text = Buffer.from(word.replace('_', ' '));
    return Buffer.concat([uint32(text.length), text]);
  });
  return Buffer.concat([...words, Buffer.from(plainTail)]);
}

/** Names in lower case; values of one name joined by NUL on the wire. */
export type SpdyHeaders = ReadonlyMap<string, string>;

const maxBlockBytes = 64 * 1024;
const maxStoredBytes = 65_535;

/** Writes header blocks. They are stored, not compressed: no state, and a few bytes more on a connection with a handful of streams. */
export class HeaderWriter {
  #started = false;

  write(headers: SpdyHeaders): Buffer {
    const parts: Buffer[] = [uint32(headers.size)];
    for (const [name, value] of headers) {
      for (const text of [name.toLowerCase(), value]) {
        const bytes = Buffer.from(text);
        parts.push(uint32(bytes.length), bytes);
      }
    }
    const block = Buffer.concat(parts);
    const output: Buffer[] = [];
    if (!this.#started) {
      // The start of a zlib stream that names its dictionary.
      output.push(Buffer.of(0x78, 0xbb), uint32(adler32(headerDictionary())));
      this.#started = true;
    }
    for (let start = 0; start < block.length; start += maxStoredBytes) {
      const piece = block.subarray(start, start + maxStoredBytes);
      const head = Buffer.alloc(5);
      head.writeUInt16LE(piece.length, 1);
      head.writeUInt16LE(~piece.length & 0xffff, 3);
      output.push(head, piece);
    }
    // An empty block at the end, as after a flush: some readers hand out nothing before it.
    output.push(Buffer.of(0, 0, 0, 0xff, 0xff));
    return Buffer.concat(output);
  }
}

/** Reads header blocks, one after the other. */
export class HeaderReader {
  readonly #inflate: Inflate;
  #output: Buffer[] = [];
  #bytes = 0;
  #error: Error | undefined;

  constructor() {
    this.#inflate = createInflate({ dictionary: headerDictionary() });
    this.#inflate.on('data', (chunk: Buffer) => {
      this.#output.push(chunk);
      this.#bytes += chunk.length;
    });
    this.#inflate.on('error', (error) => {
      this.#error = error;
    });
  }

  /** Rejects when the block is damaged or larger than 64 KiB. */
  async read(block: Buffer): Promise<SpdyHeaders> {
    await new Promise<void>((resolve, reject) => {
      const fail = (error: Error): void => reject(error);
      this.#inflate.once('error', fail);
      this.#inflate.write(block, (error) => {
        this.#inflate.off('error', fail);
        if (error) reject(error);
        else resolve();
      });
    });
    if (this.#error) throw this.#error;
    if (this.#bytes > maxBlockBytes) throw new Error('header block too large');
    const text = Buffer.concat(this.#output);
    this.#output = [];
    this.#bytes = 0;
    return parse(text);
  }

  close(): void {
    this.#inflate.destroy();
  }
}

function parse(block: Buffer): SpdyHeaders {
  const headers = new Map<string, string>();
  let offset = 0;
  const number = (): number => {
    if (offset + 4 > block.length) throw new Error('header block is cut short');
    offset += 4;
    return block.readUInt32BE(offset - 4);
  };
  const text = (): string => {
    const length = number();
    if (offset + length > block.length) throw new Error('header block is cut short');
    offset += length;
    return block.toString('utf8', offset - length, offset);
  };
  for (let left = number(); left > 0; left--) {
    const name = text();
    headers.set(name, text());
  }
  return headers;
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

/** Checksum of zlib. */
export function adler32(bytes: Buffer): number {
  let a = 1;
  let b = 0;
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}
