import { readFileSync, readlinkSync, symlinkSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { StorageError } from '../errors.ts';

/**
 * Keeps a second process out of a data directory. The lock is a symbolic link whose target names the owner (process id, start
 * time, boot), made in one step and without needing disk space. An owner that no longer lives loses it.
 *
 * Taking over a dead owner's lock is two steps, so callers do it one at a time: `exclusively` runs its argument while no other
 * process can (the store uses its own write lock, which the kernel frees when a process dies).
 */
export interface DirectoryLock {
  release(): void;
}

const linkName = 'owner';

export function lockDirectory(directory: string, exclusively: (section: () => void) => void): DirectoryLock {
  const path = join(directory, linkName);
  const self = describeProcess(process.pid);
  exclusively(() => {
    const owner = readLink(path);
    if (owner !== undefined) {
      const pid = Number(owner.split(':')[0]);
      if (owner === describeProcess(pid)) {
        throw new StorageError('unavailable', `the data directory ${directory} is in use by process ${pid}`);
      }
      unlinkSync(path);
    }
    symlinkSync(self, path);
  });
  let held = true;
  return {
    release() {
      if (held && readLink(path) === self) unlinkSync(path);
      held = false;
    },
  };
}

/** `pid:start time:boot` of a live process; what is unknown on this system stays empty. A dead one has no start time. */
function describeProcess(pid: number): string {
  return `${pid}:${startTime(pid)}:${bootId()}`;
}

function startTime(pid: number): string {
  if (process.platform !== 'linux') return isAlive(pid) ? 'alive' : 'dead';
  const stat = readText(`/proc/${pid}/stat`);
  // The command name may hold anything, so count fields from its closing parenthesis: start time is the 20th behind it.
  return stat === undefined ? 'dead' : (stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? '');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

function bootId(): string {
  return readText('/proc/sys/kernel/random/boot_id')?.trim() ?? '';
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}

function readLink(path: string): string | undefined {
  try {
    return readlinkSync(path);
  } catch {
    return undefined;
  }
}
