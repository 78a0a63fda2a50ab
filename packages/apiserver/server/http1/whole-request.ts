/** A request that arrived in one piece. */
export interface WholeRequest {
  readonly method: string;
  readonly url: string;
  /** Names in lower case; none is repeated. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

const maxHeadBytes = 16 * 1024;
const headEnd = Buffer.from('\r\n\r\n');
const requestLine = /^(GET|POST|PUT|PATCH|DELETE) (\/[!-~]*) HTTP\/1\.1$/;
const headerLine = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*((?:[!-~\x80-\xff](?:[\t -~\x80-\xff]*[!-~\x80-\xff])?)?)[ \t]*$/;
const decimal = /^(?:0|[1-9]\d{0,7})$/;
/** What these ask for is decided by Node's parser, in all its forms. */
const involved = new Set(['connection', 'expect', 'proxy-connection', 'te', 'trailer', 'transfer-encoding', 'upgrade', '__proto__']);

/**
 * Reads chunks that are exactly one HTTP/1.1 request with its whole body and nothing out of the ordinary (RFC 9112). The header block is
 * remembered, because a client repeats it from request to request.
 */
export class WholeRequestReader {
  #block = '';
  #headers: WholeRequest['headers'] = {};

  /**
   * Undefined for every other chunk: whether it is a part of a good request or nonsense is for Node's parser to judge.
   */
  read(chunk: Buffer): WholeRequest | undefined {
    const end = chunk.indexOf(headEnd);
    if (end < 0 || end > maxHeadBytes) return undefined;
    const head = chunk.toString('latin1', 0, end);
    const lineEnd = head.indexOf('\r\n');
    if (lineEnd < 0) return undefined;
    const [, method, url] = requestLine.exec(head.slice(0, lineEnd)) ?? [];
    if (method === undefined || url === undefined) return undefined;
    const headers = this.#readHeaders(head.slice(lineEnd + 2));
    if (headers?.host === undefined) return undefined;
    const length = headers['content-length'] ?? '0';
    const body = chunk.subarray(end + headEnd.length);
    if (!decimal.test(length) || Number(length) !== body.length) return undefined;
    return { method, url, headers, body };
  }

  #readHeaders(block: string): WholeRequest['headers'] | undefined {
    if (block === this.#block) return this.#headers;
    const headers: Record<string, string> = {};
    for (const line of block.split('\r\n')) {
      const [, givenName, value] = headerLine.exec(line) ?? [];
      if (givenName === undefined || value === undefined) return undefined;
      const name = givenName.toLowerCase();
      if (headers[name] !== undefined) return undefined;
      if (involved.has(name) && !(name === 'connection' && value.toLowerCase() === 'keep-alive')) return undefined;
      headers[name] = value;
    }
    this.#block = block;
    this.#headers = headers;
    return headers;
  }
}
