/**
 * What the kubelet needs of a container runtime, in CRI v1's words. Two implementations: `sandbox/` (Linux namespaces, no
 * daemon) and `remote/` (CRI over gRPC). Both pass `container-runtime-contract.ts`. All calls are idempotent where CRI says so:
 * stopping or removing what is not there succeeds.
 */
import type { Duplex } from 'node:stream';

export interface ContainerRuntime {
  /** Name and version for node status, e.g. `containerd://2.1.1`, `sandbox://0.1.0`. */
  version(): Promise<{ readonly name: string; readonly version: string }>;
  /** Ready, and what cannot work on this machine with the reason (shown in the ready line and node conditions). */
  status(): Promise<RuntimeStatus>;

  /** Creates and starts the pod's sandbox (namespaces, network). */
  runPodSandbox(config: PodSandboxConfig): Promise<string>;
  stopPodSandbox(sandboxId: string): Promise<void>;
  removePodSandbox(sandboxId: string): Promise<void>;
  podSandboxStatus(sandboxId: string): Promise<PodSandboxStatus | undefined>;
  /** Survives a restart of the kubelet: lists what earlier processes started. */
  listPodSandboxes(): Promise<readonly PodSandboxStatus[]>;

  createContainer(sandboxId: string, config: ContainerConfig): Promise<string>;
  startContainer(containerId: string): Promise<void>;
  /** Gives a running container other cpu and memory figures; limits that are undefined stay as they are. */
  updateContainerResources(containerId: string, resources: ContainerResources): Promise<void>;
  /** SIGTERM (or the image's stop signal), then SIGKILL after `timeoutMs`. Resolves when the container has ended. */
  stopContainer(containerId: string, timeoutMs: number): Promise<void>;
  removeContainer(containerId: string): Promise<void>;
  containerStatus(containerId: string): Promise<ContainerStatus | undefined>;
  listContainers(): Promise<readonly ContainerStatus[]>;

  /** Runs a command without streams; `timeoutMs` 0 means none. Each output is cut at 16 MiB. */
  execSync(containerId: string, command: readonly string[], timeoutMs: number): Promise<ExecSyncResult>;
  exec(containerId: string, options: StreamExec, signal: AbortSignal): Promise<number>;
  attach(containerId: string, options: Omit<StreamExec, 'command'>, signal: AbortSignal): Promise<number>;
  portForward(sandboxId: string, port: number, stream: StreamPair, signal: AbortSignal): Promise<void>;
  /** Absent where this machine reaches the addresses of its pods by itself. */
  readonly dialPod?: DialPod | undefined;

  /** Image present under that reference; `sandbox` reports every image as present (it runs on the machine's own files). */
  imageStatus(image: string): Promise<ImageStatus | undefined>;
  /** Pulls and returns the image's reference. Throws PullError. */
  pullImage(image: string, auth: RegistryAuth | undefined): Promise<string>;
  listImages(): Promise<readonly ImageStatus[]>;
  removeImage(imageRef: string): Promise<void>;
  /** A path on the filesystem that holds the images; undefined for a runtime without images. */
  imageFilesystem(): Promise<string | undefined>;
  containerStats(): Promise<readonly ContainerStats[]>;
  reopenContainerLog(containerId: string): Promise<void>;

  /** Container state changes as they happen, or undefined where the runtime cannot tell (then the kubelet relists). */
  events(signal: AbortSignal): AsyncIterable<RuntimeEvent> | undefined;
  close(): Promise<void>;
}

/** Connects to an address from within the network of a pod. Rejects as `net.connect` does, with a `code`. Aborting ends the connection. */
export type DialPod = (sandboxId: string, host: string, port: number, signal: AbortSignal) => Promise<Duplex>;

export interface RuntimeStatus {
  readonly ready: boolean;
  readonly reason?: string;
  readonly message?: string;
  /** One sentence each: what does not work here, and why. */
  readonly limitations: readonly string[];
  /** True when `image` is only recorded and containers need a `command` (the sandbox runtime). */
  readonly runsOnHostFiles: boolean;
  /** Whether `strictGroups` is obeyed and the user of a container is told. */
  readonly supplementalGroupsPolicy: boolean;
  /** As far as the runtime tells. */
  readonly handlers: readonly RuntimeHandler[];
}

/** One way in which a runtime runs containers; the empty name is that of its own choice. */
export interface RuntimeHandler {
  readonly name: string;
  /** Whether `recursiveReadOnly` mounts are possible. */
  readonly recursiveReadOnlyMounts: boolean;
}

export interface PodSandboxConfig {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Counts sandboxes of one pod. */
  readonly attempt: number;
  readonly hostname: string;
  readonly logDirectory: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly hostNetwork: boolean;
  readonly hostPid: boolean;
  readonly hostIpc: boolean;
  readonly shareProcessNamespace: boolean;
  readonly dns:
    | { readonly servers: readonly string[]; readonly searches: readonly string[]; readonly options: readonly string[] }
    | undefined;
  readonly portMappings: readonly {
    readonly protocol: string;
    readonly containerPort: number;
    readonly hostPort: number;
    readonly hostIp: string;
  }[];
  readonly sysctls: Readonly<Record<string, string>>;
  /** Which of the runtime's handlers is asked for; empty for its own choice. */
  readonly runtimeHandler: string;
  readonly cgroupParent: string;
}

export interface PodSandboxStatus {
  readonly id: string;
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly attempt: number;
  readonly state: 'ready' | 'not-ready';
  readonly createdAtMs: number;
  /** Pod IPs; empty for host network. */
  readonly ips: readonly string[];
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
}

