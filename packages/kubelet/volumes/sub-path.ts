/**
 * Prepares a `subPath` for a container. Promises: the result is inside the volume whatever symlinks a container planted there, and it
 * stays the same file when the volume changes later (a snapshot, as upstream). As root the resolved file is opened component by
 * component without following links and bind mounted from that handle, so that nothing can be swapped in between; without root the
 * resolved path is handed out.
 */
import { constants } from 'node:fs';
import { type FileHandle, lstat, mkdir, open, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Mounter } from './mounter.ts';

/** Linux' O_PATH, which Node does not name: a handle that only identifies the file. */
const openPathOnly = 0o10000000;

export interface SubPathRequest {
  readonly volumePath: string;
  readonly subPath: string;
  /** Where the bind mount goes; its parents are made. */
  readonly target: string;
}

/** A directory of a sub path that was not there could not be made. Tells things of the machine that nobody else should see. */
export class SubPathNotMade extends Error {}

/** Returns the path that the runtime mounts. Rejects with SubPathNotMade, or with what else keeps it from being mounted. */
export async function prepareSubPath(mounter: Mounter, request: SubPathRequest): Promise<string> {
  const root = await realpath(request.volumePath);
  refuseUnsafe(request.subPath);
  const wanted = join(root, request.subPath);
  if (!(await leadsSomewhere(wanted))) {
    await makeMissing(root, request.subPath).catch((error: unknown) => {
      throw new SubPathNotMade(`sub path ${JSON.stringify(request.subPath)} cannot be made`, { cause: error });
    });
  }
  const resolved = await realpath(wanted);
  if (resolved !== root && !resolved.startsWith(`${root}/`)) {
    throw new Error(`subpath ${JSON.stringify(request.subPath)} not within volume path ${request.volumePath}`);
  }
  if (!mounter.canMount) return resolved;
  const handle = await openBeneath(root, resolved.slice(root.length + 1));
  try {
    const isDirectory = (await handle.stat()).isDirectory();
    await mounter.unmount(request.target);
    await mkdir(dirname(request.target), { recursive: true, mode: 0o750 });
    await rm(request.target, { recursive: true, force: true });
    if (isDirectory) await mkdir(request.target, { mode: 0o750 });
    else await writeFile(request.target, '', { mode: 0o640 });
    await mounter.bind(`/proc/${process.pid}/fd/${handle.fd}`, request.target);
    return request.target;
  } finally {
    await handle.close();
  }
}

/** Detaches every sub path mount below a directory and removes it. */
export async function removeSubPaths(mounter: Mounter, directory: string): Promise<void> {
  if (mounter.canMount) for (const path of await mounter.mountsBelow(directory)) await mounter.unmount(path);
  await rm(directory, { recursive: true, force: true });
}

export function refuseUnsafe(subPath: string): void {
  if (subPath.startsWith('/')) throw new Error(`error SubPath \`${subPath}\` must not be an absolute path`);
  if (subPath.split('/').includes('..')) throw new Error(`unable to provision SubPath \`${subPath}\`: must not contain '..'`);
}

/** Whether there is something under that path, followed through all links. */
async function leadsSomewhere(path: string): Promise<boolean> {
  try {
    await stat(path);
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

/** Makes the directories of a sub path that do not exist, with the mode of the volume, never outside of it. */
async function makeMissing(root: string, subPath: string): Promise<void> {
  const { mode } = await stat(root);
  let current = root;
  for (const segment of subPath.split('/').filter((s) => s !== '' && s !== '.')) {
    const next = join(current, segment);
    const found = await lstat(next).catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
      throw error;
    });
    if (found === undefined) {
      const handle = await openBeneath(root, current === root ? '' : current.slice(root.length + 1));
      try {
        await makeDirectory(`/proc/self/fd/${handle.fd}/${segment}`, mode & 0o7777);
      } finally {
        await handle.close();
      }
      current = next;
    } else {
      current = await realpath(next);
      if (current !== root && !current.startsWith(`${root}/`)) {
        throw new Error(`subpath ${JSON.stringify(subPath)} not within volume path ${root}`);
      }
    }
  }
}

/** A new directory with exactly this mode, whatever the umask is. */
async function makeDirectory(path: string, mode: number): Promise<void> {
  await mkdir(path, { mode: 0o700 });
  const made = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    await made.chmod(mode);
  } finally {
    await made.close();
  }
}

/** Opens a path below `root` that must not contain any symlink. */
async function openBeneath(root: string, relative: string): Promise<FileHandle> {
  let handle = await open(root, openPathOnly | constants.O_NOFOLLOW);
  for (const segment of relative.split('/').filter((s) => s !== '')) {
    const parent = handle;
    try {
      handle = await open(`/proc/self/fd/${parent.fd}/${segment}`, openPathOnly | constants.O_NOFOLLOW);
    } finally {
      await parent.close();
    }
    if ((await handle.stat()).isSymbolicLink()) {
      await handle.close();
      throw new Error(`unexpected symlink found ${JSON.stringify(segment)} in ${JSON.stringify(relative)}`);
    }
  }
  return handle;
}
