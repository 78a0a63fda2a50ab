/**
 * Projects a set of files into a directory so that readers see the old set or the new one, never a mixture, and recovers when it was
 * killed between any two steps. The layout is the kubelet's:
 *
 *   <dir>/..2026_01_31_09_08_07.123456789/a/b    the files
 *   <dir>/..data -> ..2026_01_31_09_08_07.123456789
 *   <dir>/a      -> ..data/a                     what users open
 *
 * Steps, marked in the body of `write`:
 *   1. refuse paths that could leave the directory
 *   2. read where `..data` points
 *   3. compare what is there with the payload
 *   4. make a new timestamped directory
 *   5. write the files into it, with their modes and owners
 *   6. let the caller set ownership of the new directory
 *   7. make the symlink `..data_tmp` to it
 *   8. rename `..data_tmp` to `..data`: the one moment when the new set becomes visible
 *   9. make the symlinks that users open
 *  10. remove the symlinks whose file is gone
 *  11. remove every timestamped directory but the current one, and the one before where that is to be kept for its readers
 */
import { randomInt } from 'node:crypto';
import { chmod, lchown, lstat, mkdir, readdir, readFile, readlink, rename, rm, symlink, unlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Clock } from '@coffer/base/time/clock';

export interface FileProjection {
  readonly data: Uint8Array;
  readonly mode: number;
  /** Owner of the file; the kubelet's own user when undefined. */
  readonly uid?: number | undefined;
}

/** Relative paths to files. */
export type Payload = ReadonlyMap<string, FileProjection>;

export interface AtomicWriterOptions {
  readonly directory: string;
  readonly clock: Clock;
  /** Sets group and modes of everything below the new directory, before it becomes visible. */
  readonly setOwnership?: (timestampedDirectory: string) => Promise<void>;
  /** Leaves the set that was visible before in place, for readers that are in the midst of it; `removeOldSets` clears it away. */
  readonly keepPrevious?: boolean;
  /** Called after each numbered step; a test that throws here is a writer that was killed there. */
  readonly afterStep?: (step: number) => void;
}

const dataName = '..data';
const temporaryName = '..data_tmp';
const timestampPattern = /^\.\.\d{4}_\d{2}_\d{2}_\d{2}_\d{2}_\d{2}\.\d+$/;
const maxPathLength = 4096;
const maxNameLength = 255;

/** Makes the directory show exactly `payload`. Returns whether anything visible changed. One writer per directory at a time. */
export async function writeAtomically(payload: Payload, options: AtomicWriterOptions): Promise<boolean> {
  const { directory } = options;
  const done = options.afterStep ?? (() => {});

  // 1
  for (const path of payload.keys()) validatePath(path);
  done(1);

  // 2
  const current = await currentTarget(directory);
  done(2);

  // 3
  const upToDate = current !== undefined && (await holdsExactly(join(directory, current), payload));
  done(3);

  let visible = current;
  if (!upToDate) {
    // 4
    const name = await makeTimestampedDirectory(directory, options.clock);
    const fresh = join(directory, name);
    done(4);

    // 5
    await writeFiles(fresh, payload);
    done(5);

    // 6
    await options.setOwnership?.(fresh);
    done(6);

    // 7
    await rm(join(directory, temporaryName), { force: true });
    await symlink(name, join(directory, temporaryName));
    done(7);

    // 8
    await rename(join(directory, temporaryName), join(directory, dataName));
    visible = name;
    done(8);
  }

  const wanted = new Set([...payload.keys()].map((path) => firstSegment(path)));
  const present = await readdir(directory);
  // 9
  for (const name of wanted) await ensureLink(directory, name, present.includes(name));
  done(9);

  // 10: only links of this layout; directories that other volumes are mounted on stay.
  for (const name of present) {
    if (!name.startsWith('..') && !wanted.has(name) && (await isOwnLink(directory, name))) await unlink(join(directory, name));
  }
  done(10);

  // 11
  for (const name of present) {
    const kept = name === visible || (options.keepPrevious === true && name === current);
    if (timestampPattern.test(name) && !kept) await rm(join(directory, name), { recursive: true, force: true });
  }
  done(11);
  return !upToDate;
}

