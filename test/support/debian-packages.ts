/** Programs from Debian packages, unpacked beside the repository's other caches: nothing of the machine is changed. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cache = join(import.meta.dirname, '../../.cache/debian');

/**
 * Unpacks the packages, once; resolves to the directory that holds their `usr`. Rejects where Debian's packages are not to be had.
 * With `suite` they come from that release of the same mirror, which an apt of its own asks.
 */
export async function unpackDebianPackages(name: string, packages: readonly string[], suite?: string): Promise<string> {
  const root = join(cache, name);
  if (existsSync(root)) return root;
  const building = `${root}.${process.pid}`;
  const downloads = `${building}.debs`;
  await mkdir(downloads, { recursive: true });
  await chmod(downloads, 0o777);
  try {
    const env = { ...process.env, ...(suite === undefined ? {} : { APT_CONFIG: await otherRelease(downloads, suite) }) };
    await run('apt-get', ['download', ...packages], { cwd: downloads, env }).catch(async () => {
      await run('apt-get', ['update'], { env });
      await run('apt-get', ['download', ...packages], { cwd: downloads, env });
    });
    const archives = (await readdir(downloads)).filter((file) => file.endsWith('.deb'));
    for (const file of archives) await run('dpkg-deb', ['-x', join(downloads, file), building]);
    await rename(building, root).catch((error: unknown) => {
      if (!existsSync(root)) throw error;
    });
  } finally {
    await rm(downloads, { recursive: true, force: true });
    await rm(building, { recursive: true, force: true });
  }
  return root;
}

/** Configuration of an apt with lists of its own, for another release of the mirror that this machine uses. */
async function otherRelease(directory: string, suite: string): Promise<string> {
  const { stdout } = await run('apt-get', ['indextargets', '--format', '$(REPO_URI)', 'Created-By: Packages', 'Origin: Debian']);
  const mirror = stdout.split('\n').find((line) => line !== '' && !line.includes('security'));
  if (mirror === undefined) throw new Error('apt has no Debian mirror');
  const lists = join(directory, 'lists');
  await mkdir(join(lists, 'partial'), { recursive: true });
  await mkdir(join(directory, 'cache/archives/partial'), { recursive: true });
  await run('chmod', ['-R', '777', directory]);
  const sources = join(directory, 'sources.list');
  await writeFile(sources, `deb ${mirror} ${suite} main\n`);
  const configuration = join(directory, 'apt.conf');
  const settings = { 'Etc::sourcelist': sources, 'Etc::sourceparts': '-', 'State::lists': lists, Cache: join(directory, 'cache') };
  const lines = Object.entries(settings).map(([name, value]) => `Dir::${name} "${value}";\n`);
  await writeFile(configuration, lines.join(''));
  return configuration;
}
