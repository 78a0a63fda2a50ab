/** Requests and limits of a pod in the kubelet's terms: QoS class, cgroup figures, OOM score. Pure. */
import { podLimits } from '@coffer/api/kinds/pod-state';
import { getOwn } from '@coffer/api/meta/safe-object';
import { parseQuantity, quantityMilliValue, quantityValue } from '@coffer/api/quantity/quantity';
import type { ContainerResources } from '@coffer/cri/runtime/container-runtime';
import type { Container, Pod } from '../types.ts';

export type QosClass = 'Guaranteed' | 'Burstable' | 'BestEffort';

const minimumShares = 2;
const maximumShares = 262_144;
const sharesPerCpu = 1024;
const quotaPeriodUs = 100_000;
const minimumQuotaUs = 1000;
const guaranteedOomScore = -997;
const bestEffortOomScore = 1000;
/** Priority from which a pod counts as node critical. */
const systemCriticalPriority = 2_000_000_000;

/** The pod's class, from the cpu and memory of its containers (or of the pod as a whole, where set). */
export function qosClassOf(pod: Pod): QosClass {
  const podLevel = pod.spec.resources;
  const sets =
    podLevel !== undefined && (podLevel.requests !== undefined || podLevel.limits !== undefined)
      ? [podLevel]
      : [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map((container) => container.resources ?? {});
  let anything = false;
  let guaranteed = true;
  const requests = new Map<string, bigint>();
  const limits = new Map<string, bigint>();
  for (const set of sets) {
    const limited = new Set<string>();
    for (const name of ['cpu', 'memory']) {
      const request = positive(getOwn(set.requests, name));
      const limit = positive(getOwn(set.limits, name));
      if (request !== undefined) requests.set(name, (requests.get(name) ?? 0n) + request);
      if (limit !== undefined) {
        limits.set(name, (limits.get(name) ?? 0n) + limit);
        limited.add(name);
      }
      if (request !== undefined || limit !== undefined) anything = true;
    }
    if (limited.size < 2) guaranteed = false;
  }
  if (!anything) return 'BestEffort';
  if (guaranteed) for (const [name, request] of requests) if (limits.get(name) !== request) guaranteed = false;
  return guaranteed && requests.size === limits.size ? 'Guaranteed' : 'Burstable';
}

function positive(text: string | undefined): bigint | undefined {
  if (text === undefined) return undefined;
  const { nanos } = parseQuantity(text);
  return nanos > 0n ? nanos : undefined;
}

/** A quantity of bytes, rounded up. */
export function bytesOf(text: string): number {
  return Number(quantityValue(parseQuantity(text)));
}

function milliCpus(text: string): number {
  return Number(quantityMilliValue(parseQuantity(text)));
}

/** What the runtime's cgroups get for one container. */
export function containerResources(pod: Pod, container: Container, memoryCapacityBytes: number): ContainerResources {
  const requests = container.resources?.requests;
  const limits = container.resources?.limits;
  const cpuRequest = getOwn(requests, 'cpu');
  const cpuLimit = getOwn(limits, 'cpu') ?? getOwn(pod.spec.resources?.limits, 'cpu');
  const memoryLimit = getOwn(limits, 'memory') ?? getOwn(pod.spec.resources?.limits, 'memory');
  const limitMilli = cpuLimit === undefined ? 0 : milliCpus(cpuLimit);
  const requestMilli = cpuRequest === undefined ? limitMilli : milliCpus(cpuRequest);
  const memoryLimitBytes = memoryLimit === undefined ? 0 : bytesOf(memoryLimit);
  return {
    memoryLimitBytes: memoryLimitBytes > 0 ? memoryLimitBytes : undefined,
    cpuQuotaUs: limitMilli > 0 ? Math.max(minimumQuotaUs, Math.trunc((limitMilli * quotaPeriodUs) / 1000)) : undefined,
    cpuPeriodUs: limitMilli > 0 ? quotaPeriodUs : undefined,
    cpuShares: Math.min(maximumShares, Math.max(minimumShares, Math.trunc((requestMilli * sharesPerCpu) / 1000))),
    oomScoreAdj: oomScoreAdjust(pod, container, memoryCapacityBytes),
    pidsLimit: undefined,
  };
}

/** What the pod may use of memory altogether; undefined unless it is limited as a whole or every one of its containers is. */
export function podMemoryLimit({ spec }: Pod): string | undefined {
  const everyone = [...spec.containers, ...(spec.initContainers ?? [])].every(
    ({ resources }) => positive(getOwn(resources?.limits, 'memory')) !== undefined,
  );
  return everyone || positive(getOwn(spec.resources?.limits, 'memory')) !== undefined ? getOwn(podLimits(spec), 'memory') : undefined;
}

function oomScoreAdjust(pod: Pod, container: Container, memoryCapacityBytes: number): number {
  if ((pod.spec.priority ?? 0) >= systemCriticalPriority) return guaranteedOomScore;
  switch (qosClassOf(pod)) {
    case 'Guaranteed':
      return guaranteedOomScore;
    case 'BestEffort':
      return bestEffortOomScore;
    case 'Burstable': {
      const request = getOwn(container.resources?.requests, 'memory');
      const requestBytes = request === undefined ? 0 : bytesOf(request);
      const score = 1000 - Math.trunc((1000 * requestBytes) / Math.max(1, memoryCapacityBytes));
      if (score < 1000 + guaranteedOomScore) return 1000 + guaranteedOomScore;
      return score === bestEffortOomScore ? score - 1 : score;
    }
  }
}
