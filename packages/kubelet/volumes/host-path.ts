/** The checks of a hostPath volume's `type`, and the creation it may ask for. Messages as upstream. */

import type { Stats } from 'node:fs';
import { mkdir, open, stat } from 'node:fs/promises';

/** Throws when the path is not what `type` says; makes it for `DirectoryOrCreate` and `FileOrCreate`. */
export async function checkHostPath(path: string, type: string | undefined): Promise<void> {
  const fail = (what: string): never => {
    throw new Error(`hostPath type check failed: ${path} ${what}`);
  };
  if (type === undefined || type === '') return;
  if (type === 'DirectoryOrCreate') {
    const found = await tryStat(path);
    if (found === undefined) await mkdir(path, { recursive: true, mode: 0o755 });
    else if (!found.isDirectory()) fail('is not a directory');
    return;
  }
  if (type === 'FileOrCreate') {
    const found = await tryStat(path);
    if (found === undefined) await (await open(path, 'a', 0o644)).close();
    else if (!found.isFile()) fail('is not a file');
    return;
  }
  const found = await tryStat(path);
  switch (type) {
    case 'Directory':
      if (found?.isDirectory() !== true) fail('is not a directory');
      return;
    case 'File':
      if (found?.isFile() !== true) fail('is not a file');
      return;
    case 'Socket':
      if (found?.isSocket() !== true) fail('is not a socket file');
      return;
    case 'CharDevice':
      if (found?.isCharacterDevice() !== true) fail('is not a character device');
      return;
    case 'BlockDevice':
      if (found?.isBlockDevice() !== true) fail('is not a block device');
      return;
    default:
      throw new Error(`${type} is an invalid volume type`);
  }
}

async function tryStat(path: string): Promise<Stats | undefined> {
  try {
    return await stat(path);
  } catch (error) {
    if (error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ENOTDIR')) return undefined;
    throw error;
  }
}
