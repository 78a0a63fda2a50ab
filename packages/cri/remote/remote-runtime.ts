/** A container runtime of the machine (containerd 1.6 or newer, CRI-O) over CRI version 1. */
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import {
  type ContainerConfig,
  type ContainerResources,
  type ContainerRuntime,
  type ContainerStats,
  type ContainerStatus,
  type ExecSyncResult,
  type ImageStatus,
  type PodSandboxConfig,
  type PodSandboxStatus,
  type RegistryAuth,
  type RuntimeEvent,
  RuntimeRefusal,
  type RuntimeStatus,
  type StreamExec,
  type StreamPair,
} from '../runtime/container-runtime.ts';
import { CriChannel, CriError, type CriMessage } from './cri-channel.ts';
import {
  containerMessage,
  containerStatus,
  imageStatus,
  podSandboxMessage,
  podSandboxStatus,
  resourcesMessage,
  runtimeEvent,
  verboseInfo,
} from './cri-messages.ts';
import { requireImageMounts } from './image-volumes.ts';
import { pullError } from './pull-errors.ts';
import { streamCommand, streamPort } from './streaming.ts';

export interface RemoteRuntimeOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** For calls that should be quick; starting a sandbox and pulling have longer limits of their own. */
  readonly timeoutMs?: number;
}

const defaultTimeoutMs = 120_000;
const sandboxTimeoutMs = 240_000;
/** The runtime itself ends a command that takes too long; this is for a runtime that does not answer. */
const execGraceMs = 10_000;

