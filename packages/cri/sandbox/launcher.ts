/**
 * Asks the launch program to do things. It runs as one small process beside the server and forks for each request: forking the server
 * itself would hold up its event loop, the longer the more memory it uses. It ends with the server; containers and their keepers do not.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import { encodeProgram, type Instruction } from './program.ts';
import { toolEnvironment } from './tools.ts';

interface Answer {
  readonly status: number;
  readonly text: string;
}

interface Pending {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export class Launcher {
  readonly #launchProgram: string;
  readonly #pending = new Map<number, Pending>();
  #process: ChildProcess | undefined;
  #nextId = 1;
  #received: Buffer = Buffer.alloc(0);

  constructor(launchProgram: string) {
    this.#launchProgram = launchProgram;
  }

  /** Resolves when nothing is under way any more that a server before this one asked for. */
  async ready(): Promise<void> {
    await this.run([]);
  }

  /** Carries out instructions in a process of their own; rejects with what the one that failed said. */
  async run(instructions: readonly Instruction[]): Promise<void> {
    const { status, text } = await this.#ask('run', encodeProgram(instructions));
    if (status !== 0) throw new Error(text.trim() || `the launch program ended with status ${status}`);
  }

  /** Starts a container's keeper; resolves when the command runs, or cannot: the keeper's files say which. */
  async keep(args: readonly string[]): Promise<void> {
    const { status, text } = await this.#ask('keep', Buffer.from(args.join('\0')));
    if (status !== 0) throw new Error(text);
  }

  /** Ends the process; requests that are not answered are rejected. */
  close(): void {
    this.#process?.stdin?.end();
  }

  #ask(mode: 'run' | 'keep', content: Buffer): Promise<Answer> {
    const process = this.#running();
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#hold(process);
      process.stdin?.write(Buffer.concat([Buffer.from(`${mode} ${id} ${content.length}\n`), content]));
    });
  }

  #running(): ChildProcess {
    if (this.#process) return this.#process;
    // A session of its own: a key that interrupts the server in a terminal must not end it before the server has stopped its pods.
    const child = spawn('perl', [this.#launchProgram, 'serve', `${this.#launchProgram}.lock`], {
      stdio: ['pipe', 'pipe', 'ignore'],
      detached: true,
      env: toolEnvironment,
      cwd: '/',
    });
    this.#process = child;
    this.#received = Buffer.alloc(0);
    const ended = (error: Error) => {
      if (this.#process === child) this.#end(error);
    };
    child.once('error', (error: NodeJS.ErrnoException) => {
      ended(error.code === 'ENOENT' ? new Error('perl is not installed on this machine', { cause: error }) : error);
    });
    child.once('close', () => ended(new Error('the launch program has ended')));
    child.stdin.on('error', () => {});
    child.stdout.on('data', (chunk: Buffer) => this.#receive(chunk));
    return child;
  }

  /** The process that Node waits for is the server's business only while something is asked. */
  #hold(child: ChildProcess): void {
    const idle = this.#pending.size === 0;
    for (const part of [child, child.stdin as Socket | null, child.stdout as Socket | null]) {
      if (idle) part?.unref();
      else part?.ref();
    }
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk]);
    for (;;) {
      const end = this.#received.indexOf(10);
      if (end < 0) return;
      const [id = 0, status = 0, length = 0] = this.#received.subarray(0, end).toString().split(' ').map(Number);
      const next = end + 1 + length;
      if (this.#received.length < next) return;
      const text = this.#received.subarray(end + 1, next).toString();
      this.#received = this.#received.subarray(next);
      this.#pending.get(id)?.resolve({ status, text });
      this.#pending.delete(id);
      if (this.#process) this.#hold(this.#process);
    }
  }

  /** What is asked next starts a new process. */
  #end(error: Error): void {
    this.#process = undefined;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
