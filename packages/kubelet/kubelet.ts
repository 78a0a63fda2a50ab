/**
 * The kubelet: runs the pods that the API binds to this node. This file only wires the parts; what they promise stands in each.
 * Containers outlive it: `stop` (aborting the signal) leaves them running for the next kubelet to adopt, `drainAndStop` stops them.
 */
import { setMaxListeners } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { NodeApi } from '@coffer/api/node/node-api';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { ApiEventRecorder } from '@coffer/client/events/event-recorder';
import type { Transport } from '@coffer/client/transport/transport';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { ClientApi } from './api/client-api.ts';
import type { KubeletApi } from './deps.ts';
import { type NodeResources, readNodeResources } from './eviction/node-resources.ts';
import { readMachine } from './node/machine.ts';
import { NodeRunner } from './node-runner.ts';
import type { SourceRecord } from './objects/source-record.ts';
import { defaultOptions, type KubeletOptions } from './options.ts';
import type { Pod } from './types.ts';

export interface KubeletDeps {
  readonly nodeName: string;
  /** Reaches the API as `system:node:<nodeName>`. */
  readonly transport: Transport;
  readonly runtime: ContainerRuntime;
  /** Pod directories, volumes and logs live below it. Absolute; made when missing. */
  readonly rootDir: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly options?: Partial<KubeletOptions>;
  /** What the machine has left; read from the system when undefined. */
  readonly resources?: () => Promise<NodeResources>;
}

export interface Kubelet {
  readonly nodeApi: NodeApi;
  /** The pods of this node, as they are known now. */
  pods(): readonly Pod[];
  /** What runs of them, as the runtime knows it. */
  runningPods(): readonly object[];
  /** Directories of this machine that no container may see except through its own mounts. */
  readonly privateDirectories: readonly string[];
  /** Versions of the ConfigMaps and Secrets that a pod uses: per mounted volume, and per container as of its start. */
  sourcesOf(podUid: string): PodSources;
  metrics(): KubeletMetrics;
  /** Resolves when no pod is being worked on and every status has reached the API. */
  whenIdle(): Promise<void>;
  /** Stops every pod within `graceMs`, then the kubelet. Pods stay in the API. */
  drainAndStop(options: { readonly graceMs: number }): Promise<void>;
  /** Resolves when the kubelet has ended after its signal was aborted. */
  readonly done: Promise<void>;
}

export interface PodSources {
  readonly volumes: ReadonlyMap<string, readonly SourceRecord[]>;
  readonly containers: ReadonlyMap<string, readonly SourceRecord[]>;
}

export interface KubeletMetrics {
  readonly pods: number;
  readonly runningContainers: number;
  readonly objectWatches: number;
}

/** Resolves when the node is registered and Ready and the pods of earlier runs are known; rejects when the signal is aborted before. */
export async function startKubelet(deps: KubeletDeps, signal: AbortSignal): Promise<Kubelet> {
  const options: KubeletOptions = { ...defaultOptions, ...deps.options };
  const logsDir = options.logsDir ?? join(deps.rootDir, 'logs');
  await mkdir(deps.rootDir, { recursive: true, mode: 0o750 });
  await mkdir(logsDir, { recursive: true, mode: 0o755 });
  const stopped = new AbortController();
  // Every loop and every request of the kubelet listens to it.
  setMaxListeners(0, stopped.signal);
  const onAbort = () => stopped.abort(signal.reason);
  if (signal.aborted) onAbort();
  else signal.addEventListener('abort', onAbort, { once: true });
  const api: KubeletApi & ClientApi = new ClientApi(deps);
  const recorder = new ApiEventRecorder(
    { api: api.client, clock: deps.clock, logger: deps.logger, component: 'kubelet', host: deps.nodeName },
    stopped.signal,
  );
  const runner = await NodeRunner.create({
    nodeName: deps.nodeName,
    runtime: deps.runtime,
    clock: deps.clock,
    logger: deps.logger,
    rootDir: deps.rootDir,
    logsDir,
    options,
    api,
    machine: await readMachine(deps.rootDir),
    resources: deps.resources ?? (() => readNodeResources(deps.rootDir)),
    events: { event: (target, type, reason, message) => recorder.record(target, type, reason, message) },
  });
  await runner.start(stopped.signal);
  const done = runner.run(stopped.signal);
  return {
    nodeApi: runner.nodeApi,
    pods: () => runner.pods(),
    runningPods: () => runner.runningPods(),
    privateDirectories: [deps.rootDir, logsDir],
    sourcesOf: (uid) => runner.sourcesOf(uid),
    metrics: () => runner.metrics(),
    whenIdle: () => runner.whenIdle(),
    done,
    async drainAndStop({ graceMs }) {
      await runner.drain(graceMs);
      stopped.abort(new Error('the kubelet was stopped'));
      await done;
    },
  };
}