/** Connects to `unix:///path` (or a path) and asks for the version. Rejects when nothing answers or it does not speak version 1. */
export async function connectRemoteRuntime(endpoint: string, options: RemoteRuntimeOptions): Promise<ContainerRuntime> {
  const channel = new CriChannel(grpcTarget(endpoint));
  try {
    const answer = await channel.call(
      'RuntimeService',
      'Version',
      ['VersionRequest', 'VersionResponse'],
      { version: '0.1.0' },
      { timeoutMs: 5_000 },
    );
    const runtime = new RemoteRuntime(channel, options, { name: answer.runtimeName, version: answer.runtimeVersion });
    await runtime.detectEvents();
    return runtime;
  } catch (error) {
    channel.close();
    throw new Error(`cannot use the container runtime at ${endpoint}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function grpcTarget(endpoint: string): string {
  if (endpoint.startsWith('/')) return `unix:${endpoint}`;
  if (endpoint.startsWith('unix://')) return `unix:${endpoint.slice('unix://'.length)}`;
  throw new Error(`container runtime endpoint ${endpoint}: only unix:// is supported`);
}

class RemoteRuntime implements ContainerRuntime {
  readonly #channel: CriChannel;
  readonly #options: RemoteRuntimeOptions;
  readonly #version: { readonly name: string; readonly version: string };
  /** Passed again with each container of the pod, as the interface wants it. */
  readonly #podConfigs = new Map<string, PodSandboxConfig>();
  /** A container never changes its sandbox. */
  readonly #sandboxOf = new Map<string, string>();
  #offersEvents = false;

  constructor(channel: CriChannel, options: RemoteRuntimeOptions, version: { readonly name: string; readonly version: string }) {
    this.#channel = channel;
    this.#options = options;
    this.#version = version;
  }

  /** Finds out whether the runtime tells of changes by itself: one that does not answers at once. */
  async detectEvents(): Promise<void> {
    const stream = this.#channel.stream('GetContainerEvents', ['GetEventsRequest', 'ContainerEventResponse'], {});
    this.#offersEvents = await new Promise((resolve) => {
      const cancel = this.#options.clock.setTimer(200, () => resolve(true));
      stream.on('error', () => {
        cancel();
        resolve(false);
      });
      stream.on('end', () => {
        cancel();
        resolve(false);
      });
      stream.resume();
    });
    stream.cancel();
  }

  async version(): Promise<{ name: string; version: string }> {
    return this.#version;
  }

  async status(): Promise<RuntimeStatus> {
    const answer = await this.#runtime('Status', ['StatusRequest', 'StatusResponse'], {});
    const conditions = (answer.status?.conditions ?? []) as CriMessage[];
    const missing = ['RuntimeReady', 'NetworkReady']
      .map((type) => conditions.find((condition) => condition.type === type))
      .find((found) => !found?.status);
    return {
      ready: missing === undefined,
      ...(missing ? { reason: String(missing.reason), message: String(missing.message) } : {}),
      limitations: [],
      runsOnHostFiles: false,
      supplementalGroupsPolicy: (answer.features as CriMessage | null)?.supplementalGroupsPolicy === true,
      handlers: ((answer.runtimeHandlers ?? []) as CriMessage[]).map(({ name, features }) => ({
        name: String(name),
        recursiveReadOnlyMounts: (features as CriMessage | null)?.recursiveReadOnlyMounts === true,
      })),
    };
  }

  async runPodSandbox(config: PodSandboxConfig): Promise<string> {
    const body = { config: podSandboxMessage(config), runtimeHandler: config.runtimeHandler };
    const types = ['RunPodSandboxRequest', 'RunPodSandboxResponse'] as const;
    const answer = await this.#runtime('RunPodSandbox', types, body, sandboxTimeoutMs).catch((error: unknown) => {
      throw error instanceof CriError ? new Error(error.rpcText, { cause: error }) : error;
    });
    this.#podConfigs.set(answer.podSandboxId, config);
    return answer.podSandboxId;
  }

  async stopPodSandbox(sandboxId: string): Promise<void> {
    await ignoreNotFound(
      this.#runtime('StopPodSandbox', ['StopPodSandboxRequest', 'Empty'], { podSandboxId: sandboxId }, sandboxTimeoutMs),
    );
  }

  async removePodSandbox(sandboxId: string): Promise<void> {
    await this.stopPodSandbox(sandboxId);
    await ignoreNotFound(
      this.#runtime('RemovePodSandbox', ['RemovePodSandboxRequest', 'Empty'], { podSandboxId: sandboxId }, sandboxTimeoutMs),
    );
    this.#podConfigs.delete(sandboxId);
    for (const [container, sandbox] of this.#sandboxOf) if (sandbox === sandboxId) this.#sandboxOf.delete(container);
  }

  async podSandboxStatus(sandboxId: string): Promise<PodSandboxStatus | undefined> {
    const types = ['PodSandboxStatusRequest', 'PodSandboxStatusResponse'] as const;
    const answer = await ignoreNotFound(this.#runtime('PodSandboxStatus', types, { podSandboxId: sandboxId }));
    return answer?.status ? podSandboxStatus(answer.status) : undefined;
  }

  async listPodSandboxes(): Promise<readonly PodSandboxStatus[]> {
    const answer = await this.#runtime('ListPodSandbox', ['ListPodSandboxRequest', 'ListPodSandboxResponse'], {});
    const statuses = ((answer.items ?? []) as CriMessage[]).map((item) => this.podSandboxStatus(item.id));
    return (await Promise.all(statuses)).filter((found) => found !== undefined);
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    requireImageMounts(this.#version, config.imageMounts ?? []);
    const pod = this.#podConfigs.get(sandboxId) ?? (await this.#recoverPodConfig(sandboxId));
    const body = { podSandboxId: sandboxId, config: containerMessage(config, pod), sandboxConfig: podSandboxMessage(pod) };
    const answer = await this.#runtime('CreateContainer', ['CreateContainerRequest', 'CreateContainerResponse'], body);
    this.#sandboxOf.set(answer.containerId, sandboxId);
    return answer.containerId;
  }

  async startContainer(containerId: string): Promise<void> {
    try {
      await this.#runtime('StartContainer', ['StartContainerRequest', 'Empty'], { containerId });
    } catch (error) {
      if (error instanceof CriError) throw new RuntimeRefusal('RunContainerError', error.message, { cause: error });
      throw error;
    }
  }

  async updateContainerResources(containerId: string, resources: ContainerResources): Promise<void> {
    const types = ['UpdateContainerResourcesRequest', 'Empty'] as const;
    await this.#runtime('UpdateContainerResources', types, { containerId, linux: resourcesMessage(resources) });
  }

  async stopContainer(containerId: string, timeoutMs: number): Promise<void> {
    const timeout = Math.ceil(timeoutMs / 1000);
    const limit = timeoutMs + (this.#options.timeoutMs ?? defaultTimeoutMs);
    await ignoreNotFound(this.#runtime('StopContainer', ['StopContainerRequest', 'Empty'], { containerId, timeout }, limit));
  }

  async removeContainer(containerId: string): Promise<void> {
    await this.stopContainer(containerId, 0);
    await ignoreNotFound(this.#runtime('RemoveContainer', ['RemoveContainerRequest', 'Empty'], { containerId }));
    this.#sandboxOf.delete(containerId);
  }

  async containerStatus(containerId: string): Promise<ContainerStatus | undefined> {
    const types = ['ContainerStatusRequest', 'ContainerStatusResponse'] as const;
    const answer = await ignoreNotFound(this.#runtime('ContainerStatus', types, { containerId, verbose: true }));
    if (!answer?.status) return undefined;
    const info = (answer.info ?? {}) as Record<string, string>;
    const sandboxId = this.#sandboxOf.get(containerId) ?? verboseInfo(info).sandboxId ?? (await this.#findSandbox(containerId));
    if (sandboxId !== '') this.#sandboxOf.set(containerId, sandboxId);
    return containerStatus(answer.status, sandboxId, info);
  }

  async listContainers(): Promise<readonly ContainerStatus[]> {
    const answer = await this.#runtime('ListContainers', ['ListContainersRequest', 'ListContainersResponse'], {});
    const statuses = ((answer.containers ?? []) as CriMessage[]).map(({ id, podSandboxId }) => {
      this.#sandboxOf.set(id, podSandboxId);
      return this.containerStatus(id);
    });
    return (await Promise.all(statuses)).filter((found) => found !== undefined);
  }

  async execSync(containerId: string, command: readonly string[], timeoutMs: number): Promise<ExecSyncResult> {
    const types = ['ExecSyncRequest', 'ExecSyncResponse'] as const;
    const limit = timeoutMs > 0 ? timeoutMs + execGraceMs : undefined;
    try {
      const body = { containerId, cmd: command, timeout: Math.ceil(timeoutMs / 1000) };
      const answer = await this.#channel.call('RuntimeService', 'ExecSync', types, body, limit === undefined ? {} : { timeoutMs: limit });
      return { exitCode: Number(answer.exitCode), stdout: answer.stdout, stderr: answer.stderr, timedOut: false };
    } catch (error) {
      if (!(error instanceof CriError)) throw error;
      if (error.deadlineExceeded || / timed out|timeout .* exceeded/.test(error.message)) {
        return { exitCode: 137, stdout: new Uint8Array(), stderr: new Uint8Array(), timedOut: true };
      }
      throw new RuntimeRefusal('ExecFailed', error.message, { cause: error });
    }
  }

  async exec(containerId: string, options: StreamExec, signal: AbortSignal): Promise<number> {
    const body = { containerId, cmd: options.command, ...streamFlags(options) };
    const answer = await this.#stream('Exec', 'ExecRequest', body);
    return streamCommand(answer, options, signal);
  }

  async attach(containerId: string, options: Omit<StreamExec, 'command'>, signal: AbortSignal): Promise<number> {
    const answer = await this.#stream('Attach', 'AttachRequest', { containerId, ...streamFlags(options) });
    return streamCommand(answer, options, signal);
  }

  async portForward(sandboxId: string, port: number, stream: StreamPair, signal: AbortSignal): Promise<void> {
    const answer = await this.#stream('PortForward', 'PortForwardRequest', { podSandboxId: sandboxId, port: [port] });
    return streamPort(answer, port, stream, signal);
  }

  async imageStatus(image: string): Promise<ImageStatus | undefined> {
    const answer = await this.#images('ImageStatus', ['ImageStatusRequest', 'ImageStatusResponse'], { image: { image } });
    return answer.image?.id ? imageStatus(answer.image) : undefined;
  }

  async pullImage(image: string, auth: RegistryAuth | undefined): Promise<string> {
    try {
      const body = { image: { image }, ...(auth ? { auth } : {}) };
      const answer = await this.#channel.call('ImageService', 'PullImage', ['PullImageRequest', 'PullImageResponse'], body);
      return answer.imageRef;
    } catch (error) {
      throw pullError(image, error);
    }
  }

  async listImages(): Promise<readonly ImageStatus[]> {
    const answer = await this.#images('ListImages', ['ListImagesRequest', 'ListImagesResponse'], {});
    return ((answer.images ?? []) as CriMessage[]).map(imageStatus);
  }

  async removeImage(imageRef: string): Promise<void> {
    await ignoreNotFound(this.#images('RemoveImage', ['RemoveImageRequest', 'Empty'], { image: { image: imageRef } }));
  }

  async imageFilesystem(): Promise<string | undefined> {
    const answer = await this.#images('ImageFsInfo', ['ImageFsInfoRequest', 'ImageFsInfoResponse'], {});
    const path = (answer.imageFilesystems as CriMessage[])[0]?.fsId?.mountpoint;
    return path || undefined;
  }

  async containerStats(): Promise<readonly ContainerStats[]> {
    const answer = await this.#runtime('ListContainerStats', ['ListContainerStatsRequest', 'ListContainerStatsResponse'], {});
    return ((answer.stats ?? []) as CriMessage[]).map((stats) => ({
      containerId: stats.attributes?.id ?? '',
      cpuUsageNs: Number(stats.cpu?.usageCoreNanoSeconds?.value ?? 0),
      memoryWorkingSetBytes: Number(stats.memory?.workingSetBytes?.value ?? 0),
      writableLayerBytes: Number(stats.writableLayer?.usedBytes?.value ?? 0),
    }));
  }

  async reopenContainerLog(containerId: string): Promise<void> {
    await this.#runtime('ReopenContainerLog', ['ReopenContainerLogRequest', 'Empty'], { containerId });
  }

  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> | undefined {
    if (!this.#offersEvents) return undefined;
    const stream = this.#channel.stream('GetContainerEvents', ['GetEventsRequest', 'ContainerEventResponse'], {});
    signal.addEventListener('abort', () => stream.cancel(), { once: true });
    return {
      async *[Symbol.asyncIterator]() {
        try {
          for await (const message of stream) yield runtimeEvent(message as CriMessage);
        } catch (error) {
          if (!signal.aborted) throw error;
        }
      },
    };
  }

  async close(): Promise<void> {
    this.#channel.close();
  }

  #runtime(
    method: string,
    types: readonly [string, string],
    body: object,
    timeoutMs = this.#options.timeoutMs ?? defaultTimeoutMs,
  ): Promise<CriMessage> {
    return this.#channel.call('RuntimeService', method, types, body, { timeoutMs });
  }

  #images(method: string, types: readonly [string, string], body: object): Promise<CriMessage> {
    return this.#channel.call('ImageService', method, types, body, { timeoutMs: this.#options.timeoutMs ?? defaultTimeoutMs });
  }

  async #stream(method: string, request: string, body: object): Promise<string> {
    try {
      const answer = await this.#runtime(method, [request, 'StreamResponse'], body);
      return answer.url;
    } catch (error) {
      if (error instanceof CriError) throw new RuntimeRefusal(`${method}Failed`, error.message, { cause: error });
      throw error;
    }
  }

  async #findSandbox(containerId: string): Promise<string> {
    const answer = await this.#runtime('ListContainers', ['ListContainersRequest', 'ListContainersResponse'], {});
    return ((answer.containers ?? []) as CriMessage[]).find(({ id }) => id === containerId)?.podSandboxId ?? '';
  }

  /** After a restart: what matters of the configuration for another container of the pod. */
  async #recoverPodConfig(sandboxId: string): Promise<PodSandboxConfig> {
    const answer = await this.#runtime('PodSandboxStatus', ['PodSandboxStatusRequest', 'PodSandboxStatusResponse'], {
      podSandboxId: sandboxId,
      verbose: true,
    });
    const config = recoveredPodConfig(podSandboxStatus(answer.status), (answer.info ?? {}) as Record<string, string>);
    this.#podConfigs.set(sandboxId, config);
    return config;
  }
}

interface VerboseSandbox {
  readonly config?: {
    readonly hostname?: string;
    readonly log_directory?: string;
    readonly dns_config?: { readonly servers?: string[]; readonly searches?: string[]; readonly options?: string[] };
    readonly linux?: {
      readonly cgroup_parent?: string;
      readonly security_context?: {
        readonly namespace_options?: { readonly network?: number; readonly pid?: number; readonly ipc?: number };
      };
    };
  };
}

function recoveredPodConfig(status: PodSandboxStatus, info: Readonly<Record<string, string>>): PodSandboxConfig {
  const { config } = JSON.parse(info.info ?? '{}') as VerboseSandbox;
  const namespaces = config?.linux?.security_context?.namespace_options;
  const node = 2;
  return {
    namespace: status.namespace,
    name: status.name,
    uid: status.uid,
    attempt: status.attempt,
    hostname: config?.hostname ?? '',
    logDirectory: config?.log_directory ?? '',
    labels: status.labels,
    annotations: status.annotations,
    hostNetwork: namespaces?.network === node,
    hostPid: namespaces?.pid === node,
    hostIpc: namespaces?.ipc === node,
    shareProcessNamespace: namespaces !== undefined && namespaces.pid === undefined,
    dns: config?.dns_config && {
      servers: config.dns_config.servers ?? [],
      searches: config.dns_config.searches ?? [],
      options: config.dns_config.options ?? [],
    },
    portMappings: [],
    sysctls: {},
    runtimeHandler: '',
    cgroupParent: config?.linux?.cgroup_parent ?? '',
  };
}

function streamFlags(options: Omit<StreamExec, 'command'>): object {
  return {
    tty: options.tty,
    stdin: options.stdin !== undefined,
    stdout: options.stdout !== undefined,
    stderr: !options.tty && options.stderr !== undefined,
  };
}

async function ignoreNotFound<T>(call: Promise<T>): Promise<T | undefined> {
  try {
    return await call;
  } catch (error) {
    if (error instanceof CriError && error.notFound) return undefined;
    throw error;
  }
}
