/**
 * Pod sandboxes: what the containers of a pod share. Namespaces are kept as files, so an idle pod costs no process; only a pod with a
 * shared process namespace has one, which adopts orphans.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { PodSandboxConfig, PodSandboxStatus } from '../runtime/container-runtime.ts';
import type { Instruction } from './program.ts';
import { mountFlags, namespaceFlags } from './program.ts';
import { type PodPaths, readRecord, removeTree, type StateDirectory, writeAtomically } from './state-directory.ts';

const shmBytes = 64 * 1024 * 1024;

/** What is kept of a pod sandbox. */
export interface PodRecord {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly createdAtMs: number;
  /** The machine's boot: namespaces do not survive it. */
  readonly bootId: string;
  readonly ips: readonly string[];
  readonly stopped: boolean;
}

/** The network of the node: gives a pod's network namespace its address. */
export interface PodNetwork {
  /** Called inside `runPodSandbox` after the namespace exists at `path`; resolves to the pod's addresses. */
  attach(podId: string, path: string, config: PodSandboxConfig): Promise<readonly string[]>;
  detach(podId: string): Promise<void>;
}

export interface PodsDeps {
  readonly state: StateDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runProgram: (instructions: readonly Instruction[]) => Promise<void>;
  /** Undefined: pods share the network of the machine. */
  readonly network: PodNetwork | undefined;
}

export class SandboxPods {
  readonly #deps: PodsDeps;
  readonly #records = new Map<string, PodRecord>();
  #bootId = '';

  constructor(deps: PodsDeps) {
    this.#deps = deps;
  }

  /** Finds what earlier processes left. */
  async load(): Promise<void> {
    this.#bootId = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    for (const id of await this.#deps.state.ids('pods')) {
      const paths = this.#deps.state.pod(id);
      const record = await readRecord<PodRecord>(paths.record);
      if (record) this.#records.set(id, record);
      else await this.#removeFiles(id, paths);
    }
  }

  get(id: string): PodRecord | undefined {
    return this.#records.get(id);
  }

  list(): PodRecord[] {
    return [...this.#records.values()];
  }

  isReady(record: PodRecord): boolean {
    return !record.stopped && record.bootId === this.#bootId;
  }

  /** True when the pod has a network namespace of its own. */
  hasOwnNetwork(config: PodSandboxConfig): boolean {
    return this.#deps.network !== undefined && !config.hostNetwork;
  }

  async run(config: PodSandboxConfig): Promise<PodRecord> {
    const id = randomBytes(32).toString('hex');
    const paths = this.#deps.state.pod(id);
    await mkdir(paths.directory, { mode: 0o700 });
    try {
      await this.#writeFiles(paths, config);
      await this.#deps.runProgram(this.#instructions(paths, config));
      const own = this.hasOwnNetwork(config);
      const ips = own ? ((await this.#deps.network?.attach(id, paths.net, config)) ?? []) : [];
      const record: PodRecord = { id, config, createdAtMs: this.#deps.clock.now(), bootId: this.#bootId, ips, stopped: false };
      await writeAtomically(paths.record, JSON.stringify(record));
      this.#records.set(id, record);
      return record;
    } catch (error) {
      await this.#removeFiles(id, paths);
      throw error;
    }
  }

  /** Gives up the pod's namespaces and network; its containers have ended. */
  async stop(id: string): Promise<void> {
    const record = this.#records.get(id);
    if (!record || record.stopped) return;
    const paths = this.#deps.state.pod(id);
    await this.#release(id, paths);
    const stopped: PodRecord = { ...record, stopped: true };
    await writeAtomically(paths.record, JSON.stringify(stopped));
    this.#records.set(id, stopped);
  }

  async remove(id: string): Promise<void> {
    if (!this.#records.has(id)) return;
    await this.stop(id);
    await removeTree(this.#deps.state.pod(id).directory);
    this.#records.delete(id);
  }

  status(record: PodRecord): PodSandboxStatus {
    const { id, config, createdAtMs, ips } = record;
    const { namespace, name, uid, attempt, labels, annotations } = config;
    const state = this.isReady(record) ? 'ready' : 'not-ready';
    return { id, namespace, name, uid, attempt, state, createdAtMs, ips, labels, annotations };
  }

  async #writeFiles(paths: PodPaths, config: PodSandboxConfig): Promise<void> {
    await writeFile(paths.ipc, '');
    await writeFile(paths.net, '');
    await mkdir(paths.shm, { mode: 0o700 });
    await writeFile(paths.hostname, `${config.hostname}\n`, { mode: 0o644 });
    if (config.dns) await writeFile(paths.resolvConf, resolvConf(config.dns), { mode: 0o644 });
  }

  #instructions(paths: PodPaths, config: PodSandboxConfig): Instruction[] {
    const own = this.hasOwnNetwork(config);
    const flags = (config.hostIpc ? 0 : namespaceFlags.ipc) | (own ? namespaceFlags.network : 0);
    const instructions: Instruction[] = [];
    if (!config.hostIpc) {
      const { noSuid, noDev, noExec } = mountFlags;
      instructions.push(['mount', 'shm', paths.shm, 'tmpfs', noSuid | noDev | noExec, `mode=1777,size=${shmBytes}`]);
    }
    instructions.push(['unshare', flags]);
    if (!config.hostIpc) instructions.push(['bind_namespace', 'ipc', paths.ipc]);
    if (own) instructions.push(['bind_namespace', 'net', paths.net], ['loopback']);
    for (const [name, value] of Object.entries(config.sysctls))
      instructions.push(['write', `/proc/sys/${name.replaceAll('.', '/')}`, value]);
    return instructions;
  }

  async #release(id: string, paths: PodPaths): Promise<void> {
    await this.#deps.network?.detach(id);
    await this.#deps.runProgram([
      ['unmount', paths.net],
      ['unmount', paths.ipc],
      ['unmount', paths.shm],
    ]);
  }

  async #removeFiles(id: string, paths: PodPaths): Promise<void> {
    await this.#release(id, paths);
    await removeTree(paths.directory);
  }
}

function resolvConf(dns: NonNullable<PodSandboxConfig['dns']>): string {
  const lines = [
    ...(dns.searches.length > 0 ? [`search ${dns.searches.join(' ')}`] : []),
    ...dns.servers.map((server) => `nameserver ${server}`),
    ...(dns.options.length > 0 ? [`options ${dns.options.join(' ')}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
