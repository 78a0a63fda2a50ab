import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openEtcdBackend } from '@coffer/storage/backend/etcd';
import { freePort } from './coffer-process.ts';

/** The machine's etcd, when it has one. */
export const etcdProgram = ['etcd', '/usr/bin/etcd'].find((path) => spawnSync(path, ['--version']).status === 0);

/** A real etcd of one member on a scratch directory; it can be killed and started again. */
export class EtcdProcess {
  readonly endpoint: string;
  readonly #peer: string;
  readonly #directory = mkdtempSync(join(tmpdir(), 'coffer-etcd-'));
  #child: ChildProcess | undefined;

  private constructor(endpoint: string, peer: string) {
    this.endpoint = endpoint;
    this.#peer = peer;
  }

  static async start(): Promise<EtcdProcess> {
    const etcd = new EtcdProcess(`http://127.0.0.1:${await freePort()}`, `http://127.0.0.1:${await freePort()}`);
    await etcd.start();
    return etcd;
  }

  /** Resolves when it answers. */
  async start(): Promise<void> {
    const { endpoint } = this;
    const peer = this.#peer;
    const member = ['--name', 'one', '--data-dir', this.#directory, '--listen-client-urls', endpoint, '--advertise-client-urls', endpoint];
    const cluster = ['--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster', `one=${peer}`];
    this.#child = spawn(etcdProgram ?? 'etcd', [...member, ...cluster, '--log-level', 'error'], { stdio: 'ignore' });
    for (let attempt = 0; ; attempt++) {
      const backend = await openEtcdBackend({ endpoints: [endpoint] }).catch((error: unknown) => {
        if (attempt > 200) throw error;
      });
      if (backend !== undefined) return backend.close();
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    const ended = new Promise((resolve) => child.once('exit', resolve));
    child.kill('SIGKILL');
    await ended;
  }

  /** Every key and value below a prefix, as etcd has them. */
  async dump(prefix: string): Promise<ReadonlyMap<string, Buffer>> {
    const end = prefix.slice(0, -1) + String.fromCharCode(prefix.charCodeAt(prefix.length - 1) + 1);
    const encode = (text: string) => Buffer.from(text).toString('base64');
    const body = JSON.stringify({ key: encode(prefix), range_end: encode(end) });
    const answer = await fetch(`${this.endpoint}/v3/kv/range`, { method: 'POST', body });
    const { kvs = [] } = (await answer.json()) as { kvs?: { key: string; value: string }[] };
    return new Map(kvs.map(({ key, value }) => [Buffer.from(key, 'base64').toString(), Buffer.from(value, 'base64')]));
  }

  async dispose(): Promise<void> {
    await this.kill();
    rmSync(this.#directory, { recursive: true });
  }
}
