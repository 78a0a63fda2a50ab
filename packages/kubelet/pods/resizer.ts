/**
 * Gives running pods what a resize of their spec asks for. Promises: a pod gets all of it or stays as it is, with the reason in a condition;
 * pods that wait for the same room get it by rank; containers keep running unless their `resizePolicy` says otherwise; what the runtime
 * refuses is tried again.
 */
import { quoteGo } from '@coffer/api/errors/field-error';
import type { V1ResourceRequirements } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { requestedAmounts } from '@coffer/api/scheduling/resource-amounts';
import type { ContainerResources, ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { containerResources, qosClassOf } from '../resources/pod-resources.ts';
import type { RuntimePod } from '../runtime/runtime-cache.ts';
import type { Container, Pod, PodCondition } from '../types.ts';
import { messageOf } from '../volumes/payloads.ts';
import {
  type Allocation,
  adoptedAllocation,
  desiredAllocation,
  type ResizeRefusal,
  resizeRefusal,
  resizeSummary,
  restartsForResize,
  sameResources,
  withAllocation,
  withOwnResources,
} from './pod-resize.ts';
import { latestContainer } from './restart-policy.ts';

/** A pod that takes up room on this node. */
export interface Claim {
  readonly pod: Pod;
  readonly resize: ResizeState;
  /** It is on its way out, and gets nothing more. */
  readonly ending: boolean;
}

export interface ResizerDeps {
  readonly runtime: ContainerRuntime;
  readonly memoryCapacityBytes: number;
  readonly allocatable: () => Readonly<Record<string, string>>;
  /** What pods take up here. */
  readonly claims: () => readonly Claim[];
  /** There may be room now for what a pod waits for. */
  readonly wake: (uid: string) => void;
  readonly podEvent: (pod: Pod, type: 'Normal' | 'Warning', reason: string, message: string) => void;
}

/** What is remembered of one pod. */
export class ResizeState {
  /** What the pod has been given; undefined before it was looked at. */
  allocation: Allocation | undefined;
  refusal: ResizeRefusal | undefined;
  /** Counts up with every pod that begins to wait. */
  turn = Number.POSITIVE_INFINITY;
  /** A resize has begun and not ended. */
  underWay = false;
  failure: string | undefined;
  /** By container ID: what that instance runs with. */
  readonly applied = new Map<string, V1ResourceRequirements>();
  /** What of the pod's own resources its containers run with. */
  appliedPod: V1ResourceRequirements | undefined;

  /** The pod as this node runs it. */
  given(pod: Pod): Pod {
    return this.allocation === undefined ? pod : withAllocation(pod, this.allocation);
  }

  /** Conditions that say how far a resize is; none when there is nothing to say. */
  conditions(): PodCondition[] {
    const conditions: PodCondition[] = [];
    if (this.refusal !== undefined) {
      const { reason, message } = this.refusal;
      conditions.push({ type: 'PodResizePending', status: 'True', reason, message });
    }
    if (this.failure !== undefined)
      conditions.push({ type: 'PodResizeInProgress', status: 'True', reason: 'Error', message: this.failure });
    else if (this.underWay) conditions.push({ type: 'PodResizeInProgress', status: 'True' });
    return conditions;
  }

  appliedTo(id: string, container: Container): V1ResourceRequirements {
    return this.applied.get(id) ?? container.resources ?? {};
  }
}

const retryMs = 10_000;

export class Resizer {
  readonly #deps: ResizerDeps;
  #turns = 0;

  constructor(deps: ResizerDeps) {
    this.#deps = deps;
  }

  /** Decides whether the pod gets what its spec asks for. Returns when to ask again at the latest. */
  allocate(pod: Pod, state: ResizeState, runtime: RuntimePod): number | undefined {
    const { podEvent } = this.#deps;
    if (state.allocation === undefined) {
      state.allocation = adoptedAllocation(pod);
      state.appliedPod = state.allocation.pod;
      for (const { id, name } of runtime.containers) {
        const given = state.allocation.containers.get(name);
        if (given !== undefined) state.applied.set(id, given);
      }
    }
    if (state.given(pod) === pod) {
      this.#endWait(state);
      return undefined;
    }
    const refusal = this.#refusal(pod, state);
    if (refusal !== undefined) {
      if (refusal.message !== state.refusal?.message) {
        podEvent(pod, 'Warning', `Resize${refusal.reason}`, `Pod resize ${refusal.cause}: ${resizeSummary(pod, refusal.message)}`);
      }
      if (state.refusal === undefined) state.turn = this.#turns++;
      state.refusal = refusal;
      return retryMs;
    }
    this.#endWait(state);
    state.allocation = desiredAllocation(pod);
    state.underWay = true;
    podEvent(pod, 'Normal', 'ResizeStarted', `Pod resize started: ${resizeSummary(pod)}`);
    this.retryDeferred();
    return undefined;
  }

  /** Room may have become free: pods that wait for some ask again. */
  retryDeferred(): void {
    for (const { pod } of this.#waiting()) this.#deps.wake(pod.metadata.uid);
  }

  #endWait(state: ResizeState): void {
    state.refusal = undefined;
    state.turn = Number.POSITIVE_INFINITY;
  }

  #waiting(): readonly Claim[] {
    return this.#deps.claims().filter(({ resize, ending }) => !ending && resize.refusal?.reason === 'Deferred');
  }

  /** Why the pod cannot have what it asks for; what waits in front of it and fits comes first. */
  #refusal(pod: Pod, state: ResizeState): ResizeRefusal | undefined {
    const { claims, allocatable, wake } = this.#deps;
    const { uid } = pod.metadata;
    const taken = new Map(claims().map((claim) => [claim.pod.metadata.uid, claim.resize.given(claim.pod)]));
    const without = (one: string) => [...taken].flatMap(([other, given]) => (other === one ? [] : [given]));
    const own: Claim = { pod, resize: state, ending: false };
    const before = this.#waiting().filter((claim) => claim.pod.metadata.uid !== uid && byRank(claim, own) < 0);
    for (const { pod: earlier } of before.sort(byRank)) {
      if (resizeRefusal(earlier, without(earlier.metadata.uid), allocatable()) !== undefined) continue;
      taken.set(earlier.metadata.uid, earlier);
      wake(earlier.metadata.uid);
    }
    return resizeRefusal(pod, without(uid), allocatable());
  }

  /** Whether a running container has to be started anew to get what its pod was given. */
  needsRestart(state: ResizeState, container: Container, id: string): boolean {
    const before = state.appliedTo(id, container);
    return !sameResources(before, container.resources) && restartsForResize(container, before);
  }

  /** Gives running containers what the pod was given; `pod` is the pod as this node runs it. Returns when to try again what failed. */
  async apply(pod: Pod, state: ResizeState, runtime: RuntimePod): Promise<number | undefined> {
    const { podEvent } = this.#deps;
    try {
      await this.#update(pod, state, runtime);
    } catch (error) {
      const failure = messageOf(error);
      if (failure !== state.failure) podEvent(pod, 'Warning', 'ResizeError', `Pod resize error: ${resizeSummary(pod, failure)}`);
      state.failure = failure;
      return retryMs;
    }
    state.failure = undefined;
    if (state.underWay) podEvent(pod, 'Normal', 'ResizeCompleted', `Pod resize completed: ${resizeSummary(pod)}`);
    state.underWay = false;
    return undefined;
  }

  async #update(pod: Pod, state: ResizeState, runtime: RuntimePod): Promise<void> {
    const changed = [...(pod.spec.initContainers ?? []), ...pod.spec.containers].flatMap((container) => {
      const status = latestContainer(runtime, container.name);
      if (status?.state !== 'running') return [];
      const resources = state.appliedTo(status.id, container);
      const before = this.#figures(pod, state.appliedPod, container, resources);
      const after = this.#figures(pod, pod.spec.resources, container, container.resources ?? {});
      if (sameResources(resources, container.resources) && equalJson(before, after)) return [];
      return [{ id: status.id, container, before, after }];
    });
    await this.#refuseBelowUsage(changed);
    for (const { id, container, after } of changed) {
      await this.#deps.runtime.updateContainerResources(id, after);
      state.applied.set(id, container.resources ?? {});
    }
    state.appliedPod = pod.spec.resources;
  }

  /** What a container's control group gets; a limit of the pod as a whole is the limit of a container that has none. */
  #figures(
    pod: Pod,
    whole: V1ResourceRequirements | undefined,
    container: Container,
    resources: V1ResourceRequirements,
  ): ContainerResources {
    return containerResources(withOwnResources(pod, whole), { ...container, resources }, this.#deps.memoryCapacityBytes);
  }

  /** A limit below what a container uses now would end it. Looked at for all before any gets less. */
  async #refuseBelowUsage(changed: readonly Change[]): Promise<void> {
    const shrinking = changed.filter(({ before, after }) => {
      const limit = after.memoryLimitBytes;
      return limit !== undefined && (before.memoryLimitBytes === undefined || limit < before.memoryLimitBytes);
    });
    if (shrinking.length === 0) return;
    const stats = await this.#deps.runtime.containerStats();
    const problems = shrinking.flatMap(({ id, container, after }) => {
      const usage = stats.find(({ containerId }) => containerId === id)?.memoryWorkingSetBytes ?? 0;
      const limit = after.memoryLimitBytes ?? 0;
      return usage > limit
        ? [`attempting to set container ${quoteGo(container.name)} memory limit (${limit}) below current usage (${usage})`]
        : [];
    });
    if (problems.length > 0) throw new Error(`cannot decrease memory limits: ${goAggregate(problems)}`);
  }
}

/** Who gets room first: those that want no more than before, then by priority, guaranteed pods, and who has waited longest. */
function byRank(a: Claim, b: Claim): number {
  return (
    Number(wantsMore(a)) - Number(wantsMore(b)) ||
    (b.pod.spec.priority ?? 0) - (a.pod.spec.priority ?? 0) ||
    Number(qosClassOf(b.pod) === 'Guaranteed') - Number(qosClassOf(a.pod) === 'Guaranteed') ||
    (a.resize.turn < b.resize.turn ? -1 : 1)
  );
}

function wantsMore({ pod, resize }: Claim): boolean {
  const given = requestedAmounts(resize.given(pod));
  return ['cpu', 'memory'].some((name) => (requestedAmounts(pod).get(name) ?? 0) > (given.get(name) ?? 0));
}

interface Change {
  readonly id: string;
  readonly container: Container;
  readonly before: ContainerResources;
  readonly after: ContainerResources;
}

/** Several errors as Go's utilities join them. */
function goAggregate(errors: readonly string[]): string {
  return errors.length === 1 ? (errors[0] ?? '') : `[${errors.join(', ')}]`;
}
