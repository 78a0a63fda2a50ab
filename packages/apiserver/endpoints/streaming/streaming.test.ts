import { createServer, request as httpRequest, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Duplex } from 'node:stream';
import { echoNode } from '@coffer/api/testing/echo-node';
import { SpdySession, type SpdyStream } from '@coffer/base/spdy/session';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';

const pod = '/api/v1/namespaces/ns/pods/p';
let api: TestApi;
let server: Server;
let port: number;

beforeAll(async () => {
  api = await openTestApi({ nodeApiFor: (name) => (name === 'n1' ? echoNode : undefined) });
  const spec = { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] };
  await api.request('POST', '/api/v1/namespaces/ns/pods', { metadata: { name: 'p' }, spec });
  await api.request('POST', '/api/v1/namespaces/ns/pods', {
    metadata: { name: 'two' },
    spec: { ...spec, containers: [...spec.containers, { name: 'gone', image: 'i' }] },
  });
  await api.request('POST', '/api/v1/namespaces/ns/pods', { metadata: { name: 'nowhere' }, spec: { containers: spec.containers } });
  server = createServer().on('upgrade', (request, socket: Duplex, head) => {
    const headers = request.headers as Record<string, string>;
    const gone = new AbortController();
    socket.once('close', () => gone.abort());
    const options = { headers, upgrade: () => ({ socket, head }), signal: gone.signal };
    void api.raw(request.method ?? 'GET', request.url ?? '/', undefined, options).then((answer) => {
      if (answer.kind === 'full') socket.end(`HTTP/1.1 ${answer.status} x\r\nconnection: close\r\n\r\n${answer.body}`);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  port = (server.address() as AddressInfo).port;
});
afterAll(async () => {
  server.close();
  server.closeAllConnections();
  await api.close();
});

/** Text per channel until the server closes. */
async function channels(path: string, protocol: string, onOpen: (socket: WebSocket) => void = () => {}): Promise<string[]> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, protocol === '' ? [] : protocol);
  const texts: string[] = [];
  socket.on('message', (data: Buffer, isBinary: boolean) => {
    const channel = isBinary ? (data[0] ?? 0) : Number(String.fromCharCode(data[0] ?? 0));
    const payload = data.subarray(1);
    texts[channel] = (texts[channel] ?? '') + (isBinary ? payload : Buffer.from(payload.toString(), 'base64')).toString('utf8');
  });
  socket.on('open', () => onOpen(socket));
  await new Promise<void>((resolve, reject) => {
    socket.on('close', () => resolve());
    socket.on('error', reject);
  });
  return texts;
}

describe('exec over WebSocket', () => {
  it.each(['v5.channel.k8s.io', 'v4.channel.k8s.io'])('sends output and the exit code (%s)', async (protocol) => {
    const [, out, err, status] = await channels(`${pod}/exec?command=ls&command=-l&stdout=1&stderr=1`, protocol);
    expect([out, err]).toEqual(['out ls -l', 'err']);
    expect(JSON.parse(status ?? '')).toEqual({
      metadata: {},
      status: 'Failure',
      message: 'command terminated with non-zero exit code: error executing command [ls -l], exit code 3',
      reason: 'NonZeroExitCode',
      details: { causes: [{ reason: 'ExitCode', message: '3' }] },
    });
  });

  it('ends stdin when the client closes that channel', async () => {
    const [, out, , status] = await channels(`${pod}/exec?command=cat&stdin=1&stdout=1`, 'v5.channel.k8s.io', (socket) => {
      socket.send(Buffer.from('\0hello '));
      socket.send(Buffer.from('\0world'));
      socket.send(Buffer.from([255, 0]));
    });
    expect(out).toBe('hello world');
    expect(JSON.parse(status ?? '')).toEqual({ metadata: {}, status: 'Success' });
  });

  it('passes terminal sizes on', async () => {
    const [, out] = await channels(`${pod}/exec?command=size&stdin=1&stdout=1&tty=1`, 'v5.channel.k8s.io', (socket) => {
      socket.send(Buffer.from('\x04not json'));
      socket.send(Buffer.from('\x04{"Width":80,"Height":24}'));
    });
    expect(out).toBe('80x24');
  });

  it('says why a command could not run', async () => {
    const [, , , status] = await channels(`${pod}/exec?command=broken&stdout=1`, 'v5.channel.k8s.io');
    expect(JSON.parse(status ?? '')).toMatchObject({
      reason: 'InternalError',
      message: 'Internal error occurred: error executing command in container: no such file',
    });
  });

  it('answers as the kubelet does, without upgrading, when the container does not run', async () => {
    const request = upgrade('/api/v1/namespaces/ns/pods/two/exec?command=ls&stdout=1&container=gone', 'POST', spdy('v4.channel.k8s.io'));
    await expect(request).rejects.toThrow('500: container not found ("gone")');
    const silent = upgrade(`${pod}/exec?command=ls`, 'POST', spdy('v4.channel.k8s.io'));
    await expect(silent).rejects.toThrow('400: you must specify at least 1 of stdin, stdout, stderr');
  });

  it.each(['', 'channel.k8s.io', 'base64.channel.k8s.io'])(
    'tells clients of the first versions what went wrong as text (%j)',
    async (protocol) => {
      const failed = await channels(`${pod}/exec?command=ls&stdout=1`, protocol);
      expect(failed[1]).toBe('out ls');
      expect(failed[3]).toBe('command terminated with non-zero exit code: error executing command [ls], exit code 3');
      const [, out, , status] = await channels(`${pod}/exec?command=size&stdin=1&stdout=1&tty=1`, protocol, (socket) => {
        const size = '{"Width":80,"Height":24}';
        socket.send(protocol.startsWith('base64') ? `4${Buffer.from(size).toString('base64')}` : Buffer.from(`\x04${size}`));
      });
      expect([out, status]).toEqual(['80x24', undefined]);
    },
  );

  it('sends a Status as base64 where the client has only text', async () => {
    const [, out, , status] = await channels(`${pod}/exec?command=ls&stdout=1`, 'v4.base64.channel.k8s.io');
    expect(out).toBe('out ls');
    expect(JSON.parse(status ?? '')).toMatchObject({ reason: 'NonZeroExitCode' });
  });

  it('takes the first subprotocol of the client, but always the newest', async () => {
    const chosen = async (offered: string[]) => {
      const socket = new WebSocket(`ws://127.0.0.1:${port}${pod}/exec?command=ls&stdout=1`, offered);
      await new Promise((resolve) => socket.on('close', resolve));
      return socket.protocol;
    };
    expect(await chosen(['unknown', 'channel.k8s.io', 'v4.channel.k8s.io'])).toBe('channel.k8s.io');
    expect(await chosen(['channel.k8s.io', 'v5.channel.k8s.io'])).toBe('v5.channel.k8s.io');
  });

  it('refuses subprotocols it does not know', async () => {
    await expect(channels(`${pod}/exec?command=ls&stdout=1`, 'v9.channel.k8s.io')).rejects.toThrow('403');
  });
});

describe('opening a stream with GET', () => {
  const refusing = (error?: string) =>
    openTestApi({
      nodeApiFor: () => echoNode,
      authorizer: {
        authorize: ({ verb, subresource }) =>
          verb === 'create' && ['exec', 'attach', 'portforward'].includes(subresource)
            ? { decision: 'no-opinion', reason: 'nobody said so', ...(error === undefined ? {} : { error }) }
            : { decision: 'allow', reason: '' },
      },
    });

  it.each(['exec', 'attach', 'portforward'])('needs the permission to create as well (%s)', async (subresource) => {
    const guarded = await refusing();
    await guarded.request('POST', '/api/v1/namespaces/ns/pods', {
      metadata: { name: 'p' },
      spec: { nodeName: 'n1', containers: [{ name: 'c', image: 'i' }] },
    });
    const refused = await guarded.request('GET', `${pod}/${subresource}?command=ls&stdout=1`);
    expect(refused.json).toMatchObject({ code: 403, message: 'pods "p" is forbidden: nobody said so' });
    const missing = await guarded.request('GET', `/api/v1/namespaces/ns/pods/none/${subresource}`);
    expect(missing.status).toBe(403);
    const created = await guarded.request('POST', `${pod}/${subresource}?command=ls&stdout=1`);
    expect(created.json).toMatchObject({ message: 'Upgrade request required' });
    await guarded.close();
  });

  it('says why the permission could not be checked', async () => {
    const guarded = await refusing('no webhook');
    const failed = await guarded.request('GET', `${pod}/exec`);
    expect(failed.json).toMatchObject({ code: 500, message: 'Internal error occurred: no webhook' });
    await guarded.close();
  });
});

describe('exec without a connection to take over', () => {
  it.each([
    [`${pod}/exec?command=ls&stdout=1`, 'Upgrade request required'],
    [`${pod}/exec?command=ls&stdout=1&container=x`, 'container x is not valid for pod p'],
    ['/api/v1/namespaces/ns/pods/two/exec?command=ls&stdout=1', 'a container name must be specified for pod two, choose one of: [c gone]'],
    ['/api/v1/namespaces/ns/pods/nowhere/exec?command=ls&stdout=1', 'pod nowhere does not have a host assigned'],
  ])('%s', async (path, message) => {
    expect((await api.request('POST', path)).json).toMatchObject({ code: 400, message });
  });
});

describe('port-forward', () => {
  it('has two channels per port over WebSocket', async () => {
    const texts = await channels(`${pod}/portforward?ports=80&ports=81`, 'v4.channel.k8s.io', (socket) => {
      socket.send(Buffer.from('\0ping'));
      setTimeout(() => socket.close(), 50);
    });
    expect(texts[0]).toBe(`${String.fromCharCode(80, 0)}80:ping`);
    expect(texts[3]).toMatch(/^Q\0error forwarding port 81 to pod [0-9a-f-]{36}, uid : connection refused$/);
  });

  it.each(['tunnelled through WebSocket', 'as an upgrade'])('is a SPDY session %s', async (how) => {
    const session = new SpdySession(
      how === 'as an upgrade' ? await upgrade(`${pod}/portforward`, 'POST', spdy('portforward.k8s.io')) : await tunnel(),
      { role: 'client' },
    );
    const forward = async (to: number, id: string, text: string): Promise<[string, string]> => {
      const open = (streamtype: string) => session.openStream(new Map(Object.entries({ streamtype, port: String(to), requestid: id })));
      const error = await open('error');
      await error.end();
      const data = await open('data');
      await data.write(Buffer.from(text));
      await data.end();
      return [await textOf(data), await textOf(error)];
    };
    const [first, second, refused] = await Promise.all([forward(80, '0', 'a'), forward(8080, '1', 'b'), forward(81, '2', 'c')]);
    expect([first, second]).toEqual([
      ['80:a', ''],
      ['8080:b', ''],
    ]);
    expect(refused[1]).toMatch(/^error forwarding port 81 to pod [0-9a-f-]{36}, uid : connection refused$/);
    session.close();
  });
});

describe('exec over SPDY', () => {
  const open = async (query: string, names: readonly string[]) => {
    const session = new SpdySession(await upgrade(`${pod}/${query}`, 'POST', spdy('v4.channel.k8s.io')), { role: 'client' });
    const streams = await Promise.all(names.map((streamtype) => session.openStream(new Map([['streamtype', streamtype]]))));
    return { session, streams };
  };

  it.each(['exec?command=cat&stdin=1&stdout=1', 'attach?stdin=1&stdout=1&stderr=0'])('has one stream per channel (%s)', async (query) => {
    const { session, streams } = await open(query, ['error', 'stdin', 'stdout']);
    const [error, stdin, stdout] = streams;
    await stdin?.write(Buffer.from('hello'));
    await stdin?.end();
    expect(await textOf(stdout)).toBe('hello');
    expect(JSON.parse(await textOf(error))).toEqual({ metadata: {}, status: 'Success' });
    session.close();
  });

  it('passes terminal sizes on, and waits for the stream of them', async () => {
    const { session, streams } = await open('exec?command=size&stdout=1&tty=1', ['error', 'stdout', 'resize']);
    const [, stdout, resize] = streams;
    await resize?.write(Buffer.from('{"Width":80,"Height":24}\n'));
    expect(await textOf(stdout)).toBe('80x24');
    session.close();
  });

  it('tells the exit code', async () => {
    const { session, streams } = await open('exec?command=ls&stdout=1&stderr=1', ['error', 'stdout', 'stderr']);
    const [error, stdout, stderr] = streams;
    expect([await textOf(stdout), await textOf(stderr)]).toEqual(['out ls', 'err']);
    expect(JSON.parse(await textOf(error)).details).toEqual({ causes: [{ reason: 'ExitCode', message: '3' }] });
    session.close();
  });
});

describe('watch over WebSocket', () => {
  it('sends one event per message', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/api/v1/namespaces/ns/pods?watch=1&fieldSelector=metadata.name%3Dp`);
    const event = await new Promise<string>((resolve) => socket.on('message', (data: Buffer) => resolve(data.toString('utf8'))));
    expect(JSON.parse(event)).toMatchObject({ type: 'ADDED', object: { kind: 'Pod', metadata: { name: 'p' } } });
    socket.close();
  });
});

describe('log', () => {
  it('is the text the node has', async () => {
    const { status, text, headers } = await api.request('GET', `${pod}/log?tailLines=5`);
    expect([status, text, headers['content-type']]).toEqual([200, 'c 0\nc 1\nc 2\nc 3\nc 4\n', 'text/plain']);
  });

  it.each([
    ['', true],
    ['binary.k8s.io', true],
    ['base64.binary.k8s.io', false],
  ])('is messages over WebSocket, behind an empty one (%j)', async (protocol, binary) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${pod}/log?tailLines=3`, protocol === '' ? [] : protocol);
    const messages: (readonly [string, boolean])[] = [];
    socket.on('message', (data: Buffer, isBinary: boolean) => {
      messages.push([isBinary ? data.toString() : Buffer.from(data.toString(), 'base64').toString(), isBinary]);
    });
    const code = await new Promise((resolve) => socket.on('close', resolve));
    expect([code, ...messages]).toEqual([1000, ['', binary], ['c 0\n', binary], ['c 1\n', binary], ['c 2\n', binary]]);
  });

  it('is refused over WebSocket as without', async () => {
    await expect(channels(`${pod}/log`, 'unknown.k8s.io')).rejects.toThrow('403');
    await expect(channels(`${pod}/log?previous=1`, 'binary.k8s.io')).rejects.toThrow('400');
  });

  it('is nothing while the pod has no node', async () => {
    expect((await api.request('GET', '/api/v1/namespaces/ns/pods/nowhere/log')).status).toBe(204);
  });

  it.each([
    ['tailLines=-1', 'PodLogOptions "p" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0'],
    ['limitBytes=0', 'PodLogOptions "p" is invalid: limitBytes: Invalid value: 0: must be greater than 0'],
    ['stream=All', 'PodLogOptions "p" is invalid: stream: Forbidden: may not be specified'],
    ['container=x', 'container x is not valid for pod p'],
    ['previous=1', 'previous terminated container "c" in pod "p" not found'],
    ['tailLines=x', 'strconv.ParseInt: parsing "x": invalid syntax'],
  ])('refuses %s', async (query, message) => {
    expect((await api.request('GET', `${pod}/log?${query}`)).json.message).toBe(message);
  });
});

