/** Whom a volume's files belong to. `fsGroup`: group ownership and group permissions, as upstream sets them. */
import { chmod, lchown, lstat, readdir } from 'node:fs/promises';
import { join } from 'node:path';

const setgid = 0o2000;
const unchanged = 4_294_967_295;

/** Whether this process may give files to other users and groups. */
export function givesFilesAway(): boolean {
  return process.getuid?.() === 0;
}

/** Gives `path` and everything below to the group. Read-only volumes get group read, others read and write; directories setgid too. */
export async function setGroupOwnership(path: string, group: number, readOnly: boolean): Promise<void> {
  const stat = await lstat(path);
  await lchown(path, unchanged, group);
  if (stat.isSymbolicLink()) return;
  const bits = (readOnly ? 0o440 : 0o660) | (stat.isDirectory() ? 0o110 | setgid : 0);
  await chmod(path, (stat.mode & 0o7777) | bits);
  if (!stat.isDirectory()) return;
  for (const name of await readdir(path)) await setGroupOwnership(join(path, name), group, readOnly);
}

/** The same for a directory itself, without what is in it. */
export async function setDirectoryGroup(path: string, group: number, readOnly: boolean): Promise<void> {
  const stat = await lstat(path);
  await lchown(path, unchanged, group);
  await chmod(path, (stat.mode & 0o7777) | (readOnly ? 0o550 : 0o770) | setgid);
}
