/**
 * Where volumes live that never reach a disk, those with Secret data among them: one directory that is in memory only. Promises: a path is handed out only after its file system
 * was checked to be a tmpfs; it survives a restart of the kubelet and is found again. Where no such directory can be had, `directory`
 * throws, so nothing secret is ever written to a disk.
 */
import { createHash } from 'node:crypto';
import { chmod, lstat, mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Mounter } from './mounter.ts';

export class MemoryStorage {
  readonly #mounter: Mounter;
  readonly #rootDir: string;
  #ready: Promise<string> | undefined;

  constructor(mounter: Mounter, rootDir: string) {
    this.#mounter = mounter;
    this.#rootDir = rootDir;
  }

  /** The memory-backed directory, mounted or found on first use. */
  async directory(): Promise<string> {
    this.#ready ??= this.#prepare();
    try {
      return await this.#ready;
    } catch (error) {
      this.#ready = undefined;
      throw error;
    }
  }

  async removePod(uid: string): Promise<void> {
    for (const directory of await this.#present()) await rm(join(directory, uid), { recursive: true, force: true });
  }

  /** Removes everything and gives the directory back; used when the node goes down for good. */
  async release(): Promise<void> {
    const present = await this.#present();
    this.#ready = undefined;
    for (const directory of present) await this.#giveBack(directory);
  }

  /** Gives the directory back when it holds nothing of any pod; no volume may be under way. */
  async releaseUnused(): Promise<void> {
    for (const directory of await this.#present()) {
      if ((await readdir(directory)).length > 0) continue;
      this.#ready = undefined;
      await this.#giveBack(directory);
    }
  }

  async #giveBack(directory: string): Promise<void> {
    if (this.#mounter.canMount) await this.#mounter.unmount(directory);
    await rm(directory, { recursive: true, force: true });
  }

  /** The directory of this kubelet, or one that an earlier one left and this one has not needed yet. */
  async #present(): Promise<readonly string[]> {
    if (this.#ready !== undefined) return [await this.#ready];
    const own: string[] = [];
    for (const path of this.#candidates()) {
      const stat = await lstat(path).catch(() => undefined);
      if (stat?.isDirectory() === true && stat.uid === process.getuid?.()) own.push(path);
    }
    return own;
  }

  /** Where the directory may be, in the order in which they are tried. */
  #candidates(): readonly string[] {
    if (this.#mounter.canMount) return [join(this.#rootDir, 'memory')];
    const name = `coffer-${createHash('sha256').update(this.#rootDir).digest('hex').slice(0, 16)}`;
    return [process.env.XDG_RUNTIME_DIR, '/dev/shm'].flatMap((base) => (base === undefined || base === '' ? [] : [join(base, name)]));
  }

  async #prepare(): Promise<string> {
    if (this.#mounter.canMount) {
      const path = join(this.#rootDir, 'memory');
      await mkdir(path, { recursive: true, mode: 0o750 });
      if (!(await this.#mounter.isMountPoint(path)) && !(await this.#mounter.isMemoryBacked(path))) {
        await this.#mounter.mountTmpfs(path, { sizeBytes: undefined, mode: 0o750 });
      }
      return this.#checked(path);
    }
    for (const path of this.#candidates()) {
      try {
        await mkdir(path, { mode: 0o700 });
      } catch (error) {
        if (!(error instanceof Error && 'code' in error)) throw error;
        if (error.code !== 'EEXIST') continue;
      }
      // Somebody else may have made it first in a directory that everybody may write to.
      const stat = await lstat(path);
      if (!stat.isDirectory() || stat.uid !== process.getuid?.()) continue;
      await chmod(path, 0o700);
      if (await this.#mounter.isMemoryBacked(path)) return path;
      await rm(path, { recursive: true, force: true });
    }
    throw new Error(
      'no memory-backed file system for volumes: mounting a tmpfs needs root, and neither XDG_RUNTIME_DIR nor /dev/shm is one',
    );
  }

  async #checked(path: string): Promise<string> {
    if (!(await this.#mounter.isMemoryBacked(path))) throw new Error(`no memory-backed file system for volumes: ${path} is on a disk`);
    return path;
  }
}
