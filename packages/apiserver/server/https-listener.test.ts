import { once } from 'node:events';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { BodyTooLargeError, type Handler, type HttpRequest } from '@coffer/base/http/handler';
import { silentLogger } from '@coffer/base/log/logger';
import { systemClock } from '@coffer/base/time/clock';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { loadOrCreateClusterKeys } from '../pki/cluster-keys.ts';
import { echo, openListenerKit } from '../testing/listening.ts';
import { HttpsListener } from './https-listener.ts';

const kit = await openListenerKit();
const { directory, keys, listening, trust } = kit;
afterAll(() => kit.remove());

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
