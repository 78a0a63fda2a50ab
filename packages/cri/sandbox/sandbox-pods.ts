/**
 * Pod sandboxes: what the containers of a pod share. Namespaces are kept as files, so an idle pod costs no process; only a pod with a
 * shared process namespace has one, which adopts orphans.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { PodSandboxConfig, PodSandboxStatus } from '../runtime/container-runtime.ts';
import type { BridgeNetwork, PodConnection } from './bridge-network.ts';
import { refusePod } from './plain-user.ts';
import type { Instruction } from './program.ts';
import { mountFlags, namespaceFlags } from './program.ts';
import { type PodPaths, readRecord, removeTree, type StateDirectory, writeAtomically } from './state-directory.ts';
import { requireTool } from './tools.ts';

const shmBytes = 64 * 1024 * 1024;

/** What is kept of a pod sandbox. */
export interface PodRecord {
  readonly id: string;
  readonly config: PodSandboxConfig;
  readonly createdAtMs: number;
  /** The machine's boot: namespaces do not survive it. */
  readonly bootId: string;
  readonly ips: readonly string[];
  /** True when the pod has a network namespace of its own. */
  readonly ownNetwork: boolean;
  /** First process of a shared process namespace. */
  readonly pausePid: number | undefined;
  readonly stopped: boolean;
}

export interface PodsDeps {
  readonly state: StateDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly runProgram: (instructions: readonly Instruction[]) => Promise<void>;
  /** Undefined: pods share the network of the machine. */
  readonly network: BridgeNetwork | undefined;
  /** Pods have no namespaces to keep: each container makes its own. */
  readonly plainUser: boolean;
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
      if (record) {
        this.#records.set(id, record);
        const ip = record.ips[0];
        if (ip !== undefined && !record.stopped) this.#deps.network?.adopt(id, ip);
      } else await this.#removeFiles(id, paths);
    }
    await this.#deps.network?.sweep();
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

  async run(config: PodSandboxConfig): Promise<PodRecord> {
    if (this.#deps.plainUser) refusePod(config);
    const id = randomBytes(32).toString('hex');
    const paths = this.#deps.state.pod(id);
    await mkdir(paths.directory, { mode: 0o700 });
    try {
      await this.#writeFiles(paths, config);
      const connection = config.hostNetwork ? undefined : this.#deps.network?.connect(id);
      if (!this.#deps.plainUser) await this.#deps.runProgram(await this.#instructions(paths, config, connection));
      const pausePid = config.shareProcessNamespace && !config.hostPid ? await this.#startPause(paths) : undefined;
      const ips = connection ? [connection.ip] : [];
      const createdAtMs = this.#deps.clock.now();
      const ownNetwork = connection !== undefined;
      const record: PodRecord = { id, config, createdAtMs, bootId: this.#bootId, ips, ownNetwork, pausePid, stopped: false };
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

  async #instructions(paths: PodPaths, config: PodSandboxConfig, connection: PodConnection | undefined): Promise<Instruction[]> {
    const flags = (config.hostIpc ? 0 : namespaceFlags.ipc) | (connection ? namespaceFlags.network : 0);
    const instructions: Instruction[] = [];
    if (!config.hostIpc) {
      const { noSuid, noDev, noExec } = mountFlags;
      instructions.push(['mount', 'shm', paths.shm, 'tmpfs', noSuid | noDev | noExec, `mode=1777,size=${shmBytes}`]);
    }
    instructions.push(['unshare', flags]);
    if (!config.hostIpc) instructions.push(['bind_namespace', 'ipc', paths.ipc]);
    for (const [name, value] of Object.entries(config.sysctls))
      instructions.push(['write', `/proc/sys/${name.replaceAll('.', '/')}`, value]);
    const sysctls = Object.entries(config.sysctls).map(
      ([name, value]): Instruction => ['write', `/proc/sys/${name.replaceAll('.', '/')}`, value],
    );
    if (connection) {
      const inside = join(paths.directory, 'network-inside');
      const outside = join(paths.directory, 'network-outside');
      await writeFile(inside, connection.inside);
      await writeFile(outside, connection.outside);
      instructions.push(
        ['bind_namespace', 'net', paths.net],
        ['loopback'],
        // As container engines have it: a user may listen on any port of the pod and send pings.
        ['try_write', '/proc/sys/net/ipv4/ip_unprivileged_port_start', '0'],
        ['try_write', '/proc/sys/net/ipv4/ping_group_range', '0 2147483647'],
        ['system', 'ip', '-batch', inside],
      );
      instructions.push(...sysctls);
      instructions.push(['enter', `/proc/${process.pid}/ns/net`, namespaceFlags.network], ['system', 'ip', '-batch', outside]);
    } else instructions.push(...sysctls);
    return instructions;
  }

  async #startPause(paths: PodPaths): Promise<number> {
    await writeFile(paths.pid, '');
    const { launchProgram, pause } = this.#deps.state;
    return Number(await requireTool('perl', [launchProgram, 'pause', paths.pid, 'sh', pause]));
  }

  /** Ends the first process of the shared namespace, whoever that is by now: process numbers are used again, namespaces are not. */
  async #endPause(paths: PodPaths): Promise<void> {
    const namespace = await stat(paths.pid).catch(() => undefined);
    if (!namespace) return;
    for (const name of await readdir('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const own = await stat(`/proc/${name}/ns/pid`).catch(() => undefined);
      if (own && own.ino === namespace.ino && own.dev === namespace.dev) process.kill(Number(name), 'SIGKILL');
    }
  }

  async #release(id: string, paths: PodPaths): Promise<void> {
    if (this.#records.get(id)?.config.shareProcessNamespace ?? true) await this.#endPause(paths);
    await this.#deps.network?.disconnect(id);
    if (this.#deps.plainUser) return removeTree(paths.shm);
    const files = [paths.net, paths.ipc, paths.pid, paths.shm];
    await this.#deps.runProgram(files.map((file): Instruction => ['unmount', file]));
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
