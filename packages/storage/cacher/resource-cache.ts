import { compactedError } from '../backend/checks.ts';
import { compareKeys as comparePaths } from '../backend/key-order.ts';
import { type StorageError, UnreadableError } from '../errors.ts';
import type { Selection, StoreListOptions, StoreListResult } from '../store/store.ts';
import type { Change } from './change.ts';
import { History, type HistoryBudget, type Undo } from './history.ts';
import type { ObjectKind, ObjectVersion } from './object-version.ts';
import { SortedObjects } from './sorted-objects.ts';
import { WatchHub } from './watch-hub.ts';

/**
 * The watch cache of one resource: its current objects, the recent past, and the watches. Changes come in through `apply` in
 * revision order; everything else only reads. Synchronous throughout.
 */
export class ResourceCache {
  readonly objectKind: ObjectKind;
  readonly hub: WatchHub;
  readonly #budget: HistoryBudget;
  #objects = new SortedObjects();
  /** Values that are there but cannot be read, by path. */
  #unreadable = new Map<string, StorageError>();
  #history: History;

  constructor(objectKind: ObjectKind, budget: HistoryBudget) {
    this.objectKind = objectKind;
    this.hub = new WatchHub(objectKind.config.namespaced);
    this.#budget = budget;
    this.#history = new History(0);
  }

  /** Replaces everything by the state at `revision`. */
  reset(objects: Iterable<ObjectVersion>, unreadable: ReadonlyMap<string, StorageError>, revision: number): void {
    this.#objects = new SortedObjects();
    for (const object of objects) this.#objects.set(object);
    this.#unreadable = new Map(unreadable);
    this.#history = new History(revision);
  }

