/**
 * What a pod has been given of cpu and memory, which may differ from what its spec asks for since it was resized, and whether the node can
 * give that. Pure; texts as upstream.
 */
import type { V1ContainerStatus, V1ResourceRequirements } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { amountsOf, requestedAmounts } from '@coffer/api/scheduling/resource-amounts';
import { type Container, isSidecar, type Pod } from '../types.ts';
import { insufficientResource } from './pod-admission.ts';

export interface Allocation {
  /** Resources of the pod as a whole; undefined when it has none. */
  readonly pod: V1ResourceRequirements | undefined;
  /** Resources by the name of the container. */
  readonly containers: ReadonlyMap<string, V1ResourceRequirements>;
}

/** What the spec asks for, for the pod as a whole and every container that can be resized. */
export function desiredAllocation(pod: Pod): Allocation {
  return { pod: pod.spec.resources, containers: new Map(resizable(pod).map(({ name, resources }) => [name, resources ?? {}])) };
}

/** What a pod that ran before this kubelet started had been given then, by its status; what the spec asks for where that says nothing. */
export function adoptedAllocation(pod: Pod): Allocation {
  const statuses = [...(pod.status.initContainerStatuses ?? []), ...(pod.status.containerStatuses ?? [])];
  const { resources } = pod.spec;
  return {
    pod: resources === undefined ? undefined : givenThen(resources, pod.status),
    containers: new Map(
      resizable(pod).map(({ name, resources = {} }) => [
        name,
        givenThen(
          resources,
          statuses.find((status) => status.name === name),
        ),
      ]),
    ),
  };
}

function givenThen(wanted: V1ResourceRequirements, status: Pick<V1ContainerStatus, 'allocatedResources' | 'resources'> | undefined) {
  const { limits, requests } = status?.resources ?? {};
  const given = status?.allocatedResources ?? requests;
  return { ...wanted, ...(limits === undefined ? {} : { limits }), ...(given === undefined ? {} : { requests: given }) };
}

/** The pod with what it has been given instead of what it asks for. */
export function withAllocation(pod: Pod, allocation: Allocation): Pod {
  const same = resizable(pod).every(({ name, resources }) => sameResources(resources, allocation.containers.get(name)));
  if (same && sameResources(pod.spec.resources, allocation.pod)) return pod;
  const given = (container: Container): Container => {
    const resources = allocation.containers.get(container.name);
    return resources === undefined ? container : { ...container, resources };
  };
  const whole = withOwnResources(pod, allocation.pod);
  const { containers, initContainers } = whole.spec;
  const spec = {
    ...whole.spec,
    containers: containers.map(given),
    ...(initContainers === undefined ? {} : { initContainers: initContainers.map(given) }),
  };
  return { ...whole, spec };
}

/** The pod with these resources as a whole, or none. */
export function withOwnResources(pod: Pod, resources: V1ResourceRequirements | undefined): Pod {
  const { resources: _, ...spec } = pod.spec;
  return { ...pod, spec: resources === undefined ? spec : { ...spec, resources } };
}

export function sameResources(a: V1ResourceRequirements | undefined, b: V1ResourceRequirements | undefined): boolean {
  return a === b || (equalJson(a?.limits ?? {}, b?.limits ?? {}) && equalJson(a?.requests ?? {}, b?.requests ?? {}));
}

/** Whether a container has to be started anew for its new resources, by its `resizePolicy`. */
export function restartsForResize(container: Container, before: V1ResourceRequirements): boolean {
  return (container.resizePolicy ?? []).some(({ resourceName, restartPolicy }) => {
    if (restartPolicy !== 'RestartContainer') return false;
    return (['limits', 'requests'] as const).some(
      (list) => amountsOf(container.resources?.[list]).get(resourceName) !== amountsOf(before[list]).get(resourceName),
    );
  });
}

export interface ResizeRefusal {
  /** `Infeasible`: this node will never have it. `Deferred`: it may later. */
  readonly reason: 'Infeasible' | 'Deferred';
  readonly message: string;
  /** What the event calls it. */
  readonly cause: string;
}

/** Undefined when the node can give a pod what its spec asks for. */
export function resizeRefusal(pod: Pod, others: readonly Pod[], allocatable: Readonly<Record<string, string>>): ResizeRefusal | undefined {
  const capacity = amountsOf(allocatable);
  const requested = requestedAmounts(pod);
  for (const name of ['memory', 'cpu']) {
    const amount = requested.get(name) ?? 0;
    const total = capacity.get(name) ?? 0;
    if (amount <= total) continue;
    const message = `Node didn't have enough capacity: ${name}, requested: ${amount}, capacity: ${total}`;
    return { reason: 'Infeasible', message, cause: 'Infeasible' };
  }
  const missing = insufficientResource({ pod, others, allocatable });
  return missing === undefined ? undefined : { reason: 'Deferred', message: missing.message, cause: missing.reason };
}

/** What events say of a resize after their first words. */
export function resizeSummary(pod: Pod, error?: string): string {
  const list = (containers: readonly Container[]) =>
    containers.map(({ name, resources }) => ({ name, ...(resources === undefined ? {} : { resources: inOrder(resources) }) }));
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar);
  const { resources } = pod.spec;
  return JSON.stringify({
    ...(resources === undefined ? {} : { resources: inOrder(resources) }),
    ...(sidecars.length === 0 ? {} : { initContainers: list(sidecars) }),
    containers: list(pod.spec.containers),
    generation: pod.metadata.generation,
    error,
  });
}

function resizable(pod: Pod): readonly Container[] {
  return [...(pod.spec.initContainers ?? []).filter(isSidecar), ...pod.spec.containers];
}

function inOrder({ limits, requests }: V1ResourceRequirements): V1ResourceRequirements {
  const sorted = (amounts: Readonly<Record<string, string>>) =>
    Object.fromEntries(Object.entries(amounts).sort(([a], [b]) => (a < b ? -1 : 1)));
  return { ...(limits === undefined ? {} : { limits: sorted(limits) }), ...(requests === undefined ? {} : { requests: sorted(requests) }) };
}
