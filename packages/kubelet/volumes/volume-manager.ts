/**
 * The volumes of the pods on this node. Promises: `mount` resolves only when every volume that a container mounts is there and holds
 * data not older than the pod's binding; `refresh` brings the files of a running pod up to date, one writer per pod at a time, many
 * pods in parallel; a refresh that fails leaves the files as they are. All but configMap volumes and emptyDirs on the
 * default medium are in memory only. Where the kubelet cannot give files away, they belong to the user that it runs as: the only one
 * that containers can be then, and their runtime refuses those that ask for another user or group.
 */
import { chmod, mkdir, readdir, rm, symlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { V1ServiceAccountTokenProjection } from '@coffer/api/generated/types';
import { getOwn } from '@coffer/api/meta/safe-object';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { KubeletApi } from '../deps.ts';
import type { ObjectSource, SourceRecord } from '../objects/source-record.ts';
import { bytesOf, podMemoryLimit } from '../resources/pod-resources.ts';
import { Limiter } from '../runtime/limiter.ts';
import { allContainers, type Pod, type Volume } from '../types.ts';
import { type AtomicWriterOptions, removeOldSets, type WriterMemory, writeAtomically } from './atomic-writer.ts';
import { claimNameOf, refuseClaim, UnprocessedVolume } from './claims.ts';
import { checkHostPath } from './host-path.ts';
import type { MemoryStorage } from './memory-storage.ts';
import type { Mounter } from './mounter.ts';
import { makeNestedMountPoints } from './nested-mounts.ts';
import { givesFilesAway, setDirectoryGroup, setGroupOwnership } from './ownership.ts';
import { isProjectedKind, livesInMemory, messageOf, volumePayload } from './payloads.ts';
import { type PodDirectories, pluginDirectory } from './pod-directories.ts';
import { removeSubPaths } from './sub-path.ts';

export interface VolumeManagerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly directories: PodDirectories;
  readonly mounter: Mounter;
  readonly memory: MemoryStorage;
  readonly api: Pick<KubeletApi, 'get'>;
  readonly objectsFor: (pod: Pod) => ObjectSource;
  readonly token: (pod: Pod, projection: V1ServiceAccountTokenProjection) => Promise<string>;
  readonly podIps: (uid: string) => readonly string[];
  readonly hostIps: () => readonly string[];
  readonly allocatable: () => Readonly<Record<string, string>>;
  /** File mode bits that this process may not set when it makes something; undefined where that is not known. */
  readonly umask: number | undefined;
  /** A volume of a running pod could not be refreshed. */
  readonly onRefreshError: (pod: Pod, error: VolumeError) => void;
  /** Called when a refresh changed files, with the volume's sources: the moment a reader sees the new set. */
  readonly onRefreshed?: (pod: Pod, volume: string, sources: readonly SourceRecord[]) => void;
}

/** One volume that cannot be mounted now. `message` is upstream's event text. */
export class VolumeError extends Error {
  readonly volume: string;
  constructor(volume: string, detail: string, options?: { cause?: unknown }) {
    super(`MountVolume.SetUp failed for volume ${JSON.stringify(volume)} : ${detail}`, options);
    this.name = 'VolumeError';
    this.volume = volume;
  }
}

/** Everything that keeps a pod from having its volumes. */
export class VolumesNotReady extends Error {
  readonly failures: readonly VolumeError[];
  constructor(failures: readonly VolumeError[]) {
    super(failures.map((failure) => failure.message).join('; '));
    this.name = 'VolumesNotReady';
    this.failures = failures;
  }

  /** One text for each event: volumes that failed each for itself, those that could not be processed in one. */
  events(): readonly string[] {
    const unprocessed = this.failures.filter((failure) => failure.cause instanceof UnprocessedVolume);
    const texts = this.failures.filter((failure) => !unprocessed.includes(failure)).map((failure) => failure.message);
    if (unprocessed.length === 0) return texts;
    const names = (list: readonly VolumeError[]) => list.map((failure) => failure.volume).join(' ');
    const causes = unprocessed.map((failure) => messageOf(failure.cause)).join('; ');
    return [
      ...texts,
      `Unable to attach or mount volumes: unmounted volumes=[${names(this.failures)}], unattached volumes=[], ` +
        `failed to process volumes=[${names(unprocessed)}]: ${causes}`,
    ];
  }
}

