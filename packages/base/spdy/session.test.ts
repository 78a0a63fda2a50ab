import { createHash } from 'node:crypto';
import { Duplex } from 'node:stream';
import { constants, createDeflate } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { HeaderReader, HeaderWriter, headerDictionary } from './header-block.ts';
import { SpdySession, type SpdyStream } from './session.ts';

function pair(): [Duplex, Duplex] {
  const ends: Duplex[] = [];
  for (const index of [0, 1]) {
    ends.push(
      new Duplex({
        read() {},
        write(chunk: Buffer, _encoding, done) {
          ends[1 - index]?.push(chunk);
          done();
        },
        final(done) {
          ends[1 - index]?.push(null);
          done();
        },
      }),
    );
  }
  const [a, b] = ends;
  if (!a || !b) throw new Error('unreachable');
  return [a, b];
}

async function text(stream: AsyncIterable<Uint8Array>): Promise<string> {
  let all = '';
  for await (const chunk of stream) all += Buffer.from(chunk).toString();
  return all;
}

describe('header blocks', () => {
  it('use the dictionary of the protocol', () => {
    // Published length and digest of the dictionary in the SPDY/3 specification.
    expect(headerDictionary().length).toBe(1423);
    expect(createHash('sha256').update(headerDictionary()).digest('hex')).toBe(
      '51d27341373f923f3cd88e1eb7162aeaa3723d7585ff2399201dc06498407f02',
    );
  });

  it('are read as they were written, several in a row', async () => {
    const writer = new HeaderWriter();
    const reader = new HeaderReader();
    for (const value of ['stdin', 'x'.repeat(40_000), '']) {
      const headers = new Map([
        ['streamtype', value],
        ['__proto__', 'p'],
      ]);
      expect(await reader.read(writer.write(headers))).toEqual(headers);
    }
    reader.close();
  });

  it('are read when another implementation has compressed them', async () => {
    const deflate = createDeflate({ dictionary: headerDictionary() });
    const chunks: Buffer[] = [];
    deflate.on('data', (chunk: Buffer) => chunks.push(chunk));
    const block = Buffer.from([0, 0, 0, 1, 0, 0, 0, 4, ...Buffer.from('host'), 0, 0, 0, 1, ...Buffer.from('a')]);
    await new Promise<void>((resolve) => {
      deflate.write(block);
      deflate.flush(constants.Z_SYNC_FLUSH, resolve);
    });
    expect(await new HeaderReader().read(Buffer.concat(chunks))).toEqual(new Map([['host', 'a']]));
  });
});

describe('SpdySession', () => {
  it('carries several streams at once, with half-close', async () => {
    const [left, right] = pair();
    new SpdySession(right, {
      role: 'server',
      onStream: (stream: SpdyStream) => {
        stream.accept();
        void (async () => {
          const received = await text(stream);
          await stream.write(Buffer.from(`${stream.headers.get('streamtype')}:${received}`));
          await stream.end();
        })();
      },
    });
    const client = new SpdySession(left, { role: 'client' });
    const streams = await Promise.all(['a', 'b', 'c'].map((name) => client.openStream(new Map([['streamtype', name]]))));
    for (const stream of streams) {
      await stream.write(Buffer.from('one '));
      await stream.write(Buffer.alloc(100_000, 'x'));
      await stream.end();
    }
    const answers = await Promise.all(streams.map(text));
    expect(answers.map((answer) => answer.slice(0, 8))).toEqual(['a:one xx', 'b:one xx', 'c:one xx']);
    expect(answers.map(({ length }) => length)).toEqual([100_006, 100_006, 100_006]);
    client.close();
    await client.closed;
  });

  it('refuses streams that nobody expects, and ends all of them with the connection', async () => {
    const [left, right] = pair();
    const server = new SpdySession(right, { role: 'server' });
    const client = new SpdySession(left, { role: 'client' });
    await expect(client.openStream(new Map())).rejects.toThrow('refused');
    server.close();
    await client.closed;
    await expect(client.openStream(new Map())).rejects.toThrow('closed');
  });

  it('ends on a frame that is not SPDY', async () => {
    const [left, right] = pair();
    const client = new SpdySession(left, { role: 'client' });
    right.write(Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'));
    await client.closed;
  });
});
