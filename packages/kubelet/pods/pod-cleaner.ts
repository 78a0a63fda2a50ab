/**
 * Removes what is left of pods: containers, sandboxes, logs, volumes. Nothing here decides that a pod has to go; it is called for pods
 * that the API does not have any more, and for dead containers that nobody needs.
 */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '@coffer/base/log/logger';
import type { ContainerRuntime } from '@coffer/cri/runtime/container-runtime';
import { Limiter } from '../runtime/limiter.ts';
import type { RuntimeCache } from '../runtime/runtime-cache.ts';
import type { PodDirectories } from '../volumes/pod-directories.ts';
import type { VolumeManager } from '../volumes/volume-manager.ts';
import { rememberedGraceMs } from './container-killer.ts';

export interface PodCleanerDeps {
  readonly runtime: ContainerRuntime;
  readonly cache: RuntimeCache;
  readonly volumes: VolumeManager;
  readonly directories: PodDirectories;
  readonly logger: Logger;
}

/** Orphans get a grace period, but not a long one: nobody waits for them. */
const maxOrphanGraceMs = 5_000;
const parallelRemovals = 10;

export class PodCleaner {
  readonly #deps: PodCleanerDeps;

  constructor(deps: PodCleanerDeps) {
    this.#deps = deps;
  }

  /** Stops and removes everything of a pod. Safe to repeat. */
  async removePod(uid: string): Promise<void> {
    const { runtime, cache, volumes, directories } = this.#deps;
    const { containers, sandboxes } = cache.get(uid);
    await Promise.all(
      containers.map(async (container) => {
        if (container.state === 'running')
          await runtime.stopContainer(container.id, Math.min(maxOrphanGraceMs, rememberedGraceMs(container)));
      }),
    );
    for (const container of containers) {
      await runtime.removeContainer(container.id);
      await cache.refreshContainer(uid, container.id);
    }
    for (const sandbox of sandboxes) {
      await runtime.stopPodSandbox(sandbox.id);
      await runtime.removePodSandbox(sandbox.id);
      await cache.refreshSandbox(uid, sandbox.id);
    }
    await volumes.remove(uid);
    for (const name of await this.#logNames()) {
      if (uidOfLogs(name) === uid) await rm(join(directories.logsDir, name), { recursive: true, force: true });
    }
  }

  /** Pods of which something is there that an earlier kubelet left behind; `isKnown` is asked when everything was looked through. */
  async leftovers(isKnown: (uid: string) => boolean): Promise<readonly string[]> {
    const { cache, volumes } = this.#deps;
    const onDisk = [...(await volumes.podsOnDisk()), ...(await this.#logNames()).map(uidOfLogs)];
    return [...new Set([...cache.uids(), ...onDisk])].filter((uid) => uid !== '' && !isKnown(uid));
  }

  /** Removes pods, several at a time; one that cannot be removed is logged and left to the next start. */
  async removePods(uids: readonly string[]): Promise<void> {
    const { logger } = this.#deps;
    const removals = new Limiter(parallelRemovals);
    const remove = async (uid: string) => {
      logger.info('removing a pod that the API does not have', { podUid: uid });
      await this.removePod(uid).catch((error: unknown) => logger.warn('a leftover pod could not be removed', { podUid: uid, err: error }));
    };
    await Promise.all(uids.map((uid) => removals.run(() => remove(uid))));
  }

  /** Removes dead containers but the newest of each name, and dead sandboxes but the newest of each pod. */
  async removeDead(): Promise<void> {
    const { runtime, cache, directories } = this.#deps;
    for (const uid of cache.uids()) {
      const { containers, sandboxes } = cache.get(uid);
      const kept = new Map<string, number>();
      for (const container of containers) {
        const count = kept.get(container.name) ?? 0;
        kept.set(container.name, count + 1);
        // The newest one is what runs or ran last; the one before it is its last state.
        if (count < 2 || container.state === 'running') continue;
        await runtime.removeContainer(container.id);
        await cache.refreshContainer(uid, container.id);
        const owner = sandboxes[0];
        if (owner !== undefined) {
          const directory = join(directories.logsDir, `${owner.namespace}_${owner.name}_${uid}`);
          await rm(join(directory, container.name, `${container.attempt}.log`), { force: true });
        }
      }
      for (const sandbox of sandboxes.slice(1)) {
        if (sandbox.state === 'ready' || containers.some((container) => container.sandboxId === sandbox.id)) continue;
        await runtime.removePodSandbox(sandbox.id);
        await cache.refreshSandbox(uid, sandbox.id);
      }
    }
  }

  /** Names of the pods' log directories. */
  async #logNames(): Promise<readonly string[]> {
    return readdir(this.#deps.directories.logsDir).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
  }
}

/** The pod whose logs are in a directory `NAMESPACE_NAME_UID`; empty for another name. */
function uidOfLogs(name: string): string {
  return name.split('_')[2] ?? '';
}
