/** Programs from Debian packages, unpacked beside the repository's other caches: nothing of the machine is changed. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, readdir, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cache = join(import.meta.dirname, '../../.cache/debian');
const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

export interface DebianPackageOptions {
  /** A suite of the mirror that the machine's own apt uses, e.g. `sid`; without it, what the machine's apt is set up for. */
  readonly suite?: string;
  /** Which of the packages that these depend on are unpacked, too; without it none. Only with `suite`. */
  readonly dependencies?: RegExp;
}

/** Unpacks the packages, once; resolves to the directory that holds their `usr`. Rejects where Debian's packages are not to be had. */
export async function unpackDebianPackages(name: string, packages: readonly string[], options: DebianPackageOptions = {}): Promise<string> {
  const root = join(cache, name);
  if (existsSync(root)) return root;
  const building = `${root}.${process.pid}`;
  const downloads = `${building}.debs`;
  await mkdir(downloads, { recursive: true });
  await chmod(downloads, 0o777);
  try {
    const apt = options.suite === undefined ? [] : await aptOf(options.suite);
    const download = async () => {
      const wanted = [...packages, ...(options.dependencies ? await dependenciesOf(apt, packages, options.dependencies) : [])];
      await run('apt-get', [...apt, 'download', ...wanted], { cwd: downloads });
    };
    await download().catch(async () => {
      await run('apt-get', [...apt, 'update']);
      await download();
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

/** Options for an apt of its own that knows this suite only, and no installed package. */
async function aptOf(suite: string): Promise<string[]> {
  const root = join(cache, `apt-${suite}`);
  const mirror = await mirrorOf();
  for (const folder of ['sources.list.d', 'preferences.d', 'state/lists/partial', 'cache/archives/partial']) {
    await mkdir(join(root, folder), { recursive: true });
  }
  const signed = existsSync(keyring) ? `[signed-by=${keyring}] ` : '';
  await writeFile(join(root, 'sources.list'), `deb ${signed}${mirror} ${suite} main\n`);
  await writeFile(join(root, 'status'), '', { flag: 'a' });
  const settings = {
    'Dir::Etc::sourcelist': join(root, 'sources.list'),
    'Dir::Etc::sourceparts': join(root, 'sources.list.d'),
    'Dir::Etc::preferencesparts': join(root, 'preferences.d'),
    'Dir::State': join(root, 'state'),
    'Dir::State::status': join(root, 'status'),
    'Dir::Cache': join(root, 'cache'),
  };
  return Object.entries(settings).flatMap(([setting, value]) => ['-o', `${setting}=${value}`]);
}

/** Where the machine's own apt finds Debian; other suites are beside the one it uses. */
async function mirrorOf(): Promise<string> {
  const { stdout } = await run('apt-get', [
    'indextargets',
    '--format',
    '$(REPO_URI)',
    'Created-By: Packages',
    'Origin: Debian',
    'Label: Debian',
  ]);
  const [mirror] = stdout.split('\n');
  if (!mirror) throw new Error("the machine's apt knows no mirror of Debian");
  return mirror;
}

/** Names of the packages that an installation would bring along. */
async function dependenciesOf(apt: readonly string[], packages: readonly string[], wanted: RegExp): Promise<string[]> {
  const { stdout } = await run('apt-get', [...apt, 'install', '--simulate', '--no-install-recommends', ...packages]);
  const names = [...stdout.matchAll(/^Inst (\S+)/gm)].map((match) => match[1] ?? '');
  return names.filter((name) => wanted.test(name) && !packages.includes(name));
}
