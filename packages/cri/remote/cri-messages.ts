/** Between the words of the kubelet's contract and CRI messages: pure, no defaults of its own. */
import type {
  ContainerConfig,
  ContainerResources,
  ContainerStatus,
  ImageStatus,
  PodSandboxConfig,
  PodSandboxStatus,
  RuntimeEvent,
} from '../runtime/container-runtime.ts';
import type { CriMessage } from './cri-channel.ts';

/** A PodSandboxConfig message. `privileged` must be known before the first privileged container of the pod. */
export function podSandboxMessage(config: PodSandboxConfig): object {
  const { namespace, name, uid, attempt } = config;
  return {
    metadata: { name, uid, namespace, attempt },
    hostname: config.hostNetwork ? '' : config.hostname,
    logDirectory: config.logDirectory,
    dnsConfig: config.dns,
    portMappings: config.portMappings.map((mapping) => ({ ...mapping, protocol: mapping.protocol })),
    labels: config.labels,
    annotations: config.annotations,
    linux: {
      cgroupParent: config.cgroupParent,
      sysctls: config.sysctls,
      securityContext: { namespaceOptions: namespaceOptions(config), privileged: true, seccomp: { profileType: 'RuntimeDefault' } },
    },
  };
}

/** A ContainerConfig message for a container of that pod. */
export function containerMessage(config: ContainerConfig, pod: PodSandboxConfig): object {
  return {
    metadata: { name: config.name, attempt: config.attempt },
    image: { image: config.image, userSpecifiedImage: config.image },
    command: config.command,
    args: config.args,
    workingDir: config.workingDir,
    envs: config.env.map(({ name, value }) => ({ key: name, value })),
    mounts: [
      ...config.mounts.map(({ hostPath, containerPath, readOnly, recursiveReadOnly, propagation }) => ({
        hostPath,
        containerPath,
        readonly: readOnly,
        recursiveReadOnly: recursiveReadOnly === true,
        propagation: propagations[propagation],
      })),
      ...(config.imageMounts ?? []).map(({ image, containerPath, subPath }) => ({
        containerPath,
        readonly: true,
        image: { image },
        imageSubPath: subPath,
      })),
    ],
    devices: config.devices ?? [],
    labels: config.labels,
    annotations: config.annotations,
    logPath: config.logPath,
    stdin: config.stdin,
    stdinOnce: config.stdinOnce,
    tty: config.tty,
    linux: { resources: resourcesMessage(config.resources), securityContext: securityMessage(config, pod) },
  };
}

const propagations = {
  private: 'PROPAGATION_PRIVATE',
  'host-to-container': 'PROPAGATION_HOST_TO_CONTAINER',
  bidirectional: 'PROPAGATION_BIDIRECTIONAL',
} as const;

function namespaceOptions(pod: PodSandboxConfig): Readonly<Record<string, string>> {
  return {
    network: pod.hostNetwork ? 'NODE' : 'POD',
    pid: pod.hostPid ? 'NODE' : pod.shareProcessNamespace ? 'POD' : 'CONTAINER',
    ipc: pod.hostIpc ? 'NODE' : 'POD',
  };
}

export function resourcesMessage(resources: ContainerResources): object {
  return {
    cpuPeriod: resources.cpuPeriodUs ?? 0,
    cpuQuota: resources.cpuQuotaUs ?? 0,
    cpuShares: resources.cpuShares ?? 0,
    memoryLimitInBytes: resources.memoryLimitBytes ?? 0,
    oomScoreAdj: resources.oomScoreAdj ?? 0,
  };
}

function securityMessage({ security, targetContainerId }: ContainerConfig, pod: PodSandboxConfig): object {
  const { runAsUser, runAsGroup, runAsUserName } = security;
  return {
    capabilities: { addCapabilities: security.addCapabilities, dropCapabilities: security.dropCapabilities },
    privileged: security.privileged,
    namespaceOptions:
      targetContainerId === undefined ? namespaceOptions(pod) : { ...namespaceOptions(pod), pid: 'TARGET', targetId: targetContainerId },
    ...(runAsUser === undefined ? {} : { runAsUser: { value: runAsUser } }),
    ...(runAsGroup === undefined ? {} : { runAsGroup: { value: runAsGroup } }),
    ...(runAsUserName === undefined ? {} : { runAsUsername: runAsUserName }),
    readonlyRootfs: security.readOnlyRootFilesystem,
    supplementalGroups: security.supplementalGroups,
    supplementalGroupsPolicy: security.strictGroups ? 'Strict' : 'Merge',
    noNewPrivs: security.noNewPrivileges,
    maskedPaths: security.maskedPaths,
    readonlyPaths: security.readonlyPaths,
    seccomp: seccompMessage(security.seccomp),
  };
}

