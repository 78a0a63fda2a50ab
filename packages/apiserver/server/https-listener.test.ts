import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { BodyTooLargeError, type Handler, type HttpRequest, type StreamSink } from '@coffer/base/http/handler';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ClusterKeys, loadOrCreateClusterKeys } from '../pki/cluster-keys.ts';
import { HttpsListener, type ListenerLimits } from './https-listener.ts';

let directory: string;
let keys: ClusterKeys;

beforeAll(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'coffer-listener-'));
  keys = await loadOrCreateClusterKeys({ directory, serverNames: ['localhost', '127.0.0.1'], clock: systemClock });
});
afterAll(() => rm(directory, { recursive: true }));

async function listening(handler: Handler, limits: Partial<ListenerLimits>, use: (port: number) => Promise<void>): Promise<void> {
  const tls = {
    keyPem: keys.serving.keyPem,
    certificatePem: keys.serving.certificatePem,
    clientAuthoritiesPem: [keys.authority.certificatePem],
  };
  const listener = new HttpsListener({ handler, logger: silentLogger, tls, limits });
  const { port } = await listener.listen('127.0.0.1', 0);
  try {
    await use(port);
  } finally {
    await listener.close(100);
  }
}

const trust = () => ({ ca: keys.authority.certificatePem, servername: 'localhost' });
const echo: Handler = async (request) => {
  const body = Buffer.from(await request.readBody(1000)).toString();
  return { kind: 'full', status: 200, headers: { 'content-type': 'text/plain' }, body: `${request.method} ${request.url} ${body}` };
};

function post(port: number, body: string, extra: object = {}): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = httpsRequest(
      { port, host: '127.0.0.1', method: 'POST', path: '/x?y=1', agent: false, ...trust(), ...extra },
      (response) => {
        let text = '';
        response
          .setEncoding('utf8')
          .on('data', (chunk) => (text += chunk))
          .on('end', () => resolve({ status: response.statusCode ?? 0, text }));
      },
    );
    request.on('error', reject).end(body);
  });
}

/** Whether the other side has closed a connection that is not read: the operating system knows, the paused socket does not. */
async function isClosedByPeer(socket: TLSSocket): Promise<boolean> {
  if (socket.destroyed) return true;
  // Empty lines between requests mean nothing.
  await new Promise((resolve) => socket.write('\r\n', resolve));
  return socket.destroyed;
}

/** Whether a text is an HTTP/1.1 answer to its end. */
function isComplete(text: string): boolean {
  const [head = '', ...rest] = text.split('\r\n\r\n');
  const body = rest.join('\r\n\r\n');
  if (/^Transfer-Encoding: chunked$/m.test(head)) return body.endsWith('0\r\n\r\n');
  return rest.length > 0 && body.length === Number(/^content-length: (\d+)$/m.exec(head)?.[1] ?? 0);
}

