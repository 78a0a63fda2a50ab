/** The whole `status` of a pod, computed from the runtime, the probes and the last status. Pure; nothing is sent here. */

import type { V1ResourceRequirements } from '@coffer/api/generated/types';
import { restartsAllContainers } from '@coffer/api/kinds/restart-rules';
import { qosClassOf } from '../resources/pod-resources.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import {
  type Container,
  type ContainerApiStatus,
  isSidecar,
  isTerminalPhase,
  type Pod,
  type PodCondition,
  type PodStatus,
} from '../types.ts';
import { actualResources, containerStatuses, type StartFailure } from './container-statuses.ts';
import { disruptionCondition, isKubelets, podConditions } from './pod-conditions.ts';
import { podPhase } from './pod-phase.ts';
import { latestContainer } from './restart-policy.ts';
import { rfc3339 } from './time-format.ts';

/** What probes say about a running container. */
export interface ProbeView {
  started(uid: string, container: Container, containerId: string): boolean;
  ready(uid: string, container: Container, containerId: string): boolean;
}

/** The kubelet's own decision that a pod has failed: its deadline has passed, this node does not take it, or cannot keep it. */
export interface Verdict {
  readonly reason: string;
  readonly message: string;
  /** The pod was never accepted: there is nothing to say of its containers. */
  readonly rejected: boolean;
  /** The node needs what the pod uses: the pod is not to blame. */
  readonly disruption?: boolean;
}

export interface PodStatusInput {
  readonly pod: Pod;
  /** The last status that was computed, or that of the API. */
  readonly previous: PodStatus;
  readonly runtime: RuntimePod;
  readonly runtimeName: string;
  readonly podIsTerminal: boolean;
  readonly probes: ProbeView;
  readonly startFailure: (container: string) => StartFailure | undefined;
  readonly messages: ReadonlyMap<string, string>;
  readonly hostIps: readonly string[];
  readonly nowMs: number;
  /** Set when the kubelet itself ends the pod. */
  readonly verdict: Verdict | undefined;
  /** How far a resize is. */
  readonly resize: readonly PodCondition[];
  /** Containers that are to be started anew because all of the pod is. */
  readonly restarting: ReadonlySet<string>;
  /** By container ID: what running containers have. */
  readonly applied: ReadonlyMap<string, V1ResourceRequirements>;
  /** What of the pod's own resources its containers have. */
  readonly appliedPod: V1ResourceRequirements | undefined;
  /** Whether mounts can be read-only with what is mounted below them. */
  readonly recursiveReadOnly: boolean;
}

