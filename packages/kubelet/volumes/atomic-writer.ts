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
 *  11. remove what an interrupted write left, and every timestamped directory but the current one and those that are kept for
 *      their readers a little longer
 */
import { randomInt } from 'node:crypto';
import { chmod, lchown, lstat, mkdir, readdir, readFile, readlink, rename, rm, rmdir, symlink, unlink, writeFile } from 'node:fs/promises';
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
  /**
   * How long a superseded set stays for readers that are in the midst of it, as long as such sets are not too large together;
   * `removeOldSets` clears away those that are older. 0, the default, for not at all.
   */
  readonly keepOldMs?: number;
  /** What the only writer of the directory remembers from call to call, so that an update need not look at what is there. */
  readonly memory?: WriterMemory;
  /** File mode bits that this process may not set when it makes something; without it every mode is set once more. */
  readonly umask?: number | undefined;
  /** Called after each numbered step; a test that throws here is a writer that was killed there. */
  readonly afterStep?: (step: number) => void;
}

/** Empty at first. Never wrong: whatever fails empties it again, and then the directory itself is looked at. */
export interface WriterMemory {
  visible?: WrittenSet | undefined;
  /** Every other set in the directory, as far as `visible` is known. */
  old?: readonly OldSet[];
}

interface WrittenSet {
  readonly name: string;
  readonly payload: Payload;
}

interface OldSet {
  readonly name: string;
  readonly payload: Payload | undefined;
  /** When it was superseded, on the clock that never jumps. */
  readonly sinceMs: number;
}

const dataName = '..data';
const temporaryName = '..data_tmp';
const timestampPattern = /^\.\.\d{4}_\d{2}_\d{2}_\d{2}_\d{2}_\d{2}\.\d+$/;
const directoryMode = 0o755;
/** Of all superseded sets of one volume together. */
const maxOldBytes = 32 * 1024 * 1024;
const fileOverheadBytes = 4096;
const maxPathLength = 4096;
const maxNameLength = 255;

/** Makes the directory show exactly `payload`. Returns whether anything visible changed. One writer per directory at a time. */
export async function writeAtomically(payload: Payload, options: AtomicWriterOptions): Promise<boolean> {
  const { memory } = options;
  const last = memory?.visible;
  const old = memory?.old ?? [];
  if (memory !== undefined) memory.visible = undefined;
  const changed = last !== undefined && !samePayload(last.payload, payload);
  const visible = await (changed ? writeNext(last, old, payload, options) : writeAfterLook(payload, options));
  if (memory !== undefined) {
    memory.visible = { name: visible.name, payload };
    memory.old = visible.kept;
  }
  return visible.changed;
}

interface Visible {
  readonly name: string;
  readonly changed: boolean;
  /** Other sets that were left in place, the oldest first. */
  readonly kept: readonly OldSet[];
}

/** The steps without any knowledge of the directory. */
async function writeAfterLook(payload: Payload, options: AtomicWriterOptions): Promise<Visible> {
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

  // 4 to 8
  const visible = upToDate ? current : await makeVisible(payload, options);

  const wanted = topLevelNames(payload);
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
  const keepsOld = (options.keepOldMs ?? 0) > 0;
  for (const name of present) {
    const kept = name === visible || (keepsOld && name === current);
    const leftover = timestampPattern.test(name) || name === temporaryName;
    if (leftover && !kept) await rm(join(directory, name), { recursive: true, force: true });
  }
  done(11);
  const left = !upToDate && keepsOld && current !== undefined;
  const kept = left ? [{ name: current, payload: undefined, sinceMs: options.clock.monotonicMs() }] : [];
  return { name: visible, changed: !upToDate, kept };
}

/** The steps when it is known which sets are there and that the visible one holds something else: 2 and 3 have nothing to find out. */
async function writeNext(last: WrittenSet, old: readonly OldSet[], payload: Payload, options: AtomicWriterOptions): Promise<Visible> {
  const { directory } = options;
  const done = options.afterStep ?? (() => {});
  // 1
  for (const path of payload.keys()) validatePath(path);
  done(1);
  // 2 and 3
  done(2);
  done(3);
  // 4 to 8
  const name = await makeVisible(payload, options);
  const wanted = topLevelNames(payload);
  const before = topLevelNames(last.payload);
  // 9
  for (const link of wanted) if (!before.has(link)) await ensureLink(directory, link, true);
  done(9);
  // 10
  for (const link of before) if (!wanted.has(link) && (await isOwnLink(directory, link))) await unlink(join(directory, link));
  done(10);
  // 11
  const sets = [...old, { ...last, sinceMs: options.clock.monotonicMs() }];
  const kept = sets.slice(sets.length - countToKeep(sets, options));
  for (const set of sets.slice(0, sets.length - kept.length)) await removeSet(directory, set);
  done(11);
  return { name, changed: true, kept };
}

