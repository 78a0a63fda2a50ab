/** One connection to a port of a pod: on localhost inside the pod's network, as clients of port-forward expect. */
import { spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import type { Readable, Writable } from 'node:stream';
import { RuntimeRefusal, type StreamPair } from '../runtime/container-runtime.ts';
import { copyIn } from './exec-session.ts';
import { encodeProgram, namespaceFlags } from './program.ts';
import { toolEnvironment } from './tools.ts';

/** Forwards within the network of the machine. */
export async function forwardOnHost(port: number, stream: StreamPair, signal: AbortSignal): Promise<void> {
  const socket = await connectLocal(port);
  const destroy = () => socket.destroy();
  signal.addEventListener('abort', destroy, { once: true });
  try {
    await copyBoth(stream, socket, socket);
  } finally {
    signal.removeEventListener('abort', destroy);
    socket.destroy();
    stream.end();
  }
}

export interface NamespaceForward {
  readonly launchProgram: string;
  readonly programPath: string;
  readonly networkNamespace: string;
}

/** Forwards within a network namespace, by a helper process that lives as long as the connection. */
export async function forwardInNamespace(deps: NamespaceForward, port: number, stream: StreamPair, signal: AbortSignal): Promise<void> {
  await writeFile(
    deps.programPath,
    encodeProgram([['report_errors'], ['enter', deps.networkNamespace, namespaceFlags.network], ['forward', port]]),
    { mode: 0o600 },
  );
  const child = spawn('perl', [deps.launchProgram, 'run', deps.programPath], {
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
    env: toolEnvironment,
    cwd: '/',
  });
  const [stdin, stdout, , report] = child.stdio as unknown as [Writable, Readable, null, Readable];
  stdin.on('error', () => {});
  const kill = () => child.kill('SIGKILL');
  signal.addEventListener('abort', kill, { once: true });
  try {
    let failure = '';
    report.setEncoding('utf8').on('data', (text: string) => {
      failure += text;
    });
    await new Promise<void>((resolve, reject) => {
      report.once('close', resolve);
      child.once('error', reject);
    });
    await rm(deps.programPath, { force: true });
    if (failure !== '') throw new RuntimeRefusal('PortForwardFailed', failure);
    await copyBoth(stream, stdin, stdout);
  } finally {
    signal.removeEventListener('abort', kill);
    kill();
    stream.end();
  }
}

/** Copies both ways; ends when the pod's side has ended. */
async function copyBoth(stream: StreamPair, target: Writable, source: Readable): Promise<void> {
  copyIn(stream.input, target).catch(() => target.destroy());
  try {
    for await (const chunk of source) await stream.write(chunk as Buffer);
  } catch (error) {
    // A connection that the pod's side resets has ended.
    if ((error as NodeJS.ErrnoException).code !== 'ECONNRESET' && (error as NodeJS.ErrnoException).code !== 'ERR_STREAM_PREMATURE_CLOSE')
      throw error;
  }
}

async function connectLocal(port: number): Promise<Socket> {
  let last: unknown;
  for (const host of ['127.0.0.1', '::1']) {
    try {
      return await new Promise<Socket>((resolve, reject) => {
        const socket = connect({ host, port, allowHalfOpen: true }, () => {
          socket.off('error', reject);
          socket.on('error', () => {});
          resolve(socket);
        });
        socket.once('error', reject);
      });
    } catch (error) {
      last = error;
    }
  }
  throw new RuntimeRefusal('PortForwardFailed', `failed to connect to localhost:${port} inside the pod: connection refused`, {
    cause: last,
  });
}
