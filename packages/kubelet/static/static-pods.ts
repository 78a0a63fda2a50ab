/**
 * Static pods: manifests in a directory of this machine, run without the API and shown there as mirror pods. Promises: a file that
 * appears, changes or goes is followed (at once where the file system tells, else within 20 s); of one name there is only one pod at a
 * time: the next starts when the last one has gone. A mirror is there until its pod has gone; one that is missing or shows another version
 * is replaced; deleting a mirror does not touch the pod. A bad manifest is logged and leaves the others alone.
 */
import { watch } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isReason } from '@coffer/api/errors/status-error';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { type KubeletApi, resources } from '../deps.ts';
import type { Pod } from '../types.ts';
import { isStaticPod, mirrorHash, mirrorOf, staticPodFromManifest } from './static-pod-manifest.ts';

export interface StaticPodsDeps {
  readonly directory: string | undefined;
  readonly nodeName: string;
  readonly nodeUid: () => string | undefined;
  readonly api: KubeletApi;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly onPod: (pod: Pod) => void;
  /** The pod has to go; `gone` is called when it has. */
  readonly onRemoved: (pod: Pod) => void;
  readonly onMirror: (uid: string, mirror: Pod) => void;
}

interface Manifest {
  readonly text: string;
  /** Which file it is; another one of the same name and content has another. */
  readonly identity: string;
  readonly pod: Pod | undefined;
}

const rescanMs = 20_000;

export class StaticPods {
  readonly #deps: StaticPodsDeps;
  /** By file name. */
  readonly #files = new Map<string, Manifest>();
  /** By file name: how often the file system has told of another file under it since it was looked at. */
  readonly #renames = new Map<string, number>();
  /** By `namespace/name`: what runs, or is on its way out. */
  readonly #running = new Map<string, Pod>();
  /** By `namespace/name`. */
  readonly #mirrors = new Map<string, Pod>();
  #scanning: Promise<void> = Promise.resolve();

  constructor(deps: StaticPodsDeps) {
    this.#deps = deps;
  }

