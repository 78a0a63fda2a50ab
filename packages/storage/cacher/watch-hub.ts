import type { Selection, StoreEvent, WatchSink } from '../store/store.ts';
import type { Change } from './change.ts';

/** One open watch that gets live changes. */
export interface Watcher {
  readonly selection: Selection;
  readonly sink: WatchSink;
  /** Revision up to which the sink has been told something, by an event or by progress; changes up to it are not for this watch. */
  told: number;
  /** Events of the batch that is being dispatched. */
  batch: StoreEvent[];
  ended: boolean;
}

export function newWatcher(selection: Selection, sink: WatchSink): Watcher {
  return { selection, sink, told: 0, batch: [], ended: false };
}

/**
 * Finds the watches that a change concerns: by exact name, by namespace, or all; so that a thousand watches of one object each
 * cost nothing when another one changes. Nothing here waits.
 */
export class WatchHub {
  readonly #everything = new Set<Watcher>();
  readonly #byNamespace = new Map<string, Set<Watcher>>();
  /** Key: the object's path. */
  readonly #byPath = new Map<string, Set<Watcher>>();
  readonly #namespaced: boolean;
  #size = 0;

  constructor(namespaced: boolean) {
    this.#namespaced = namespaced;
  }

  get size(): number {
    return this.#size;
  }

  add(watcher: Watcher): void {
    this.#size++;
    this.#setOf(watcher, true)?.add(watcher);
  }

  remove(watcher: Watcher): void {
    const set = this.#setOf(watcher, false);
    if (set?.delete(watcher) !== true) return;
    this.#size--;
    if (set.size > 0) return;
    const { namespace } = watcher.selection;
    const path = this.#pathOf(watcher);
    if (path !== undefined) this.#byPath.delete(path);
    else if (namespace !== undefined) this.#byNamespace.delete(namespace);
  }

  /** Hands the changes of one commit to the watches that see them, one call per watch. */
  dispatch(changes: readonly Change[], revision: number): void {
    if (this.#size === 0) return;
    const touched: Watcher[] = [];
    for (const change of changes) {
      for (const watcher of this.#everything) offer(watcher, change, touched);
      for (const watcher of this.#byNamespace.get(change.namespace) ?? []) offer(watcher, change, touched);
      for (const watcher of this.#byPath.get(change.path) ?? []) offer(watcher, change, touched);
    }
    for (const watcher of touched) {
      const events = watcher.batch;
      watcher.batch = [];
      if (watcher.ended) continue;
      watcher.told = revision;
      this.#tell(watcher, () => watcher.sink.events(events));
    }
  }

  /** Tells watches that have heard nothing lately how far the cache is. */
  progress(revision: number): void {
    for (const watcher of this.all()) {
      if (watcher.told >= revision) continue;
      watcher.told = revision;
      this.#tell(watcher, () => watcher.sink.progress?.(revision));
    }
  }

  /** A copy: watches may end or begin while it is walked. */
  all(): Watcher[] {
    const all = [...this.#everything];
    for (const set of this.#byNamespace.values()) all.push(...set);
    for (const set of this.#byPath.values()) all.push(...set);
    return all;
  }

  /** A sink that throws loses its watch, and nothing else: the write it was told about is committed. */
  #tell(watcher: Watcher, tell: () => void): void {
    try {
      tell();
    } catch (error) {
      this.remove(watcher);
      if (watcher.ended) return;
      watcher.ended = true;
      watcher.sink.ended(error instanceof Error ? error : new Error(String(error)));
    }
  }

  #setOf(watcher: Watcher, create: boolean): Set<Watcher> | undefined {
    const path = this.#pathOf(watcher);
    const { namespace } = watcher.selection;
    if (path === undefined && (namespace === undefined || !this.#namespaced)) return this.#everything;
    const [map, key] = path === undefined ? ([this.#byNamespace, namespace ?? ''] as const) : ([this.#byPath, path] as const);
    let set = map.get(key);
    if (set === undefined && create) {
      set = new Set();
      map.set(key, set);
    }
    return set;
  }

  /** The one path a selection is about, if it is about one. */
  #pathOf({ selection: { namespace, name } }: Watcher): string | undefined {
    if (name === undefined) return undefined;
    if (!this.#namespaced) return name;
    return namespace === undefined ? undefined : `${namespace}/${name}`;
  }
}

function offer(watcher: Watcher, change: Change, touched: Watcher[]): void {
  if (watcher.ended || change.revision <= watcher.told) return;
  const event = eventFor(watcher.selection, change);
  if (event === undefined) return;
  if (watcher.batch.length === 0) touched.push(watcher);
  watcher.batch.push(event);
}

/** How a selection sees a change; undefined when it does not. */
export function eventFor(selection: Selection, change: Change): StoreEvent | undefined {
  if (selection.namespace !== undefined && selection.namespace !== change.namespace) return undefined;
  if (selection.name !== undefined && selection.name !== change.name) return undefined;
  return change.seenBy(selection.matches);
}
