/** Go programs compiled with Debian's Go and Debian's packages of Go libraries, none of them installed. */
import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename } from 'node:fs/promises';
import { homedir } from 'node:os';
import { basename, join } from 'node:path';
import { promisify } from 'node:util';
import { unpackDebianPackages } from './debian-packages.ts';

const run = promisify(execFile);
const cache = join(import.meta.dirname, '../../.cache/go');
const toolchain = 'golang-1.26';

/**
 * Compiles the folder's program against Kubernetes' client-go of Debian's unstable suite and resolves to its path. The first time
 * takes minutes (client-go is large), later ones use Go's own build cache. Rejects where Debian's packages are not to be had.
 */
export async function compileWithClientGo(folder: string): Promise<string> {
  const hash = createHash('sha256');
  for (const file of (await readdir(folder)).sort()) hash.update(await readFile(join(folder, file)));
  const program = join(cache, `${basename(folder)}-${hash.digest('hex').slice(0, 12)}`);
  if (existsSync(program)) return program;
  // The library's own dependencies, and neither the C library nor the tools that their descriptions drag in.
  const dependencies = /^golang-(github|gopkg|google|golang-x-(sys|term|text|net|oauth2|time)-dev|k8s|1\.26-src)/;
  const root = await unpackDebianPackages('client-go', ['golang-k8s-client-go-dev', `${toolchain}-go`], { suite: 'sid', dependencies });
  const goRoot = join(root, 'usr/lib', toolchain.replace('golang', 'go'));
  await mkdir(cache, { recursive: true });
  const building = `${program}.${process.pid}`;
  const env = {
    ...process.env,
    GOROOT: goRoot,
    GOPATH: join(root, 'usr/share/gocode'),
    GOCACHE: process.env.GOCACHE ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'go-build'),
    GO111MODULE: 'off',
    GOFLAGS: '',
    GOTOOLCHAIN: 'local',
    CGO_ENABLED: '0',
  };
  await run(join(goRoot, 'bin/go'), ['build', '-trimpath', '-gcflags=all=-N -l', '-ldflags=-s -w', '-o', building, '.'], {
    cwd: folder,
    env,
  });
  await rename(building, program);
  return program;
}
