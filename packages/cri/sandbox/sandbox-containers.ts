/**
 * Containers of the sandbox runtime: made, started, watched, stopped, removed. The truth about a container is in its directory (see
 * state-directory.ts); what is in memory here can be rebuilt from it by `load`, which is how a later server adopts.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { isAbsolute, join } from 'node:path';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { type ContainerConfig, type RuntimeEvent, RuntimeRefusal } from '../runtime/container-runtime.ts';
import { containerCapabilities } from './capabilities.ts';
import { type ContainerEntry, type ContainerRecord, emptyState, startErrorExitCode, startErrorMessage } from './container-entry.ts';
import type { ControlGroups } from './control-groups.ts';
import { deferred } from './deferred.ts';
import { commandLine, containerInstructions } from './launch-plan.ts';
import type { Launcher } from './launcher.ts';
import { LogWriter } from './log-writer.ts';
import { refuseContainer } from './plain-user.ts';
import { encodeProgram, type Instruction, namespaceFlags } from './program.ts';
import type { RootLayout } from './root-layout.ts';
import {
  isKeeper,
  isLaunching,
  parentOf,
  RunMonitor,
  type RunState,
  readRunState,
  readStart,
  stillRuns,
  unknownExitCode,
} from './run-monitor.ts';
import type { PodRecord, SandboxPods } from './sandbox-pods.ts';
import { sendSignal } from './signals.ts';
import { type ContainerPaths, readRecord, removeTree, type StateDirectory } from './state-directory.ts';
import { resolveIdentity } from './users.ts';

export interface ContainersDeps {
  readonly state: StateDirectory;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly groups: ControlGroups;
  readonly pods: SandboxPods;
  readonly launcher: Launcher;
  readonly publish: (event: RuntimeEvent) => void;
  readonly availableCapabilities: bigint;
  readonly root: RootLayout;
  readonly plainUser: boolean;
  readonly hostDevices: () => Promise<readonly string[]>;
  readonly unsafeReveal: readonly string[];
}

export class SandboxContainers {
  readonly #deps: ContainersDeps;
  readonly #entries = new Map<string, ContainerEntry>();

  constructor(deps: ContainersDeps) {
    this.#deps = deps;
  }

  /** Finds what earlier processes left and watches what still runs. */
  async load(): Promise<void> {
    for (const id of await this.#deps.state.ids('containers')) {
      const paths = this.#deps.state.container(id);
      const record = await readRecord<ContainerRecord>(paths.record);
      if (!record) {
        await removeTree(paths.directory);
        continue;
      }
      const entry = this.#newEntry(record, paths);
      this.#entries.set(id, entry);
      await this.#adopt(entry);
    }
    await this.#removeLeftPrograms();
    for (const id of await this.#deps.groups.ids()) if (!this.#entries.has(id)) await this.#deps.groups.remove(id);
  }

  /** Programs of sessions that a crash has cut off, and of containers that are gone: they hold environments. */
  async #removeLeftPrograms(): Promise<void> {
    const { memory } = this.#deps.state;
    for (const entry of await readdir(memory, { withFileTypes: true })) {
      if (entry.isFile() && !this.#entries.has(entry.name)) await rm(join(memory, entry.name), { force: true });
    }
  }

  get(id: string): ContainerEntry | undefined {
    return this.#entries.get(id);
  }

  list(): ContainerEntry[] {
    return [...this.#entries.values()];
  }

  async create(pod: PodRecord, config: ContainerConfig): Promise<string> {
    commandLine(config);
    if (this.#deps.plainUser) refuseContainer(config);
    const id = randomBytes(32).toString('hex');
    const paths = this.#deps.state.container(id);
    const identity = await resolveIdentity(config.security);
    const capabilities = containerCapabilities(config.security, this.#deps.availableCapabilities);
    const podPaths = this.#deps.state.pod(pod.id);
    const { ipc, net } = this.#deps.pods.namespaces(pod);
    const program = encodeProgram(
      containerInstructions({
        config,
        paths,
        hostname: pod.config.hostname,
        identity,
        capabilities,
        root: this.#deps.root,
        plainUser: this.#deps.plainUser,
        namespaces: [
          ...(ipc === undefined ? [] : [{ path: ipc, flag: namespaceFlags.ipc }]),
          ...(net === undefined ? [] : [{ path: net, flag: namespaceFlags.network }]),
        ],
        cgroupProcs: this.#deps.groups.entryFiles(id),
        shm: pod.config.hostIpc ? '/dev/shm' : podPaths.shm,
        resolvConf: pod.config.dns ? podPaths.resolvConf : undefined,
        hostnameFile: podPaths.hostname,
        hostDevices: config.security.privileged ? await this.#deps.hostDevices() : [],
        unsafeReveal: this.#deps.unsafeReveal,
      }),
    );
    const { env: _env, command: _command, args: _args, ...kept } = config;
    const logPath = isAbsolute(config.logPath) ? config.logPath : join(pod.config.logDirectory, config.logPath);
    const createdAtMs = this.#deps.clock.now();
    const record: ContainerRecord = { id, sandboxId: pod.id, config: kept, identity, capabilities, createdAtMs, logPath };
    await this.#deps.launcher.run([
      ...[paths.directory, paths.run].map((directory): Instruction => ['mkdir', directory, '700']),
      ...[paths.upper, paths.work, paths.root].map((directory): Instruction => ['mkdir', directory, '755']),
      ...this.#deps.groups.create(id, config.resources),
      ['binary_file', paths.program, '600', program.toString('hex')],
      ['file', `${paths.record}.new`, '600', JSON.stringify(record)],
      ['rename', `${paths.record}.new`, paths.record],
    ]);
    const entry = this.#newEntry(record, paths);
    this.#entries.set(id, entry);
    this.#publish(entry, 'created');
    return id;
  }

  async start(entry: ContainerEntry): Promise<void> {
    if (entry.status !== 'created') throw new Error(`container ${entry.record.id} is in state ${entry.status}, not created`);
    const pod = this.#deps.pods.get(entry.record.sandboxId);
    if (!pod || !this.#deps.pods.isReady(pod)) throw new Error(`the sandbox of container ${entry.record.id} is not ready`);
    const starting = deferred<void>();
    entry.starting = starting;
    try {
      this.#watch(entry, true);
      await Promise.all([entry.log.convert(), this.#launch(entry, pod)]);
      entry.state = await readStart(entry.paths.run);
      if (entry.state.startError === '' && entry.state.pid !== undefined) {
        entry.status = 'running';
        if (entry.state.keeperPid !== undefined) entry.monitor?.noteKeeper(entry.state.keeperPid);
        this.#publish(entry, 'started');
        return;
      }
    } finally {
      entry.starting = undefined;
      starting.resolve();
    }
    const message = startErrorMessage(entry.state.startError || (await keeperError(entry)));
    if (entry.state.pid === undefined) await this.#finish(entry, startErrorExitCode, this.#deps.clock.now());
    await entry.ended.promise;
    throw new RuntimeRefusal('RunContainerError', message);
  }

  async stop(entry: ContainerEntry, timeoutMs: number): Promise<void> {
    if (entry.status === 'created' || entry.status === 'exited') return;
    if (timeoutMs > 0) {
      await this.#kill(entry, 'SIGTERM');
      if (await this.#endsWithin(entry, timeoutMs)) return;
    }
    // SIGKILL is repeated: a process may be born into the group between two looks at it.
    for (;;) {
      await this.#kill(entry, 'SIGKILL');
      if (await this.#endsWithin(entry, 2_000)) return;
    }
  }

  async remove(entry: ContainerEntry): Promise<void> {
    await this.stop(entry, 0);
    entry.monitor?.stop();
    await entry.log.close();
    await rm(entry.paths.program, { force: true });
    await this.#deps.groups.remove(entry.record.id);
    await removeTree(entry.paths.directory);
    this.#entries.delete(entry.record.id);
    this.#publish(entry, 'deleted');
  }

  /** Ends the standard input of a running container: the keeper holds its last open end. */
  closeStdin(entry: ContainerEntry): void {
    if (entry.state.keeperPid !== undefined && entry.status === 'running') sendSignal(entry.state.keeperPid, 'SIGUSR1');
  }

  /** Stops watching; the containers go on. */
  async close(): Promise<void> {
    for (const entry of this.#entries.values()) {
      entry.monitor?.stop();
      await entry.log.close();
    }
  }

  #newEntry(record: ContainerRecord, paths: ContainerPaths): ContainerEntry {
    return {
      record,
      paths,
      log: new LogWriter({ rawDirectory: paths.run, logPath: record.logPath, clock: this.#deps.clock }),
      state: emptyState,
      status: 'created',
      exitCode: undefined,
      finishedAtMs: undefined,
      outOfMemory: false,
      monitor: undefined,
      ended: deferred<void>(),
      starting: undefined,
      finishing: false,
    };
  }

  async #adopt(entry: ContainerEntry): Promise<void> {
    entry.state = await this.#settledState(entry);
    const { pid, exitCode, startError, finishedAtMs } = entry.state;
    if (exitCode !== undefined) return this.#finish(entry, exitCode, finishedAtMs ?? this.#deps.clock.now());
    if (pid === undefined) {
      // Died between the two, or was never started: without its program on tmpfs it cannot be started any more either.
      const startable = startError === '' && (await readFile(entry.paths.program).catch(() => undefined)) !== undefined;
      if (!startable) await this.#finish(entry, startError === '' ? unknownExitCode : startErrorExitCode, this.#deps.clock.now());
      return;
    }
    if (!(await stillRuns(entry.state, entry.paths.run))) {
      const again = await readRunState(entry.paths.run);
      return this.#finish(entry, again.exitCode ?? unknownExitCode, again.finishedAtMs ?? this.#deps.clock.now());
    }
    entry.status = 'running';
    this.#watch(entry);
    await entry.log.convert();
  }

  /** What the keeper says; when the server ended while it was starting the container, after it has started. */
  async #settledState(entry: ContainerEntry): Promise<RunState> {
    for (let tries = 0; ; tries++) {
      const state = await readRunState(entry.paths.run);
      if (state.pid !== undefined || tries > 200 || !(await isLaunching(entry.paths.run))) return state;
      await this.#deps.clock.sleep(25);
    }
  }

  #watch(entry: ContainerEntry, fresh = false): void {
    const failed = (error: unknown) =>
      this.#deps.logger.error('container log could not be written', { container: entry.record.id, err: error });
    let converting = false;
    let again = false;
    const convert = async (): Promise<void> => {
      if (converting) {
        again = true;
        return;
      }
      converting = true;
      try {
        do {
          again = false;
          await entry.log.convert();
        } while (again);
      } finally {
        converting = false;
      }
    };
    entry.monitor = new RunMonitor(entry.paths.run, this.#deps.clock, {
      onOutput: (stream) => {
        entry.log.noteGrowth(stream);
        convert().catch(failed);
      },
      onFirstProcessEnd: () => void this.#killOthers(entry),
      onExit: (code, atMs) => void this.#finish(entry, code, atMs),
    });
    entry.monitor.start(fresh);
  }

  async #launch(entry: ContainerEntry, pod: PodRecord): Promise<void> {
    const { state } = this.#deps;
    const { config } = entry.record;
    const flags = `-${config.stdin ? 'i' : ''}${config.tty ? 't' : ''}`;
    const keeper = ['sh', state.keeper, state.containerProgram, entry.paths.program];
    await this.#deps.launcher.keep([entry.paths.run, flags, this.#pidNamespace(entry, pod), ...keeper]);
  }

  /** What the launch program is told: a new namespace, also in a user namespace, the machine's, or the file of one that exists. */
  #pidNamespace(entry: ContainerEntry, pod: PodRecord): string {
    const target = entry.record.config.targetContainerId;
    if (target !== undefined) {
      const pid = this.#entries.get(target)?.state.pid;
      if (pid === undefined) throw new RuntimeRefusal('RunContainerError', `target container ${target} is not running`);
      return `/proc/${pid}/ns/pid`;
    }
    if (pod.config.hostPid || this.#deps.unsafeReveal.length > 0) return 'host';
    if (pod.pausePid !== undefined) return this.#deps.state.pod(pod.id).pid;
    if (!this.#deps.plainUser) return 'new';
    const { user } = this.#deps.pods.namespaces(pod);
    return user === undefined ? 'user' : `user ${user}`;
  }

  async #finish(entry: ContainerEntry, code: number, atMs: number): Promise<void> {
    if (entry.finishing) return;
    entry.finishing = true;
    await entry.starting?.promise;
    entry.monitor?.stop();
    try {
      await entry.log.convert(true);
      await entry.log.close();
    } catch (error) {
      this.#deps.logger.error('container log could not be written', { container: entry.record.id, err: error });
    }
    entry.state = await readRunState(entry.paths.run);
    entry.outOfMemory = await this.#deps.groups.wasOutOfMemory(entry.record.id);
    entry.exitCode = code;
    entry.finishedAtMs = atMs;
    entry.status = 'exited';
    entry.ended.resolve();
    this.#publish(entry, 'stopped');
  }

  /** Signals the first process; SIGKILL ends its process namespace, or where it has none everything in its control group. */
  async #kill(entry: ContainerEntry, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
    const { pid, keeperPid } = entry.state;
    if (pid === undefined || keeperPid === undefined) return;
    const parent = await parentOf(pid);
    if (parent === keeperPid || (parent !== undefined && !(await isKeeper(keeperPid, entry.paths.run)))) sendSignal(pid, signal);
    if (signal === 'SIGKILL') await this.#killOthers(entry);
  }

  /** Where the process namespace is not the container's own, the rest of its processes is what is in its control group. */
  async #killOthers(entry: ContainerEntry): Promise<void> {
    const pod = this.#deps.pods.get(entry.record.sandboxId);
    if (!pod?.config.hostPid && pod?.pausePid === undefined && entry.record.config.targetContainerId === undefined) return;
    for (const pid of await this.#deps.groups.processes(entry.record.id)) sendSignal(pid, 'SIGKILL');
  }

  async #endsWithin(entry: ContainerEntry, timeoutMs: number): Promise<boolean> {
    const timeout = deferred<boolean>();
    const cancel = this.#deps.clock.setTimer(timeoutMs, () => timeout.resolve(false));
    try {
      return await Promise.race([entry.ended.promise.then(() => true), timeout.promise]);
    } finally {
      cancel();
    }
  }

  #publish(entry: ContainerEntry, type: RuntimeEvent['type']): void {
    const { id, sandboxId } = entry.record;
    this.#deps.publish({ containerId: id, sandboxId, podUid: this.#deps.pods.get(sandboxId)?.config.uid ?? '', type });
  }
}

/** A shell that could not do its work has said so on the container's standard error. */
async function keeperError(entry: ContainerEntry): Promise<string> {
  const text = await readFile(join(entry.paths.run, 'stderr'), 'utf8').catch(() => '');
  return `the keeper could not be started: ${text.trim().split('\n').at(-1) ?? ''}`;
}