function seccompMessage(seccomp: ContainerConfig['security']['seccomp']): object {
  switch (seccomp.kind) {
    case 'localhost':
      return { profileType: 'Localhost', localhostRef: seccomp.path };
    case 'unconfined':
      return { profileType: 'Unconfined' };
    default:
      return { profileType: 'RuntimeDefault' };
  }
}

/** Of a PodSandboxStatus or PodSandbox message; only the former knows addresses. */
export function podSandboxStatus(message: CriMessage): PodSandboxStatus {
  const network = message.network as CriMessage | null | undefined;
  const additional = ((network?.additionalIps ?? []) as CriMessage[]).map(({ ip }) => String(ip));
  return {
    id: message.id,
    namespace: message.metadata?.namespace ?? '',
    name: message.metadata?.name ?? '',
    uid: message.metadata?.uid ?? '',
    attempt: message.metadata?.attempt ?? 0,
    state: message.state === 'SANDBOX_READY' ? 'ready' : 'not-ready',
    createdAtMs: milliseconds(message.createdAt) ?? 0,
    ips: [network?.ip, ...additional].filter((ip): ip is string => typeof ip === 'string' && ip !== ''),
    labels: message.labels ?? {},
    annotations: message.annotations ?? {},
  };
}

const containerStates = {
  CONTAINER_CREATED: 'created',
  CONTAINER_RUNNING: 'running',
  CONTAINER_EXITED: 'exited',
} as const;

/** Of a ContainerStatus message and what the runtime tells besides. */
export function containerStatus(message: CriMessage, sandboxId: string, info: Readonly<Record<string, string>>): ContainerStatus {
  const state = containerStates[message.state as keyof typeof containerStates] ?? 'unknown';
  const linux = message.user?.linux as CriMessage | null | undefined;
  return {
    id: message.id,
    sandboxId,
    name: message.metadata?.name ?? '',
    attempt: message.metadata?.attempt ?? 0,
    state,
    createdAtMs: milliseconds(message.createdAt) ?? 0,
    startedAtMs: milliseconds(message.startedAt),
    finishedAtMs: milliseconds(message.finishedAt),
    exitCode: state === 'exited' ? Number(message.exitCode) : undefined,
    signal: undefined,
    reason: message.reason ?? '',
    message: message.message ?? '',
    image: message.image?.image ?? '',
    imageRef: message.imageRef ?? '',
    logPath: message.logPath ?? '',
    pid: state === 'running' ? verboseInfo(info).pid : undefined,
    labels: message.labels ?? {},
    annotations: message.annotations ?? {},
    user: linux
      ? {
          uid: Number(linux.uid),
          gid: Number(linux.gid),
          supplementalGroups: ((linux.supplementalGroups ?? []) as string[]).map(Number),
        }
      : undefined,
  };
}

/** Both containerd and CRI-O put a JSON document under `info`. */
export function verboseInfo(info: Readonly<Record<string, string>>): { pid: number | undefined; sandboxId: string | undefined } {
  try {
    const parsed = JSON.parse(info.info ?? '{}') as { pid?: number; sandboxID?: string };
    return { pid: parsed.pid || undefined, sandboxId: parsed.sandboxID };
  } catch {
    return { pid: undefined, sandboxId: undefined };
  }
}

/** Of an Image message. */
export function imageStatus(message: CriMessage): ImageStatus {
  return {
    id: message.id,
    repoTags: message.repoTags ?? [],
    repoDigests: message.repoDigests ?? [],
    sizeBytes: Number(message.size ?? 0),
    uid: message.uid ? Number(message.uid.value) : undefined,
    username: message.username ?? '',
    pinned: message.pinned === true,
  };
}

const eventTypes = {
  CONTAINER_CREATED_EVENT: 'created',
  CONTAINER_STARTED_EVENT: 'started',
  CONTAINER_STOPPED_EVENT: 'stopped',
  CONTAINER_DELETED_EVENT: 'deleted',
} as const;

/** Of a ContainerEventResponse message. */
export function runtimeEvent(message: CriMessage): RuntimeEvent {
  const pod = message.podSandboxStatus as CriMessage | null | undefined;
  return {
    containerId: message.containerId,
    sandboxId: pod?.id ?? '',
    podUid: pod?.metadata?.uid ?? '',
    type: eventTypes[message.containerEventType as keyof typeof eventTypes],
  };
}

/** Nanoseconds as a decimal string; zero means not known. */
function milliseconds(nanoseconds: string | undefined): number | undefined {
  const text = nanoseconds ?? '0';
  return text === '0' || text.startsWith('-') ? undefined : Number(BigInt(text) / 1_000_000n);
}