/** Steps 4 to 8. Returns the name of the new set. */
async function makeVisible(payload: Payload, options: AtomicWriterOptions): Promise<string> {
  const { directory, umask } = options;
  const done = options.afterStep ?? (() => {});
  // 4
  const name = await makeTimestampedDirectory(directory, options.clock, umask);
  const fresh = join(directory, name);
  done(4);

  // 5
  await writeFiles(fresh, payload, umask);
  done(5);

  // 6
  await options.setOwnership?.(fresh);
  done(6);

  // 7
  const temporary = join(directory, temporaryName);
  await symlink(name, temporary).catch(async (error: unknown) => {
    if (!isErrno(error, 'EEXIST')) throw error;
    await rm(temporary, { recursive: true, force: true });
    await symlink(name, temporary);
  });
  done(7);

  // 8
  await rename(temporary, join(directory, dataName));
  done(8);
  return name;
}

/** Removes every set of files but the visible one and those that are kept. Not at the same time as a write. */
export async function removeOldSets(options: Pick<AtomicWriterOptions, 'directory' | 'clock' | 'keepOldMs' | 'memory'>): Promise<void> {
  const { directory, memory } = options;
  if (memory?.visible !== undefined) {
    const sets = memory.old ?? [];
    memory.old = sets.slice(sets.length - countToKeep(sets, options));
    for (const set of sets.slice(0, sets.length - memory.old.length)) await removeSet(directory, set);
    return;
  }
  const current = await currentTarget(directory);
  // Without a visible set there is nothing that could be told from an old one: the directory is being made or has gone.
  if (current === undefined) return;
  for (const name of await readdir(directory)) {
    if (timestampPattern.test(name) && name !== current) await rm(join(directory, name), { recursive: true, force: true });
  }
}

/** How many of the last of these sets are young enough, and not too large together. */
function countToKeep(sets: readonly OldSet[], { clock, keepOldMs = 0 }: Pick<AtomicWriterOptions, 'clock' | 'keepOldMs'>): number {
  const nowMs = clock.monotonicMs();
  let bytes = 0;
  let count = 0;
  for (const { sinceMs, payload } of sets.toReversed()) {
    for (const { data } of payload?.values() ?? []) bytes += data.byteLength + fileOverheadBytes;
    if (nowMs - sinceMs >= keepOldMs || (count > 0 && bytes > maxOldBytes)) break;
    count++;
  }
  return count;
}

async function removeSet(directory: string, { name, payload }: OldSet): Promise<void> {
  const path = join(directory, name);
  const files = [...(payload?.keys() ?? [])];
  if (payload !== undefined && files.every((file) => !file.includes('/'))) {
    try {
      for (const file of files) await unlink(join(path, file));
      return await rmdir(path);
    } catch {
      // Not as it was written: everything in it goes.
    }
  }
  await rm(path, { recursive: true, force: true });
}

function samePayload(a: Payload, b: Payload): boolean {
  if (a.size !== b.size) return false;
  for (const [path, file] of a) {
    const other = b.get(path);
    if (other === undefined || other.mode !== file.mode || other.uid !== file.uid) return false;
    if (other.data !== file.data && Buffer.compare(other.data, file.data) !== 0) return false;
  }
  return true;
}

function topLevelNames(payload: Payload): ReadonlySet<string> {
  const names = new Set<string>();
  for (const path of payload.keys()) names.add(firstSegment(path));
  return names;
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

async function makeTimestampedDirectory(directory: string, clock: Clock, umask: number | undefined): Promise<string> {
  for (;;) {
    const t = new Date(clock.now());
    const two = (n: number) => String(n).padStart(2, '0');
    const day = `${t.getUTCFullYear()}_${two(t.getUTCMonth() + 1)}_${two(t.getUTCDate())}`;
    const time = `${two(t.getUTCHours())}_${two(t.getUTCMinutes())}_${two(t.getUTCSeconds())}`;
    const name = `..${day}_${time}.${String(randomInt(1_000_000_000)).padStart(9, '0')}`;
    try {
      await mkdir(join(directory, name), { mode: directoryMode });
      if (!keepsMode(directoryMode, umask)) await chmod(join(directory, name), directoryMode);
      return name;
    } catch (error) {
      if (!isErrno(error, 'EEXIST')) throw error;
    }
  }
}

/** Whether something is made with exactly this mode. */
function keepsMode(mode: number, umask: number | undefined): boolean {
  return umask !== undefined && (mode & (umask | ~0o777)) === 0;
}

async function writeFiles(directory: string, payload: Payload, umask: number | undefined): Promise<void> {
  const made = new Set<string>();
  for (const [path, file] of payload) {
    await makeParents(directory, path, made);
    const target = join(directory, path);
    // Never open to more than it will be: who may not read it never can.
    await writeFile(target, file.data, { mode: file.mode & 0o777, flag: 'wx' });
    if (!keepsMode(file.mode, umask)) await chmod(target, file.mode);
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
    await chmod(join(directory, parent), directoryMode);
  }
}

async function ensureLink(directory: string, name: string, mayExist: boolean): Promise<void> {
  if (mayExist) {
    if (await isOwnLink(directory, name)) return;
    await rm(join(directory, name), { recursive: true, force: true });
  }
  await symlink(`${dataName}/${name}`, join(directory, name));
}

async function isOwnLink(directory: string, name: string): Promise<boolean> {
  try {
    return (await readlink(join(directory, name))) === `${dataName}/${name}`;
  } catch (error) {
    if (isErrno(error, 'EINVAL') || isErrno(error, 'ENOENT')) return false;
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