/** A WebSocket whose subprotocol the client library would refuse: binary messages as a byte stream, by hand. */
async function tunnel(): Promise<Duplex> {
  const socket = await upgrade(`${pod}/portforward`, 'GET', {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': 'SPDY/3.1+portforward.k8s.io',
  });
  let buffered = Buffer.alloc(0);
  const bytes = new Duplex({
    read() {},
    write(chunk: Buffer, _encoding, done) {
      const head = Buffer.alloc(8);
      head.writeUInt8(0x82, 0);
      head.writeUInt8(0x80 | 126, 1);
      head.writeUInt16BE(chunk.length, 2);
      socket.write(Buffer.concat([head, chunk]), done);
    },
  });
  socket.on('data', (chunk: Buffer) => {
    buffered = Buffer.concat([buffered, chunk]);
    while (buffered.length >= 2) {
      const short = (buffered[1] ?? 0) < 126;
      const length = short ? (buffered[1] ?? 0) : buffered.readUInt16BE(2);
      const start = short ? 2 : 4;
      if (buffered.length < start + length) return;
      if ((buffered[0] ?? 0) === 0x82) bytes.push(buffered.subarray(start, start + length));
      buffered = buffered.subarray(start + length);
    }
  });
  socket.on('close', () => bytes.push(null));
  return bytes;
}

function spdy(protocol: string): Record<string, string> {
  return { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol };
}

async function upgrade(path: string, method: string, headers: Record<string, string>): Promise<Duplex> {
  const request = httpRequest({ host: '127.0.0.1', port, path, method, headers }).end();
  return new Promise((resolve, reject) => {
    request.on('upgrade', (_response, socket, head) => {
      if (head.length > 0) socket.unshift(head);
      resolve(socket);
    });
    request.on('response', (answer) => {
      answer.setEncoding('utf8').on('data', (text: string) => reject(new Error(`${answer.statusCode}: ${text}`)));
    });
    request.on('error', reject);
  });
}

async function textOf(stream: SpdyStream | undefined): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream ?? []) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}