/** Conditions come without times; the status manager adds them. */
export function computePodStatus(input: PodStatusInput): PodStatus {
  const { pod, previous, runtime, verdict } = input;
  if (verdict?.rejected === true) return rejectedStatus(input, verdict);
  const hasInitContainers = (pod.spec.initContainers ?? []).length > 0;
  const common = {
    pod,
    runtime,
    runtimeName: input.runtimeName,
    hasInitContainers,
    startFailure: input.startFailure,
    messages: input.messages,
    restarting: input.restarting,
    applied: input.applied,
    recursiveReadOnly: input.recursiveReadOnly,
  };
  const init = containerStatuses({
    ...common,
    kind: 'init',
    containers: pod.spec.initContainers ?? [],
    previous: previous.initContainerStatuses ?? [],
  });
  const regular = containerStatuses({
    ...common,
    kind: 'regular',
    containers: pod.spec.containers,
    previous: previous.containerStatuses ?? [],
  });
  const ephemeral = containerStatuses({
    ...common,
    kind: 'ephemeral',
    containers: (pod.spec.ephemeralContainers ?? []) as readonly Container[],
    previous: previous.ephemeralContainerStatuses ?? [],
  });
  applyProbes(input, init, pod.spec.initContainers ?? [], true);
  applyProbes(input, regular, pod.spec.containers, false);
  const sandbox = runtime.sandboxes[0];
  const hasSandbox = sandbox?.state === 'ready';
  const initialized = pod.spec.containers.some((container) => {
    const status = latestContainer(runtime, container.name);
    return status !== undefined && status.state !== 'created' && status.sandboxId === sandbox?.id;
  });
  let phase = podPhase(pod, [...regular, ...init], input.podIsTerminal, initialized, input.restarting);
  if (!isTerminalPhase(phase)) {
    if (isTerminalPhase(previous.phase)) phase = previous.phase ?? phase;
    else if (isTerminalPhase(pod.status.phase)) phase = pod.status.phase ?? phase;
  }
  if (verdict !== undefined) phase = 'Failed';
  if (isTerminalPhase(pod.status.phase)) phase = pod.status.phase ?? phase;
  const kept = phase === previous.phase ? previous : {};
  const reason = verdict?.reason ?? kept.reason ?? (phase === pod.status.phase ? pod.status.reason : undefined);
  const message = verdict?.message ?? kept.message ?? (phase === pod.status.phase ? pod.status.message : undefined);
  const disrupted = verdict?.disruption === true;
  const foreign = (pod.status.conditions ?? []).filter(
    (condition) => !isKubelets(condition) && !(disrupted && condition.type === 'DisruptionTarget'),
  );
  const generation = pod.metadata.generation;
  const restarting = restartsAllContainers(pod.spec)
    ? runtime.containers.some((container) => input.restarting.has(container.name))
    : undefined;
  const own = podConditions({ pod, phase, statuses: [...init, ...regular], hasSandbox, foreign, restarting });
  own.push(...input.resize);
  if (disrupted) own.push(disruptionCondition(verdict?.message ?? ''));
  const conditions = own.map((condition) => (generation === undefined ? condition : { ...condition, observedGeneration: generation }));
  const podIps = podIpsOf(pod, runtime, input.hostIps);
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase,
    conditions: [...foreign, ...conditions],
    ...(reason === undefined || reason === '' ? {} : { reason }),
    ...(message === undefined || message === '' ? {} : { message }),
    ...(input.hostIps[0] === undefined ? {} : { hostIP: input.hostIps[0], hostIPs: input.hostIps.map((ip) => ({ ip })) }),
    ...(podIps[0] === undefined ? {} : { podIP: podIps[0], podIPs: podIps.map((ip) => ({ ip })) }),
    startTime: previous.startTime ?? pod.status.startTime ?? rfc3339(input.nowMs),
    ...(init.length === 0 ? {} : { initContainerStatuses: init }),
    containerStatuses: regular,
    ...(ephemeral.length === 0 ? {} : { ephemeralContainerStatuses: ephemeral }),
    qosClass: pod.status.qosClass ?? qosClassOf(pod),
    ...wholeResources(pod, input.appliedPod),
  };
}

/** What the pod was given and has as a whole; only where its spec says something of that. */
function wholeResources({ spec }: Pod, applied: V1ResourceRequirements | undefined): Pick<PodStatus, 'allocatedResources' | 'resources'> {
  const { resources } = spec;
  if (resources === undefined) return {};
  return {
    ...(resources.requests === undefined ? {} : { allocatedResources: resources.requests }),
    resources: applied === undefined ? resources : actualResources(resources, applied),
  };
}

function rejectedStatus({ pod, previous, nowMs }: PodStatusInput, { reason, message }: Verdict): PodStatus {
  const { generation } = pod.metadata;
  return {
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    phase: 'Failed',
    conditions: (pod.status.conditions ?? []).filter((condition) => !isKubelets(condition)),
    reason,
    message,
    startTime: previous.startTime ?? rfc3339(nowMs),
    qosClass: pod.status.qosClass ?? qosClassOf(pod),
  };
}

/** Addresses of a pod; those of the node when it has its network, by choice or because the runtime gives pods none of their own. */
export function podIpsOf(pod: Pod, runtime: RuntimePod, hostIps: readonly string[]): readonly string[] {
  if (pod.spec.hostNetwork === true) return hostIps.slice(0, 1);
  const sandbox = runtime.sandboxes[0];
  if (sandbox === undefined) return [];
  return sandbox.ips.length > 0 ? sandbox.ips : hostIps.slice(0, 1);
}

type Draft = { -readonly [K in keyof ContainerApiStatus]: ContainerApiStatus[K] };

/** `started` and `ready`, from the probes of running containers. */
function applyProbes(input: PodStatusInput, statuses: Draft[], containers: readonly Container[], init: boolean): void {
  const uid = input.pod.metadata.uid;
  for (const status of statuses) {
    const container = containers.find((c) => c.name === status.name);
    if (container === undefined) continue;
    const id = latestContainer(input.runtime, status.name)?.id ?? '';
    const running = status.state?.running !== undefined;
    if (init && !isSidecar(container)) {
      status.started = running;
      status.ready = status.state?.terminated !== undefined && status.state.terminated.exitCode === 0;
      continue;
    }
    status.started = running && input.probes.started(uid, container, id);
    status.ready = status.started && input.probes.ready(uid, container, id);
  }
}
