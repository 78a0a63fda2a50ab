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
  /** What was said, by source. */
  readonly said: readonly Buffer[];
}

/** The session of a command that was started. */
export interface LaunchedCommand {
  readonly ended: Promise<{
    readonly exitCode: number;
    readonly failure: string;
    readonly stdout: Uint8Array;
    readonly stderr: Uint8Array;
  }>;
  /** Kills the command. */
  kill(): void;
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
  /** Of answers that are not complete. */
  #chunks: Buffer[] = [];
  #received = 0;
  /** Bytes until the next answer is complete, where that is known. */
  #wanted = 0;

  constructor(launchProgram: string) {
    this.#launchProgram = launchProgram;
  }

  /** Resolves when nothing is under way any more that a server before this one asked for. */
  async ready(): Promise<void> {
    await this.run([]);
  }

  /** Carries out instructions in a process of their own; rejects with what the one that failed said. */
  async run(instructions: readonly Instruction[]): Promise<void> {
    const { status, said } = await this.#ask('run', encodeProgram(instructions)).answer;
    if (status !== 0) throw new Error(Buffer.concat(said).toString().trim() || `the launch program ended with status ${status}`);
  }

  /** Starts a container's keeper; resolves when the command runs, or cannot: the keeper's files say which. */
  async keep(args: readonly string[]): Promise<void> {
    const { status, said } = await this.#ask('keep', Buffer.from(args.join('\0'))).answer;
    if (status !== 0) throw new Error(Buffer.concat(said).toString());
  }

  /** Runs a command without input; `failure` says why it could not start. Each of its outputs is cut at 16 MiB. */
  exec(instructions: readonly Instruction[]): LaunchedCommand {
    const { id, answer } = this.#ask('exec', encodeProgram(instructions));
    const none = Buffer.alloc(0);
    const ended = answer.then(({ status, said: [failure = none, stdout = none, stderr = none] }) => ({
      exitCode: status,
      failure: failure.toString(),
      stdout,
      stderr,
    }));
    return { ended, kill: () => void this.#process?.stdin?.write(`kill ${id} 0\n`) };
  }

  /** Ends the process; requests that are not answered are rejected. */
  close(): void {
    this.#process?.stdin?.end();
  }

  #ask(mode: 'run' | 'keep' | 'exec', content: Buffer): { readonly id: number; readonly answer: Promise<Answer> } {
    const process = this.#running();
    const id = this.#nextId++;
    const answer = new Promise<Answer>((resolve, reject) => {
      this.#pending.set(id, { resolve, reject });
      this.#hold(process);
      process.stdin?.write(Buffer.concat([Buffer.from(`${mode} ${id} ${content.length}\n`), content]));
    });
    return { id, answer };
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
    this.#chunks = [];
    this.#received = 0;
    this.#wanted = 0;
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
    this.#chunks.push(chunk);
    this.#received += chunk.length;
    if (this.#received < this.#wanted) return;
    let rest = this.#chunks.length === 1 ? chunk : Buffer.concat(this.#chunks);
    this.#wanted = 0;
    for (;;) {
      const end = rest.indexOf(10);
      if (end < 0) break;
      const [id = 0, status = 0, ...lengths] = rest.subarray(0, end).toString().split(' ').map(Number);
      const said: Buffer[] = [];
      let next = end + 1;
      for (const length of lengths) {
        said.push(rest.subarray(next, next + length));
        next += length;
      }
      if (rest.length < next) {
        this.#wanted = next;
        break;
      }
      rest = rest.subarray(next);
      this.#pending.get(id)?.resolve({ status, said });
      this.#pending.delete(id);
      if (this.#process) this.#hold(this.#process);
    }
    this.#chunks = [rest];
    this.#received = rest.length;
  }

  /** What is asked next starts a new process. */
  #end(error: Error): void {
    this.#process = undefined;
    for (const { reject } of this.#pending.values()) reject(error);
    this.#pending.clear();
  }
}
