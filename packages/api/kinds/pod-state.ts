/** Facts derived from a pod's spec and status that several parts need: quality of service, ports, totals of resources. */

import type { V1Container, V1ContainerPort, V1Pod, V1PodSpec, V1ResourceRequirements } from '../generated/types.ts';
import { getOwn, setOwn } from '../meta/safe-object.ts';
import { addQuantities, compareQuantities, isZero, maxQuantity } from '../validation/quantities.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';
export type ResourceList = Readonly<Record<string, string>>;

/** An init container that keeps running beside the others. */
export function isSidecar(container: V1Container): boolean {
  return container.restartPolicy === 'Always';
}

/** Finished for good: no container will run again. */
export function isPodTerminal(pod: V1Pod): boolean {
  return pod.status?.phase === 'Succeeded' || pod.status?.phase === 'Failed';
}

/** True when the pod's `Ready` condition is true. */
export function isPodReady(pod: V1Pod): boolean {
  return (pod.status?.conditions ?? []).some((condition) => condition.type === 'Ready' && condition.status === 'True');
}

/** Quality of service from requests and limits of cpu and memory; those of the pod as a whole take precedence. */
export function qosClass(spec: V1PodSpec): QosClass {
  const whole = spec.resources;
  const given = (list: ResourceList | undefined): boolean => Object.values(list ?? {}).some((amount) => !isZero(amount));
  if (whole != null && (given(whole.requests) || given(whole.limits))) return qosOf([whole]);
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  return qosOf(containers.map((container) => container.resources ?? {}));
}

function qosOf(all: readonly V1ResourceRequirements[]): QosClass {
  const requests: Record<string, string> = {};
  const limits: Record<string, string> = {};
  let guaranteed = true;
  for (const requirements of all) {
    addTo(requests, computeResources(requirements.requests));
    const limited = computeResources(requirements.limits);
    addTo(limits, limited);
    if (Object.keys(limited).length !== 2) guaranteed = false;
  }
  if (Object.keys(requests).length === 0 && Object.keys(limits).length === 0) return 'BestEffort';
  const equal = Object.entries(requests).every(([name, amount]) => {
    const limit = getOwn(limits, name);
    return limit !== undefined && compareQuantities(limit, amount) === 0;
  });
  return guaranteed && equal && Object.keys(requests).length === Object.keys(limits).length ? 'Guaranteed' : 'Burstable';
}

function computeResources(list: ResourceList | undefined): Record<string, string> {
  const result: Record<string, string> = {};
  for (const name of ['cpu', 'memory']) {
    const amount = getOwn(list, name);
    if (amount !== undefined && compareQuantities(amount, '0') > 0) result[name] = amount;
  }
  return result;
}

/** All ports of the regular containers and sidecars. */
export function podPorts(spec: V1PodSpec): readonly V1ContainerPort[] {
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? []).filter(isSidecar)];
  return containers.flatMap((container) => container.ports ?? []);
}

/** What the containers of a pod need at most at one time: the sum of those that run together, or the largest init container. */
export function aggregateRequests(spec: V1PodSpec): ResourceList {
  return aggregate(spec, (container) => container.resources?.requests);
}

/** As `aggregateRequests`, of limits. */
export function aggregateLimits(spec: V1PodSpec): ResourceList {
  return aggregate(spec, (container) => container.resources?.limits);
}

/** What the scheduler has to find room for: the containers, or what the pod asks for as a whole, and its overhead. */
export function podRequests(spec: V1PodSpec): ResourceList {
  const total: Record<string, string> = { ...aggregateRequests(spec) };
  for (const [name, amount] of Object.entries(spec.resources?.requests ?? {})) setOwn(total, name, amount);
  addTo(total, spec.overhead ?? {});
  return total;
}

/** What the pod may use at most: as `podRequests`, of limits. Overhead is added only to what is limited. */
export function podLimits(spec: V1PodSpec): ResourceList {
  const total: Record<string, string> = { ...aggregateLimits(spec) };
  for (const [name, amount] of Object.entries(spec.resources?.limits ?? {})) setOwn(total, name, amount);
  const overhead = Object.entries(spec.overhead ?? {}).filter(([name]) => !isZero(getOwn(total, name) ?? '0'));
  for (const [name, amount] of overhead) setOwn(total, name, addQuantities(getOwn(total, name) ?? '0', amount));
  return total;
}

function aggregate(spec: V1PodSpec, listOf: (container: V1Container) => ResourceList | undefined): ResourceList {
  const total: Record<string, string> = {};
  for (const container of spec.containers ?? []) addTo(total, listOf(container) ?? {});
  const sidecars: Record<string, string> = {};
  const init: Record<string, string> = {};
  for (const container of spec.initContainers ?? []) {
    const needed: Record<string, string> = { ...listOf(container) };
    if (isSidecar(container)) {
      addTo(total, needed);
      addTo(sidecars, needed);
      raiseTo(init, sidecars);
    } else {
      addTo(needed, sidecars);
      raiseTo(init, needed);
    }
  }
  raiseTo(total, init);
  return total;
}

function addTo(total: Record<string, string>, list: ResourceList): void {
  for (const name of Object.keys(list)) setOwn(total, name, addQuantities(getOwn(total, name) ?? '0', getOwn(list, name) ?? '0'));
}

function raiseTo(total: Record<string, string>, list: ResourceList): void {
  for (const name of Object.keys(list)) setOwn(total, name, maxQuantity(getOwn(total, name) ?? '0', getOwn(list, name) ?? '0'));
}
