/** One connection to a port of a pod: on localhost inside the pod's network, as clients of port-forward expect. */
import { spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import { connect, type Socket } from 'node:net';
import { constants } from 'node:os';
import { Duplex, type Readable, type Writable } from 'node:stream';
import { RuntimeRefusal, type StreamPair } from '../runtime/container-runtime.ts';
import { copyIn } from './exec-session.ts';
import { encodeProgram, type Instruction } from './program.ts';
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
  /** Brings a process into the network namespace. */
  readonly enter: readonly Instruction[];
}

/** Forwards within a network namespace, by a helper process that lives as long as the connection. */
export async function forwardInNamespace(deps: NamespaceForward, port: number, stream: StreamPair, signal: AbortSignal): Promise<void> {
  const helper = await startHelper(deps, ['forward', port], signal);
  try {
    const failure = await helper.failure();
    if (failure !== '') throw new RuntimeRefusal('PortForwardFailed', failure);
    await copyBoth(stream, helper.stdin, helper.stdout);
  } finally {
    helper.kill();
    stream.end();
  }
}

/** A connection to an address of a network namespace. Rejects as `net.connect` does: the error's `code` says why. */
export async function dialInNamespace(deps: NamespaceForward, host: string, port: number, signal: AbortSignal): Promise<Duplex> {
  const helper = await startHelper(deps, ['dial', host, port], signal);
  try {
    const failure = await helper.failure();
    if (failure !== '') throw connectError(failure, host, port);
  } catch (error) {
    helper.kill();
    throw error;
  }
  return new HelperConnection(helper);
}

/** The streams of a helper as one. When the pod's side has ended, what is still written to it goes nowhere, as with a socket. */
class HelperConnection extends Duplex {
  readonly #helper: Helper;

  constructor(helper: Helper) {
    super();
    this.#helper = helper;
    helper.stdout.on('data', (chunk: Buffer) => {
      if (!this.push(chunk)) helper.stdout.pause();
    });
    helper.stdout.once('end', () => this.push(null));
    helper.stdout.once('error', (error) => this.destroy(error));
  }

  override _read(): void {
    this.#helper.stdout.resume();
  }

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    const { stdin } = this.#helper;
    if (stdin.destroyed) done();
    else stdin.write(chunk, () => done());
  }

  override _final(done: () => void): void {
    this.#helper.stdin.end();
    done();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#helper.kill();
    done(error);
  }
}

interface Helper {
  readonly stdin: Writable;
  readonly stdout: Readable;
  /** Resolves when the connection is made, with nothing, or cannot be made, with what the helper said. */
  failure(): Promise<string>;
  readonly kill: () => void;
}

async function startHelper(deps: NamespaceForward, instruction: Instruction, signal: AbortSignal): Promise<Helper> {
  await writeFile(deps.programPath, encodeProgram([['report_errors'], ...deps.enter, instruction]), { mode: 0o600 });
  signal.throwIfAborted();
  const child = spawn('perl', [deps.launchProgram, 'run', deps.programPath], {
    stdio: ['pipe', 'pipe', 'ignore', 'pipe'],
    env: toolEnvironment,
    cwd: '/',
  });
  const [stdin, stdout, , report] = child.stdio as unknown as [Writable, Readable, null, Readable];
  stdin.on('error', () => {});
  const kill = () => {
    signal.removeEventListener('abort', kill);
    child.kill('SIGKILL');
  };
  signal.addEventListener('abort', kill, { once: true });
  let said = '';
  report.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  const told = new Promise<void>((resolve, reject) => {
    report.once('close', resolve);
    child.once('error', reject);
  });
  const failure = async () => {
    try {
      await told;
    } finally {
      await rm(deps.programPath, { force: true });
    }
    signal.throwIfAborted();
    return said;
  };
  return { stdin, stdout, failure, kill };
}

/** From the number of the error, or from what kept the helper from trying. */
function connectError(said: string, host: string, port: number): Error {
  const code = Object.entries(constants.errno).find(([, number]) => String(number) === said)?.[0];
  if (code === undefined) return new Error(said);
  return Object.assign(new Error(`connect ${code} ${host}:${port}`), { code });
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
