/**
 * The ConfigMaps (or Secrets) that pods of this node refer to: one watch per object, shared by the pods and stopped with the last of
 * them. Promises:
 * - `get` never answers with an older state than the API had when the pod was bound: its watch has proven that revision, or a GET asks.
 * - every change is told at once, with the pods concerned;
 * - an immutable object is not watched; each pod compares its UID once by GET and keeps the object it started with.
 */
import { isReason, notFound } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { KubeletApi, ObjectWatch, ResourcePath } from '../deps.ts';
import type { Pod } from '../types.ts';

export interface ObjectManagerDeps {
  readonly api: KubeletApi;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly resource: ResourcePath;
  /** `configmap` or `secret`, as error messages name it. */
  readonly noun: 'configmap' | 'secret';
  /** Called for every change of an object, in order, with the UIDs of the pods that refer to it. Must not throw. */
  readonly onChange: (change: ObjectChange) => void;
}

export interface ObjectChange {
  readonly noun: 'configmap' | 'secret';
  readonly namespace: string;
  readonly name: string;
  readonly podUids: readonly string[];
}

interface Entry {
  readonly namespace: string;
  readonly name: string;
  readonly pods: Map<string, PodUse>;
  object: KubeObject | undefined;
  synced: boolean;
  /** A pod has been told what there is, or that nothing could be known: from then on changes are told. */
  answered: boolean;
  watch: ObjectWatch | undefined;
}

interface PodUse {
  /** The pod's own revision when it was first seen here: not older than its binding. */
  readonly neededRevision: number;
  /** A GET made for this pod has answered. */
  confirmed: boolean;
  /** The immutable object this pod works with. */
  pinned: KubeObject | undefined;
}

const firstSyncTimeoutMs = 1000;

export class ObjectManager {
  readonly #deps: ObjectManagerDeps;
  readonly #entries = new Map<string, Entry>();
  readonly #namesOfPod = new Map<string, ReadonlySet<string>>();

  constructor(deps: ObjectManagerDeps) {
    this.#deps = deps;
  }

  /** Declares what a pod refers to; called again when its spec changes. */
  setPod(pod: Pod, names: ReadonlySet<string>): void {
    const uid = pod.metadata.uid;
    const before = this.#namesOfPod.get(uid) ?? new Set<string>();
    this.#namesOfPod.set(uid, names);
    for (const name of names) {
      const entry = this.#entry(pod.metadata.namespace, name);
      if (!entry.pods.has(uid)) {
        entry.pods.set(uid, { neededRevision: revisionOf(pod.metadata.resourceVersion), confirmed: false, pinned: undefined });
      }
      if (entry.watch === undefined && !isImmutable(entry.object)) this.#startWatch(entry);
    }
    for (const name of before) if (!names.has(name)) this.#release(pod.metadata.namespace, name, uid);
  }

