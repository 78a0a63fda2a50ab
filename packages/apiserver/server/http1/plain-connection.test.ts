import { once } from 'node:events';
import { connect as connectTls } from 'node:tls';
import type { Handler, StreamSink } from '@coffer/base/http/handler';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { echo, openListenerKit } from '../../testing/listening.ts';

const kit = await openListenerKit();
const { listening, trust } = kit;
afterAll(() => kit.remove());

/** Whether a text is an HTTP/1.1 answer to its end. */
function isComplete(text: string): boolean {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  if (/^Transfer-Encoding: chunked$/m.test(head)) return body.endsWith('0\r\n\r\n');
  return rest.length > 0 && body.length === Number(/^content-length: (\d+)$/im.exec(head)?.[1] ?? 0);
}

describe('HttpsListener over HTTP/1.1', () => {
  it('answers a request that arrives in pieces as one that arrives whole, in any order on one connection', () => {
    const handler: Handler = async (request) => {
      const { url } = request;
      if (url === '/echo') return echo(request);
      await request.readBody(4);
      if (url === '/broken') throw new Error('broken');
      if (url === '/header') return { kind: 'full', status: 200, headers: { 'x-y': 'a\nb' }, body: '' };
      const dated = { Date: 'Thu, 01 Jan 2026 00:00:00 GMT', 'Content-Length': 2 };
      if (url === '/dated') return { kind: 'stream', status: 200, headers: dated, run: async (sink) => void sink.write('ok') };
      if (url === '/none') return { kind: 'full', status: 304, headers: { etag: '"x"' }, body: '' };
      if (url === '/twice')
        return { kind: 'full', status: 201, headers: { warning: ['299 - "a"', '299 - "b"'] }, body: Buffer.from('\u00e9') };
      if (url === '/large') return { kind: 'full', status: 200, headers: {}, body: [Buffer.alloc(90_000, 'l'), Buffer.from('end')] };
      const run = async (sink: StreamSink) => {
        if (url === '/watch') sink.flush();
        for (const part of ['one', '', '\u00e9', 'x'.repeat(70_000)]) if (!sink.write(part)) await sink.drained();
      };
      return { kind: 'stream', status: 200, headers: url === '/list' ? { 'content-length': 70_005 } : {}, run };
    };
    return listening(handler, {}, async (port) => {
      const answers = async (split: (text: string, index: number) => string[]) => {
        const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
        let received = '';
        socket.setEncoding('latin1').on('data', (text) => (received += text));
        const complete: string[] = [];
        const urls = ['/echo', '/twice', '/broken', '/header', '/large', '/none', '/list', '/watch', '/stream', '/dated', '/echo'];
        for (const [index, url] of urls.entries()) {
          received = '';
          const text = `POST ${url} HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody`;
          for (const part of split(text, index)) await new Promise((resolve) => socket.write(part, () => setTimeout(resolve, 5)));
          await vi.waitFor(() => expect(isComplete(received), url).toBe(true), 20_000);
          complete.push(received.replace(/^Date: .*$/m, 'Date:'));
        }
        socket.destroy();
        return complete;
      };
      const whole = await answers((text) => [text]);
      expect(whole[0]).toBe(
        'HTTP/1.1 200 OK\r\ncontent-length: 15\r\ncontent-type: text/plain\r\nDate:\r\nConnection: keep-alive\r\nKeep-Alive: timeout=90\r\n\r\nPOST /echo body',
      );
      expect(whole.map((answer) => answer.slice(9, 12))).toEqual([
        '200',
        '201',
        '500',
        '500',
        '200',
        '304',
        '200',
        '200',
        '200',
        '200',
        '200',
      ]);
      // Node's server reads a request that comes in pieces, and all that follow it on its connection.
      const inPieces = await answers((text) => [text.slice(0, 20), text.slice(20)]);
      // They may differ in the words behind the status and in where chunks end.
      const unchunked = (answer: string) =>
        answer
          .slice(9)
          .replace(/^(\d+) [^\r]+/, '$1')
          .replace(/\r\n[0-9a-f]+\r\n(?!\r\n)/g, '');
      expect(inPieces.map(unchunked)).toEqual(whole.map(unchunked));
      expect((await answers((text, index) => (index === 4 ? [text.slice(0, -2), text.slice(-2)] : [text]))).map(unchunked)).toEqual(
        whole.map(unchunked),
      );
    });
  });

  it('answers requests that do not wait for each other in their order', () =>
    listening(echo, {}, async (port) => {
      const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
      let received = '';
      socket.setEncoding('latin1').on('data', (text) => (received += text));
      const bodies = Array.from({ length: 20 }, (_, i) => `body${i}`);
      const requests = bodies.map((body) => `PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
      for (const text of requests.slice(0, 10)) socket.write(text);
      socket.write(requests.slice(10).join(''));
      await vi.waitFor(() => expect([...received.matchAll(/PUT \/ (body\d+)/g)].map((match) => match[1])).toEqual(bodies), 20_000);
      socket.destroy();
    }));

  it('begins a few of many writes in each turn of the event loop', () => {
    let turn = 0;
    let ticking = setImmediate(function tick() {
      turn++;
      ticking = setImmediate(tick);
    });
    const begunInTurn = new Map<number, number>();
    const handler: Handler = async (request) => {
      begunInTurn.set(turn, (begunInTurn.get(turn) ?? 0) + 1);
      for (const until = performance.now() + 1; performance.now() < until; );
      await new Promise((resolve) => setTimeout(resolve, 5));
      return echo(request);
    };
    return listening(handler, {}, async (port) => {
      const sockets = await Promise.all(
        Array.from({ length: 60 }, async () => {
          const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
          await once(socket, 'secureConnect');
          return socket;
        }),
      );
      const answers = sockets.map((socket) => once(socket, 'data'));
      for (const socket of sockets) socket.write('PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\n\r\nx');
      for (const [answer] of await Promise.all(answers)) expect(String(answer)).toMatch(/PUT \/ x$/);
      clearImmediate(ticking);
      for (const socket of sockets) socket.destroy();
      expect(Math.max(...begunInTurn.values())).toBeLessThanOrEqual(24);
    });
  });

  it('tells the handler of a client that hangs up while it is served', async () => {
    const reasons: unknown[] = [];
    const handler: Handler = async (request) => {
      await new Promise<void>((resolve) => request.signal.addEventListener('abort', () => resolve(), { once: true }));
      reasons.push(request.signal.reason);
      return { kind: 'full', status: 200, headers: {}, body: '' };
    };
    await listening(handler, {}, async (port) => {
      for (const parts of [['GET / HTTP/1.1\r\nHost: h\r\n\r\n'], ['GET / HTTP', '/1.1\r\nHost: h\r\n\r\n']]) {
        for (const leave of ['end', 'destroy'] as const) {
          const before = reasons.length;
          const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] }).on('error', () => {});
          for (const part of parts) await new Promise((resolve) => socket.write(part, () => setTimeout(resolve, 20)));
          socket[leave]();
          await vi.waitFor(() => expect(reasons.length).toBe(before + 1), 20_000);
          socket.destroy();
        }
      }
    });
    expect(reasons.map(String)).toEqual(Array(4).fill('Error: client closed the connection'));
  });
});