describe('HttpsListener', () => {
  it('streams chunks of every size unchanged, the same chunk to several readers too', async () => {
    const chunks = [Buffer.from('a'), Buffer.alloc(0), 'text', Buffer.alloc(5000, 'b'), Buffer.alloc(70_000, 'c'), Buffer.from('\u00e9\n')];
    const handler: Handler = async () => ({
      kind: 'stream',
      status: 200,
      headers: {},
      run: async (sink) => {
        sink.flush();
        for (const chunk of chunks) if (!sink.write(chunk)) await sink.drained();
      },
    });
    const expected = `atext${'b'.repeat(5000)}${'c'.repeat(70_000)}\u00e9\n`;
    await listening(handler, {}, async (port) => {
      expect(await Promise.all([post(port, ''), post(port, '')])).toEqual([
        { status: 200, text: expected },
        { status: 200, text: expected },
      ]);
      const session = connectHttp2(`https://127.0.0.1:${port}`, trust());
      let text = '';
      for await (const part of session.request({ ':path': '/' }).setEncoding('utf8')) text += part;
      session.close();
      expect(text).toBe(expected);
    });
  });

  it('sends the header of a stream at once when asked to, before any event', async () => {
    const quiet: Handler = async () => ({
      kind: 'stream',
      status: 200,
      headers: { 'content-type': 'application/json' },
      run: async (sink) => {
        sink.flush();
        await once(sink.signal, 'abort');
      },
    });
    await listening(quiet, {}, async (port) => {
      const request = httpsRequest({ port, host: '127.0.0.1', agent: false, ...trust() }).on('error', () => {});
      request.end();
      const [response] = await once(request, 'response');
      expect(response.statusCode).toBe(200);
      request.destroy();
      const session = connectHttp2(`https://127.0.0.1:${port}`, trust()).on('error', () => {});
      const stream = session.request({ ':path': '/' }).on('error', () => {});
      const [headers] = await once(stream, 'response');
      expect(headers[':status']).toBe(200);
      session.destroy();
    });
  });

  it('hands HTTP/1.1 and HTTP/2 requests to the same handler', () =>
    listening(echo, {}, async (port) => {
      expect(await post(port, 'one')).toEqual({ status: 200, text: 'POST /x?y=1 one' });
      const session = connectHttp2(`https://127.0.0.1:${port}`, trust());
      const stream = session.request({ ':method': 'PUT', ':path': '/h2' });
      stream.end('two');
      let text = '';
      for await (const chunk of stream) text += String(chunk);
      session.close();
      expect(text).toBe('PUT /h2 two');
    }));

  it('takes addresses far longer than the default of Node, in both versions', () =>
    listening(echo, {}, async (port) => {
      const address = `/exec?command=${'a'.repeat(100_000)}`;
      expect((await post(port, 'one', { path: address })).text).toBe(`POST ${address} one`);
      const session = connectHttp2(`https://127.0.0.1:${port}`, { ...trust(), maxSendHeaderBlockLength: 1024 * 1024 });
      const stream = session.request({ ':method': 'PUT', ':path': address });
      stream.end('two');
      let text = '';
      for await (const chunk of stream) text += String(chunk);
      session.close();
      expect(text).toBe(`PUT ${address} two`);
    }));

  for (const version of ['HTTP/1.1', 'HTTP/2']) {
    it(`ends a stream when its client goes away (${version})`, () => {
      let streaming = false;
      let gone = false;
      const handler: Handler = async (request) => ({
        kind: 'stream',
        status: 200,
        headers: {},
        run: async (sink) => {
          sink.write('first');
          streaming = true;
          await new Promise<void>((resolve) => request.signal.addEventListener('abort', () => resolve(), { once: true }));
          gone = true;
        },
      });
      return listening(handler, {}, async (port) => {
        const until = async (condition: () => boolean) => {
          while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5));
        };
        if (version === 'HTTP/2') {
          const session = connectHttp2(`https://127.0.0.1:${port}`, trust());
          session.on('error', () => {});
          session
            .request({ ':path': '/' })
            .on('error', () => {})
            .resume();
          await until(() => streaming);
          session.destroy();
        } else {
          const request = httpsRequest({ port, host: '127.0.0.1', agent: false, ...trust() }, (response) =>
            response.on('error', () => {}).resume(),
          );
          request.on('error', () => {}).end();
          await until(() => streaming);
          request.destroy();
        }
        await until(() => gone);
      });
    });
  }

  it('stops reading a body at the limit and answers', () => {
    const handler: Handler = async (request) => {
      try {
        await request.readBody(1000);
        return { kind: 'full', status: 200, headers: {}, body: '' };
      } catch (error) {
        return { kind: 'full', status: 413, headers: {}, body: error instanceof BodyTooLargeError ? `limit ${error.maxBytes}` : 'other' };
      }
    };
    return listening(handler, {}, async (port) => {
      expect(await post(port, 'x'.repeat(1001))).toEqual({ status: 413, text: 'limit 1000' });
      expect((await post(port, 'x'.repeat(1000))).status).toBe(200);
    });
  });

  it('lets a client read its answer that sends all it has before', () => {
    const refuse: Handler = async () => ({ kind: 'full', status: 413, headers: {}, body: 'too large' });
    return listening(refuse, {}, async (port) => {
      const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
      socket.pause();
      socket.write(`POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: ${64 * 65_536}\r\n\r\n`);
      for (let i = 0; i < 64; i++) await new Promise((resolve) => socket.write('x'.repeat(65_536), resolve));
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      expect(text).toMatch(/^HTTP\/1\.1 413 .*too large$/s);
    });
  });

  it('does not wait for ever for the rest of a body', () => {
    const refuse: Handler = async () => ({ kind: 'full', status: 413, headers: {}, body: 'too large' });
    return listening(refuse, {}, async (port) => {
      const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
      socket.write('POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx');
      let text = '';
      for await (const chunk of socket) text += String(chunk);
      expect(text).toMatch(/^HTTP\/1\.1 413 .*connection: close.*\r\n\r\ntoo large$/s);
    });
  });

  it('marks a client certificate of the authority as verified', () => {
    let seen: HttpRequest['peer'] | undefined;
    const handler: Handler = async (request) => {
      seen = request.peer;
      return { kind: 'full', status: 200, headers: {}, body: '' };
    };
    return listening(handler, {}, async (port) => {
      await post(port, '', { key: keys.admin.keyPem, cert: keys.admin.certificatePem });
      expect(seen?.certificateVerified).toBe(true);
      expect(seen?.certificate?.byteLength).toBeGreaterThan(100);
      await post(port, '');
      expect(seen?.certificate).toBeUndefined();
    });
  });

  it.each([
    ['while the answer is written', (signal: AbortSignal) => once(signal, 'abort')],
    ['when all was written', () => Promise.resolve()],
  ])('ends a reader that takes nothing, %s', (_, waitForMore) => {
    const handler: Handler = async (request) => ({
      kind: 'stream',
      status: 200,
      headers: {},
      run: async (sink) => {
        const chunk = Buffer.alloc(256 * 1024);
        while (!request.signal.aborted && sink.bufferedBytes < 32 * 1024 * 1024) sink.write(chunk);
        await waitForMore(request.signal);
      },
    });
    return listening(handler, { stallTimeoutMs: 200 }, async (port) => {
      const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
      await once(socket, 'secureConnect');
      socket.on('error', () => {});
      socket.pause();
      socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
      await vi.waitFor(async () => expect(await isClosedByPeer(socket)).toBe(true), 20_000);
    });
  });

  it('ends readers that take nothing when too much waits for them altogether, and no other', () => {
    const large: Handler = async () => ({ kind: 'full', status: 200, headers: {}, body: Buffer.alloc(16 * 1024 * 1024) });
    return listening(large, { maxWaitingBytes: 32 * 1024 * 1024 }, async (port) => {
      let ended = 0;
      const stalled = Array.from({ length: 6 }, () => {
        const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
        socket.on('error', () => {});
        socket.once('secureConnect', () => {
          socket.pause();
          socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
        });
        return socket;
      });
      const deadline = Date.now() + 20_000;
      // One that reads gets everything, whatever happens to the others.
      while (ended < 3 && Date.now() < deadline) {
        expect((await post(port, '')).text.length).toBe(16 * 1024 * 1024);
        ended = 0;
        for (const socket of stalled) if (await isClosedByPeer(socket)) ended++;
      }
      expect(ended).toBeGreaterThanOrEqual(3);
      for (const socket of stalled) socket.destroy();
    });
  });

  it('ends a connection on which the header does not arrive, or the body', () =>
    listening(echo, { headersTimeoutMs: 100, requestTimeoutMs: 200 }, async (port) => {
      for (const text of [
        '',
        'POST / HTTP/1.1\r\nHost: localhost\r\n',
        'POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\nx',
      ]) {
        const socket = connectTls({ port, host: '127.0.0.1', ...trust(), ALPNProtocols: ['http/1.1'] });
        const dribble = setInterval(() => socket.write(text === '' || text.endsWith('x') ? '' : 'a: b\r\n'), 20);
        socket.on('error', () => {});
        socket.write(text);
        let answer = '';
        socket.on('data', (chunk) => (answer += String(chunk)));
        await once(socket, 'close');
        clearInterval(dribble);
        expect(answer, text).toMatch(/^(HTTP\/1\.1 408 |$)/);
      }
    }));

  it('closes an HTTP/2 connection on which nothing is served, and only such', () => {
    let finish: (() => void) | undefined;
    const slow: Handler = async () => {
      await new Promise<void>((resolve) => {
        finish = resolve;
      });
      return { kind: 'full', status: 200, headers: {}, body: '' };
    };
    return listening(slow, { idleTimeoutMs: 100 }, async (port) => {
      const busy = connectHttp2(`https://127.0.0.1:${port}`, trust()).on('error', () => {});
      const stream = busy.request({ ':path': '/' });
      await vi.waitFor(() => expect(finish).toBeDefined(), 20_000);
      const idle = connectHttp2(`https://127.0.0.1:${port}`, trust()).on('error', () => {});
      await once(idle, 'close');
      finish?.();
      const [headers] = await once(stream, 'response');
      expect(headers[':status']).toBe(200);
      await once(busy, 'close');
    });
  });

  it('lets requests finish when it closes, ends streams, and takes no new connection', async () => {
    const events: string[] = [];
    let finish = () => {};
    const handler: Handler = async (request) => {
      if (request.method === 'POST') {
        events.push('request');
        await new Promise<void>((resolve) => (finish = resolve));
        return { kind: 'full', status: 200, headers: {}, body: 'done' };
      }
      return {
        kind: 'stream',
        status: 200,
        headers: {},
        run: async (sink) => {
          sink.flush();
          if (!sink.signal.aborted) await once(sink.signal, 'abort');
          events.push('stream ended');
        },
      };
    };
    const tls = { keyPem: keys.serving.keyPem, certificatePem: keys.serving.certificatePem, clientAuthoritiesPem: [] };
    const listener = new HttpsListener({ handler, logger: silentLogger, tls });
    const { port } = await listener.listen('127.0.0.1', 0);
    const stream = httpsRequest({ port, host: '127.0.0.1', agent: false, ...trust() }).on('error', () => {});
    stream.end();
    const [response] = await once(stream, 'response');
    const streamEnded = once(response.resume(), 'end');
    const answer = post(port, 'x');
    while (!events.includes('request')) await new Promise((resolve) => setTimeout(resolve, 5));
    const closed = listener.close(20_000);
    await streamEnded;
    await expect(post(port, 'y')).rejects.toThrow('ECONNREFUSED');
    expect(events).toEqual(['request', 'stream ended']);
    finish();
    expect(await answer).toEqual({ status: 200, text: 'done' });
    await closed;
    await vi.waitFor(() => expect(listener.connections).toBe(0));
  });

  it('answers a request that arrives in pieces as one that arrives whole, in any order on one connection', () => {
    const handler: Handler = async (request) => {
      const { url } = request;
      if (url === '/echo') return echo(request);
      await request.readBody(4);
      if (url === '/broken') throw new Error('broken');
      if (url === '/header') return { kind: 'full', status: 200, headers: { 'x-y': 'a\nb' }, body: '' };
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
        const urls = ['/echo', '/twice', '/broken', '/header', '/large', '/none', '/list', '/watch', '/stream', '/echo'];
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
      expect(whole.map((answer) => answer.slice(9, 12))).toEqual(['200', '201', '500', '500', '200', '304', '200', '200', '200', '200']);
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

  it('says which port is taken', () =>
    listening(echo, {}, async (port) => {
      const tls = { keyPem: keys.serving.keyPem, certificatePem: keys.serving.certificatePem, clientAuthoritiesPem: [] };
      const second = new HttpsListener({ handler: echo, logger: silentLogger, tls });
      await expect(second.listen('127.0.0.1', port)).rejects.toThrow(
        `port ${port} on 127.0.0.1 is already in use; choose another one with --secure-port`,
      );
    }));
});

describe('cluster keys', () => {
  it('are private files, kept by the next start', async () => {
    expect((await stat(directory)).mode & 0o777).toBe(0o700);
    for (const name of ['ca.key', 'ca.crt', 'apiserver.key', 'admin.key', 'sa.key', 'sa.pub']) {
      expect((await stat(path.join(directory, name))).mode & 0o777, name).toBe(0o600);
    }
    const again = await loadOrCreateClusterKeys({ directory, serverNames: ['127.0.0.1'], clock: systemClock });
    expect(again).toEqual(keys);
  });

  it('issue the serving certificate anew for a name it does not cover, under the same authority', async () => {
    const copy = await mkdtemp(path.join(tmpdir(), 'coffer-keys-'));
    const first = await loadOrCreateClusterKeys({ directory: copy, serverNames: ['localhost'], clock: systemClock });
    const second = await loadOrCreateClusterKeys({ directory: copy, serverNames: ['localhost', '10.9.8.7'], clock: systemClock });
    expect(second.authority).toEqual(first.authority);
    expect(second.serving.certificatePem).not.toBe(first.serving.certificatePem);
    expect(await readFile(path.join(copy, 'apiserver.crt'), 'utf8')).toBe(second.serving.certificatePem);
    await rm(copy, { recursive: true });
  });
});
