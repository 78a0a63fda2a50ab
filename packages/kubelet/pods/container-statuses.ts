/**
 * `status.containerStatuses` and its siblings: what the runtime shows, joined with what the last status said and with why a container
 * could not be started. Pure; upstream's rules and texts.
 */
import type { V1ContainerState, V1ResourceRequirements, V1VolumeMount, V1VolumeMountStatus } from '@coffer/api/generated/types';
import type { ContainerStatus } from '@coffer/cri/runtime/container-runtime';
import { factsOf } from '../runtime/labels.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import type { Container, ContainerApiStatus, ContainerKind, Pod } from '../types.ts';
import { isSidecar } from '../types.ts';
import { isRecursivelyReadOnly } from '../volumes/recursive-read-only.ts';
import { latestContainer, shouldBeStarted } from './restart-policy.ts';
import { rfc3339 } from './time-format.ts';

export interface StartFailure {
  readonly reason: string;
  readonly message: string;
}

export interface ContainerStatusInput {
  readonly pod: Pod;
  readonly runtime: RuntimePod;
  /** Name in front of container IDs: `containerd`, `sandbox`. */
  readonly runtimeName: string;
  readonly previous: readonly ContainerApiStatus[];
  readonly kind: ContainerKind;
  readonly containers: readonly Container[];
  readonly hasInitContainers: boolean;
  readonly startFailure: (container: string) => StartFailure | undefined;
  /** Termination messages by container ID. */
  readonly messages: ReadonlyMap<string, string>;
  /** Containers that were cleared away to be started anew. */
  readonly restarting: ReadonlySet<string>;
  /** What a running container has, by its ID; without an entry what its pod was given. */
  readonly applied: ReadonlyMap<string, V1ResourceRequirements>;
  /** Whether mounts can be read-only with what is mounted below them. */
  readonly recursiveReadOnly: boolean;
}

/** What a container (or a pod) has while it does not have all that was given to it. No runtime knows of a request for memory. */
export function actualResources(allocated: V1ResourceRequirements, applied: V1ResourceRequirements): V1ResourceRequirements {
  const cpu = applied.requests?.cpu;
  const requests = { ...allocated.requests, ...(cpu === undefined ? {} : { cpu }) };
  return {
    ...allocated,
    ...(applied.limits === undefined ? {} : { limits: applied.limits }),
    ...(Object.keys(requests).length === 0 ? {} : { requests }),
  };
}

type Draft = { -readonly [K in keyof ContainerApiStatus]: ContainerApiStatus[K] };

const exitCodeOfLostContainer = 137;

export function containerStatuses(input: ContainerStatusInput): ContainerApiStatus[] {
  const drafts = new Map<string, Draft>();
  for (const container of input.containers) drafts.set(container.name, defaultStatus(input, container));
  for (const container of input.containers) inferLostContainer(input, container, drafts);
  applyRuntime(input, drafts);
  for (const container of input.containers) applyStartFailure(input, container, drafts);
  const list = [...drafts.values()];
  // Init containers keep the order of the spec, as they run in it.
  return input.kind === 'init' ? list : list.sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
}

function defaultStatus(input: ContainerStatusInput, container: Container): Draft {
  const previous = input.previous.find((status) => status.name === container.name);
  const restarts = input.restarting.has(container.name);
  if (previous?.state?.terminated !== undefined && !restarts) return { ...previous };
  return {
    name: container.name,
    state: { waiting: { reason: input.hasInitContainers ? 'PodInitializing' : 'ContainerCreating' } },
    lastState: previous?.state?.terminated === undefined ? (previous?.lastState ?? {}) : { terminated: previous.state.terminated },
    ready: false,
    restartCount: previous?.restartCount ?? 0,
    image: container.image ?? '',
    imageID: '',
    started: false,
    ...volumeMountStatuses(container, input.recursiveReadOnly),
  };
}

function volumeMountStatuses(container: Container, supported: boolean): { volumeMounts?: V1VolumeMountStatus[] } {
  const mounts = (container.volumeMounts ?? []).map((mount) => ({
    name: mount.name,
    mountPath: mount.mountPath,
    ...(mount.readOnly === true ? { readOnly: true, recursiveReadOnly: recursively(mount, supported) ? 'Enabled' : 'Disabled' } : {}),
  }));
  return mounts.length === 0 ? {} : { volumeMounts: mounts };
}

/** What cannot be is not. */
function recursively(mount: V1VolumeMount, supported: boolean): boolean {
  try {
    return isRecursivelyReadOnly(mount, supported);
  } catch {
    return false;
  }
}

/** A container that ran and of which the runtime knows nothing any more did end, even though nobody saw how. */
function inferLostContainer(input: ContainerStatusInput, container: Container, drafts: Map<string, Draft>): void {
  if (latestContainer(input.runtime, container.name) !== undefined || input.restarting.has(container.name)) return;
  const previous = input.previous.find((status) => status.name === container.name);
  const draft = drafts.get(container.name);
  if (draft === undefined || previous?.state?.running === undefined) return;
  if (draft.state?.waiting === undefined || draft.lastState?.terminated !== undefined) return;
  draft.lastState = {
    terminated: {
      exitCode: exitCodeOfLostContainer,
      reason: 'ContainerStatusUnknown',
      message: 'The container could not be located when the pod was deleted.  The container used to be Running',
    },
  };
  if (input.pod.metadata.deletionTimestamp === undefined) draft.restartCount += 1;
}