interface PodVolumes {
  pod: Pod;
  /** Paths of the volumes that are mounted. */
  readonly paths: Map<string, string>;
  readonly sources: Map<string, readonly SourceRecord[]>;
  /** By volume: what was written last. */
  readonly written: Map<string, WriterMemory>;
  lane: Promise<void>;
  refreshQueued: boolean;
  removed: boolean;
}

const refreshesAtOnce = 8;
/** How long a superseded set of files stays for those who are reading it. */
const oldSetMs = 1000;
const directoryMode = 0o777;
/** As the root of every tmpfs has it by itself. */
const memoryDirectoryMode = 0o1777;

export class VolumeManager {
  readonly #deps: VolumeManagerDeps;
  readonly #pods = new Map<string, PodVolumes>();
  readonly #limiter = new Limiter(refreshesAtOnce);

  constructor(deps: VolumeManagerDeps) {
    this.#deps = deps;
  }

  /** Mounts what is missing and refreshes what is there. Throws VolumesNotReady. */
  async mount(pod: Pod): Promise<void> {
    const state = this.#state(pod);
    await this.#inLane(state, async () => {
      const failures: VolumeError[] = [];
      const volumes = volumesToMount(pod).filter((volume) => !state.paths.has(volume.name));
      await Promise.all(
        volumes.map(async (volume) => {
          try {
            await this.#mountOne(state, volume);
          } catch (error) {
            failures.push(new VolumeError(volume.name, messageOf(error), { cause: error }));
          }
        }),
      );
      if (failures.length > 0) throw new VolumesNotReady(failures.sort((a, b) => (a.volume < b.volume ? -1 : 1)));
    });
  }

  /** Brings the files of a mounted pod up to date. Calls while one waits are one. Never rejects. */
  refresh(pod: Pod): Promise<void> {
    const state = this.#pods.get(pod.metadata.uid);
    // A mount that is under way may have read what has just changed: the refresh waits behind it.
    if (state === undefined) return Promise.resolve();
    state.pod = pod;
    if (state.refreshQueued) return state.lane;
    state.refreshQueued = true;
    return this.#inLane(state, () =>
      this.#limiter.run(async () => {
        state.refreshQueued = false;
        for (const volume of volumesToMount(state.pod)) {
          if (!state.paths.has(volume.name) || !isProjectedKind(volume)) continue;
          try {
            if (await this.#project(state, volume)) {
              this.#deps.onRefreshed?.(state.pod, volume.name, state.sources.get(volume.name) ?? []);
            }
          } catch (error) {
            if (!state.removed) this.#deps.onRefreshError(state.pod, new VolumeError(volume.name, messageOf(error), { cause: error }));
          }
        }
      }),
    );
  }

  /** Host path of a mounted volume. */
  path(uid: string, volume: string): string | undefined {
    return this.#pods.get(uid)?.paths.get(volume);
  }

  /** What the files of each volume were made from. */
  sources(uid: string): ReadonlyMap<string, readonly SourceRecord[]> {
    return this.#pods.get(uid)?.sources ?? new Map();
  }

  /** Unmounts and removes everything of a pod; for pods of an earlier kubelet too. */
  async remove(uid: string): Promise<void> {
    const state = this.#pods.get(uid);
    if (state !== undefined) {
      state.removed = true;
      await state.lane.catch(() => {});
      this.#pods.delete(uid);
    }
    const { directories, mounter, memory } = this.#deps;
    await removeSubPaths(mounter, directories.subPaths(uid));
    if (mounter.canMount) for (const path of await mounter.mountsBelow(directories.pod(uid))) await mounter.unmount(path);
    await memory.removePod(uid);
    await rm(directories.pod(uid), { recursive: true, force: true });
  }

  /** Detaches everything that is mounted for any pod; used when the node goes down for good. */
  async unmountAll(): Promise<void> {
    const { mounter, directories } = this.#deps;
    if (!mounter.canMount) return;
    for (const path of await mounter.mountsBelow(directories.pods)) await mounter.unmount(path);
  }

  /** UIDs that have a directory on this node. */
  async podsOnDisk(): Promise<readonly string[]> {
    await mkdir(this.#deps.directories.pods, { recursive: true, mode: 0o750 });
    return readdir(this.#deps.directories.pods);
  }

  #state(pod: Pod): PodVolumes {
    const uid = pod.metadata.uid;
    let state = this.#pods.get(uid);
    if (state === undefined) {
      state = {
        pod,
        paths: new Map(),
        sources: new Map(),
        written: new Map(),
        lane: Promise.resolve(),
        refreshQueued: false,
        removed: false,
      };
      this.#pods.set(uid, state);
    }
    state.pod = pod;
    return state;
  }

  #inLane(state: PodVolumes, task: () => Promise<void>): Promise<void> {
    const next = state.lane.then(task, task);
    state.lane = next.catch(() => {});
    return next;
  }

  async #mountOne(state: PodVolumes, volume: Volume): Promise<void> {
    const { directories } = this.#deps;
    const uid = state.pod.metadata.uid;
    if (volume.hostPath !== undefined) {
      await checkHostPath(volume.hostPath.path, volume.hostPath.type);
      state.paths.set(volume.name, volume.hostPath.path);
      return;
    }
    if (volume.csi !== undefined) {
      throw new Error(
        `kubernetes.io/csi: mounter.SetUpAt failed to get CSI client: driver name ${volume.csi.driver} not found in the list of registered CSI drivers`,
      );
    }
    const claim = claimNameOf(state.pod, volume);
    if (claim !== undefined) return refuseClaim(this.#deps.api, state.pod, volume, claim);
    if (volume.emptyDir === undefined && !isProjectedKind(volume)) {
      throw new Error(`this kubelet has no plugin for volumes of type ${volumeType(volume)}`);
    }
    const path = directories.volume(uid, volume);
    if (volume.emptyDir !== undefined) {
      state.paths.set(volume.name, await this.#mountEmptyDir(state.pod, volume, path));
      return;
    }
    const inMemory = livesInMemory(volume);
    const real = inMemory ? await this.#memoryDirectory(uid, volume) : path;
    await makeVolumeDirectory(real, inMemory ? memoryDirectoryMode : directoryMode);
    await makeNestedMountPoints(state.pod, volume.name, real);
    await this.#project(state, volume, real);
    state.paths.set(volume.name, real);
  }

  /** The volume's directory in memory, reachable under its usual path too. */
  async #memoryDirectory(uid: string, volume: Volume): Promise<string> {
    const memory = await this.#deps.memory.directory();
    const real = join(memory, uid, pluginDirectory(volume), volume.name);
    const link = this.#deps.directories.volume(uid, volume);
    await mkdir(dirname(link), { recursive: true, mode: 0o750 });
    try {
      await symlink(real, link);
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
    return real;
  }

  /** Resolves to the directory itself. */
  async #mountEmptyDir(pod: Pod, volume: Volume, path: string): Promise<string> {
    const { mounter } = this.#deps;
    const medium = volume.emptyDir?.medium ?? '';
    if (medium !== '' && medium !== 'Memory') throw new Error(`unknown storage medium ${JSON.stringify(medium)}`);
    // Without a file system of its own, a volume in memory has no limit but the one that evicts its pod.
    const shared = medium === 'Memory' && !mounter.canMount;
    const directory = shared ? await this.#memoryDirectory(pod.metadata.uid, volume) : path;
    await makeVolumeDirectory(directory, shared ? memoryDirectoryMode : directoryMode);
    if (medium === 'Memory' && !shared && !(await mounter.isMountPoint(path))) {
      const sizeBytes = memoryVolumeBytes(pod, volume, this.#deps.allocatable());
      await mounter.mountTmpfs(path, { sizeBytes, mode: memoryDirectoryMode });
    }
    const group = this.#groupOf(pod);
    if (group !== undefined) await setDirectoryGroup(directory, group, false);
    return directory;
  }

  /** The group that the pod's volumes are given to. */
  #groupOf(pod: Pod): number | undefined {
    return givesFilesAway() ? pod.spec.securityContext?.fsGroup : undefined;
  }

  /** Readers that opened the old set may finish with it; then it goes. */
  #removeOldLater(state: PodVolumes, directory: string, memory: WriterMemory): void {
    this.#deps.clock.setTimer(oldSetMs, () => {
      if (state.removed) return;
      this.#inLane(state, () => removeOldSets({ directory, clock: this.#deps.clock, keepOldMs: oldSetMs, memory })).catch(
        (error: unknown) => this.#deps.logger.warn('an old set of files could not be removed', { directory, err: error }),
      );
    });
  }

  async #project(state: PodVolumes, volume: Volume, directory = state.paths.get(volume.name)): Promise<boolean> {
    if (directory === undefined) return false;
    const { pod } = state;
    const { clock, objectsFor, token, podIps, hostIps, allocatable } = this.#deps;
    const payload = await volumePayload(volume, {
      pod,
      objects: objectsFor(pod),
      podIps: podIps(pod.metadata.uid),
      hostIps: hostIps(),
      allocatable: allocatable(),
      givesFilesAway: givesFilesAway(),
      serviceAccountToken: (projection) => token(pod, projection),
    });
    if (state.removed) return false;
    const group = this.#groupOf(pod);
    const memory = state.written.get(volume.name) ?? {};
    state.written.set(volume.name, memory);
    const options: AtomicWriterOptions = {
      directory,
      clock,
      keepOldMs: oldSetMs,
      memory,
      umask: this.#deps.umask,
      ...(group === undefined ? {} : { setOwnership: (fresh: string) => setGroupOwnership(fresh, group, true) }),
    };
    if (group !== undefined) await setDirectoryGroup(directory, group, true);
    const changed = await writeAtomically(payload.files, options);
    state.sources.set(volume.name, payload.sources);
    if (changed) this.#removeOldLater(state, directory, memory);
    return changed;
  }
}

