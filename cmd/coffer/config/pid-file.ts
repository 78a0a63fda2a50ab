import { readFile, rm } from 'node:fs/promises';
import { writeFileAtomic } from '@coffer/base/files/atomic-file';

/** Who serves a data directory: process ID and the process's start time, so that a reused ID is not mistaken for the server. */
export async function writePidFile(file: string): Promise<void> {
  await writeFileAtomic(file, `${process.pid} ${await startTimeOf(process.pid)}\n`);
}

/** The ID of the running server, or undefined. */
export async function readPidFile(file: string): Promise<number | undefined> {
  const text = await readFile(file, 'utf8').catch(() => '');
  const [pid, started] = text.trim().split(' ');
  if (!pid || !started) return undefined;
  return (await startTimeOf(Number(pid))) === started ? Number(pid) : undefined;
}

export async function removePidFile(file: string): Promise<void> {
  await rm(file, { force: true });
}

/** Field 22 of /proc/PID/stat; `none` where there is no such process, `unknown` where there is no /proc. */
async function startTimeOf(pid: number): Promise<string> {
  if (process.platform !== 'linux') {
    try {
      process.kill(pid, 0);
      return 'unknown';
    } catch {
      return 'none';
    }
  }
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? 'none';
}
