/** Keeps container logs small: a log over the limit is renamed and reopened, older ones are compressed, the oldest removed. */
import { createReadStream, createWriteStream } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';

export interface RotationLimits {
  readonly maxBytes: number;
  /** Of one container instance, the present one included. */
  readonly maxFiles: number;
}

/** Rotates one log when it is too large. `reopen` makes the runtime write to a new file; when it fails the old name is restored. */
export async function rotateLog(path: string, limits: RotationLimits, nowMs: number, reopen: () => Promise<void>): Promise<boolean> {
  const size = await stat(path).then(
    (found) => found.size,
    () => 0,
  );
  if (size < limits.maxBytes) return false;
  const directory = dirname(path);
  const prefix = `${basename(path)}.`;
  const rotated = (await readdir(directory)).filter((name) => name.startsWith(prefix)).sort();
  for (const name of rotated.filter((n) => n.endsWith('.tmp'))) await rm(join(directory, name), { force: true });
  const kept = rotated.filter((n) => !n.endsWith('.tmp'));
  // One place for the present log and one for what it becomes now.
  for (const name of kept.splice(0, Math.max(0, kept.length - (limits.maxFiles - 2)))) await rm(join(directory, name), { force: true });
  for (const name of kept) if (!name.endsWith('.gz')) await compress(join(directory, name));
  const target = `${path}.${timestamp(nowMs)}`;
  await rename(path, target);
  try {
    await reopen();
  } catch (error) {
    await rename(target, path);
    throw error;
  }
  return true;
}

async function compress(path: string): Promise<void> {
  await pipeline(createReadStream(path), createGzip(), createWriteStream(`${path}.tmp`));
  await rename(`${path}.tmp`, `${path}.gz`);
  await rm(path);
}

function timestamp(ms: number): string {
  return new Date(ms).toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
}
