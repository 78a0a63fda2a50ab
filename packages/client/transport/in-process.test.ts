import type { Handler, HttpRequest, StreamSink } from '@coffer/base/http/handler';
import { BodyTooLargeError } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import { inProcessTransport } from './in-process.ts';

const identity = { name: 'system:kube-scheduler', groups: ['system:authenticated'] };
const text = (bytes: Uint8Array) => Buffer.from(bytes).toString();

function transportOf(handler: Handler, maxBufferedBytes?: number) {
  return inProcessTransport({ handler, identity, userAgent: 'me/1', ...(maxBufferedBytes === undefined ? {} : { maxBufferedBytes }) });
}

describe('inProcessTransport', () => {
  it('hands the request over as the server would have got it from the network, with the identity attached', async () => {
    let seen: HttpRequest | undefined;
    let tooLarge: unknown;
    const transport = transportOf(async (request) => {
      seen = request;
      tooLarge = await request.readBody(2).catch((error: unknown) => error);
      return { kind: 'full', status: 201, headers: { 'Content-Type': 'x', 'x-many': ['a', 'b'] }, body: await request.readBody(100) };
    });
    const answer = await transport.request({ method: 'POST', path: '/p?q=1', headers: { Accept: ['a', 'b'], 'X-N': 1 }, body: 'héllo' });
    expect(seen).toMatchObject({
      method: 'POST',
      url: '/p?q=1',
      headers: { 'user-agent': 'me/1', accept: 'a, b', 'x-n': '1', 'content-length': '6' },
      peer: { address: 'in-process', identity },
    });
    expect(tooLarge).toBeInstanceOf(BodyTooLargeError);
    expect(answer).toMatchObject({ status: 201, headers: { 'content-type': 'x', 'x-many': 'a, b' } });
    expect(text(answer.body)).toBe('héllo');
  });

  it('joins a streamed answer for a caller who wants it whole', async () => {
    const transport = transportOf(async () => ({
      kind: 'stream',
      status: 200,
      headers: {},
      run: async (sink) => {
        sink.write('a');
        await Promise.resolve();
        sink.write(Buffer.from('b'));
      },
    }));
    expect(text((await transport.request({ method: 'GET', path: '/' })).body)).toBe('ab');
  });

  it('streams, holds a fast writer back, and tells it when the reader has gone', async () => {
    let sink: StreamSink | undefined;
    const transport = transportOf(
      async () => ({
        kind: 'stream',
        status: 200,
        headers: {},
        run: async (given) => {
          sink = given;
          expect(given.write('12345')).toBe(true);
          expect(given.write('67890')).toBe(false);
          expect(given.bufferedBytes).toBe(10);
          await given.drained();
          given.write('end');
          await new Promise<void>((resolve) => given.signal.addEventListener('abort', () => resolve(), { once: true }));
        },
      }),
      10,
    );
    const { chunks } = await transport.stream({ method: 'GET', path: '/' });
    const got: string[] = [];
    for await (const chunk of chunks) {
      got.push(text(chunk));
      if (got.at(-1) === 'end') break;
    }
    expect(got).toEqual(['1234567890', 'end']);
    expect(sink?.signal.aborted).toBe(true);
    expect(sink?.write('more')).toBe(false);
    await expect(sink?.drained()).rejects.toThrow('the reader has gone');
  });

  it('passes on what ended a stream', async () => {
    const transport = transportOf(async () => ({
      kind: 'stream',
      status: 200,
      headers: {},
      run: () => Promise.reject(new Error('broken')),
    }));
    const { chunks } = await transport.stream({ method: 'GET', path: '/' });
    await expect(chunks[Symbol.asyncIterator]().next()).rejects.toThrow('broken');
  });

  it('ends requests and streams when aborted or closed', async () => {
    const forever: Handler = (request) =>
      new Promise((_resolve, reject) =>
        request.signal.addEventListener('abort', () => reject(new Error('seen by the server')), { once: true }),
      );
    const stop = new AbortController();
    const request = transportOf(forever).request({ method: 'GET', path: '/', signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(request).rejects.toThrow('enough');
    await expect(transportOf(forever).request({ method: 'GET', path: '/', signal: stop.signal })).rejects.toThrow('enough');
    const transport = transportOf(async () => ({
      kind: 'stream',
      status: 200,
      headers: {},
      run: (sink) => sink.drained().then(() => new Promise(() => {})),
    }));
    const { chunks } = await transport.stream({ method: 'GET', path: '/' });
    const next = chunks[Symbol.asyncIterator]().next();
    transport.close();
    await expect(next).rejects.toThrow('the transport is closed');
  });
});