export interface ContainerConfig {
  readonly name: string;
  /** Counts instances of this container in its pod (restartCount). */
  readonly attempt: number;
  readonly image: string;
  /** Entrypoint override; empty means the image's. */
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly workingDir: string;
  readonly env: readonly { readonly name: string; readonly value: Uint8Array }[];
  readonly mounts: readonly Mount[];
  /** Files of other images, read-only; a runtime that cannot mount them refuses the container. */
  readonly imageMounts?: readonly ImageMount[];
  /** Below the sandbox's logDirectory, e.g. `app/0.log`. CRI log format. */
  readonly logPath: string;
  readonly stdin: boolean;
  readonly stdinOnce: boolean;
  readonly tty: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly security: ContainerSecurity;
  readonly resources: ContainerResources;
  /** Shares the process namespace of this container of the same pod (`targetContainerName` of an ephemeral container). */
  readonly targetContainerId?: string;
  readonly devices?: readonly { readonly hostPath: string; readonly containerPath: string; readonly permissions: string }[];
}

export interface Mount {
  readonly hostPath: string;
  readonly containerPath: string;
  readonly readOnly: boolean;
  /** What is mounted below it is read-only, too. Together with `readOnly` and without propagation only. */
  readonly recursiveReadOnly?: boolean;
  readonly propagation: 'private' | 'host-to-container' | 'bidirectional';
}

export interface ImageMount {
  /** As `pullImage` returned it. */
  readonly image: string;
  readonly containerPath: string;
  /** Directory of the image; empty for all of it. */
  readonly subPath: string;
}

export interface ContainerSecurity {
  readonly runAsUser: number | undefined;
  readonly runAsUserName: string | undefined;
  readonly runAsGroup: number | undefined;
  readonly supplementalGroups: readonly number[];
  /** Only the groups asked for: not those that the image lists the user in. */
  readonly strictGroups: boolean;
  readonly privileged: boolean;
  readonly readOnlyRootFilesystem: boolean;
  readonly noNewPrivileges: boolean;
  readonly addCapabilities: readonly string[];
  readonly dropCapabilities: readonly string[];
  readonly seccomp: { readonly kind: 'runtime-default' | 'unconfined' } | { readonly kind: 'localhost'; readonly path: string };
  readonly maskedPaths: readonly string[];
  readonly readonlyPaths: readonly string[];
}

export interface ContainerResources {
  /** Bytes; undefined means no limit. */
  readonly memoryLimitBytes: number | undefined;
  readonly cpuQuotaUs: number | undefined;
  readonly cpuPeriodUs: number | undefined;
  readonly cpuShares: number | undefined;
  readonly oomScoreAdj: number | undefined;
  readonly pidsLimit: number | undefined;
}

export interface ContainerStatus {
  readonly id: string;
  readonly sandboxId: string;
  readonly name: string;
  readonly attempt: number;
  readonly state: 'created' | 'running' | 'exited' | 'unknown';
  readonly createdAtMs: number;
  readonly startedAtMs: number | undefined;
  readonly finishedAtMs: number | undefined;
  readonly exitCode: number | undefined;
  readonly signal: number | undefined;
  /** `Completed`, `Error`, `OOMKilled`, `ContainerCannotRun`, … */
  readonly reason: string;
  readonly message: string;
  readonly image: string;
  readonly imageRef: string;
  readonly logPath: string;
  /** Host process ID of the container's first process, while it runs and where the runtime tells. */
  readonly pid: number | undefined;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  readonly user: { readonly uid: number; readonly gid: number; readonly supplementalGroups: readonly number[] } | undefined;
}

export interface ExecSyncResult {
  readonly exitCode: number;
  readonly stdout: Uint8Array;
  readonly stderr: Uint8Array;
  readonly timedOut: boolean;
}

export interface StreamExec {
  readonly command: readonly string[];
  readonly tty: boolean;
  readonly stdin: AsyncIterable<Uint8Array> | undefined;
  readonly stdout: ((chunk: Uint8Array) => Promise<void>) | undefined;
  readonly stderr: ((chunk: Uint8Array) => Promise<void>) | undefined;
  readonly resize: AsyncIterable<{ readonly width: number; readonly height: number }> | undefined;
}

export interface StreamPair {
  readonly input: AsyncIterable<Uint8Array>;
  readonly write: (chunk: Uint8Array) => Promise<void>;
  readonly end: () => void;
}

export interface ImageStatus {
  readonly id: string;
  readonly repoTags: readonly string[];
  readonly repoDigests: readonly string[];
  readonly sizeBytes: number;
  /** User the image asks for: numeric or by name. */
  readonly uid: number | undefined;
  readonly username: string;
  readonly pinned: boolean;
}

export interface RegistryAuth {
  readonly username: string;
  readonly password: string;
  readonly auth: string;
  readonly serverAddress: string;
  readonly identityToken: string;
  readonly registryToken: string;
}

export interface ContainerStats {
  readonly containerId: string;
  readonly cpuUsageNs: number;
  readonly memoryWorkingSetBytes: number;
  readonly writableLayerBytes: number;
}

export interface RuntimeEvent {
  readonly containerId: string;
  readonly sandboxId: string;
  readonly podUid: string;
  readonly type: 'created' | 'started' | 'stopped' | 'deleted';
}

/** A pull that failed; `reason` is the container's waiting reason. Credentials are never part of the message. */
export class PullError extends Error {
  readonly reason: 'ErrImagePull' | 'InvalidImageName' | 'RegistryUnavailable' | 'SignatureValidationFailed';
  constructor(reason: PullError['reason'], message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'PullError';
    this.reason = reason;
  }
}

/** The runtime refuses a container or sandbox for good reason; `reason` shows as the container's waiting reason. */
export class RuntimeRefusal extends Error {
  readonly reason: string;
  constructor(reason: string, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'RuntimeRefusal';
    this.reason = reason;
  }
}
