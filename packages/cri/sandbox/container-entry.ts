/** A container as the sandbox runtime keeps it, and what is reported of it. */
import type { ContainerConfig, ContainerStatus } from '../runtime/container-runtime.ts';
import type { CapabilitySet } from './capabilities.ts';
import type { Deferred } from './deferred.ts';
import type { LogWriter } from './log-writer.ts';
import { type RunMonitor, type RunState, unknownExitCode } from './run-monitor.ts';
import type { ContainerPaths } from './state-directory.ts';
import type { ProcessIdentity } from './users.ts';

/** What upstream's runtimes report for a container that could not be started. */
export const startErrorExitCode = 128;

/** What is kept of a container; its environment and command are only in the program on tmpfs. */
export interface ContainerRecord {
  readonly id: string;
  readonly sandboxId: string;
  readonly config: Omit<ContainerConfig, 'env' | 'command' | 'args'>;
  readonly identity: ProcessIdentity;
  readonly capabilities: CapabilitySet;
  readonly createdAtMs: number;
  readonly logPath: string;
}

/** A container and what watches it. */
export interface ContainerEntry {
  readonly record: ContainerRecord;
  readonly paths: ContainerPaths;
  readonly log: LogWriter;
  state: RunState;
  status: 'created' | 'running' | 'exited';
  exitCode: number | undefined;
  finishedAtMs: number | undefined;
  outOfMemory: boolean;
  monitor: RunMonitor | undefined;
  /** Resolves when the container has ended and its output is in the log. */
  readonly ended: Deferred<void>;
  /** While it is being started: its end is reported after its start. */
  starting: Deferred<void> | undefined;
  finishing: boolean;
}

/** Nothing reported yet. */
export const emptyState: RunState = {
  keeperPid: undefined,
  pid: undefined,
  startedAtMs: undefined,
  exitCode: undefined,
  finishedAtMs: undefined,
  drained: false,
  startError: '',
};

/** What the kubelet is told about a container. */
export function containerStatus(entry: ContainerEntry): ContainerStatus {
  const { record, state } = entry;
  const failed = state.startError !== '';
  const exited = entry.status === 'exited';
  return {
    id: record.id,
    sandboxId: record.sandboxId,
    name: record.config.name,
    attempt: record.config.attempt,
    state: entry.status,
    createdAtMs: record.createdAtMs,
    startedAtMs: failed ? undefined : state.startedAtMs,
    finishedAtMs: entry.finishedAtMs,
    exitCode: exited ? (failed ? startErrorExitCode : entry.exitCode) : undefined,
    signal: undefined,
    reason: exited ? reasonOf(entry) : '',
    message: failed ? startErrorMessage(state.startError) : '',
    image: record.config.image,
    imageRef: record.config.image,
    logPath: record.logPath,
    pid: entry.status === 'running' ? state.pid : undefined,
    labels: record.config.labels,
    annotations: record.config.annotations,
    user: { uid: record.identity.uid, gid: record.identity.gid, supplementalGroups: record.identity.groups },
  };
}

function reasonOf(entry: ContainerEntry): string {
  if (entry.state.startError !== '') return 'StartError';
  if (entry.outOfMemory) return 'OOMKilled';
  if (entry.exitCode === 0) return 'Completed';
  return entry.exitCode === unknownExitCode && entry.state.exitCode === undefined ? 'Unknown' : 'Error';
}

/** The keeper's short message in the words of upstream. */
export function startErrorMessage(text: string): string {
  return `unable to start container process: error during container init: ${text}`;
}
