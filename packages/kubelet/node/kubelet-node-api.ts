/** Logs and streams for the API server. A pod is meant by its UID; a container that does not run is an error in upstream's words. */
import { badRequest, notFound } from '@coffer/api/errors/status-error';
import type {
  ByteSink,
  DuplexBytes,
  ExecOptions,
  ExecResult,
  LogOptions,
  NodeApi,
  PodRef,
  ProcessStreams,
} from '@coffer/api/node/node-api';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ContainerStatus, StreamExec } from '@coffer/cri/runtime/container-runtime';
import { logContainerId } from '../logs/log-target.ts';
import { readLogs } from '../logs/read-logs.ts';
import { latestContainer } from '../pods/restart-policy.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { findContainer, type Pod, type PodStatus } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';

export interface KubeletNodeApiDeps {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly directories: PodDirectories;
  readonly pod: (uid: string) => Pod | undefined;
  readonly status: (uid: string) => PodStatus | undefined;
}

export class KubeletNodeApi implements NodeApi {
  readonly #deps: KubeletNodeApiDeps;

  constructor(deps: KubeletNodeApiDeps) {
    this.#deps = deps;
  }

  async logs(ref: PodRef, options: LogOptions, out: ByteSink, signal: AbortSignal): Promise<void> {
    const pod = this.#pod(ref);
    const status = this.#deps.status(ref.uid) ?? pod.status;
    let id: string;
    try {
      id = logContainerId(ref.name, status, options.container, options.previous);
    } catch (error) {
      throw badRequest(messageOf(error), { cause: error });
    }
    const find = (): ContainerStatus | undefined => this.#deps.cache.get(ref.uid).containers.find((c) => c.id === id);
    const container = find();
    if (container === undefined) {
      throw badRequest(`unable to retrieve container logs for ${status.containerStatuses?.[0]?.containerID ?? id}`);
    }
    const path = this.#deps.directories.logFile(pod, container.logPath);
    await readLogs({ path, mayGrow: () => find()?.state === 'running' }, options, out, this.#deps.clock, signal);
  }

  async exec(ref: PodRef, options: ExecOptions, streams: ProcessStreams, signal: AbortSignal): Promise<ExecResult> {
    const found = this.#running(ref, options.container);
    if (typeof found === 'string') return { kind: 'failed', message: found };
    try {
      const code = await this.#deps.runtime.exec(found.id, { command: options.command, ...streamsOf(options, streams) }, signal);
      return { kind: 'exited', code };
    } catch (error) {
      return { kind: 'failed', message: messageOf(error) };
    }
  }

  async attach(ref: PodRef, options: Omit<ExecOptions, 'command'>, streams: ProcessStreams, signal: AbortSignal): Promise<ExecResult> {
    const found = this.#running(ref, options.container);
    if (typeof found === 'string') return { kind: 'failed', message: found };
    const spec = findContainer(this.#pod(ref), options.container)?.container;
    try {
      // Whether there is a terminal was decided when the container was made.
      const code = await this.#deps.runtime.attach(found.id, { ...streamsOf(options, streams), tty: spec?.tty === true }, signal);
      return { kind: 'exited', code };
    } catch (error) {
      return { kind: 'failed', message: messageOf(error) };
    }
  }

  async portForward(ref: PodRef, port: number, stream: DuplexBytes, signal: AbortSignal): Promise<void> {
    this.#pod(ref);
    const sandbox = this.#deps.cache.get(ref.uid).sandboxes[0];
    if (sandbox?.state !== 'ready') throw badRequest(`pod not found (${JSON.stringify(`${ref.name}_${ref.namespace}`)})`);
    await this.#deps.runtime.portForward(
      sandbox.id,
      port,
      { input: stream.input, write: (chunk) => stream.output.write(chunk), end: () => stream.end() },
      signal,
    );
  }

  #pod(ref: PodRef): Pod {
    const pod = this.#deps.pod(ref.uid);
    if (pod === undefined) throw notFound({ group: '', resource: 'pods' }, ref.name);
    return pod;
  }

  #running(ref: PodRef, name: string): ContainerStatus | string {
    this.#pod(ref);
    const container = latestContainer(this.#deps.cache.get(ref.uid), name);
    return container?.state === 'running' ? container : `container not found (${JSON.stringify(name)})`;
  }
}

function streamsOf(options: Omit<ExecOptions, 'command'>, streams: ProcessStreams): Omit<StreamExec, 'command'> {
  const { stdout, stderr } = streams;
  return {
    tty: options.tty,
    stdin: options.stdin ? streams.stdin : undefined,
    stdout: options.stdout && stdout !== undefined ? (chunk) => stdout.write(chunk) : undefined,
    // A terminal has one output.
    stderr: options.stderr && !options.tty && stderr !== undefined ? (chunk) => stderr.write(chunk) : undefined,
    resize: streams.resize,
  };
}
