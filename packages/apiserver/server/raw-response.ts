import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import type { HttpResponse, StreamSink } from '@coffer/base/http/handler';

/** Answers a request that asked for an upgrade it did not get: plain HTTP/1.1 on the socket, which is closed behind it. */
export async function writeRawResponse(
  socket: Duplex,
  answer: Exclude<HttpResponse, { kind: 'upgraded' }>,
  signal: AbortSignal,
): Promise<void> {
  const lines = [
    `HTTP/1.1 ${answer.status} ${STATUS_CODES[answer.status] ?? ''}`,
    'connection: close',
    `date: ${new Date().toUTCString()}`,
  ];
  for (const [name, value] of Object.entries(answer.headers)) {
    for (const item of Array.isArray(value) ? value : [value]) lines.push(`${name}: ${String(item).replace(/[\r\n]/g, ' ')}`);
  }
  if (answer.kind === 'stream') {
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    await answer.run(rawSink(socket, signal));
    socket.end();
    return;
  }
  const body = Array.isArray(answer.body) ? Buffer.concat(answer.body) : Buffer.from(answer.body as Uint8Array | string);
  socket.end(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\ncontent-length: ${body.length}\r\n\r\n`), body]));
}

function rawSink(socket: Duplex, signal: AbortSignal): StreamSink {
  return {
    signal,
    write: (chunk) => socket.write(chunk),
    flush: () => {},
    drained: () => new Promise((resolve) => (socket.writableNeedDrain ? socket.once('drain', resolve) : resolve())),
    get bufferedBytes() {
      return socket.writableLength;
    },
  };
}