  get(path: string): ObjectVersion | undefined {
    const object = this.#objects.get(path);
    if (object === undefined && this.#unreadable.size > 0) this.#refuseUnreadable(path);
    return object;
  }

  isUnreadable(path: string): boolean {
    return this.#unreadable.has(path);
  }

  /** The current version without the check of `get`. */
  current(path: string): ObjectVersion | undefined {
    return this.#objects.get(path);
  }

  count(namespace: string | undefined): number {
    return namespace === undefined ? this.#objects.size : this.#objects.countIn(namespace);
  }

  get unreadableCount(): number {
    return this.#unreadable.size;
  }

  /** Makes one committed change visible; watches hear of it through `hub.dispatch`. */
  apply(change: Change): void {
    if (change.after === undefined) this.#objects.delete(change.path);
    else this.#objects.set(change.after);
    this.#unreadable.delete(change.path);
    this.#budget.add(this.#history, change);
  }

  /** A value arrived that cannot be read: it takes the place of what was there. History before it would be incomplete. */
  applyUnreadable(path: string, error: StorageError, revision: number): void {
    this.#objects.delete(path);
    this.#unreadable.set(path, error);
    this.#history.trim(revision);
  }

  /** An unreadable value was deleted. */
  forgetUnreadable(path: string, revision: number): void {
    this.#unreadable.delete(path);
    this.#history.trim(revision);
  }

  trim(revision: number): void {
    this.#history.trim(revision);
  }

  /** Changes behind `revision`; undefined when that is further back than memory reaches. */
  changesAfter(revision: number): readonly Change[] | undefined {
    return revision < this.#history.start ? undefined : this.#history.after(revision);
  }

  /** Throws UnreadableError when the selection covers a value that cannot be read. */
  checkReadable({ namespace, name }: Selection): void {
    if (this.#unreadable.size === 0) return;
    const damaged = [];
    for (const [path, error] of this.#unreadable) {
      const slash = path.indexOf('/');
      if (namespace !== undefined && this.objectKind.config.namespaced && path.slice(0, slash) !== namespace) continue;
      if (name !== undefined && path.slice(slash + 1) !== name) continue;
      damaged.push({ key: this.objectKind.keyPrefix + path, message: error.message });
    }
    if (damaged.length > 0) throw new UnreadableError(damaged);
  }

  /**
   * The list at `revision` (the cache's own or an older one); undefined when that is further back than memory reaches.
   * `oldest` is the revision below which the answer is `compacted`.
   */
  list(options: StoreListOptions, revision: number, pinned: boolean, oldest: number): StoreListResult | undefined {
    if (pinned && revision < oldest) throw compactedError(revision, oldest);
    if (pinned && revision < this.#history.start) return undefined;
    this.checkReadable(options);
    const undo = pinned ? this.#history.undoTo(revision) : undefined;
    const { name, matches, limit = Number.POSITIVE_INFINITY } = options;
    const single = this.#singlePath(options);
    if (single !== undefined) {
      const object = undo?.states.has(single) ? undo.states.get(single) : this.#objects.get(single);
      const found = object !== undefined && (matches === undefined || matches(object));
      return { items: found ? [object] : [], revision, continueAfter: undefined, remaining: undefined };
    }
    const { from, to } = this.#bounds(options);
    const items: ObjectVersion[] = [];
    let last: ObjectVersion | undefined;
    for (const object of undo === undefined || undo.states.size === 0 ? this.#objects.range(from, to) : this.#rangeBefore(undo, from, to)) {
      if ((name !== undefined && object.name !== name) || (matches !== undefined && !matches(object))) continue;
      if (items.length === limit) {
        last = items.at(-1);
        break;
      }
      items.push(object);
    }
    const exact = matches === undefined && name === undefined;
    const remaining = last !== undefined && exact ? this.#countFrom(successor(last.path), to, undo) : undefined;
    return { items, revision, continueAfter: last?.path, remaining };
  }

  /** All objects a new watch starts with. */
  snapshot(selection: Selection): readonly ObjectVersion[] {
    const result = this.list({ ...selection }, 0, false, 0);
    return (result?.items ?? []) as readonly ObjectVersion[];
  }

  /** The objects of the range as they were, in order: current ones that did not change since, merged with those that did. */
  *#rangeBefore(undo: Undo, from: string, to: string | undefined): Generator<ObjectVersion, void> {
    const olds = undo.existing.range(from, to);
    let next = olds.next();
    for (const object of this.#objects.range(from, to)) {
      if (undo.states.has(object.path)) continue;
      while (!next.done && comparePaths(next.value.path, object.path) < 0) {
        yield next.value;
        next = olds.next();
      }
      yield object;
    }
    while (!next.done) {
      yield next.value;
      next = olds.next();
    }
  }

  #countFrom(from: string, to: string | undefined, undo: Undo | undefined): number {
    let count = this.#objects.countRange(from, to);
    if (undo === undefined) return count;
    count += undo.existing.countRange(from, to);
    for (const path of undo.states.keys()) {
      const inRange = comparePaths(path, from) >= 0 && (to === undefined || comparePaths(path, to) < 0);
      if (inRange && this.#objects.get(path) !== undefined) count--;
    }
    return count;
  }

  #singlePath({ namespace, name, afterKey }: StoreListOptions): string | undefined {
    if (name === undefined || afterKey !== undefined) return undefined;
    if (!this.objectKind.config.namespaced) return name;
    return namespace === undefined ? undefined : `${namespace}/${name}`;
  }

  #bounds({ namespace, afterKey }: StoreListOptions): { readonly from: string; readonly to: string | undefined } {
    const bounded = namespace !== undefined && this.objectKind.config.namespaced;
    const start = bounded ? `${namespace}/` : '';
    const after = afterKey === undefined ? '' : successor(afterKey);
    // The byte behind '/' is '0'.
    return { from: comparePaths(after, start) > 0 ? after : start, to: bounded ? `${namespace}0` : undefined };
  }

  #refuseUnreadable(path: string): void {
    const error = this.#unreadable.get(path);
    if (error !== undefined) throw new UnreadableError([{ key: this.objectKind.keyPrefix + path, message: error.message }]);
  }
}

/** The first path behind `path`. */
function successor(path: string): string {
  return `${path}\u0000`;
}
