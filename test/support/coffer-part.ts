/** One part of the program (`apiserver`, `controllers`, `kubelet`) as a process of its own. */
import { type ChildProcess, spawn } from 'node:child_process';
import { bundle, eventually } from './coffer-process.ts';

export class CofferPart {
  readonly #child: ChildProcess;
  #output = '';

  /** `inside` is what the command line begins with, e.g. `ip netns exec NAME`. */
  constructor(args: readonly string[], inside: readonly string[] = []) {
    const [command = '', ...rest] = [...inside, process.execPath, bundle, ...args];
    this.#child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'] });
    for (const stream of [this.#child.stdout, this.#child.stderr]) {
      stream?.on('data', (chunk: Buffer) => {
        this.#output += chunk.toString();
      });
    }
  }

  get output(): string {
    return this.#output;
  }

  /** Resolves when the part says that it is ready. */
  async ready(): Promise<void> {
    await eventually('the part to be ready', () => {
      if (this.#ended) throw new Error(`it ended: ${this.#output}`);
      return this.#output.includes('is ready');
    });
  }

  async stop(signal: NodeJS.Signals = 'SIGINT'): Promise<void> {
    if (this.#ended) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill(signal);
    await ended;
  }

  get #ended(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }
}