/** Volumes that some container mounts or reads env files from; others are not set up, as upstream. */
function volumesToMount(pod: Pod): readonly Volume[] {
  const used = new Set<string>();
  for (const { container } of allContainers(pod)) {
    for (const mount of container.volumeMounts ?? []) used.add(mount.name);
    for (const variable of container.env ?? []) {
      if (variable.valueFrom?.fileKeyRef !== undefined) used.add(variable.valueFrom.fileKeyRef.volumeName);
    }
  }
  // Image volumes are the runtime's.
  return (pod.spec.volumes ?? []).filter((volume) => used.has(volume.name) && volume.image === undefined);
}

async function makeVolumeDirectory(path: string, mode: number): Promise<void> {
  await mkdir(path, { recursive: true, mode: 0o750 });
  // The directory itself is open as upstream makes it; its parents keep others out.
  await chmod(path, mode);
}

/** The limit of a memory volume: the least of its own, of what the pod may use of memory, and of what the node has for pods. */
function memoryVolumeBytes(pod: Pod, volume: Volume, allocatable: Readonly<Record<string, string>>): number | undefined {
  const limits = [volume.emptyDir?.sizeLimit, podMemoryLimit(pod), getOwn(allocatable, 'memory')];
  const bytes = limits.flatMap((limit) => (limit === undefined ? [] : bytesOf(limit))).filter((limit) => limit > 0);
  return bytes.length === 0 ? undefined : Math.min(...bytes);
}

function volumeType(volume: Volume): string {
  return Object.keys(volume).find((key) => key !== 'name') ?? 'unknown';
}