/** Removes every set of files but the visible one. Not at the same time as a write. */
export async function removeOldSets(directory: string): Promise<void> {
  const current = await currentTarget(directory);
  // Without a visible set there is nothing that could be told from an old one: the directory is being made or has gone.
  if (current === undefined) return;
  for (const name of await readdir(directory)) {
    if (timestampPattern.test(name) && name !== current) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** Refuses what would leave the directory or collide with its own names. */
function validatePath(path: string): void {
  if (path === '') throw new Error(`invalid path: must not be empty: ${JSON.stringify(path)}`);
  if (path.startsWith('/')) throw new Error(`invalid path: must be relative path: ${path}`);
  if (Buffer.byteLength(path) > maxPathLength) throw new Error(`invalid path: must be less than or equal to ${maxPathLength} characters`);
  for (const item of path.split('/')) {
    if (item === '..') throw new Error(`invalid path: must not contain '..': ${path}`);
    if (Buffer.byteLength(item) > maxNameLength) {
      throw new Error(`invalid path: filenames must be less than or equal to ${maxNameLength} characters`);
    }
  }
  if (path.startsWith('..')) throw new Error(`invalid path: must not start with '..': ${path}`);
}

async function currentTarget(directory: string): Promise<string | undefined> {
  try {
    return await readlink(join(directory, dataName));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function holdsExactly(directory: string, payload: Payload): Promise<boolean> {
  const found = await listFiles(directory, '');
  if (found === undefined || found.length !== payload.size) return false;
  for (const path of found) {
    const wanted = payload.get(path);
    if (wanted === undefined) return false;
    const stat = await lstat(join(directory, path));
    if (stat.size !== wanted.data.byteLength || !(await readFile(join(directory, path))).equals(wanted.data)) return false;
  }
  return true;
}

/** Regular files below a directory; undefined when the directory is not there. */
async function listFiles(directory: string, prefix: string): Promise<string[] | undefined> {
  try {
    const files: string[] = [];
    for (const entry of await readdir(directory, { withFileTypes: true })) {
      const path = prefix === '' ? entry.name : `${prefix}/${entry.name}`;
      if (entry.isDirectory()) files.push(...((await listFiles(join(directory, entry.name), path)) ?? []));
      else files.push(path);
    }
    return files;
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined;
    throw error;
  }
}

async function makeTimestampedDirectory(directory: string, clock: Clock): Promise<string> {
  for (;;) {
    const t = new Date(clock.now());
    const two = (n: number) => String(n).padStart(2, '0');
    const day = `${t.getUTCFullYear()}_${two(t.getUTCMonth() + 1)}_${two(t.getUTCDate())}`;
    const time = `${two(t.getUTCHours())}_${two(t.getUTCMinutes())}_${two(t.getUTCSeconds())}`;
    const name = `..${day}_${time}.${String(randomInt(1_000_000_000)).padStart(9, '0')}`;
    try {
      await mkdir(join(directory, name));
      // mkdir's mode is subject to the umask.
      await chmod(join(directory, name), 0o755);
      return name;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  }
}

async function writeFiles(directory: string, payload: Payload): Promise<void> {
  const made = new Set<string>();
  for (const [path, file] of payload) {
    await makeParents(directory, path, made);
    const target = join(directory, path);
    // Private until its mode is set: a group that may not read it never can.
    await writeFile(target, file.data, { mode: 0o600, flag: 'wx' });
    await chmod(target, file.mode);
    if (file.uid !== undefined) await lchown(target, file.uid, -1 >>> 0);
  }
}

async function makeParents(directory: string, path: string, made: Set<string>): Promise<void> {
  const segments = path.split('/').slice(0, -1);
  let parent = '';
  for (const segment of segments) {
    parent = parent === '' ? segment : `${parent}/${segment}`;
    if (made.has(parent)) continue;
    made.add(parent);
    await mkdir(join(directory, parent), { recursive: true });
    await chmod(join(directory, parent), 0o755);
  }
}

async function ensureLink(directory: string, name: string, exists: boolean): Promise<void> {
  if (exists) {
    if (await isOwnLink(directory, name)) return;
    await rm(join(directory, name), { recursive: true, force: true });
  }
  await symlink(`${dataName}/${name}`, join(directory, name));
}

async function isOwnLink(directory: string, name: string): Promise<boolean> {
  try {
    return (await readlink(join(directory, name))) === `${dataName}/${name}`;
  } catch (error) {
    if (isErrno(error, 'EINVAL')) return false;
    throw error;
  }
}

function firstSegment(path: string): string {
  const slash = path.indexOf('/');
  return slash < 0 ? path : path.slice(0, slash);
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code;
}
