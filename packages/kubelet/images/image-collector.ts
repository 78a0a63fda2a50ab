/**
 * Removes images that nobody uses when their filesystem fills up: above the high threshold until it is below the low one, the longest
 * unused first. Never: an image that a container or a pod's image volume uses, a pinned one, one that was detected less than the
 * minimum age ago. Upstream's rules and words.
 */
import type { Clock } from '@coffer/base/time/clock';
import type { ContainerRuntime, ContainerStatus, ImageStatus } from '@coffer/cri/runtime/container-runtime';
import { messageOf } from '../volumes/payloads.ts';
import type { PulledRecords } from './pulled-records.ts';

export interface ImageCollectionPolicy {
  /** Percent of the images' filesystem: from here on images are removed. */
  readonly highThresholdPercent: number;
  /** Down to here. */
  readonly lowThresholdPercent: number;
  readonly minAgeMs: number;
}

export interface ImageCollectorDeps {
  readonly runtime: ContainerRuntime;
  readonly clock: Clock;
  readonly policy: ImageCollectionPolicy;
  readonly records: PulledRecords;
  /** References of the image volumes of this node's pods. */
  readonly volumeImages: () => readonly string[];
  /** Of the filesystem that holds a path. */
  readonly diskUsage: (path: string) => Promise<{ readonly capacityBytes: number; readonly availableBytes: number }>;
  /** An event about the node. */
  readonly event: (reason: string, message: string) => void;
}

interface Seen {
  /** 0: before this kubelet started. */
  readonly firstDetectedMs: number;
  lastUsedMs: number;
  image: ImageStatus;
}

export class ImageCollector {
  readonly #deps: ImageCollectorDeps;
  readonly #seen = new Map<string, Seen>();
  #started = false;

  constructor(deps: ImageCollectorDeps) {
    this.#deps = deps;
  }

  /** Makes room where it is needed. Rejects when that fails, after an event says why. */
  async collect(): Promise<void> {
    const { runtime, policy, event, clock } = this.#deps;
    const path = await runtime.imageFilesystem();
    if (path === undefined) return;
    await this.detect();
    const { capacityBytes, availableBytes } = await this.#deps.diskUsage(path);
    if (capacityBytes === 0) {
      const message = 'invalid capacity 0 on image filesystem';
      event('InvalidDiskCapacity', message);
      throw new Error(message);
    }
    const usedPercent = 100 - Math.floor((Math.min(availableBytes, capacityBytes) * 100) / capacityBytes);
    if (usedPercent < policy.highThresholdPercent) return;
    const wanted = Math.floor((capacityBytes * (100 - policy.lowThresholdPercent)) / 100) - availableBytes;
    const freed = await this.#free(wanted, clock.now());
    if (freed >= wanted) return;
    const message =
      `Insufficient free disk space on the node's image filesystem (${usedPercent}% of ${size(capacityBytes)} used). ` +
      `Failed to free sufficient space by deleting unused images (freed ${freed} bytes). ` +
      'Investigate disk usage, as it could be used by active images, logs, volumes, or other data.';
    event('FreeDiskSpaceFailed', message);
    throw new Error(message);
  }

  /** Looks which images are there and used; those of the first look are taken for old. */
  async detect(): Promise<void> {
    const { runtime, clock, records } = this.#deps;
    const [images, containers, volumes] = await Promise.all([
      records.forgetOthers(
        () => runtime.listImages(),
        (listed) => listed.map(({ id }) => id),
      ),
      runtime.listContainers(),
      this.#volumeImages(),
    ]);
    const now = clock.now();
    for (const image of images) {
      const seen = this.#seen.get(image.id) ?? { firstDetectedMs: this.#started ? now : 0, lastUsedMs: 0, image };
      seen.image = image;
      if (volumes.has(image.id) || containers.some((container) => uses(container, image))) seen.lastUsedMs = now;
      this.#seen.set(image.id, seen);
    }
    const present = new Set(images.map(({ id }) => id));
    for (const id of this.#seen.keys()) if (!present.has(id)) this.#seen.delete(id);
    this.#started = true;
  }

  async #volumeImages(): Promise<ReadonlySet<string>> {
    const found = await Promise.all(this.#deps.volumeImages().map((reference) => this.#deps.runtime.imageStatus(reference)));
    return new Set(found.flatMap((image) => (image === undefined ? [] : [image.id])));
  }

  async #free(wantedBytes: number, now: number): Promise<number> {
    const { runtime, policy } = this.#deps;
    const candidates = [...this.#seen].sort(([, a], [, b]) => a.lastUsedMs - b.lastUsedMs || a.firstDetectedMs - b.firstDetectedMs);
    const failures: string[] = [];
    let freed = 0;
    for (const [id, { lastUsedMs, firstDetectedMs, image }] of candidates) {
      if (freed >= wantedBytes || lastUsedMs >= now) break;
      if (image.pinned || now - firstDetectedMs < policy.minAgeMs) continue;
      try {
        await runtime.removeImage(id);
        this.#seen.delete(id);
        freed += image.sizeBytes;
      } catch (error) {
        failures.push(messageOf(error));
      }
    }
    if (failures.length === 0) return freed;
    const message = `wanted to free ${wantedBytes} bytes, but freed ${freed} bytes space with errors in image deletion: [${failures.join(', ')}]`;
    this.#deps.event('ImageGCFailed', message);
    throw new Error(message);
  }
}

/** Runtimes name the image of a container by its ID, a digest or the name it was asked for by. */
function uses(container: ContainerStatus, image: ImageStatus): boolean {
  const names = [image.id, ...image.repoDigests, ...image.repoTags];
  return names.includes(container.imageRef) || names.includes(container.image);
}

function size(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const index = Math.min(units.length - 1, Math.floor(Math.log2(Math.max(1, bytes)) / 10));
  return `${(bytes / 1024 ** index).toFixed(1)} ${units[index]}`;
}
