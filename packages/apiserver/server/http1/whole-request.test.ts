import { describe, expect, it } from 'vitest';
import { WholeRequestReader } from './whole-request.ts';

const read = (text: string) => new WholeRequestReader().read(Buffer.from(text, 'latin1'));
const get = (...headers: string[]) => `GET /x HTTP/1.1\r\n${['Host: h', ...headers].map((line) => `${line}\r\n`).join('')}\r\n`;

describe('WholeRequestReader', () => {
  it('reads method, address, headers and body', () => {
    const text =
      'POST /a?b=%20c HTTP/1.1\r\nHost: h\r\nX-Odd:  v \xe9\t1 \r\nEmpty:\r\nContent-Length: 3\r\nConnection: Keep-Alive\r\n\r\nb\r\n';
    const { body, ...rest } = read(text) ?? { body: Buffer.alloc(0) };
    expect(rest).toEqual({
      method: 'POST',
      url: '/a?b=%20c',
      headers: { host: 'h', 'x-odd': 'v \xe9\t1', empty: '', 'content-length': '3', connection: 'Keep-Alive' },
    });
    expect(body.toString()).toBe('b\r\n');
    expect(read(get())).toMatchObject({ method: 'GET', url: '/x', headers: { host: 'h' } });
  });

  it('reads what changes in headers that are the same but for it', () => {
    const reader = new WholeRequestReader();
    const put = (length: number, body: string) => Buffer.from(`PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: ${length}\r\n\r\n${body}`);
    expect(reader.read(put(1, 'a'))?.body.toString()).toBe('a');
    expect(reader.read(put(1, 'b'))?.body.toString()).toBe('b');
    expect(reader.read(put(2, 'cd'))).toMatchObject({ headers: { host: 'h', 'content-length': '2' } });
    expect(reader.read(put(2, 'c'))).toBeUndefined();
    expect(reader.read(put(1, 'cd'))).toBeUndefined();
  });

  it.each([
    ['an unfinished head', 'GET /x HTTP/1.1\r\nHost: h\r\n'],
    ['a head without headers', 'GET /x HTTP/1.1\r\n\r\n'],
    ['no host', 'GET /x HTTP/1.1\r\nA: b\r\n\r\n'],
    ['an empty line before', `\r\n${get()}`],
    ['two requests', get() + get()],
    ['a body without length', `${get()}x`],
    ['half a body', `${get('Content-Length: 3')}ab`],
    ['more than the body', `${get('Content-Length: 3')}abcd`],
    ['a length with a sign', `${get('Content-Length: +3')}abc`],
    ['a length in hexadecimal', `${get('Content-Length: 0x3')}abc`],
    ['a length with a zero before it', `${get('Content-Length: 03')}abc`],
    ['two lengths', `${get('Content-Length: 3', 'Content-Length: 3')}abc`],
    ['a length that is a list', `${get('Content-Length: 3, 3')}abc`],
    ['chunked encoding', get('Transfer-Encoding: chunked')],
    ['chunked encoding and a length', `${get('Content-Length: 3', 'transfer-encoding: chunked')}abc`],
    ['an upgrade', get('Connection: Upgrade', 'Upgrade: websocket')],
    ['an upgrade without connection', get('Upgrade: websocket')],
    ['the last request of a connection', get('Connection: close')],
    ['a question before the body', `${get('Expect: 100-continue', 'Content-Length: 3')}abc`],
    ['trailers', get('Trailer: x')],
    ['a repeated header', get('Accept: a', 'accept: b')],
    ['a name that is a prototype', get('__proto__: x')],
    ['a name with a space', get('Acc ept: a')],
    ['a space before the colon', get('Accept : a')],
    ['a folded line', get('Accept: a', ' b')],
    ['no colon', get('Accept')],
    ['no name', get(': a')],
    ['a zero byte', get('Accept: a\0b')],
    ['a bare line feed', get('Accept: a\nB: c')],
    ['a bare carriage return', get('Accept: a\rB: c')],
    ['lines that end with a line feed', 'GET /x HTTP/1.1\nHost: h\n\n'],
    ['an old version', 'GET /x HTTP/1.0\r\nHost: h\r\n\r\n'],
    ['an unknown method', 'BREW /x HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['a method in lower case', 'get /x HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['HEAD, which is answered without a body', 'HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['a whole URL', 'GET http://h/x HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['an address with a space', 'GET /x y HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['an address beyond ASCII', 'GET /\xe9 HTTP/1.1\r\nHost: h\r\n\r\n'],
    ['a large head', get(`A: ${'a'.repeat(17 * 1024)}`)],
  ])('leaves to others: %s', (_, text) => {
    expect(read(text)).toBeUndefined();
  });
});
