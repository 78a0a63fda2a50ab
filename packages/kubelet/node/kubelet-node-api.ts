/** Logs, streams and the kubelet's own paths for the API server. A pod is meant by its UID; a container that does not run is refused in upstream's words. */
import {
  type ByteSink,
  type ExecOptions,
  type ExecResult,
  type ForwardPort,
  type LogOptions,
  type NodeAnswer,
  type NodeApi,
  NodeRefusal,
  type NodeRequest,
  type PodRef,
  type ProcessStreams,
  type RunProcess,
} from '@coffer/api/node/node-api';
import { connectionOf, writerTo } from '@coffer/api/node/process-channels';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ContainerStatus, StreamExec } from '@coffer/cri/runtime/container-runtime';
import { logContainerId } from '../logs/log-target.ts';
import { readLogs } from '../logs/read-logs.ts';
import { latestContainer } from '../pods/restart-policy.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import { answerRequest, runningPods } from '../server/kubelet-pages.ts';
import { findContainer, type Pod, type PodStatus } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';

export interface KubeletNodeApiDeps {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly directories: PodDirectories;
  /** UID of the pod that the API knows under that one: another where it is shown as a mirror of a static pod. */
  readonly ownUid: (uid: string) => string;
  readonly pod: (uid: string) => Pod | undefined;
  readonly pods: () => readonly Pod[];
  readonly status: (uid: string) => PodStatus | undefined;
}

export class KubeletNodeApi implements NodeApi {
  readonly #deps: KubeletNodeApiDeps;

  constructor(deps: KubeletNodeApiDeps) {
    this.#deps = deps;
  }

  async logs(ref: PodRef, options: LogOptions, out: ByteSink, signal: AbortSignal): Promise<void> {
    const pod = this.#pod(ref);
    const { uid } = pod.metadata;
    const status = this.#deps.status(uid) ?? pod.status;
    let id: string;
    try {
      id = logContainerId(ref.name, status, options.container, options.previous);
    } catch (error) {
      throw new NodeRefusal(400, messageOf(error), { cause: error });
    }
    const find = (): ContainerStatus | undefined => this.#deps.cache.get(uid).containers.find((c) => c.id === id);
    const container = find();
    if (container === undefined) {
      throw new NodeRefusal(400, `unable to retrieve container logs for ${status.containerStatuses?.[0]?.containerID ?? id}`);
    }
    const path = this.#deps.directories.logFile(pod, container.logPath);
    await readLogs({ path, mayGrow: () => find()?.state === 'running' }, options, out, this.#deps.clock, signal);
  }

  async exec(ref: PodRef, options: ExecOptions, signal: AbortSignal): Promise<RunProcess> {
    const { id } = this.#running(ref, options.container);
    return (streams) => ended(this.#deps.runtime.exec(id, { command: options.command, ...streamsOf(options.tty, streams) }, signal));
  }

  async attach(ref: PodRef, options: ExecOptions, signal: AbortSignal): Promise<RunProcess> {
    const { id } = this.#running(ref, options.container);
    // Whether there is a terminal was decided when the container was made.
    const tty = findContainer(this.#pod(ref), options.container)?.container.tty === true;
    return (streams) => ended(this.#deps.runtime.attach(id, streamsOf(tty, streams), signal));
  }

  async portForward(ref: PodRef, signal: AbortSignal): Promise<ForwardPort> {
    const sandbox = this.#deps.cache.get(this.#pod(ref).metadata.uid).sandboxes[0];
    if (sandbox?.state !== 'ready') throw new NodeRefusal(500, `pod not found (${JSON.stringify(`${ref.name}_${ref.namespace}`)})`);
    return (port, stream) => this.#deps.runtime.portForward(sandbox.id, port, connectionOf(stream), signal);
  }

  request({ method, path }: NodeRequest, signal: AbortSignal): Promise<NodeAnswer> {
    const { pods, cache, clock } = this.#deps;
    return answerRequest(method, path, { nodeApi: this, pods, runningPods: () => runningPods(pods(), cache), clock }, signal);
  }

  #pod(ref: PodRef): Pod {
    const pod = this.#deps.pod(this.#deps.ownUid(ref.uid));
    if (pod === undefined) throw new NodeRefusal(404, 'pod does not exist');
    return pod;
  }

  #running(ref: PodRef, name: string): ContainerStatus {
    const container = latestContainer(this.#deps.cache.get(this.#pod(ref).metadata.uid), name);
    if (container?.state !== 'running') throw new NodeRefusal(500, `container not found (${JSON.stringify(name)})`);
    return container;
  }
}

async function ended(running: Promise<number>): Promise<ExecResult> {
  return { kind: 'exited', code: await running };
}

function streamsOf(tty: boolean, { stdin, stdout, stderr, resize }: ProcessStreams): Omit<StreamExec, 'command'> {
  return { tty, stdin, stdout: writerTo(stdout), stderr: writerTo(stderr), resize };
}
