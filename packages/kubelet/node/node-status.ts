/** What the Node object says: labels, capacity, conditions, addresses. Pure; upstream's reasons and messages. */
import type { V1NodeAddress, V1NodeCondition, V1NodeRuntimeHandler, V1NodeStatus } from '@coffer/api/generated/types';
import { isExtended } from '@coffer/api/kinds/core/pod/resource-names';
import type { ImageStatus, RuntimeHandler, RuntimeStatus } from '@coffer/cri/runtime/container-runtime';
import type { PressureCondition } from '../eviction/pressure.ts';
import { rfc3339 } from '../pods/time-format.ts';
import type { Machine } from './machine.ts';

export interface NodeFacts {
  readonly nodeName: string;
  readonly machine: Machine;
  readonly addresses: readonly string[];
  readonly maxPods: number;
  readonly kubeletVersion: string;
  readonly kubeletPort: number | undefined;
  readonly runtimeVersion: string;
}

export interface NodeObservation {
  readonly runtime: RuntimeStatus;
  readonly images: readonly ImageStatus[];
  readonly pressure: ReadonlySet<PressureCondition>;
  readonly nowMs: number;
}

/** What pods cannot have, so that the node need not evict them. */
const memoryReserveBytes = 100 * 1024 * 1024;
const storageReserveShare = 0.1;
const maxImages = 50;
/** Those of Kubernetes 1.36 that this kubelet has, sorted. It takes no WebSockets (`ExtendWebSocketsToKubelet`). */
const declaredFeatures = ['GuaranteedQoSPodCPUResize', 'InPlacePodLevelResourcesVerticalScaling', 'RestartAllContainersOnContainerExits'];

export function nodeLabels(facts: NodeFacts): Record<string, string> {
  const { architecture, operatingSystem } = facts.machine;
  return {
    'beta.kubernetes.io/arch': architecture,
    'beta.kubernetes.io/os': operatingSystem,
    'kubernetes.io/arch': architecture,
    'kubernetes.io/hostname': facts.nodeName,
    'kubernetes.io/os': operatingSystem,
  };
}

export function capacity(facts: NodeFacts): Record<string, string> {
  const { cpus, memoryBytes, storageBytes } = facts.machine;
  return {
    cpu: String(cpus),
    'ephemeral-storage': `${Math.floor(storageBytes / 1024)}Ki`,
    'hugepages-1Gi': '0',
    'hugepages-2Mi': '0',
    memory: `${Math.floor(memoryBytes / 1024)}Ki`,
    pods: String(facts.maxPods),
  };
}

export function allocatable(facts: NodeFacts): Record<string, string> {
  const { memoryBytes, storageBytes } = facts.machine;
  return {
    ...capacity(facts),
    'ephemeral-storage': String(Math.floor(storageBytes * (1 - storageReserveShare))),
    memory: `${Math.max(0, Math.floor((memoryBytes - memoryReserveBytes) / 1024))}Ki`,
  };
}

/** Resources that somebody advertises in the node's capacity; this kubelet neither has nor counts them. */
export function extendedResources(amounts: Readonly<Record<string, string>> | undefined): Record<string, string> {
  return Object.fromEntries(Object.entries(amounts ?? {}).filter(([name]) => isExtended(name)));
}

/** `previous` keeps the transition times of conditions that did not change. */
export function nodeStatus(facts: NodeFacts, seen: NodeObservation, previous: readonly V1NodeCondition[]): V1NodeStatus {
  const { machine } = facts;
  const addresses: V1NodeAddress[] = facts.addresses.map((address) => ({ type: 'InternalIP', address }));
  addresses.push({ type: 'Hostname', address: facts.nodeName });
  return {
    capacity: capacity(facts),
    allocatable: allocatable(facts),
    conditions: conditions(seen, previous),
    addresses,
    daemonEndpoints: { kubeletEndpoint: { Port: facts.kubeletPort ?? 0 } },
    nodeInfo: {
      machineID: machine.machineId,
      systemUUID: machine.systemUuid,
      bootID: machine.bootId,
      kernelVersion: machine.kernelVersion,
      osImage: machine.osImage,
      containerRuntimeVersion: facts.runtimeVersion,
      kubeletVersion: facts.kubeletVersion,
      kubeProxyVersion: '',
      operatingSystem: machine.operatingSystem,
      architecture: machine.architecture,
      swap: { capacity: machine.swapBytes },
    },
    ...(seen.runtime.handlers.length === 0 ? {} : { runtimeHandlers: seen.runtime.handlers.map(handlerStatus) }),
    declaredFeatures,
    ...(seen.runtime.supplementalGroupsPolicy ? { features: { supplementalGroupsPolicy: true } } : {}),
    images: [...seen.images]
      .sort((a, b) => b.sizeBytes - a.sizeBytes)
      .slice(0, maxImages)
      .map((image) => ({ names: [...image.repoDigests, ...image.repoTags].slice(0, 5), sizeBytes: image.sizeBytes })),
  };
}

/** User namespaces are refused on this node, whatever its runtime could do. */
function handlerStatus({ name, recursiveReadOnlyMounts }: RuntimeHandler): V1NodeRuntimeHandler {
  return { name, features: { recursiveReadOnlyMounts, userNamespaces: false } };
}

function conditions(seen: NodeObservation, previous: readonly V1NodeCondition[]): V1NodeCondition[] {
  const now = rfc3339(seen.nowMs);
  const { runtime, pressure } = seen;
  const list: Omit<V1NodeCondition, 'lastHeartbeatTime' | 'lastTransitionTime'>[] = [
    pressure.has('MemoryPressure')
      ? {
          type: 'MemoryPressure',
          status: 'True',
          reason: 'KubeletHasInsufficientMemory',
          message: 'kubelet has insufficient memory available',
        }
      : {
          type: 'MemoryPressure',
          status: 'False',
          reason: 'KubeletHasSufficientMemory',
          message: 'kubelet has sufficient memory available',
        },
    pressure.has('DiskPressure')
      ? { type: 'DiskPressure', status: 'True', reason: 'KubeletHasDiskPressure', message: 'kubelet has disk pressure' }
      : { type: 'DiskPressure', status: 'False', reason: 'KubeletHasNoDiskPressure', message: 'kubelet has no disk pressure' },
    pressure.has('PIDPressure')
      ? { type: 'PIDPressure', status: 'True', reason: 'KubeletHasInsufficientPID', message: 'kubelet has insufficient PID available' }
      : { type: 'PIDPressure', status: 'False', reason: 'KubeletHasSufficientPID', message: 'kubelet has sufficient PID available' },
  ];
  if (runtime.limitations.length > 0) {
    list.push({ type: 'coffer.dev/RuntimeLimited', status: 'True', reason: 'RuntimeLimitations', message: runtime.limitations.join('; ') });
  }
  list.push(
    runtime.ready
      ? { type: 'Ready', status: 'True', reason: 'KubeletReady', message: 'kubelet is posting ready status' }
      : {
          type: 'Ready',
          status: 'False',
          reason: 'KubeletNotReady',
          message: `container runtime not ready: RuntimeReady=false reason:${runtime.reason ?? ''} message:${runtime.message ?? ''}`,
        },
  );
  return list.map((condition) => {
    const old = previous.find((c) => c.type === condition.type);
    const lastTransitionTime = old?.status === condition.status && old.lastTransitionTime !== undefined ? old.lastTransitionTime : now;
    return { ...condition, lastHeartbeatTime: now, lastTransitionTime };
  });
}
