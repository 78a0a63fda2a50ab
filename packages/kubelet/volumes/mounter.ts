/** The few mount operations the kubelet needs itself, with util-linux. Volumes reach containers through the runtime, not through this. */
import { execFile } from 'node:child_process';
import { readFile, statfs } from 'node:fs/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);
const tmpfsMagic = 0x01021994;
const ramfsMagic = 0x858458f6;

export interface Mounter {
  /** Whether this process may mount at all. */
  readonly canMount: boolean;
  /** Mounts a tmpfs, never swapped to disk where the kernel knows `noswap`. */
  mountTmpfs(path: string, options: { readonly sizeBytes: number | undefined; readonly mode: number }): Promise<void>;
  bind(source: string, target: string): Promise<void>;
  /** Detaches whatever is mounted there; nothing mounted is fine. */
  unmount(path: string): Promise<void>;
  isMountPoint(path: string): Promise<boolean>;
  /** Mount points at or below a directory, deepest first. */
  mountsBelow(directory: string): Promise<readonly string[]>;
  /** Whether files in that directory live in memory only. */
  isMemoryBacked(path: string): Promise<boolean>;
}

export function createMounter(): Mounter {
  const canMount = process.platform === 'linux' && process.getuid?.() === 0;
  let noswap = true;
  const mounts = async () => (process.platform === 'linux' ? parseMountPoints(await readFile('/proc/self/mountinfo', 'utf8')) : []);
  return {
    canMount,
    async mountTmpfs(path, options) {
      const base = ['nosuid', 'nodev', `mode=${options.mode.toString(8)}`];
      if (options.sizeBytes !== undefined) base.push(`size=${options.sizeBytes}`);
      if (noswap) {
        try {
          await run('mount', ['-t', 'tmpfs', '-o', [...base, 'noswap'].join(','), 'tmpfs', path]);
          return;
        } catch {
          // Kernels before 6.4 do not know the option.
          noswap = false;
        }
      }
      await run('mount', ['-t', 'tmpfs', '-o', base.join(','), 'tmpfs', path]);
    },
    async bind(source, target) {
      await run('mount', ['--no-canonicalize', '--bind', source, target]);
    },
    async unmount(path) {
      if ((await mounts()).includes(path)) await run('umount', ['-l', path]);
    },
    async isMountPoint(path) {
      return (await mounts()).includes(path);
    },
    async mountsBelow(directory) {
      const below = (await mounts()).filter((path) => path === directory || path.startsWith(`${directory}/`));
      return below.sort((a, b) => b.length - a.length);
    },
    async isMemoryBacked(path) {
      const { type } = await statfs(path);
      return type === tmpfsMagic || type === ramfsMagic;
    },
  };
}

/** Mount points of a mountinfo file, unescaped. */
function parseMountPoints(mountinfo: string): string[] {
  const points: string[] = [];
  for (const line of mountinfo.split('\n')) {
    const point = line.split(' ')[4];
    if (point !== undefined)
      points.push(point.replace(/\\([0-7]{3})/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 8))));
  }
  return points;
}
