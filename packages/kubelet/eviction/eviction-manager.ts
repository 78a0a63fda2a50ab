/**
 * Evicts pods: those that keep more on disk than they may, and where the node runs short of something, one after the other until it does
 * not. Looks every 10 seconds; also answers whether a new pod may come, and which conditions the Node object shows.
 */
import { realpath } from 'node:fs/promises';
import { join } from 'node:path';
import { diskUsageBytes } from '@coffer/base/files/disk-usage';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ContainerStats } from '@coffer/cri/runtime/container-runtime';
import { qosClassOf } from '../resources/pod-resources.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import type { Pod } from '../types.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';
import type { NodeResources } from './node-resources.ts';
import {
  type ContainerUsage,
  evictionMessage,
  isCritical,
  limitsStorage,
  type PodUsage,
  rankForEviction,
  storageViolation,
} from './pod-usage.ts';
import { type MetThreshold, metThresholds, type PressureCondition, PressureHistory, type Thresholds } from './pressure.ts';

export interface EvictionManagerDeps {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directories: PodDirectories;
  readonly thresholds: Thresholds;
  readonly resources: () => Promise<NodeResources>;
  /** Pods that run and are not on their way out. */
  readonly pods: () => readonly Pod[];
  /** Ends a pod; `disruption` when the node and not the pod is the reason. */
  readonly evict: (pod: Pod, message: string, disruption: boolean) => void;
  /** Frees what nobody needs before pods have to go for it. */
  readonly reclaimDisk: () => Promise<void>;
}

const lookMs = 10_000;
const transitionMs = 300_000;
const memoryPressureTaint = 'node.kubernetes.io/memory-pressure';

export class EvictionManager {
  readonly #deps: EvictionManagerDeps;
  readonly #history = new PressureHistory(transitionMs);

  constructor(deps: EvictionManagerDeps) {
    this.#deps = deps;
  }

  /** Works until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { clock, logger } = this.#deps;
    while (!signal.aborted) {
      await clock.sleep(lookMs, signal).catch(() => {});
      if (signal.aborted) return;
      await this.look().catch((error: unknown) => logger.warn('the use of resources could not be looked at', { err: error }));
    }
  }

  /** What the node is short of, as its conditions say. */
  conditions(): ReadonlySet<PressureCondition> {
    return this.#history.active(this.#deps.clock.monotonicMs());
  }

  /** Takes what the machine has left; pods go only at the next look. */
  async observe(): Promise<readonly MetThreshold[]> {
    const { clock, thresholds, resources } = this.#deps;
    const met = metThresholds(thresholds, await resources());
    this.#history.note(met, clock.monotonicMs());
    return met;
  }

  /** Why a new pod may not come now; undefined when it may. */
  refusal(pod: Pod): string | undefined {
    const active = this.conditions();
    if (active.size === 0 || isCritical(pod)) return undefined;
    if (active.size === 1 && active.has('MemoryPressure') && (qosClassOf(pod) !== 'BestEffort' || tolerates(pod))) return undefined;
    return `The node had condition: [${[...active].join(' ')}]. `;
  }

  /** One look: at the limits of every pod, then at what the node has left. */
  async look(): Promise<void> {
    const { pods, evict, reclaimDisk } = this.#deps;
    let met = await this.observe();
    const stats = await this.#stats(met.length > 0 || pods().some(limitsStorage));
    for (const pod of pods().filter((candidate) => limitsStorage(candidate) && !isCritical(candidate))) {
      const violation = storageViolation(pod, await this.#usage(pod, stats));
      if (violation !== undefined) evict(pod, violation, false);
    }
    if (met.some(({ condition }) => condition === 'DiskPressure')) {
      await reclaimDisk();
      met = await this.observe();
    }
    const [worst] = met;
    if (worst === undefined) return;
    const candidates = await Promise.all(
      pods()
        .filter((pod) => !isCritical(pod))
        .map(async (pod) => ({ pod, usage: await this.#usage(pod, stats) })),
    );
    const [first] = rankForEviction(candidates, worst);
    if (first !== undefined) evict(first.pod, evictionMessage(worst, first), true);
  }

  async #stats(needed: boolean): Promise<ReadonlyMap<string, ContainerStats>> {
    const list = needed ? await this.#deps.runtime.containerStats() : [];
    return new Map(list.map((entry) => [entry.containerId, entry]));
  }

  async #usage(pod: Pod, stats: ReadonlyMap<string, ContainerStats>): Promise<PodUsage> {
    const { cache, directories } = this.#deps;
    const { uid } = pod.metadata;
    const containers = new Map<string, ContainerUsage>();
    for (const status of cache.get(uid).containers) {
      const found = stats.get(status.id);
      if (found === undefined || status.state !== 'running') continue;
      const logs = await diskUsageBytes(join(directories.logs(pod), status.name));
      containers.set(status.name, { memoryBytes: found.memoryWorkingSetBytes, diskBytes: found.writableLayerBytes + logs });
    }
    const emptyDirs = new Map<string, number>();
    const memoryDirs = new Map<string, number>();
    for (const volume of pod.spec.volumes ?? []) {
      if (volume.emptyDir === undefined) continue;
      const sizes = (volume.emptyDir.medium ?? '') === '' ? emptyDirs : memoryDirs;
      // In memory a volume may be somewhere else, with a link to it at its usual path.
      const path = directories.volume(uid, volume);
      sizes.set(volume.name, await diskUsageBytes(await realpath(path).catch(() => path)));
    }
    return { containers, emptyDirs, memoryDirs };
  }
}

function tolerates(pod: Pod): boolean {
  return (pod.spec.tolerations ?? []).some(
    ({ key = '', operator = 'Equal', value = '', effect = '' }) =>
      (key === memoryPressureTaint ? operator === 'Exists' || value === '' : key === '' && operator === 'Exists') &&
      (effect === '' || effect === 'NoSchedule'),
  );
}
