import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { SpdySession, type SpdyStream } from '@coffer/base/spdy/session';
import { acceptUpgrade, spdyProtocols } from '@coffer/base/spdy/upgrade';
import { afterEach, describe, expect, it } from 'vitest';
import { collectingStreams } from '../runtime/contract-fixtures.ts';
import { streamCommand, streamPort } from './streaming.ts';

describe('streams of a runtime', () => {
  let server: Server | undefined;
  afterEach(() => server?.close());

  const serve = async (onStream: (stream: SpdyStream) => void): Promise<string> => {
    server = createServer((_request, response) => response.writeHead(404).end());
    server.on('upgrade', (request, socket) => {
      expect(request.method).toBe('POST');
      expect(request.headers.upgrade).toBe('SPDY/3.1');
      const protocol = String(request.headers['x-stream-protocol-version']);
      acceptUpgrade(socket, new Uint8Array(), protocol === spdyProtocols.command ? spdyProtocols.command : spdyProtocols.portForward);
      new SpdySession(socket, { role: 'server', onStream });
    });
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}/exec/token`;
  };

  it('opens the streams a command needs and half-closes its input', async () => {
    const opened = new Map<string, SpdyStream>();
    const url = await serve((stream) => {
      const type = stream.headers.get('streamtype') ?? '';
      opened.set(type, stream);
      stream.accept();
      if (type !== 'stderr') return;
      void (async () => {
        let input = '';
        for await (const chunk of opened.get('stdin') ?? []) input += Buffer.from(chunk).toString();
        await opened.get('stdout')?.write(Buffer.from(`got ${input}`));
        for (const name of ['stdout', 'stderr']) await opened.get(name)?.end();
        await opened
          .get('error')
          ?.write(
            Buffer.from('{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}'),
          );
        await opened.get('error')?.end();
      })();
    });
    const streams = collectingStreams(['a', 'b']);
    expect(await streamCommand(url, streams, new AbortController().signal)).toBe(7);
    expect(streams.output).toEqual({ stdout: 'got ab', stderr: '' });
    expect([...opened.keys()]).toEqual(['error', 'stdin', 'stdout', 'stderr']);
  });

  it('ends with the reason of its abortion, whenever that comes', async () => {
    for (const early of [true, false]) {
      const abort = new AbortController();
      const url = await serve((stream) => {
        stream.accept();
        if (stream.headers.get('streamtype') === 'stderr') abort.abort(new Error('enough'));
      });
      // The runtime has been asked, and has not answered yet.
      if (early) server?.prependOnceListener('upgrade', () => abort.abort(new Error('enough')));
      await expect(streamCommand(url, collectingStreams(undefined), abort.signal)).rejects.toThrow('enough');
      server?.close();
    }
  });

  it('carries a port and reports what the runtime says about it', async () => {
    const url = await serve((stream) => {
      stream.accept();
      expect(stream.headers.get('port')).toBe('8080');
      void (async () => {
        if (stream.headers.get('streamtype') === 'error') await stream.write(Buffer.from('connection refused'));
        await stream.end();
      })();
    });
    const pair = { input: (async function* () {})(), write: async () => {}, end: () => {} };
    await expect(streamPort(url, 8080, pair, new AbortController().signal)).rejects.toThrow('connection refused');
  });

  it('rejects when the runtime does not upgrade', async () => {
    server = createServer((_request, response) => response.writeHead(403).end());
    await new Promise<void>((resolve) => server?.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
    await expect(streamCommand(url, collectingStreams(undefined), new AbortController().signal)).rejects.toThrow('answered 403');
  });
});
