/**
 * The streaming side of CRI: the runtime answers exec, attach and port-forward with a URL of its own server, which speaks SPDY/3.1
 * with the sub-protocols of Kubernetes' remote commands.
 */
import { request as httpRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Duplex } from 'node:stream';
import { SpdySession, type SpdyStream } from '@coffer/base/spdy/session';
import { RuntimeRefusal, type StreamExec, type StreamPair } from '../runtime/container-runtime.ts';

const commandProtocol = 'v4.channel.k8s.io';
const forwardProtocol = 'portforward.k8s.io';

/** Runs the streams of an exec or attach; resolves to the exit status. */
export async function streamCommand(url: string, options: Omit<StreamExec, 'command'>, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const session = await upgrade(url, commandProtocol);
  const abort = (): void => session.close();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const open = (streamType: string) => session.openStream(new Map([['streamtype', streamType]]));
    const errorStream = await open('error');
    await errorStream.end();
    const stdin = options.stdin ? await open('stdin') : undefined;
    const stdout = options.stdout ? await open('stdout') : undefined;
    const stderr = options.stderr && !options.tty ? await open('stderr') : undefined;
    // With a terminal the runtime waits for this stream, used or not.
    const resize = options.tty ? await open('resize') : undefined;
    const outputs = [copyOut(stdout, options.stdout), copyOut(stderr, options.stderr)];
    for (const output of outputs) output.catch(abort);
    if (stdin) copyIn(options.stdin, stdin).catch(() => {});
    if (resize) sendSizes(options.resize, resize).catch(() => {});
    const result = await readAll(errorStream);
    signal.throwIfAborted();
    await Promise.all(outputs);
    return exitStatus(result);
  } finally {
    signal.removeEventListener('abort', abort);
    session.close();
  }
}

/** Carries one connection to a port. */
export async function streamPort(url: string, port: number, stream: StreamPair, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const session = await upgrade(url, forwardProtocol);
  const abort = (): void => session.close();
  signal.addEventListener('abort', abort, { once: true });
  try {
    const headers = (streamtype: string) =>
      new Map([
        ['streamtype', streamtype],
        ['port', String(port)],
        ['requestid', '0'],
      ]);
    const errorStream = await session.openStream(headers('error'));
    await errorStream.end();
    const data = await session.openStream(headers('data'));
    const failure = readAll(errorStream);
    copyIn(stream.input, data).catch(() => {});
    for await (const chunk of data) await stream.write(chunk);
    const message = await Promise.race([failure, session.closed.then(() => '')]);
    if (message !== '') throw new RuntimeRefusal('PortForwardFailed', message);
  } finally {
    signal.removeEventListener('abort', abort);
    session.close();
    stream.end();
  }
}

/** An empty error stream means success; otherwise it holds a Status object whose causes name the exit status. */
export function exitStatus(text: string): number {
  if (text === '') return 0;
  let parsed: { status?: string; message?: string; reason?: string; details?: { causes?: { reason?: string; message?: string }[] } };
  try {
    parsed = JSON.parse(text) as typeof parsed;
  } catch {
    throw new RuntimeRefusal('ExecFailed', text);
  }
  if (parsed.status === 'Success') return 0;
  const cause = parsed.details?.causes?.find(({ reason }) => reason === 'ExitCode');
  if (parsed.reason === 'NonZeroExitCode' && cause?.message !== undefined) return Number(cause.message);
  throw new RuntimeRefusal('ExecFailed', parsed.message ?? text);
}

function upgrade(url: string, protocol: string): Promise<SpdySession> {
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  return new Promise((resolve, reject) => {
    const outgoing = request(url, {
      method: 'POST',
      headers: { connection: 'Upgrade', upgrade: 'SPDY/3.1', 'x-stream-protocol-version': protocol, 'content-length': 0 },
      // The runtime serves its streams with a certificate made for the occasion; the URL itself came over its socket and is a secret.
      ...(url.startsWith('https:') ? { rejectUnauthorized: false } : {}),
      agent: false,
    });
    outgoing.once('upgrade', (_response: IncomingMessage, socket: Duplex, head: Buffer) => {
      if (head.length > 0) socket.unshift(head);
      resolve(new SpdySession(socket, { role: 'client' }));
    });
    outgoing.once('response', (response) => {
      response.resume();
      reject(new Error(`the container runtime answered ${response.statusCode} to a stream request`));
    });
    outgoing.once('error', reject);
    outgoing.end();
  });
}

async function copyOut(source: SpdyStream | undefined, write: StreamExec['stdout']): Promise<void> {
  if (!source) return;
  void source.end();
  for await (const chunk of source) await write?.(chunk);
}

async function copyIn(source: AsyncIterable<Uint8Array> | undefined, target: SpdyStream): Promise<void> {
  if (source) for await (const chunk of source) await target.write(chunk);
  await target.end();
}

async function sendSizes(sizes: StreamExec['resize'], target: SpdyStream): Promise<void> {
  if (!sizes) return;
  for await (const { width, height } of sizes) await target.write(Buffer.from(JSON.stringify({ Width: width, Height: height })));
}

async function readAll(stream: SpdyStream): Promise<string> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks).toString();
}