function applyRuntime(input: ContainerStatusInput, drafts: Map<string, Draft>): void {
  const seen = new Map<string, number>();
  for (const status of input.runtime.containers) {
    const draft = drafts.get(status.name);
    const count = seen.get(status.name) ?? 0;
    if (draft === undefined || count >= 2) continue;
    seen.set(status.name, count + 1);
    if (count === 1) {
      draft.lastState = runtimeState(input, status, undefined);
      continue;
    }
    const container = input.containers.find((c) => c.name === status.name);
    const previous = input.previous.find((s) => s.name === status.name);
    drafts.set(status.name, runtimeStatus(input, status, container, previous));
  }
}

function runtimeStatus(
  input: ContainerStatusInput,
  status: ContainerStatus,
  container: Container | undefined,
  previous: ContainerApiStatus | undefined,
): Draft {
  const id = `${input.runtimeName}://${status.id}`;
  const restartCount = Math.max(factsOf(status).attempt, previous?.restartCount ?? 0);
  const differs = previous?.containerID !== id;
  const lastTerminated = differs && previous?.state?.terminated !== undefined ? previous.state.terminated : previous?.lastState?.terminated;
  const allocated = container?.resources;
  const applied = status.state === 'running' ? input.applied.get(status.id) : undefined;
  const resources = applied === undefined ? allocated : actualResources(allocated ?? {}, applied);
  return {
    name: status.name,
    state: runtimeState(input, status, previous),
    lastState: lastTerminated === undefined ? {} : { terminated: lastTerminated },
    ready: false,
    restartCount,
    image: status.image,
    imageID: status.imageRef,
    containerID: id,
    started: false,
    ...(allocated?.requests === undefined ? {} : { allocatedResources: allocated.requests }),
    ...(resources === undefined ? {} : { resources }),
    ...(container === undefined ? {} : volumeMountStatuses(container, input.recursiveReadOnly)),
    ...(status.user === undefined
      ? {}
      : {
          user: {
            linux: {
              uid: status.user.uid,
              gid: status.user.gid,
              ...(status.user.supplementalGroups.length === 0 ? {} : { supplementalGroups: status.user.supplementalGroups }),
            },
          },
        }),
  };
}

function runtimeState(input: ContainerStatusInput, status: ContainerStatus, previous: ContainerApiStatus | undefined): V1ContainerState {
  switch (status.state) {
    case 'running':
      return { running: { startedAt: rfc3339(status.startedAtMs ?? status.createdAtMs) } };
    case 'created':
      return { waiting: {} };
    case 'exited': {
      const message = [status.message, input.messages.get(status.id) ?? ''].filter((text) => text !== '').join(': ');
      return {
        terminated: {
          exitCode: status.exitCode ?? 0,
          ...(status.reason === '' ? {} : { reason: status.reason }),
          ...(message === '' ? {} : { message }),
          // Of one that never ran this is the beginning of time, as upstream has it.
          startedAt: rfc3339(status.startedAtMs ?? 0),
          finishedAt: rfc3339(status.finishedAtMs ?? status.createdAtMs),
          containerID: `${input.runtimeName}://${status.id}`,
        },
      };
    }
    case 'unknown':
      if (previous?.state?.running === undefined) return { waiting: {} };
      return {
        terminated: {
          exitCode: exitCodeOfLostContainer,
          reason: 'ContainerStatusUnknown',
          message: 'The container could not be located when the pod was terminated',
        },
      };
  }
}

/** A container that is about to be started is waiting, and says what kept it from starting. */
function applyStartFailure(input: ContainerStatusInput, container: Container, drafts: Map<string, Draft>): void {
  const draft = drafts.get(container.name);
  if (draft === undefined) return;
  const status = latestContainer(input.runtime, container.name);
  if (input.kind === 'init') {
    if (status?.state === 'exited' && status.exitCode === 0 && !isSidecar(container)) return;
    const regularRan = input.pod.spec.containers.some((c) => latestContainer(input.runtime, c.name) !== undefined);
    if (status === undefined && regularRan && !isSidecar(container) && draft.state?.waiting !== undefined) {
      draft.state = {
        terminated: {
          exitCode: 0,
          reason: 'Completed',
          message: 'Unable to get init container status from container runtime and pod has been initialized, treat it as exited normally',
        },
      };
      return;
    }
  }
  if (!shouldBeStarted(container, input.pod, input.runtime)) return;
  const failure = input.startFailure(container.name);
  if (failure === undefined) return;
  if (draft.state?.terminated !== undefined) draft.lastState = { terminated: draft.state.terminated };
  draft.state = {
    waiting: { reason: failure.reason, ...(failure.message === '' ? {} : { message: failure.message }) },
  };
}
