import { randomBytes } from 'node:crypto';
import { mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { bundle, CofferProcess, type Output, runCommand } from './coffer-process.ts';

/** What tests of encryption at rest share: servers and directories that are cleaned up, the commands, Secrets and their contents. */
export const secretsPath = '/api/v1/namespaces/default/secrets';

/** A store with very many Secrets takes its time on a busy machine. */
const readyTimeoutMs = 60_000;

export interface SecretItem {
  readonly metadata: { readonly name: string; readonly resourceVersion: string };
  readonly data?: Readonly<Record<string, string>>;
}

export interface StartOptions {
  readonly args?: readonly string[];
  /** See `COFFER_FAILPOINT`. */
  readonly failpoint?: string;
  readonly port?: number;
}

export class EncryptionSession {
  readonly #running: CofferProcess[] = [];
  readonly #directories: string[] = [];

  async newDirectory(): Promise<string> {
    const directory = await mkdtemp(path.join(tmpdir(), 'coffer-encryption-'));
    this.#directories.push(directory);
    return directory;
  }

  async start(dataDir: string, { args = [], failpoint, port }: StartOptions = {}): Promise<CofferProcess> {
    const env = failpoint === undefined ? {} : { COFFER_FAILPOINT: failpoint };
    const flags = ['--runtime', 'none', ...args];
    const server = await CofferProcess.start({ dataDir, env, args: flags, ready: false, ...(port !== undefined && { port }) });
    this.#running.push(server);
    await server.whenReady(readyTimeoutMs);
    return server;
  }

  async end(): Promise<void> {
    await Promise.all(this.#running.splice(0).map((server) => server.stop('SIGKILL')));
    await Promise.all(this.#directories.splice(0).map((directory) => rm(directory, { recursive: true, force: true })));
  }
}

export function coffer(...args: string[]): Promise<Output> {
  return runCommand(process.execPath, [bundle, ...args], { timeoutMs: 300_000 });
}

/** `coffer encryption VERB -o json`. */
export async function encryption(server: CofferProcess, verb: 'status' | 'verify' | 'rotate', ...args: string[]) {
  const output = await coffer('encryption', verb, '--data-dir', server.dataDir, '-o', 'json', ...args);
  // biome-ignore lint/suspicious/noExplicitAny: tests read arbitrary JSON
  return { ...output, json: (output.stdout === '' ? undefined : JSON.parse(output.stdout)) as any };
}

/** What `coffer encryption status` shows, without a process for it: for tests that wait. */
export async function encryptionStatus(server: CofferProcess) {
  return (await server.call('GET', '/coffer/v1/encryption')).body;
}

/** Writes a configuration file with these providers for Secrets, by a rename. */
export function writeConfiguration(file: string, ...providers: readonly object[]): Promise<void> {
  return writeRules(file, [{ resources: ['secrets'], providers }]);
}

/** Writes a configuration file with these rules, by a rename. */
export async function writeRules(file: string, resources: readonly object[]): Promise<void> {
  const document = { apiVersion: 'apiserver.config.k8s.io/v1', kind: 'EncryptionConfiguration', resources };
  const temporary = `${file}.new`;
  await writeFile(temporary, JSON.stringify(document), { mode: 0o600 });
  await rename(temporary, file);
}

export function newKey(name: string): { readonly name: string; readonly secret: string } {
  return { name, secret: randomBytes(32).toString('base64') };
}

export const identity = { identity: {} };

/** Secrets `s<from>`, `s<from + 1>`, … with random values. */
export async function createSecrets(server: CofferProcess, count: number, from = 0): Promise<void> {
  let next = from;
  const work = async () => {
    while (next < from + count) {
      const name = `s${next++}`;
      const stringData = {
        password: randomBytes(18).toString('base64'),
        'config.json': `{"token":"${randomBytes(9).toString('hex')}","x":"<&>"}`,
      };
      const answer = await server.call('POST', secretsPath, { apiVersion: 'v1', kind: 'Secret', metadata: { name }, stringData });
      if (answer.status !== 201) throw new Error(`${answer.status} ${answer.text}`);
    }
  };
  await Promise.all(Array.from({ length: 16 }, work));
}

/** Data of all Secrets of the default namespace by name. */
export async function contents(server: CofferProcess): Promise<Record<string, unknown>> {
  const answer = await server.call('GET', secretsPath);
  if (answer.status !== 200) throw new Error(answer.text);
  return Object.fromEntries((answer.body.items as SecretItem[]).map((item) => [item.metadata.name, item.data]));
}

export const dataFile = (server: CofferProcess) => path.join(server.dataDir, 'db', 'data.mdb');
export const keyFile = (server: CofferProcess) => path.join(server.dataDir, 'pki', 'encryption-config.yaml');

/** Changes one byte of the ciphertext of these Secrets in the data file of a server that is not running. */
export async function flipBytes(file: string, names: readonly string[]): Promise<void> {
  const bytes = await readFile(file);
  for (const name of names) {
    const marker = Buffer.from(`/registry/secrets/default/${name}k8s:enc:`);
    for (let at = bytes.indexOf(marker); at >= 0; at = bytes.indexOf(marker, at + 1)) bytes[at + 150] = (bytes[at + 150] ?? 0) ^ 1;
  }
  await writeFile(file, bytes);
}

export interface OpenWatch {
  /** The events so far. */
  readonly events: readonly { readonly type: string; readonly object: SecretItem }[];
  close(): void;
}

/** Opens a watch and collects its events; resolves when the server has begun to answer. */
export function openWatch(server: CofferProcess, url: string): Promise<OpenWatch> {
  return new Promise((resolve, reject) => {
    const events: { type: string; object: SecretItem }[] = [];
    const headers = { authorization: `Bearer ${server.token}` };
    const outgoing = request(
      { host: '127.0.0.1', port: server.port, path: url, rejectUnauthorized: false, agent: false, headers },
      (incoming) => {
        let rest = '';
        incoming.setEncoding('utf8');
        incoming.on('data', (text: string) => {
          const lines = (rest + text).split('\n');
          rest = lines.pop() ?? '';
          events.push(...lines.map((line) => JSON.parse(line)));
        });
        incoming.on('error', () => {});
        resolve({ events, close: () => outgoing.destroy() });
      },
    );
    outgoing.on('error', reject);
    outgoing.end();
  });
}
