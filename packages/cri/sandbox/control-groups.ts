/**
 * Limits and counters of containers in control groups: version 1 (one tree per controller) and version 2 (one tree). Everything lies
 * below one group per state directory, so that two servers on one machine keep apart and a start finds what an earlier one left.
 */
import { access, readdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerResources } from '../runtime/container-runtime.ts';
import type { Instruction } from './program.ts';
import { sendSignal } from './signals.ts';

/** What the machine offers. */
export type ControlGroupLayout =
  | { readonly version: 1; readonly controllers: ReadonlyMap<string, string> }
  | { readonly version: 2; readonly root: string }
  | { readonly version: 0 };

export interface Usage {
  readonly cpuUsageNs: number;
  readonly memoryWorkingSetBytes: number;
}

const memoryLimitV1 = 'memory.limit_in_bytes';
const memoryAndSwapLimitV1 = 'memory.memsw.limit_in_bytes';
const wanted = ['memory', 'cpu', 'cpuacct', 'pids'] as const;

/** Finds the writable trees below `root` (`/sys/fs/cgroup`). */
export async function findControlGroups(root: string): Promise<ControlGroupLayout> {
  if (await writable(join(root, 'cgroup.controllers'), root)) return { version: 2, root };
  const controllers = new Map<string, string>();
  for (const name of wanted) {
    const path = join(root, name);
    if (await writable(join(path, 'cgroup.procs'), path)) controllers.set(name, path);
  }
  return controllers.size > 0 ? { version: 1, controllers } : { version: 0 };
}

export class ControlGroups {
  readonly layout: ControlGroupLayout;
  readonly #name: string;
  readonly #clock: Clock;

  /** `name` is the group below which everything lies, e.g. `coffer-1f2e3d4c`. */
  constructor(layout: ControlGroupLayout, name: string, clock: Clock) {
    this.layout = layout;
    this.#name = name;
    this.#clock = clock;
  }

  /** Sentences for `status().limitations`. */
  limitations(): string[] {
    const missing = wanted.filter((name) => name !== 'cpuacct' && !this.#has(name));
    if (this.layout.version === 0)
      return ['resource limits are not applied and OOMKilled is not reported: no control group is writable here'];
    return missing.map((name) => `limits of ${name} are not applied: the machine has no writable ${name} control group`);
  }

  /** What makes the group of a container with its limits; processes enter it through `entryFiles`. */
  create(id: string, resources: ContainerResources): Instruction[] {
    if (this.layout.version === 0) return [];
    const settings = this.layout.version === 1 ? settingsV1(resources) : settingsV2(resources);
    const directories = this.#directories(id);
    return [
      ...this.#delegate(),
      ...[...new Set(directories.values())].map((directory): Instruction => ['mkdir', directory, '755']),
      ...settings.flatMap(({ controller, file, value, optional }): Instruction[] => {
        const directory = directories.get(controller);
        return directory === undefined ? [] : [[optional ? 'try_write' : 'write', join(directory, file), value]];
      }),
    ];
  }

  /**
   * Gives the group of a container other limits. Nothing where the machine has no writable groups, as at creation. Rejects when the kernel
   * refuses, for example a memory limit below what is in use.
   */
  async update(id: string, resources: ContainerResources): Promise<void> {
    const directories = this.#directories(id);
    const settings = this.layout.version === 1 ? settingsV1(resources) : settingsV2(resources);
    for (const { controller, file, value, optional } of await this.#inOrder(settings, directories)) {
      const directory = directories.get(controller);
      if (directory === undefined) continue;
      await writeFile(join(directory, file), value).catch((error: unknown) => {
        if (optional !== true) throw error;
      });
    }
  }

  /** Version 1 keeps memory below memory with swap at every moment: what grows has to grow there first. */
  async #inOrder(settings: readonly Setting[], directories: ReadonlyMap<string, string>): Promise<readonly Setting[]> {
    const limit = settings.find(({ file }) => file === memoryLimitV1);
    const directory = directories.get('memory');
    if (limit === undefined || directory === undefined) return settings;
    const present = Number(await readText(join(directory, memoryLimitV1)));
    if (Number(limit.value) <= present) return settings;
    return [...settings].sort((a, b) => Number(b.file === memoryAndSwapLimitV1) - Number(a.file === memoryAndSwapLimitV1));
  }

