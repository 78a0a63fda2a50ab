import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { PlainUser } from './plain-user.ts';

/** The built program as a child process on a scratch data directory: how system tests see Coffer. */
export const bundle = fileURLToPath(new URL('../../dist/coffer.mjs', import.meta.url));
export const kubectlPath = fileURLToPath(new URL('../../.cache/bin/kubectl', import.meta.url));
export const helmPath = fileURLToPath(new URL('../../.cache/bin/helm', import.meta.url));

export interface CofferOptions {
  readonly args?: readonly string[];
  /** Reuse a directory of an earlier process; default a fresh one that `dispose` removes. */
  readonly dataDir?: string;
  readonly port?: number;
  readonly env?: Readonly<Record<string, string>>;
  /** False: `start` resolves as soon as the process runs. */
  readonly ready?: boolean;
  /** Runs the process as a user without rights. */
  readonly user?: PlainUser;
  /** What the command is put behind, e.g. `unshare`. */
  readonly prefix?: readonly string[];
  /** The kubectl that is used; default that of the development dependencies. */
  readonly kubectl?: string;
}

export interface Output {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  readonly text: string;
  // biome-ignore lint/suspicious/noExplicitAny: tests read arbitrary JSON
  readonly body: any;
}

export class CofferProcess {
  readonly dataDir: string;
  readonly port: number;
  readonly token = 'test-admin-token';
  readonly child: ChildProcess;
  readonly kubectlPath: string;
  #output = '';

  constructor(dataDir: string, port: number, child: ChildProcess, kubectl = kubectlPath) {
    this.kubectlPath = kubectl;
    this.dataDir = dataDir;
    this.port = port;
    this.child = child;
    const collect = (chunk: Buffer) => {
      this.#output += chunk.toString();
    };
    child.stdout?.on('data', collect);
    child.stderr?.on('data', collect);
  }

  /** Starts `coffer up` and resolves when `/readyz` says ok. */
  static async start(options: CofferOptions = {}): Promise<CofferProcess> {
    const dataDir = options.dataDir ?? (await mkdtemp(path.join(tmpdir(), 'coffer-test-')));
    const port = options.port ?? (await freePort());
    const tokens = path.join(dataDir, 'tokens.csv');
    await writeFile(tokens, 'test-admin-token,admin,admin,"system:masters"\n', { mode: 0o600 });
    if (options.user) for (const path of [dataDir, tokens]) await chown(path, options.user.uid, options.user.uid);
    const [command = '', ...args] = [
      ...(options.prefix ?? options.user?.prefix ?? []),
      process.execPath,
      bundle,
      'up',
      '--data-dir',
      dataDir,
      '--secure-port',
      String(port),
      '--token-auth-file',
      tokens,
      ...(options.args ?? []),
    ];
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...options.env } });
    const coffer = new CofferProcess(dataDir, port, child, options.kubectl);
    if (options.ready ?? true) await coffer.whenReady();
    return coffer;
  }

  /** Everything the process printed. */
  get output(): string {
    return this.#output;
  }

  get kubeconfig(): string {
    return path.join(this.dataDir, 'kubeconfig');
  }

  async whenReady(timeoutMs = 20_000): Promise<void> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      if (this.child.exitCode !== null || this.child.signalCode !== null) throw new Error(`coffer up ended: ${this.#output}`);
      const ready = await this.call('GET', '/readyz').catch(() => undefined);
      if (ready?.status === 200) return;
      if (Date.now() > deadline) throw new Error(`coffer up was not ready within ${timeoutMs} ms: ${this.#output}`);
      await delay(20);
    }
  }

  /** One request with the admin token. A body that is no string is sent as JSON. */
  call(method: string, url: string, body?: unknown, headers: Readonly<Record<string, string>> = {}): Promise<Answer> {
    const data = body === undefined ? undefined : typeof body === 'string' || body instanceof Uint8Array ? body : JSON.stringify(body);
    const type = data === undefined ? {} : { 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(data)) };
    return new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          port: this.port,
          method,
          path: url,
          rejectUnauthorized: false,
          headers: { authorization: `Bearer ${this.token}`, ...type, ...headers },
        },
        (incoming) => {
          const chunks: Buffer[] = [];
          incoming.on('data', (chunk: Buffer) => chunks.push(chunk));
          incoming.on('error', reject);
          incoming.on('end', () => {
            const text = Buffer.concat(chunks).toString('utf8');
            resolve({ status: incoming.statusCode ?? 0, headers: incoming.headers, text, body: parseJson(text) });
          });
        },
      );
      outgoing.on('error', reject);
      outgoing.end(data);
    });
  }

  /** The heap in use by the server: the lowest of several readings is nearest to what is really held. */
  async heapBytes(): Promise<number> {
    const readings: number[] = [];
    for (let i = 0; i < 20; i++) {
      const metrics = await this.call('GET', '/metrics');
      readings.push(Number(/^nodejs_heap_size_used_bytes (\S+)/m.exec(metrics.text)?.[1]));
    }
    return Math.min(...readings);
  }

  /** Runs the real kubectl against this server; never rejects for kubectl's own failure. */
  kubectl(args: readonly string[], options: { readonly input?: string; readonly timeoutMs?: number } = {}): Promise<Output> {
    return runCommand(this.kubectlPath, args, { ...options, env: { KUBECONFIG: this.kubeconfig, HOME: this.dataDir } });
  }

  /** Ends the process: SIGTERM leaves pods running, SIGKILL is a crash. */
  async stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.child.once('exit', resolve));
    this.child.kill(signal);
    await ended;
  }

  /** Stops the pods and the process and removes the data directory. */
  async dispose(): Promise<void> {
    await runCommand(process.execPath, [bundle, 'down', '--data-dir', this.dataDir], { timeoutMs: 30_000 });
    await this.stop('SIGKILL');
    await rm(this.dataDir, { recursive: true, force: true });
  }
}

/** Runs a command to its end and returns what it printed. */
export function runCommand(
  command: string,
  args: readonly string[],
  options: { readonly input?: string; readonly timeoutMs?: number; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Output> {
  return new Promise((resolve) => {
    const child = execFile(
      command,
      [...args],
      { timeout: options.timeoutMs ?? 60_000, maxBuffer: 64 * 1024 * 1024, env: { ...process.env, ...options.env } },
      (error, stdout, stderr) => {
        const code = error ? (typeof error.code === 'number' ? error.code : 1) : 0;
        resolve({ code, stdout, stderr });
      },
    );
    child.stdin?.on('error', () => {});
    child.stdin?.end(options.input ?? '');
  });
}

/** Calls `check` until it returns something other than undefined or false; the error says what was waited for. */
export async function eventually<T>(
  what: string,
  check: () => Promise<T | undefined | false> | T | undefined | false,
  timeoutMs = 30_000,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  let last: unknown;
  for (;;) {
    try {
      const value = await check();
      if (value !== undefined && value !== false) return value;
    } catch (error) {
      last = error;
    }
    if (Date.now() > deadline) throw new Error(`waited ${timeoutMs} ms for ${what}`, { cause: last });
    await delay(25);
  }
}

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}

export function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