  removePod(namespace: string, uid: string): void {
    for (const name of this.#namesOfPod.get(uid) ?? []) this.#release(namespace, name, uid);
    this.#namesOfPod.delete(uid);
  }

  /** The object, fresh enough for this pod. Throws StatusError NotFound, or why it cannot be known now. */
  async get(pod: Pod, name: string): Promise<KubeObject> {
    const { namespace, uid } = pod.metadata;
    const entry = this.#entries.get(`${namespace}/${name}`);
    const use = entry?.pods.get(uid);
    if (entry === undefined || use === undefined) throw new Error(`object "${namespace}"/"${name}" not registered`);
    if (use.pinned !== undefined) return use.pinned;
    try {
      if (!entry.synced) await this.#waitForFirstSync(entry);
    } finally {
      entry.answered = true;
    }
    const proven = entry.watch !== undefined && revisionOf(entry.watch.revision) >= use.neededRevision;
    if (!proven && !use.confirmed) await this.#confirm(entry, use);
    const object = entry.object;
    if (object === undefined) throw notFound({ group: '', resource: this.#deps.noun }, name);
    if (isImmutable(object)) use.pinned = object;
    return object;
  }

  /** Number of open watches, for metrics and tests. */
  get watchCount(): number {
    let count = 0;
    for (const entry of this.#entries.values()) if (entry.watch !== undefined) count++;
    return count;
  }

  stop(): void {
    for (const entry of this.#entries.values()) entry.watch?.stop();
    this.#entries.clear();
    this.#namesOfPod.clear();
  }

  #entry(namespace: string, name: string): Entry {
    const key = `${namespace}/${name}`;
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      entry = { namespace, name, pods: new Map(), object: undefined, synced: false, answered: false, watch: undefined };
      this.#entries.set(key, entry);
    }
    return entry;
  }

  #release(namespace: string, name: string, uid: string): void {
    const key = `${namespace}/${name}`;
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.pods.delete(uid);
    if (entry.pods.size > 0) return;
    entry.watch?.stop();
    this.#entries.delete(key);
  }

  #startWatch(entry: Entry): void {
    const watch = this.#deps.api.watch(
      { resource: this.#deps.resource, namespace: entry.namespace, fieldSelector: `metadata.name=${entry.name}` },
      {
        onChange: (object) => {
          if (this.#accept(entry, object)) this.#tell(entry);
        },
        onDelete: (object) => {
          if (entry.object === undefined || entry.object.metadata.uid !== object.metadata.uid) return;
          entry.object = undefined;
          this.#tell(entry);
        },
      },
    );
    entry.watch = watch;
    void watch.synced.then(() => {
      if (entry.synced || entry.watch !== watch) return;
      entry.synced = true;
      this.#tell(entry);
    });
  }

  /** Takes a newer state; an immutable one ends the watch. Returns whether anything changed. */
  #accept(entry: Entry, object: KubeObject): boolean {
    const current = entry.object;
    if (current !== undefined && current.metadata.uid === object.metadata.uid) {
      if (revisionOf(object.metadata.resourceVersion) <= revisionOf(current.metadata.resourceVersion)) return false;
    }
    entry.object = object;
    entry.synced = true;
    if (isImmutable(object)) {
      entry.watch?.stop();
      entry.watch = undefined;
    } else if (entry.watch === undefined && entry.pods.size > 0) this.#startWatch(entry);
    return true;
  }

  #tell(entry: Entry): void {
    if (!entry.answered) return;
    this.#deps.onChange({ noun: this.#deps.noun, namespace: entry.namespace, name: entry.name, podUids: [...entry.pods.keys()] });
  }

  async #waitForFirstSync(entry: Entry): Promise<void> {
    const given = new AbortController();
    try {
      await Promise.race([entry.watch?.synced, this.#deps.clock.sleep(firstSyncTimeoutMs, given.signal).catch(() => {})]);
    } finally {
      given.abort();
    }
    if (!entry.synced) throw new Error(`failed to sync ${this.#deps.noun} cache: timed out waiting for the condition`);
  }

  async #confirm(entry: Entry, use: PodUse): Promise<void> {
    const before = entry.object;
    try {
      const object = await this.#deps.api.get({ resource: this.#deps.resource, namespace: entry.namespace, name: entry.name });
      use.confirmed = true;
      if (this.#accept(entry, object)) this.#tell(entry);
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
      // What the watch brought meanwhile is newer than this answer.
      if (entry.object === before && before !== undefined) {
        entry.object = undefined;
        this.#tell(entry);
      }
      // What was immutable may come back as something else: follow it again.
      if (entry.watch === undefined && entry.pods.size > 0) this.#startWatch(entry);
    }
  }
}

function isImmutable(object: KubeObject | undefined): boolean {
  return object?.immutable === true;
}

/** A resourceVersion as a number that can be compared; -1 for none. All objects of one store share one counter. */
export function revisionOf(resourceVersion: string | undefined): number {
  const value = Number(resourceVersion ?? '');
  return resourceVersion === undefined || resourceVersion === '' || !Number.isSafeInteger(value) ? -1 : value;
}
