/**
 * Pod sandboxes: what the containers of a pod share. Namespaces are kept as files, so an idle pod costs no process; only a pod with a
 * shared process namespace has one, which adopts orphans, and a plain user's pod, because such a user can keep no namespace as a file.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { PodSandboxConfig, PodSandboxStatus } from '../runtime/container-runtime.ts';
import type { BridgeNetwork, PodConnection } from './bridge-network.ts';
import { endHeldProcesses, type HeldProcess, heldProcesses, isAlive } from './held-processes.ts';
import { refusePod } from './plain-user.ts';
import type { Instruction } from './program.ts';
import { mountFlags, namespaceFlags } from './program.ts';
import { sendSignal } from './signals.ts';
import { type PodPaths, readRecord, removeTree, type StateDirectory, writeAtomically } from './state-directory.ts';
import { requireTool } from './tools.ts';
import type { UserNetwork } from './user-network.ts';

const shmBytes = 64 * 1024 * 1024;

/** Files that stand for the namespaces of a pod; absent where a container makes its own or has the machine's. */
export interface PodNamespaces {
  readonly user?: string | undefined;
  readonly ipc?: string | undefined;
  readonly net?: string | undefined;
}

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
  /** Of a plain user's pods. */
  readonly userNetwork: UserNetwork | undefined;
  /** Namespaces cannot be kept as files: a process holds them, or each container makes its own. */
  readonly plainUser: boolean;
}