  /** Reads the directory; calls in turn. */
  scan(): Promise<void> {
    this.#scanning = this.#scanning
      .then(() => this.#scanOnce())
      .catch((error: unknown) => {
        this.#deps.logger.warn('the directory of static pods cannot be read', { directory: this.#deps.directory, err: error });
      });
    return this.#scanning;
  }

  /** Follows the directory until the signal is aborted. */
  async run(signal: AbortSignal): Promise<void> {
    const { directory, clock } = this.#deps;
    if (directory === undefined) return;
    let watcher: ReturnType<typeof watch> | undefined;
    try {
      watcher = watch(directory, (event, name) => {
        if (event === 'rename' && name !== null) this.#renames.set(name, (this.#renames.get(name) ?? 0) + 1);
        void this.scan();
      });
      watcher.on('error', () => {});
    } catch {
      // The directory may come later: the regular scan finds it.
    }
    while (!signal.aborted) {
      await clock.sleep(rescanMs, signal).catch(() => {});
      if (!signal.aborted) await this.scan();
    }
    watcher?.close();
  }

  /** UID of a pod in the API: its own, or that of its mirror. */
  apiUid(pod: Pod): string | undefined {
    if (!isStaticPod(pod)) return pod.metadata.uid;
    const mirror = this.#mirrors.get(keyOf(pod));
    return mirror !== undefined && mirrorHash(mirror) === pod.metadata.uid ? mirror.metadata.uid : undefined;
  }

  /** UID of the pod that the API shows under this one: the static pod's when it is that of a mirror, else the same. */
  ownUid(apiUid: string): string {
    for (const mirror of this.#mirrors.values()) if (mirror.metadata.uid === apiUid) return mirrorHash(mirror) ?? apiUid;
    return apiUid;
  }

  /** Whether there is a manifest of exactly this pod: one that has to go will run again. */
  wants(pod: Pod): boolean {
    return this.#byKey(keyOf(pod))?.metadata.uid === pod.metadata.uid;
  }

  /** A pod has gone: nothing stands in the way of the next one of its name. */
  async gone(pod: Pod): Promise<void> {
    const key = keyOf(pod);
    if (this.#running.get(key)?.metadata.uid !== pod.metadata.uid) return;
    this.#running.delete(key);
    const mirror = this.#mirrors.get(key);
    if (mirror !== undefined) await this.#delete(mirror);
    const next = this.#byKey(key);
    if (next !== undefined) await this.#start(next);
  }

  /** Takes a pod of the API when it is a mirror; returns whether it was one. */
  takeMirror(mirror: Pod): boolean {
    const hash = mirrorHash(mirror);
    if (hash === undefined) return false;
    this.#mirrors.set(keyOf(mirror), mirror);
    if (!this.#isRight(mirror)) void this.#delete(mirror);
    else this.#deps.onMirror(hash, mirror);
    return true;
  }

  dropMirror(mirror: Pod): boolean {
    if (mirrorHash(mirror) === undefined) return false;
    if (this.#mirrors.get(keyOf(mirror))?.metadata.uid === mirror.metadata.uid) this.#mirrors.delete(keyOf(mirror));
    const pod = this.#byKey(keyOf(mirror));
    if (pod !== undefined) void this.#create(pod);
    return true;
  }

  async #scanOnce(): Promise<void> {
    const { directory, nodeName, logger } = this.#deps;
    if (directory === undefined) return;
    const names = (await readdir(directory)).filter((name) => !name.startsWith('.') && /\.(ya?ml|json|manifest)$/.test(name));
    for (const [name, known] of this.#files) {
      if (names.includes(name)) continue;
      this.#files.delete(name);
      this.#renames.delete(name);
      if (known.pod !== undefined) this.#remove(known.pod);
    }
    for (const name of names) {
      const path = join(directory, name);
      const file = await readManifest(path);
      if (file === undefined) continue;
      const { text, identity } = file;
      const known = this.#files.get(name);
      const cameBack = known?.text === text && known.identity !== identity && (await this.#wentAndCame(name));
      this.#renames.delete(name);
      if (known?.text === text && !cameBack) {
        this.#files.set(name, { ...known, identity });
        continue;
      }
      let pod: Pod | undefined;
      try {
        pod = staticPodFromManifest(text, path, nodeName);
      } catch (error) {
        logger.error('a static pod manifest cannot be used', { path, err: error });
      }
      // A file that is being written may be cut off: what runs goes on until there is something better.
      if (pod === undefined && known?.pod !== undefined) continue;
      this.#files.set(name, { text, identity, pod });
      if (known?.pod !== undefined) this.#remove(known.pod);
      if (pod !== undefined) await this.#start(pod);
    }
    // What could not be done when it was due.
    for (const mirror of this.#mirrors.values()) if (!this.#isRight(mirror)) await this.#delete(mirror);
    for (const { pod } of this.#files.values()) if (pod !== undefined && !this.#mirrors.has(keyOf(pod))) await this.#create(pod);
  }

  /**
   * Whether that file was removed and written anew, as opposed to another one renamed over it: that is one event, this is two. Both are
   * known one turn of the event loop after the new file was seen.
   */
  async #wentAndCame(name: string): Promise<boolean> {
    for (let turns = 0; turns < 2; turns++) await new Promise((resolve) => setImmediate(resolve));
    return (this.#renames.get(name) ?? 0) > 1;
  }

  async #start(pod: Pod): Promise<void> {
    if (this.#running.has(keyOf(pod))) return;
    this.#running.set(keyOf(pod), pod);
    this.#deps.onPod(pod);
    await this.#create(pod);
  }

  #remove(pod: Pod): void {
    if (this.#running.get(keyOf(pod))?.metadata.uid === pod.metadata.uid) this.#deps.onRemoved(pod);
  }

  async #create(pod: Pod): Promise<void> {
    const { api, nodeName, nodeUid, logger } = this.#deps;
    // A pod that waits for another one to go is not shown yet.
    if (this.#mirrors.has(keyOf(pod)) || this.#running.get(keyOf(pod)) !== pod) return;
    try {
      await api.create({ resource: resources.pods, namespace: pod.metadata.namespace }, mirrorOf(pod, { name: nodeName, uid: nodeUid() }));
    } catch (error) {
      if (!isReason(error, 'AlreadyExists')) logger.warn('a mirror pod could not be created', { pod: pod.metadata.name, err: error });
    }
  }

  async #delete(mirror: Pod): Promise<void> {
    const { namespace, name, uid } = mirror.metadata;
    try {
      await this.#deps.api.delete({ resource: resources.pods, namespace, name }, { gracePeriodSeconds: 0, uid });
    } catch (error) {
      if (!isReason(error, 'NotFound')) this.#deps.logger.warn('a mirror pod could not be deleted', { pod: name, err: error });
    }
  }

  /** Whether it shows the pod that runs, or is about to. */
  #isRight(mirror: Pod): boolean {
    const shown = this.#running.get(keyOf(mirror)) ?? this.#byKey(keyOf(mirror));
    return mirror.metadata.deletionTimestamp === undefined && shown?.metadata.uid === mirrorHash(mirror);
  }

  #byKey(key: string): Pod | undefined {
    for (const { pod } of this.#files.values()) if (pod !== undefined && keyOf(pod) === key) return pod;
    return undefined;
  }
}

/** Undefined when the file has gone meanwhile. */
async function readManifest(path: string): Promise<{ text: string; identity: string } | undefined> {
  try {
    const { ino, birthtimeNs } = await stat(path, { bigint: true });
    return { text: await readFile(path, 'utf8'), identity: `${ino} ${birthtimeNs}` };
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}

function keyOf(pod: Pod): string {
  return `${pod.metadata.namespace}/${pod.metadata.name}`;
}
