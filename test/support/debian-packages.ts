/** Programs from Debian packages, unpacked beside the repository's other caches: nothing of the machine is changed. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cache = join(import.meta.dirname, '../../.cache/debian');

/** Unpacks the packages, once; resolves to the directory that holds their `usr`. Rejects where Debian's packages are not to be had. */
export async function unpackDebianPackages(name: string, packages: readonly string[]): Promise<string> {
  const root = join(cache, name);
  if (existsSync(root)) return root;
  const building = `${root}.${process.pid}`;
  const downloads = `${building}.debs`;
  await mkdir(downloads, { recursive: true });
  await chmod(downloads, 0o777);
  try {
    await run('apt-get', ['download', ...packages], { cwd: downloads }).catch(async () => {
      await run('apt-get', ['update']);
      await run('apt-get', ['download', ...packages], { cwd: downloads });
    });
    for (const file of await readdir(downloads)) await run('dpkg-deb', ['-x', join(downloads, file), building]);
    await rename(building, root).catch((error: unknown) => {
      if (!existsSync(root)) throw error;
    });
  } finally {
    await rm(downloads, { recursive: true, force: true });
    await rm(building, { recursive: true, force: true });
  }
  return root;
}
