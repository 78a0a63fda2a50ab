/** What this machine has left. Figures that cannot be read are undefined and never count as short. */
import { readFile, statfs } from 'node:fs/promises';

export interface Amount {
  readonly available: number;
  readonly capacity: number;
}

/** By eviction signal, as upstream names them. */
export type Signal = 'memory.available' | 'nodefs.available' | 'nodefs.inodesFree' | 'pid.available';

export type NodeResources = Readonly<Partial<Record<Signal, Amount>>>;

/** `rootDir`: the directory whose file system is the node's. */
export async function readNodeResources(rootDir: string): Promise<NodeResources> {
  const [disk, meminfo, loadavg, pidMax] = await Promise.all([
    statfs(rootDir),
    textOf('/proc/meminfo'),
    textOf('/proc/loadavg'),
    textOf('/proc/sys/kernel/pid_max'),
  ]);
  const kib = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(meminfo)?.[1] ?? Number.NaN) * 1024;
  const tasks = Number(/\/(\d+) /.exec(loadavg)?.[1] ?? Number.NaN);
  const known: [Signal, Amount][] = [
    ['memory.available', { available: kib('MemAvailable'), capacity: kib('MemTotal') }],
    ['nodefs.available', { available: disk.bavail * disk.bsize, capacity: disk.blocks * disk.bsize }],
    // File systems without a fixed number of inodes say that they have none.
    ['nodefs.inodesFree', { available: disk.ffree, capacity: disk.files === 0 ? Number.NaN : disk.files }],
    ['pid.available', { available: Number(pidMax.trim() || Number.NaN) - tasks, capacity: Number(pidMax.trim() || Number.NaN) }],
  ];
  return Object.fromEntries(known.filter(([, { available, capacity }]) => Number.isFinite(available) && Number.isFinite(capacity)));
}

async function textOf(path: string): Promise<string> {
  return readFile(path, 'utf8').catch(() => '');
}
