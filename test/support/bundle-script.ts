import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type BuildOptions, build } from 'esbuild';

/** Bundles a TypeScript program of the tests, so that it runs as a process of its own with plain Node. Answers its path. */
export async function bundleScript(entry: URL): Promise<string> {
  const root = fileURLToPath(new URL('../..', import.meta.url));
  const path = fileURLToPath(entry);
  const outfile = join(
    root,
    '.cache',
    'test-programs',
    `${path.slice(root.length).replaceAll('/', '-').replace(/\.ts$/, '')}-${process.pid}.mjs`,
  );
  await build({
    ...(JSON.parse(readFileSync(join(root, 'hack/esbuild.json'), 'utf8')) as BuildOptions),
    entryPoints: [path],
    outfile,
    logLevel: 'error',
  });
  return outfile;
}
