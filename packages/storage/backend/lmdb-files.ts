import { chmodSync, closeSync, existsSync, fsyncSync, linkSync, mkdirSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { ABORT, type Database, open, type RootDatabase } from 'lmdb';
import { StorageError } from '../errors.ts';
import { type DirectoryLock, lockDirectory } from './directory-lock.ts';
import { decodeRevision, encodeRevision, formatVersion } from './lmdb-records.ts';

/** The files of an LMDB store: open, lock, permissions, format check. No transactions of their own besides opening. */
export type Table = Database<Buffer, Buffer>;

export interface LmdbFiles {
  readonly env: RootDatabase<Buffer, Buffer>;
  readonly log: Table;
  readonly head: Table;
  readonly past: Table;
  readonly meta: Table;
  readonly dataPath: string;
  readonly directory: string;
  /**
   * Opens the files anew (the lock is kept); this object cannot be used any more. `whileClosed` runs when nothing is open.
   */
  reopen(whileClosed?: () => void): Promise<LmdbFiles>;
  /** Opens a copy of the data file in another directory, without a lock. */
  openCopy(directory: string): LmdbFiles;
  close(): Promise<void>;
}

/**
 * Adds an entry behind all others of a table, which fills its pages. False when it is not behind all others. (The library's
 * types know the option for `putSync` only.)
 */
export function append(table: Table, key: Buffer, value: Buffer): Promise<boolean> {
  const put: (key: Buffer, value: Buffer, options: { readonly append: boolean }) => Promise<boolean> = table.put.bind(table) as never;
  return put(key, value, { append: true });
}

export const metaKeys = {
  format: Buffer.from('format'),
  compacted: Buffer.from('compacted'),
  /** Compaction has removed everything it may up to here; lags `compacted` while it is running or was interrupted. */
  cleaned: Buffer.from('cleaned'),
} as const;

export const dataName = 'data.mdb';
/** Where data files are made before they get their name. */
export const workshopPrefix = 'creating-';
const binary = { encoding: 'binary', keyEncoding: 'binary', cache: false } as const;

export async function openLmdbFiles(directory: string, options: { readonly unsafeNoSync?: boolean }): Promise<LmdbFiles> {
  const absolute = resolve(directory);
  const noSync = options.unsafeNoSync ?? false;
  const firstCreated = mkdirSync(absolute, { recursive: true, mode: 0o700 });
  if (!existsSync(join(absolute, dataName))) await createData(absolute, noSync);
  syncDirectories(absolute, dirname(firstCreated ?? absolute));
  const env = openEnvironment(absolute, noSync);
  let lock: DirectoryLock | undefined;
  try {
    lock = lockDirectory(absolute, (section) =>
      env.transactionSync(() => {
        section();
        return ABORT;
      }),
    );
    const files = withTables(env, absolute, noSync, lock);
    checkFormat(files.meta, absolute);
    chmodSync(join(absolute, 'lock.mdb'), 0o600);
    removeUnfinished(absolute);
    return files;
  } catch (error) {
    await env.close();
    lock?.release();
    throw error;
  }
}

/**
 * A store that is cut off while LMDB makes its first pages could never be opened again. So the file is made elsewhere (1), with
 * all that an empty store holds, synced (2), and only then gets its name (3), unless another process was faster.
 */
async function createData(directory: string, noSync: boolean): Promise<void> {
  const workshop = join(directory, `${workshopPrefix}${process.pid}`);
  rmSync(workshop, { recursive: true, force: true });
  mkdirSync(workshop, { mode: 0o700 });
  // 1
  const env = openEnvironment(workshop, noSync);
  const meta = env.openDB<Buffer, Buffer>({ name: 'meta', ...binary });
  for (const name of ['log', 'head', 'past']) env.openDB<Buffer, Buffer>({ name, ...binary });
  meta.putSync(metaKeys.format, encodeRevision(formatVersion));
  await env.close();
  const made = join(workshop, dataName);
  chmodSync(made, 0o600);
  // 2
  if (!noSync) syncPath(made);
  // 3
  try {
    linkSync(made, join(directory, dataName));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  rmSync(workshop, { recursive: true });
}

/** What a first start or an exchange that was cut off has left; only for the owner of the directory. */
function removeUnfinished(directory: string): void {
  for (const name of readdirSync(directory)) {
    if (name.startsWith(workshopPrefix)) rmSync(join(directory, name), { recursive: true, force: true });
  }
}

const noLock: DirectoryLock = { release() {} };

function withTables(env: RootDatabase<Buffer, Buffer>, directory: string, noSync: boolean, lock: DirectoryLock): LmdbFiles {
  const table = (name: string): Table => env.openDB<Buffer, Buffer>({ name, ...binary });
  return {
    env,
    log: table('log'),
    head: table('head'),
    past: table('past'),
    meta: table('meta'),
    dataPath: join(directory, dataName),
    directory,
    openCopy: (copy) => withTables(openEnvironment(copy, noSync), copy, noSync, noLock),
    async reopen(whileClosed = () => {}) {
      await env.close();
      whileClosed();
      return withTables(openEnvironment(directory, noSync), directory, noSync, lock);
    },
    async close() {
      await env.close();
      lock.release();
    },
  };
}

/**
 * Plain LMDB commits: data pages, fdatasync, then the meta page that makes them visible, synchronously. (The library's default
 * of overlapping syncs makes a commit visible before it is durable, which this store must never do.)
 */
function openEnvironment(directory: string, noSync: boolean): RootDatabase<Buffer, Buffer> {
  const options = {
    path: directory,
    noSubdir: false,
    maxDbs: 8,
    // An object of 1 to 2 KiB fills pages of 8 KiB far better than pages of 4 KiB.
    pageSize: 8192,
    overlappingSync: false,
    eventTurnBatching: false,
    noSync,
    ...binary,
  };
  return open<Buffer, Buffer>(addressSpaceIsLimited() ? options : { ...options, mapSize: addressSpaceBytes });
}

/**
 * Address space, not memory. When a file outgrows its map the library makes a larger one and keeps the old, and the same pages
 * count again; so the first one is large, unless the process may not have that much (where the library would crash).
 */
const addressSpaceBytes = 64 * 1024 ** 3;

function addressSpaceIsLimited(): boolean {
  try {
    return !/^Max address space\s+unlimited/m.test(readFileSync('/proc/self/limits', 'utf8'));
  } catch {
    return false;
  }
}

function checkFormat(meta: Table, directory: string): void {
  const format = meta.get(metaKeys.format);
  const found = format === undefined ? 'none' : decodeRevision(format);
  if (found !== formatVersion) {
    throw new StorageError('unavailable', `the store in ${directory} has format ${found}; this program reads format ${formatVersion}`);
  }
}

/** A new file survives a power cut only when its directory was synced; so does a new directory. */
function syncDirectories(directory: string, upTo: string): void {
  for (let path = directory; ; path = dirname(path)) {
    syncPath(path);
    if (path === upTo || path === dirname(path)) return;
  }
}

export function syncPath(path: string): void {
  const descriptor = openSync(path, 'r');
  try {
    fsyncSync(descriptor);
  } finally {
    closeSync(descriptor);
  }
}
