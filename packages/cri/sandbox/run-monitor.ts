/**
 * Watches the directory in which a keeper reports: output that grows, the exit status, the end of the output. Works the same for a
 * container of this process and for one that an earlier server started. A keeper that was killed from outside cannot report:
 * then the container's first process is asked for, once a second.
 */
import { type FSWatcher, watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import type { Clock } from '@coffer/base/time/clock';
import type { StreamName } from './log-writer.ts';

/** What the keeper's files say. */
export interface RunState {
  readonly keeperPid: number | undefined;
  readonly pid: number | undefined;
  readonly startedAtMs: number | undefined;
  readonly exitCode: number | undefined;
  readonly finishedAtMs: number | undefined;
  readonly drained: boolean;
  readonly startError: string;
}

/** Reads the keeper's files; a file that is not complete yet counts as not there. */
export async function readRunState(directory: string): Promise<RunState> {
  const [pid, exit, drained, startError] = await Promise.all([
    readLine(join(directory, 'pid')),
    readLine(join(directory, 'exit')),
    readLine(join(directory, 'drained')),
    readFile(join(directory, 'start-error'), 'utf8').catch(() => ''),
  ]);
  const [keeperPid, firstPid] = (pid?.text ?? '').split(' ').map(Number);
  return {
    keeperPid: pid ? keeperPid : undefined,
    pid: pid ? firstPid : undefined,
    startedAtMs: pid?.modifiedAtMs,
    exitCode: exit ? Number(exit.text) : undefined,
    finishedAtMs: exit?.modifiedAtMs,
    drained: drained !== undefined,
    startError,
  };
}

/** What is known of a container whose start was just answered: the rest of its files cannot be there, or is found by the monitor. */
export async function readStart(directory: string): Promise<RunState> {
  const [pid, startError] = await Promise.all([
    readLine(join(directory, 'pid')),
    readFile(join(directory, 'start-error'), 'utf8').catch(() => ''),
  ]);
  const [keeperPid, firstPid] = pid ? pid.text.split(' ').map(Number) : [];
  const startedAtMs = pid?.modifiedAtMs;
  return { keeperPid, pid: firstPid, startedAtMs, exitCode: undefined, finishedAtMs: undefined, drained: false, startError };
}

async function readLine(path: string): Promise<{ text: string; modifiedAtMs: number } | undefined> {
  try {
    const text = await readFile(path, 'utf8');
    if (!text.endsWith('\n')) return undefined;
    return { text: text.trimEnd(), modifiedAtMs: Math.floor((await stat(path)).mtimeMs) };
  } catch {
    return undefined;
  }
}

/** True when `pid` is the keeper of this run directory: numbers of processes are used again, also after a restart of the machine. */
export async function isKeeper(pid: number, directory: string): Promise<boolean> {
  const [cmdline, cwd] = await Promise.all([
    readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
    stat(`/proc/${pid}/cwd`).catch(() => undefined),
  ]);
  const own = await stat(directory).catch(() => undefined);
  return cmdline.includes('keeper.sh') && cwd !== undefined && own !== undefined && cwd.ino === own.ino && cwd.dev === own.dev;
}

/** True while a process is on its way to become the keeper of this run directory. */
export async function isLaunching(directory: string): Promise<boolean> {
  for (const name of await readdir('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const cmdline = await readFile(`/proc/${name}/cmdline`, 'utf8').catch(() => '');
    if (cmdline.split('\0').includes(directory)) return true;
    if (cmdline.includes('keeper.sh') && (await isKeeper(Number(name), directory))) return true;
  }
  return false;
}

/** The parent of a process, or undefined when there is no such process. */
export async function parentOf(pid: number): Promise<number | undefined> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return fields[0] === undefined || fields[0] === '' || fields[0] === 'Z' ? undefined : Number(fields[1]);
}

export interface RunMonitorCallbacks {
  onOutput(stream: StreamName): void;
  /** The first process has ended; others may still write. */
  onFirstProcessEnd(): void;
  /** At most once, after the exit status is known and the output is complete, or as complete as it will become. */
  onExit(exitCode: number, finishedAtMs: number): void;
}

const drainTimeoutMs = 2_000;
const livenessIntervalMs = 1_000;
/** In between the keeper's process number is asked for only, which another process may have by then. */
const fullCheckEvery = 10;
const pollIntervalMs = 200;
/** What upstream reports for a container whose exit status nobody knows. */
export const unknownExitCode = 255;

export class RunMonitor {
  readonly #directory: string;
  readonly #clock: Clock;
  readonly #callbacks: RunMonitorCallbacks;
  #watcher: FSWatcher | undefined;
  #cancelTimer: (() => void) | undefined;
  #cancelPoll: (() => void) | undefined;
  #exited: { code: number; atMs: number } | undefined;
  #done = false;
  #checking = false;
  #checkAgain = false;
  #keeperPid: number | undefined;
  #looks = 0;

  constructor(directory: string, clock: Clock, callbacks: RunMonitorCallbacks) {
    this.#directory = directory;
    this.#clock = clock;
    this.#callbacks = callbacks;
  }

  /** Starts watching; what happened before is found too, unless nothing can have. */
  start(fresh = false): void {
    try {
      this.#watcher = watch(this.#directory, { persistent: false }, (_event, name) => {
        if (name === 'stdout' || name === 'stderr') this.#callbacks.onOutput(name);
        else if (name === 'exit' || name === 'drained') void this.check();
      });
      this.#watcher.on('error', () => {});
    } catch {
      // The machine has no watches left.
      this.#poll();
    }
    this.#scheduleLiveness();
    if (!fresh) void this.check();
  }

  /** Tells the keeper of a container that was just started, which saves looking for it. */
  noteKeeper(pid: number): void {
    this.#keeperPid = pid;
  }

  /** Looks at the keeper's files now; calls while it looks are one more look. */
  async check(): Promise<void> {
    if (this.#checking) {
      this.#checkAgain = true;
      return;
    }
    this.#checking = true;
    try {
      do {
        this.#checkAgain = false;
        await this.#checkOnce();
      } while (this.#checkAgain && !this.#done);
    } finally {
      this.#checking = false;
    }
  }

  async #checkOnce(): Promise<void> {
    const state = await readRunState(this.#directory);
    if (this.#done) return;
    if (state.exitCode !== undefined && !this.#exited) {
      this.#exited = { code: state.exitCode, atMs: state.finishedAtMs ?? this.#clock.now() };
      this.#cancelTimer?.();
      this.#callbacks.onFirstProcessEnd();
      this.#cancelTimer = this.#clock.setTimer(drainTimeoutMs, () => this.#finish());
    }
    if (this.#exited && state.drained) this.#finish();
  }

  stop(): void {
    this.#done = true;
    this.#cancelTimer?.();
    this.#cancelPoll?.();
    this.#watcher?.close();
    this.#watcher = undefined;
  }

  #poll(): void {
    if (this.#done) return;
    for (const stream of ['stdout', 'stderr'] as const) this.#callbacks.onOutput(stream);
    void this.check();
    this.#cancelPoll = this.#clock.setTimer(pollIntervalMs, () => this.#poll());
  }

  #finish(): void {
    if (this.#done || !this.#exited) return;
    const { code, atMs } = this.#exited;
    this.stop();
    this.#callbacks.onExit(code, atMs);
  }

  #scheduleLiveness(): void {
    this.#cancelTimer = this.#clock.setTimer(livenessIntervalMs, () => {
      void this.#checkLiveness().finally(() => {
        if (!this.#done && !this.#exited) this.#scheduleLiveness();
      });
    });
  }

  async #checkLiveness(): Promise<void> {
    if (this.#keeperPid !== undefined && ++this.#looks % fullCheckEvery !== 0 && exists(this.#keeperPid)) return;
    const state = await readRunState(this.#directory);
    if (state.exitCode !== undefined) return this.check();
    if (state.keeperPid === undefined || state.pid === undefined) return;
    if (await stillRuns(state, this.#directory)) {
      this.#keeperPid = state.keeperPid;
      return;
    }
    const again = await readRunState(this.#directory);
    if (again.exitCode !== undefined) return this.check();
    this.#exited ??= { code: unknownExitCode, atMs: this.#clock.now() };
    this.#finish();
  }
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/**
 * True while the first process of a container lives. Without its keeper it is recognised by its control group, which carries the id
 * of the container: numbers of processes are used again.
 */
export async function stillRuns(state: RunState, directory: string): Promise<boolean> {
  if (state.keeperPid === undefined || state.pid === undefined) return false;
  if (await isKeeper(state.keeperPid, directory)) return true;
  const cgroup = await readFile(`/proc/${state.pid}/cgroup`, 'utf8').catch(() => '');
  return (await parentOf(state.pid)) !== undefined && cgroup.includes(basename(dirname(directory)));
}
