/** What the kubelet does from time to time: rotate logs, remove dead containers and unused images, look at every volume once more. */
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import type { ImageCollector } from '../images/image-collector.ts';
import { type RotationLimits, rotateLog } from '../logs/log-rotation.ts';
import type { PodCleaner } from '../pods/pod-cleaner.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import type { Pod } from '../types.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';
import type { VolumeManager } from '../volumes/volume-manager.ts';

export interface HousekeepingDeps {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly cleaner: PodCleaner;
  readonly volumes: VolumeManager;
  readonly images: ImageCollector;
  readonly directories: PodDirectories;
  readonly logLimits: RotationLimits;
  readonly syncFrequencyMs: number;
  /** Pods that may have running containers. */
  readonly pods: () => readonly Pod[];
}

const logsMs = 10_000;
const deadContainersMs = 60_000;
const imagesMs = 300_000;

export class Housekeeping {
  readonly #deps: HousekeepingDeps;

  constructor(deps: HousekeepingDeps) {
    this.#deps = deps;
  }

  /** Works until the signal is aborted; a task that fails is logged and done again the next time. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#deps.images.detect().catch((error: unknown) => this.#deps.logger.warn('the images could not be listed', { err: error }));
    await Promise.all([
      this.#every(logsMs, signal, () => this.#rotateLogs()),
      this.#every(deadContainersMs, signal, () => this.#deps.cleaner.removeDead()),
      this.#every(imagesMs, signal, () => this.#deps.images.collect()),
      this.#every(this.#deps.syncFrequencyMs, signal, () => this.#refreshVolumes()),
    ]);
  }

  async #rotateLogs(): Promise<void> {
    const { cache, clock, runtime, logger, directories, logLimits } = this.#deps;
    for (const pod of this.#deps.pods()) {
      for (const container of cache.get(pod.metadata.uid).containers) {
        if (container.state !== 'running') continue;
        const path = directories.logFile(pod, container.logPath);
        await rotateLog(path, logLimits, clock.now(), () => runtime.reopenContainerLog(container.id)).catch((error: unknown) =>
          logger.warn('a container log could not be rotated', { containerId: container.id, err: error }),
        );
      }
    }
  }

  /** Tokens are renewed here too: reading a token that is due asks for a new one. */
  async #refreshVolumes(): Promise<void> {
    for (const pod of this.#deps.pods()) await this.#deps.volumes.refresh(pod);
  }

  async #every(intervalMs: number, signal: AbortSignal, task: () => Promise<void>): Promise<void> {
    while (!signal.aborted) {
      await this.#deps.clock.sleep(intervalMs, signal).catch(() => {});
      if (signal.aborted) return;
      await task().catch((error: unknown) => this.#deps.logger.warn('housekeeping failed', { err: error }));
    }
  }
}
