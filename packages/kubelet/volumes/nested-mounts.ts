/**
 * Mount points inside a volume, for other mounts of the same container that lie below it. They are made before the container is, for
 * inside it such a volume may be read-only.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path/posix';
import { allContainers, type Pod } from '../types.ts';

/** Makes a directory in the volume for every mount directly below one of its own mount paths. */
export async function makeNestedMountPoints(pod: Pod, volume: string, directory: string): Promise<void> {
  for (const relative of nestedMountPoints(pod, volume)) await mkdir(join(directory, relative), { recursive: true, mode: 0o755 });
}

/** Paths relative to the volume; what lies below another one of them is the affair of the volume mounted there. */
export function nestedMountPoints(pod: Pod, volume: string): string[] {
  const found = new Set<string>();
  for (const { container } of allContainers(pod)) {
    const mounts = (container.volumeMounts ?? []).map(({ name, mountPath }) => ({ name, path: cleaned(mountPath) }));
    const paths = mounts.map(({ path }) => path).sort();
    for (const { name, path } of mounts) {
      if (name !== volume) continue;
      let covered: string | undefined;
      for (const other of paths) {
        if (!other.startsWith(`${path}/`) || (covered !== undefined && other.startsWith(covered))) continue;
        covered = `${other}/`;
        found.add(other.slice(path.length + 1));
      }
    }
  }
  return [...found];
}

/** Absolute and without a trailing slash; `..` cannot lead above the root. */
function cleaned(path: string): string {
  const joined = join('/', path);
  return joined.endsWith('/') && joined !== '/' ? joined.slice(0, -1) : joined;
}
