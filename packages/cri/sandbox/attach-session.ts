/**
 * The streams of a running container: its output from now on, and its standard input through the FIFO that the keeper holds open.
 * A client that reads too slowly is let go: the container must not wait for it, and memory must not grow.
 */
import { constants, open } from 'node:fs';
import { Socket } from 'node:net';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { promisify } from 'node:util';
import type { StreamExec } from '../runtime/container-runtime.ts';
import { copyIn } from './exec-session.ts';
import type { LogWriter, StreamName } from './log-writer.ts';
import { runTool } from './tools.ts';

const maxPendingBytes = 4 * 1024 * 1024;

export interface AttachDeps {
  readonly runDirectory: string;
  readonly log: LogWriter;
  /** Resolves when the container has ended. */
  readonly ended: Promise<void>;
  readonly pid: number;
  /** Undefined: the container has no standard input. */
  readonly stdin: { readonly closeAfterFirst: boolean; readonly close: () => void } | undefined;
}

/**
 * Connects the streams until the container ends or the signal is aborted; resolves to 0. The end of the client's input ends the
 * attachment, too, unless it ends the container's input: then output may follow.
 */
export async function attachStreams(deps: AttachDeps, options: Omit<StreamExec, 'command'>, signal: AbortSignal): Promise<number> {
  signal.throwIfAborted();
  const writers = { stdout: options.stdout, stderr: options.tty ? undefined : options.stderr };
  const output = new OutputQueue(writers);
  const unsubscribe = deps.log.subscribe((stream, chunk) => output.push(stream, chunk));
  const stopped = new AbortController();
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  const { stdin } = deps;
  const input = stdin && options.stdin ? copyInput(deps.runDirectory, options.stdin, stopped.signal) : undefined;
  const detached = new Promise<void>((resolve) => {
    const inputEnded = (): void => {
      if (!stdin?.closeAfterFirst || options.tty) resolve();
      else if (!stopped.signal.aborted) stdin.close();
    };
    void input?.then(inputEnded, () => {});
  });
  resizeTerminal(deps.pid, options.resize).catch(() => {});
  try {
    await Promise.race([deps.ended, aborted, detached, output.failed]);
    await output.flush();
    return 0;
  } finally {
    unsubscribe();
    stopped.abort();
  }
}

async function copyInput(runDirectory: string, source: AsyncIterable<Uint8Array>, stopped: AbortSignal): Promise<void> {
  // Not blocking: a container that does not read must not keep a thread.
  const descriptor = await promisify(open)(join(runDirectory, 'stdin'), constants.O_WRONLY | constants.O_NONBLOCK);
  const socket = new Socket({ fd: descriptor, readable: false, writable: true });
  socket.on('error', () => {});
  const close = () => socket.destroy();
  stopped.addEventListener('abort', close, { once: true });
  await copyIn(source, socket);
  await finished(socket, { readable: false }).catch(() => {});
}

async function resizeTerminal(pid: number, sizes: StreamExec['resize']): Promise<void> {
  if (!sizes) return;
  for await (const { width, height } of sizes) {
    await runTool('stty', ['-F', `/proc/${pid}/fd/0`, 'rows', String(height), 'cols', String(width)]);
  }
}

class OutputQueue {
  readonly failed: Promise<void>;
  readonly #writers: Readonly<Record<StreamName, StreamExec['stdout']>>;
  #last: Promise<void> = Promise.resolve();
  #pendingBytes = 0;
  #fail: (error: Error) => void = () => {};

  constructor(writers: Readonly<Record<StreamName, StreamExec['stdout']>>) {
    this.#writers = writers;
    this.failed = new Promise((_, reject) => {
      this.#fail = reject;
    });
    this.failed.catch(() => {});
  }

  push(stream: StreamName, chunk: Buffer): void {
    const write = this.#writers[stream];
    if (!write) return;
    this.#pendingBytes += chunk.length;
    if (this.#pendingBytes > maxPendingBytes) {
      this.#fail(new Error(`attach ended: more than ${maxPendingBytes} bytes of output were not read in time`));
      return;
    }
    this.#last = this.#last.then(async () => {
      await write(chunk);
      this.#pendingBytes -= chunk.length;
    });
    this.#last.catch(this.#fail);
  }

  flush(): Promise<void> {
    return this.#last;
  }
}
