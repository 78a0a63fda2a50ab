/**
 * Where the sandbox runtime keeps what must outlive the server. Everything is below one directory of mode 0700:
 *
 *     bin/                  the launch programs and the keeper
 *     pods/ID/pod.json      a pod sandbox; beside it its namespaces (`net`, `ipc`, `pid`; `holder`: see
 *                           holder-script.ts), `shm`, `resolv.conf`, `hostname`
 *     containers/ID/        `container.json`, overlay `upper` and `work`, mount point `root`
 *     containers/ID/run/    what the keeper writes: `pid`, `exit`, `drained`, `stdout`, `stderr`, `start-error`
 *     memory/ID             environment and command of a container: a tmpfs, because they may hold secrets
 *     memory/masks/HASH/    overlay layers that hide files of the machine: here, because the kernel refuses layers inside each other
 */
import { chmod, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Paths of one container. */
export interface ContainerPaths {
  readonly directory: string;
  readonly record: string;
  readonly run: string;
  readonly upper: string;
  readonly work: string;
  readonly root: string;
  /** On tmpfs. */
  readonly program: string;
}

/** Paths of one pod sandbox. */
export interface PodPaths {
  readonly directory: string;
  readonly record: string;
  readonly net: string;
  readonly ipc: string;
  readonly pid: string;
  /** Processes that hold and connect the namespaces of a plain user's pod. */
  readonly holder: string;
  readonly networkLog: string;
  readonly shm: string;
  readonly resolvConf: string;
  readonly hostname: string;
}

export class StateDirectory {
  readonly root: string;
  readonly memory: string;

  /** `memory` is a directory on tmpfs; without it one below the state directory, to be mounted. */
  constructor(root: string, memory = join(root, 'memory')) {
    // Overlay options are separated by these; nothing else may be ambiguous either.
    if (!/^\/[^:,\\\n"']*$/.test(root)) throw new Error(`state directory ${root}: must be absolute and free of : , \\ and quotes`);
    this.root = root;
    this.memory = memory;
  }

  get launchProgram(): string {
    return join(this.root, 'bin', 'launch.pl');
  }

  get containerProgram(): string {
    return join(this.root, 'bin', 'container.pl');
  }

  get keeper(): string {
    return join(this.root, 'bin', 'keeper.sh');
  }

  get pause(): string {
    return join(this.root, 'bin', 'pause.sh');
  }

  get masks(): string {
    return join(this.memory, 'masks');
  }

  pod(id: string): PodPaths {
    const directory = join(this.root, 'pods', id);
    return {
      directory,
      record: join(directory, 'pod.json'),
      net: join(directory, 'net'),
      ipc: join(directory, 'ipc'),
      pid: join(directory, 'pid'),
      holder: join(directory, 'holder'),
      networkLog: join(directory, 'network.log'),
      shm: this.memory === join(this.root, 'memory') ? join(directory, 'shm') : join(this.memory, `shm-${id}`),
      resolvConf: join(directory, 'resolv.conf'),
      hostname: join(directory, 'hostname'),
    };
  }

  container(id: string): ContainerPaths {
    const directory = join(this.root, 'containers', id);
    return {
      directory,
      record: join(directory, 'container.json'),
      run: join(directory, 'run'),
      upper: join(directory, 'upper'),
      work: join(directory, 'work'),
      root: join(directory, 'root'),
      program: join(this.memory, id),
    };
  }

  /** Makes the directories and writes the programs. */
  async prepare(programs: {
    readonly launch: string;
    readonly container: string;
    readonly keeper: string;
    readonly pause: string;
  }): Promise<void> {
    await mkdir(this.root, { recursive: true, mode: 0o700 });
    await chmod(this.root, 0o700);
    for (const name of ['bin', 'pods', 'containers']) await mkdir(join(this.root, name), { recursive: true, mode: 0o700 });
    await mkdir(this.memory, { recursive: true, mode: 0o700 });
    await writeAtomically(this.launchProgram, programs.launch);
    await writeAtomically(this.containerProgram, programs.container);
    await writeAtomically(this.keeper, programs.keeper);
    await writeAtomically(this.pause, programs.pause);
  }

  /** Ids that have a directory, complete or not. */
  async ids(kind: 'pods' | 'containers'): Promise<string[]> {
    return await readdir(join(this.root, kind));
  }
}

/** Writes a file so that a reader, or a start after a crash, sees the old content or the new one. */
export async function writeAtomically(path: string, content: string): Promise<void> {
  await writeFile(`${path}.new`, content, { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** A record written by `writeAtomically`, or undefined when there is none or it is not readable as JSON. */
export async function readRecord<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch {
    return undefined;
  }
}

/** Removes a directory tree; one that is not there is fine. */
export async function removeTree(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true });
}