  /** Files through which a process enters the group of a container. */
  entryFiles(id: string): string[] {
    // A process that has just started has one thread: moving a thread is much faster than moving a process.
    const file = this.layout.version === 1 ? 'tasks' : 'cgroup.procs';
    return [...new Set(this.#directories(id).values())].map((directory) => join(directory, file));
  }

  async wasOutOfMemory(id: string): Promise<boolean> {
    const directory = this.#directories(id).get('memory');
    if (directory === undefined) return false;
    const text = await readText(join(directory, this.layout.version === 2 ? 'memory.events' : 'memory.oom_control'));
    return Number(/^oom_kill (\d+)$/m.exec(text)?.[1] ?? 0) > 0;
  }

  /** Processes of a container; empty when it has no group. */
  async processes(id: string): Promise<number[]> {
    const directory = this.#directories(id).values().next().value;
    return directory === undefined ? [] : members(directory);
  }

  async usage(id: string): Promise<Usage | undefined> {
    const directories = this.#directories(id);
    const memory = directories.get('memory');
    if (memory === undefined) return undefined;
    const stat = await readText(join(memory, 'memory.stat'));
    if (this.layout.version === 2) {
      const current = Number(await readText(join(memory, 'memory.current')));
      const cpu = await readText(join(memory, 'cpu.stat'));
      return usage(current, field(stat, 'inactive_file'), field(cpu, 'usage_usec') * 1000);
    }
    const current = Number(await readText(join(memory, 'memory.usage_in_bytes')));
    const cpuacct = directories.get('cpuacct');
    const cpu = cpuacct === undefined ? 0 : Number(await readText(join(cpuacct, 'cpuacct.usage')));
    return usage(current, field(stat, 'total_inactive_file'), cpu);
  }

  /**
   * Removes the group of a container that has ended. What is still in it is killed: a session that was entering it at that moment, for
   * example. A group that the kernel does not let go within two seconds stays for the next start.
   */
  async remove(id: string): Promise<void> {
    for (const directory of new Set(this.#directories(id).values())) {
      for (let tries = 0; tries < 200 && (await isBusy(rmdir(directory))); tries++) {
        for (const pid of await members(directory)) sendSignal(pid, 'SIGKILL');
        await this.#clock.sleep(10);
      }
    }
  }

  /** Ids that have a group, of containers that may not exist any more. */
  async ids(): Promise<string[]> {
    const found = new Set<string>();
    for (const root of this.#roots().values()) {
      for (const entry of await readdir(root, { withFileTypes: true }).catch(() => [])) if (entry.isDirectory()) found.add(entry.name);
    }
    return [...found];
  }

  /** Removes the common group when nothing is left in it. */
  async removeRoot(): Promise<void> {
    for (const root of new Set(this.#roots().values())) await rmdir(root).catch(() => {});
  }

  #has(controller: string): boolean {
    return this.layout.version === 2 || (this.layout.version === 1 && this.layout.controllers.has(controller));
  }

  #roots(): Map<string, string> {
    const { layout } = this;
    if (layout.version === 0) return new Map();
    if (layout.version === 2) return new Map(wanted.map((name) => [name, join(layout.root, this.#name)]));
    return new Map([...layout.controllers].map(([name, path]) => [name, join(path, this.#name)]));
  }

  #directories(id: string): Map<string, string> {
    return new Map([...this.#roots()].map(([name, path]) => [name, join(path, id)]));
  }

  /** Version 2 gives a controller to a group only when its parent passes it on. */
  #delegate(): Instruction[] {
    if (this.layout.version !== 2) return [];
    const own = join(this.layout.root, this.#name);
    const files = [this.layout.root, own].map((directory) => join(directory, 'cgroup.subtree_control'));
    return [
      ['mkdir', own, '755'],
      ...files.flatMap((file) => ['memory', 'cpu', 'pids'].map((name): Instruction => ['try_write', file, `+${name}`])),
    ];
  }
}

interface Setting {
  readonly controller: string;
  readonly file: string;
  readonly value: string;
  /** The kernel may not have it. */
  readonly optional?: boolean;
}

function settingsV1(resources: ContainerResources): Setting[] {
  const settings: Setting[] = [];
  const { memoryLimitBytes, cpuShares, cpuPeriodUs, cpuQuotaUs, pidsLimit } = resources;
  if (memoryLimitBytes) {
    settings.push({ controller: 'memory', file: memoryLimitV1, value: String(memoryLimitBytes) });
    settings.push({ controller: 'memory', file: memoryAndSwapLimitV1, value: String(memoryLimitBytes), optional: true });
  }
  if (cpuShares) settings.push({ controller: 'cpu', file: 'cpu.shares', value: String(cpuShares) });
  if (cpuPeriodUs) settings.push({ controller: 'cpu', file: 'cpu.cfs_period_us', value: String(cpuPeriodUs), optional: true });
  if (cpuQuotaUs) settings.push({ controller: 'cpu', file: 'cpu.cfs_quota_us', value: String(cpuQuotaUs), optional: true });
  if (pidsLimit && pidsLimit > 0) settings.push({ controller: 'pids', file: 'pids.max', value: String(pidsLimit) });
  return settings;
}

function settingsV2(resources: ContainerResources): Setting[] {
  const settings: Setting[] = [];
  const { memoryLimitBytes, cpuShares, cpuPeriodUs, cpuQuotaUs, pidsLimit } = resources;
  if (memoryLimitBytes) {
    settings.push({ controller: 'memory', file: 'memory.max', value: String(memoryLimitBytes) });
    settings.push({ controller: 'memory', file: 'memory.swap.max', value: '0', optional: true });
  }
  if (cpuShares) settings.push({ controller: 'cpu', file: 'cpu.weight', value: String(cpuWeight(cpuShares)) });
  if (cpuQuotaUs) {
    const quota = cpuQuotaUs > 0 ? String(cpuQuotaUs) : 'max';
    settings.push({ controller: 'cpu', file: 'cpu.max', value: `${quota} ${cpuPeriodUs || 100_000}`, optional: true });
  }
  if (pidsLimit && pidsLimit > 0) settings.push({ controller: 'pids', file: 'pids.max', value: String(pidsLimit) });
  return settings;
}

/** Shares 2 to 262144 of version 1 as weight 1 to 10000 of version 2. */
export function cpuWeight(shares: number): number {
  return Math.floor(1 + ((Math.min(Math.max(shares, 2), 262_144) - 2) * 9_999) / 262_142);
}

function usage(current: number, inactive: number, cpuUsageNs: number): Usage {
  return { cpuUsageNs, memoryWorkingSetBytes: Math.max(0, current - inactive) };
}

function field(text: string, name: string): number {
  return Number(new RegExp(`^${name} (\\d+)$`, 'm').exec(text)?.[1] ?? 0);
}

async function members(directory: string): Promise<number[]> {
  return (await readText(join(directory, 'cgroup.procs'))).split('\n').filter(Boolean).map(Number);
}

/** Whether a removal fails because something still uses what is to be removed. */
async function isBusy(removal: Promise<void>): Promise<boolean> {
  return removal.then(
    () => false,
    (error: NodeJS.ErrnoException) => error.code === 'EBUSY',
  );
}

async function readText(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}

async function writable(...paths: string[]): Promise<boolean> {
  for (const path of paths) {
    try {
      await access(path, 2);
    } catch {
      return false;
    }
  }
  return true;
}
