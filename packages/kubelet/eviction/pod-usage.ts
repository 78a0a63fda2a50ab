/** What the pods of a node use, and which of them has to go: limits of local storage, and the order of eviction. Pure; upstream's rules and texts. */

import { getOwn } from '@coffer/api/meta/safe-object';
import { formatQuantity } from '@coffer/api/quantity/quantity';
import { bytesOf } from '../resources/pod-resources.ts';
import { type Container, isSidecar, type Pod } from '../types.ts';
import type { MetThreshold } from './pressure.ts';

export interface ContainerUsage {
  readonly memoryBytes: number;
  /** Writable layer and logs. */
  readonly diskBytes: number;
}

export interface PodUsage {
  readonly containers: ReadonlyMap<string, ContainerUsage>;
  /** Of emptyDir volumes on disk, by volume. */
  readonly emptyDirs: ReadonlyMap<string, number>;
  /** Of emptyDir volumes in memory, by volume: they count for their own limit only. */
  readonly memoryDirs: ReadonlyMap<string, number>;
}

const storage = 'ephemeral-storage';

/** Pods that upstream never evicts: critical ones, and those of files. */
export function isCritical(pod: Pod): boolean {
  const annotations = pod.metadata.annotations;
  const fromFile =
    getOwn(annotations, 'kubernetes.io/config.source') === 'file' || getOwn(annotations, 'kubernetes.io/config.mirror') !== undefined;
  return fromFile || (pod.spec.priority ?? 0) >= 2_000_000_000;
}

/** Whether anything about local storage is limited, so that it has to be measured. */
export function limitsStorage(pod: Pod): boolean {
  return (
    (pod.spec.volumes ?? []).some((volume) => positive(volume.emptyDir?.sizeLimit) !== undefined) ||
    [...pod.spec.containers, ...(pod.spec.initContainers ?? [])].some((container) => limitOf(container) !== undefined)
  );
}

/** Why a pod has to go for what it keeps on disk; undefined when it keeps to its limits. */
export function storageViolation(pod: Pod, usage: PodUsage): string | undefined {
  for (const { name, emptyDir } of pod.spec.volumes ?? []) {
    const limit = positive(emptyDir?.sizeLimit);
    const used = usage.emptyDirs.get(name) ?? usage.memoryDirs.get(name);
    if (limit !== undefined && used !== undefined && used > limit.value) {
      return `Usage of EmptyDir volume ${JSON.stringify(name)} exceeds the limit ${JSON.stringify(limit.text)}. `;
    }
  }
  const total = podLimit(pod);
  if (total !== undefined && diskOf(usage) > total) {
    return `Pod ephemeral local storage usage exceeds the total limit of containers ${binaryText(total)}. `;
  }
  for (const container of [...(pod.spec.initContainers ?? []), ...pod.spec.containers]) {
    const limit = limitOf(container);
    const used = usage.containers.get(container.name)?.diskBytes;
    if (limit !== undefined && used !== undefined && used > limit.value) {
      return `Container ${container.name} exceeded its local ephemeral storage limit ${JSON.stringify(limit.text)}. `;
    }
  }
  return undefined;
}

export interface Candidate {
  readonly pod: Pod;
  readonly usage: PodUsage;
}

/** The pods in the order in which they go: those above their requests, then by priority, then by how much above they are. */
export function rankForEviction(candidates: readonly Candidate[], met: MetThreshold): Candidate[] {
  const facts = candidates.map((candidate) => {
    const used = met.resource === 'memory' ? memoryOf(candidate.usage) : diskOf(candidate.usage);
    const over = used - requestOf(candidate.pod, met.resource === 'memory' ? 'memory' : storage);
    // Neither inodes nor processes can be requested: priority decides, then the disk.
    const exceeds = met.resource === 'memory' || met.resource === storage ? over > 0 : false;
    return { candidate, exceeds, priority: candidate.pod.spec.priority ?? 0, over };
  });
  facts.sort((a, b) => Number(b.exceeds) - Number(a.exceeds) || a.priority - b.priority || b.over - a.over);
  return facts.map(({ candidate }) => candidate);
}

/** What the evicted pod's status and event say. */
export function evictionMessage(met: MetThreshold, { pod, usage }: Candidate): string {
  const memory = met.resource === 'memory';
  let text = `The node was low on resource: ${met.resource}. `;
  const shown = (value: number) => (memory || met.resource === storage ? binaryText(value) : String(Math.trunc(value)));
  text += `Threshold quantity: ${shown(met.thresholdValue)}, available: ${shown(met.amount.available)}. `;
  if (!memory && met.resource !== storage) return text;
  for (const container of [...pod.spec.containers, ...(pod.spec.initContainers ?? []).filter(isSidecar)]) {
    const found = usage.containers.get(container.name);
    if (found === undefined) continue;
    const used = memory ? found.memoryBytes : found.diskBytes;
    const request = getOwn(container.resources?.requests, memory ? 'memory' : storage) ?? '0';
    if (used > bytesOf(request)) {
      text += `Container ${container.name} was using ${binaryText(used)}, request is ${request}, has larger consumption of ${met.resource}. `;
    }
  }
  return text;
}

function diskOf(usage: PodUsage): number {
  return sum([...usage.containers.values()].map(({ diskBytes }) => diskBytes)) + sum([...usage.emptyDirs.values()]);
}

function memoryOf(usage: PodUsage): number {
  return sum([...usage.containers.values()].map(({ memoryBytes }) => memoryBytes));
}

function requestOf(pod: Pod, resource: string): number {
  const requests = (containers: readonly Container[]) => containers.map((c) => bytesOf(getOwn(c.resources?.requests, resource) ?? '0'));
  const sidecars = (pod.spec.initContainers ?? []).filter(isSidecar);
  return sum(requests([...pod.spec.containers, ...sidecars]));
}

/** The sum of the containers' limits, or that of the largest init container. */
function podLimit(pod: Pod): number | undefined {
  const limits = (containers: readonly Container[]) => containers.flatMap((container) => limitOf(container)?.value ?? []);
  const init = pod.spec.initContainers ?? [];
  const regular = limits([...pod.spec.containers, ...init.filter(isSidecar)]);
  const once = limits(init.filter((container) => !isSidecar(container)));
  if (regular.length === 0 && once.length === 0) return undefined;
  return Math.max(sum(regular), ...once);
}

function limitOf(container: Container): { readonly value: number; readonly text: string } | undefined {
  return positive(getOwn(container.resources?.limits, storage));
}

function positive(text: string | undefined): { readonly value: number; readonly text: string } | undefined {
  if (text === undefined) return undefined;
  const value = bytesOf(text);
  return value > 0 ? { value, text } : undefined;
}

function binaryText(bytes: number): string {
  return formatQuantity({ nanos: BigInt(Math.trunc(bytes)) * 1_000_000_000n, format: 'BinarySI' });
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}
