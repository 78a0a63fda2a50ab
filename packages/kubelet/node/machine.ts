/** Facts about this machine for the Node object. Read once; missing files give empty texts. */
import { readFile, statfs } from 'node:fs/promises';
import { arch, availableParallelism, hostname, networkInterfaces, platform, release, totalmem } from 'node:os';

export interface Machine {
  readonly hostname: string;
  readonly cpus: number;
  readonly memoryBytes: number;
  readonly storageBytes: number;
  readonly architecture: string;
  readonly operatingSystem: string;
  readonly kernelVersion: string;
  readonly osImage: string;
  readonly machineId: string;
  readonly systemUuid: string;
  readonly bootId: string;
  readonly swapBytes: number;
  /** Of this process; undefined where the system does not say. */
  readonly umask: number | undefined;
  /** Addresses other machines may reach this one under; a loopback address when there is no other. */
  readonly addresses: readonly string[];
}

const architectures: Readonly<Record<string, string>> = {
  x64: 'amd64',
  arm64: 'arm64',
  arm: 'arm',
  ia32: '386',
  ppc64: 'ppc64le',
  s390x: 's390x',
};

export async function readMachine(rootDir: string): Promise<Machine> {
  const storage = await statfs(rootDir);
  const meminfo = await textOf('/proc/meminfo');
  const osRelease = await textOf('/etc/os-release');
  return {
    hostname: hostname().toLowerCase(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    storageBytes: storage.blocks * storage.bsize,
    architecture: architectures[arch()] ?? arch(),
    operatingSystem: platform(),
    kernelVersion: release(),
    osImage: /^PRETTY_NAME="?(.*?)"?$/m.exec(osRelease)?.[1] ?? platform(),
    machineId: (await textOf('/etc/machine-id')).trim(),
    systemUuid: (await textOf('/sys/class/dmi/id/product_uuid')).trim(),
    bootId: (await textOf('/proc/sys/kernel/random/boot_id')).trim(),
    swapBytes: Number(/^SwapTotal:\s+(\d+)/m.exec(meminfo)?.[1] ?? 0) * 1024,
    umask: umaskOf(await textOf('/proc/self/status')),
    addresses: addressesOf(),
  };
}

/** Of the filesystem that holds a path: its size, and what may still be written to it. */
export async function filesystemUsage(path: string): Promise<{ readonly capacityBytes: number; readonly availableBytes: number }> {
  const { blocks, bavail, bsize } = await statfs(path);
  return { capacityBytes: blocks * bsize, availableBytes: bavail * bsize };
}

function umaskOf(status: string): number | undefined {
  const text = /^Umask:\s+([0-7]+)$/m.exec(status)?.[1];
  return text === undefined ? undefined : Number.parseInt(text, 8);
}

async function textOf(path: string): Promise<string> {
  try {
    return await readFile(path, 'utf8');
  } catch {
    return '';
  }
}

function addressesOf(): string[] {
  const found = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((address) => !address.internal && address.family === 'IPv4')
    .map((address) => address.address);
  return found.length === 0 ? ['127.0.0.1'] : found.slice(0, 1);
}
