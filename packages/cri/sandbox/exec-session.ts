/**
 * A command inside a running container: its namespaces, user, capabilities, control group and the environment it was started with.
 * The session process copies the streams and ends with the command; killing it kills the command and its children. A command without
 * streams, as probes run them, is forked by the launch program that runs already: a third of the time of a Perl of its own.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { rm, writeFile } from 'node:fs/promises';
import type { Readable, Writable } from 'node:stream';
import type { Clock } from '@coffer/base/time/clock';
import type { ExecSyncResult, StreamExec } from '../runtime/container-runtime.ts';
import { RuntimeRefusal } from '../runtime/container-runtime.ts';
import type { Launcher } from './launcher.ts';
import { encodeProgram, type Instruction } from './program.ts';
import { toolEnvironment } from './tools.ts';

export interface ExecDeps {
  readonly launchProgram: string;
  /** A path on tmpfs for the program of this session; it is gone as soon as the command runs. */
  readonly programPath: string;
  readonly instructions: readonly Instruction[];
}

interface Session {
  readonly child: ChildProcess;
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly control: Writable;
  /** Exit status; rejects when the command could not be started. */
  readonly done: Promise<number>;
}

/** Runs a command and collects its output. */
export async function execSync(
  launcher: Launcher,
  instructions: readonly Instruction[],
  timeoutMs: number,
  clock: Clock,
): Promise<ExecSyncResult> {
  const command = launcher.exec(instructions);
  let timedOut = false;
  const expire = () => {
    timedOut = true;
    command.kill();
  };
  const cancel = timeoutMs > 0 ? clock.setTimer(timeoutMs, expire) : undefined;
  try {
    const { failure, ...result } = await command.ended;
    if (failure !== '') throw notStarted(failure);
    return { ...result, timedOut };
  } finally {
    cancel?.();
  }
}

function notStarted(reason: string): RuntimeRefusal {
  return new RuntimeRefusal('ExecFailed', `failed to exec in container: unable to start container process: ${reason}`);
}

/** Runs a command with streams; resolves to its exit status. Aborting kills it. */
export async function execStreams(deps: ExecDeps, options: StreamExec, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const session = await open(deps);
  const kill = () => session.child.kill('SIGTERM');
  signal.addEventListener('abort', kill, { once: true });
  const outputs = [copyOut(session.stdout, options.stdout), copyOut(session.stderr, options.tty ? undefined : options.stderr)];
  const input = copyIn(options.stdin, session.stdin);
  const resize = copyResize(options.resize, session.control);
  // A client that never ends its input must not keep the session.
  for (const promise of [input, resize, ...outputs]) promise.catch(kill);
  try {
    const code = await session.done;
    await Promise.all(outputs);
    return code;
  } finally {
    signal.removeEventListener('abort', kill);
    signal.throwIfAborted();
  }
}

async function open(deps: ExecDeps): Promise<Session> {
  await writeFile(deps.programPath, encodeProgram(deps.instructions), { mode: 0o600 });
  const child = spawn('perl', [deps.launchProgram, 'run', deps.programPath], {
    stdio: ['pipe', 'pipe', 'pipe', 'pipe', 'pipe'],
    env: toolEnvironment,
    cwd: '/',
  });
  const [stdin, stdout, stderr, report, control] = child.stdio as unknown as [Writable, Readable, Readable, Readable, Writable];
  for (const stream of [stdin, control]) stream.on('error', () => {});
  let failure = '';
  report.setEncoding('utf8').on('data', (text: string) => {
    failure += text;
  });
  report.once('close', () => void rm(deps.programPath, { force: true }));
  const done = new Promise<number>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      stdin.destroy();
      control.destroy();
      if (failure !== '') reject(notStarted(failure));
      else resolve(code ?? (signal === 'SIGKILL' ? 137 : 143));
    });
  });
  return { child, stdin, stdout, stderr, control, done };
}

async function copyOut(source: Readable, write: ((chunk: Uint8Array) => Promise<void>) | undefined): Promise<void> {
  for await (const chunk of source) await write?.(chunk as Buffer);
}

/** Copies until the input ends, then closes: the half-close a command waits for. */
export async function copyIn(source: AsyncIterable<Uint8Array> | undefined, target: Writable): Promise<void> {
  if (source) {
    for await (const chunk of source) {
      if (target.destroyed || target.writableEnded) return;
      if (!target.write(chunk)) await new Promise<void>((resolve) => onceEither(target, resolve));
    }
  }
  target.end();
}

function onceEither(target: Writable, resolve: () => void): void {
  const done = () => {
    target.off('drain', done);
    target.off('close', done);
    resolve();
  };
  target.once('drain', done);
  target.once('close', done);
}

async function copyResize(source: StreamExec['resize'], control: Writable): Promise<void> {
  if (!source) return;
  for await (const { width, height } of source) control.write(`${height} ${width}\n`);
}