export class SandboxPods {
  readonly #deps: PodsDeps;
  readonly #records = new Map<string, PodRecord>();
  /** By pod: what holds its namespaces. */
  readonly #holders = new Map<string, HeldProcess>();
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
        if (ip !== undefined && !record.stopped) (this.#deps.network ?? this.#deps.userNetwork)?.adopt(id, ip);
        await this.#findHolder(id, paths);
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
    if (record.stopped || record.bootId !== this.#bootId) return false;
    if (!this.#isHeld(record)) return true;
    const holder = this.#holders.get(record.id);
    return holder !== undefined && isAlive(holder);
  }

  namespaces(record: PodRecord): PodNamespaces {
    const holder = this.#isHeld(record) ? this.#holders.get(record.id) : undefined;
    if (holder) {
      const file = (name: string) => `/proc/${holder.pid}/ns/${name}`;
      return { user: file('user'), ipc: file('ipc'), net: file('net') };
    }
    if (this.#deps.plainUser) return {};
    const paths = this.#deps.state.pod(record.id);
    return { ipc: record.config.hostIpc ? undefined : paths.ipc, net: record.ownNetwork ? paths.net : undefined };
  }

  async run(config: PodSandboxConfig): Promise<PodRecord> {
    if (this.#deps.plainUser) refusePod(config);
    const id = randomBytes(32).toString('hex');
    const paths = this.#deps.state.pod(id);
    try {
      const connection = config.hostNetwork ? undefined : this.#deps.network?.connect(id);
      const held = config.hostNetwork ? undefined : this.#deps.userNetwork?.connect(id, paths);
      const ip = connection?.ip ?? held?.ip;
      const record: PodRecord = {
        id,
        config,
        createdAtMs: this.#deps.clock.now(),
        bootId: this.#bootId,
        ips: ip === undefined ? [] : [ip],
        ownNetwork: ip !== undefined,
        pausePid: undefined,
        stopped: false,
      };
      const ownProcesses = config.shareProcessNamespace && !config.hostPid;
      // The record comes last: without it, what is there is the rest of a pod that was never made.
      await this.#deps.runProgram([
        ...fileInstructions(paths, config, held && this.#deps.userNetwork?.nameServer),
        ...(this.#deps.plainUser ? [] : namespaceInstructions(paths, config, connection)),
        ...(held?.instructions ?? []),
        ...(ownProcesses ? [] : recordInstructions(paths, record)),
      ]);
      await this.#findHolder(id, paths);
      if (!ownProcesses) return this.#keep(record);
      const shared: PodRecord = { ...record, pausePid: await this.#startPause(paths) };
      await writeAtomically(paths.record, JSON.stringify(shared));
      return this.#keep(shared);
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
    const stopped: PodRecord = { ...record, stopped: true };
    await this.#release(id, paths, recordInstructions(paths, stopped));
    this.#records.set(id, stopped);
  }

  async remove(id: string): Promise<void> {
    if (!this.#records.has(id)) return;
    await this.stop(id);
    await removeTree(this.#deps.state.pod(id).directory);
    this.#records.delete(id);
    this.#holders.delete(id);
  }

  status(record: PodRecord): PodSandboxStatus {
    const { id, config, createdAtMs, ips } = record;
    const { namespace, name, uid, attempt, labels, annotations } = config;
    const state = this.isReady(record) ? 'ready' : 'not-ready';
    return { id, namespace, name, uid, attempt, state, createdAtMs, ips, labels, annotations };
  }

  /** Where a process holds the pod's namespaces. */
  #isHeld(record: PodRecord): boolean {
    return this.#deps.plainUser && record.ownNetwork;
  }

  async #findHolder(id: string, paths: PodPaths): Promise<void> {
    const [holder] = await heldProcesses(paths.holder);
    if (holder) this.#holders.set(id, holder);
  }

  #keep(record: PodRecord): PodRecord {
    this.#records.set(record.id, record);
    return record;
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
      if (own && own.ino === namespace.ino && own.dev === namespace.dev) sendSignal(Number(name), 'SIGKILL');
    }
  }

  async #release(id: string, paths: PodPaths, after: readonly Instruction[]): Promise<void> {
    if (this.#records.get(id)?.config.shareProcessNamespace ?? true) await this.#endPause(paths);
    const link = this.#deps.network?.disconnect(id) ?? [];
    this.#deps.userNetwork?.release(id);
    await endHeldProcesses(paths.holder);
    if (this.#deps.plainUser) await removeTree(paths.shm);
    const mounts = this.#deps.plainUser ? [] : [paths.net, paths.ipc, paths.pid, paths.shm];
    await this.#deps.runProgram([...link, ...mounts.map((file): Instruction => ['unmount', file]), ...after]);
  }

  async #removeFiles(id: string, paths: PodPaths): Promise<void> {
    await this.#release(id, paths, []);
    await removeTree(paths.directory);
  }
}

/** `nameServer`: what pods ask instead of one on the loopback of the machine. */
function fileInstructions(paths: PodPaths, config: PodSandboxConfig, nameServer: string | undefined): Instruction[] {
  return [
    ['mkdir', paths.directory, '700'],
    ['mkdir', paths.shm, '700'],
    ['file', paths.ipc, '600', ''],
    ['file', paths.net, '600', ''],
    ['file', paths.hostname, '644', `${config.hostname}\n`],
    ...(config.dns ? [['file', paths.resolvConf, '644', resolvConf(config.dns, nameServer)] as const] : []),
  ];
}

function recordInstructions(paths: PodPaths, record: PodRecord): Instruction[] {
  return [
    ['file', `${paths.record}.new`, '600', JSON.stringify(record)],
    ['rename', `${paths.record}.new`, paths.record],
  ];
}

function namespaceInstructions(paths: PodPaths, config: PodSandboxConfig, connection: PodConnection | undefined): Instruction[] {
  const { noSuid, noDev, noExec } = mountFlags;
  const flags = (config.hostIpc ? 0 : namespaceFlags.ipc) | (connection ? namespaceFlags.network : 0);
  return [
    ...(config.hostIpc ? [] : [['mount', 'shm', paths.shm, 'tmpfs', noSuid | noDev | noExec, `mode=1777,size=${shmBytes}`] as const]),
    ...(connection?.before ?? []),
    ['unshare', flags],
    ...(config.hostIpc ? [] : [['bind_namespace', 'ipc', paths.ipc] as const]),
    ...(connection
      ? ([
          ['bind_namespace', 'net', paths.net],
          // As container engines have it: a user may listen on any port of the pod and send pings.
          ['try_write', '/proc/sys/net/ipv4/ip_unprivileged_port_start', '0'],
          ['try_write', '/proc/sys/net/ipv4/ping_group_range', '0 2147483647'],
          ...connection.inside,
        ] as const)
      : []),
    ...Object.entries(config.sysctls).map(([name, value]): Instruction => ['write', `/proc/sys/${name.replaceAll('.', '/')}`, value]),
  ];
}

function resolvConf(dns: NonNullable<PodSandboxConfig['dns']>, nameServer: string | undefined): string {
  const reached = (server: string) => (nameServer !== undefined && (server.startsWith('127.') || server === '::1') ? nameServer : server);
  const lines = [
    ...(dns.searches.length > 0 ? [`search ${dns.searches.join(' ')}`] : []),
    ...dns.servers.map((server) => `nameserver ${reached(server)}`),
    ...(dns.options.length > 0 ? [`options ${dns.options.join(' ')}`] : []),
  ];
  return lines.map((line) => `${line}\n`).join('');
}
