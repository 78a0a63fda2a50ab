/**
 * A local copy of one resource, kept by a reflector, with indexes and handlers. Handlers run synchronously in the order of the
 * events, after the copy and its indexes show the change; they must be quick (put a key into a queue) and what they throw is logged.
 * A handler added late first gets an `onAdd` for everything that is there. Objects belong to the informer: never change them.
 */
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ReflectorOptions } from '../reflector/reflector.ts';
import { Reflector } from '../reflector/reflector.ts';
import type { ApiObject } from '../rest/api-object.ts';
import { keyOf } from '../rest/api-object.ts';
import type { ResourceClient } from '../rest/resource-client.ts';
import { refId } from '../rest/resource-ref.ts';

export interface InformerHandler<T> {
  onAdd?(object: T): void;
  /** Also called when only the revision changed. */
  onUpdate?(old: T, current: T): void;
  /** `object` is the last state seen; after a gap in the watch it may be older than the state that was deleted. */
  onDelete?(object: T): void;
}

export interface InformerDeps<T extends ApiObject> {
  readonly client: ResourceClient<T>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The default `transform` is `dropManagedFields`. */
export type InformerOptions<T> = ReflectorOptions<T>;

/** Values under which an object is found in an index. */
export type IndexFunction<T> = (object: T) => readonly string[];

/** The default transform: `managedFields` are large and no loop reads them. */
export function dropManagedFields<T extends ApiObject>(object: T): T {
  if (object.metadata) delete object.metadata.managedFields;
  return object;
}

interface Index<T> {
  readonly values: IndexFunction<T>;
  readonly keys: Map<string, Set<string>>;
}

export class Informer<T extends ApiObject> {
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Index<T>>();
  readonly #handlers = new Set<InformerHandler<T>>();
  readonly #reflector: Reflector<T>;
  readonly #logger: Logger;

  constructor(deps: InformerDeps<T>, options: InformerOptions<T> = {}) {
    this.#logger = deps.logger.child({ resource: refId(deps.client.ref) });
    const store = {
      replace: (items: readonly T[]) => this.#replace(items),
      apply: (type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T) => this.#apply(type, object),
    };
    this.#reflector = new Reflector<T>({ ...deps, store }, { transform: dropManagedFields, ...options });
  }

  /** Keeps the copy until the signal is aborted. */
  run(signal: AbortSignal): Promise<void> {
    return this.#reflector.run(signal);
  }

  whenSynced(signal?: AbortSignal): Promise<void> {
    return this.#reflector.whenSynced(signal);
  }

  whenAtLeast(resourceVersion: string, signal?: AbortSignal): Promise<void> {
    return this.#reflector.whenAtLeast(resourceVersion, signal);
  }

  get lastRevision(): string | undefined {
    return this.#reflector.lastRevision;
  }

  /** By `namespace/name`, or name. */
  get(key: string): T | undefined {
    return this.#objects.get(key);
  }

  list(): T[] {
    return [...this.#objects.values()];
  }

  get size(): number {
    return this.#objects.size;
  }

  /** Adds an index by name; an index of that name that exists already is kept. */
  addIndex(name: string, values: IndexFunction<T>): void {
    if (this.#indexes.has(name)) return;
    const index: Index<T> = { values, keys: new Map() };
    this.#indexes.set(name, index);
    for (const [key, object] of this.#objects) insert(index, key, object);
  }

  byIndex(name: string, value: string): T[] {
    const index = this.#indexes.get(name);
    if (index === undefined) throw new Error(`no index ${JSON.stringify(name)}`);
    const found: T[] = [];
    for (const key of index.keys.get(value) ?? []) {
      const object = this.#objects.get(key);
      if (object !== undefined) found.push(object);
    }
    return found;
  }

  /** Returns the function that removes the handler. */
  addHandler(handler: InformerHandler<T>): () => void {
    this.#handlers.add(handler);
    for (const object of this.#objects.values()) this.#call(() => handler.onAdd?.(object));
    return () => this.#handlers.delete(handler);
  }

  #replace(items: readonly T[]): void {
    const seen = new Set<string>();
    for (const object of items) {
      seen.add(keyOf(object));
      this.#put(object);
    }
    for (const [key, object] of this.#objects) if (!seen.has(key)) this.#remove(key, object);
  }

  #apply(type: 'ADDED' | 'MODIFIED' | 'DELETED', object: T): void {
    if (type === 'DELETED') this.#remove(keyOf(object), object);
    else this.#put(object);
  }

  #put(object: T): void {
    const key = keyOf(object);
    const old = this.#objects.get(key);
    // A new object of the same name means that the old one was deleted unseen.
    if (old !== undefined && old.metadata?.uid !== object.metadata?.uid) {
      this.#remove(key, old);
    } else if (old !== undefined) {
      for (const index of this.#indexes.values()) remove(index, key, old);
      this.#objects.set(key, object);
      for (const index of this.#indexes.values()) insert(index, key, object);
      for (const handler of this.#handlers) this.#call(() => handler.onUpdate?.(old, object));
      return;
    }
    this.#objects.set(key, object);
    for (const index of this.#indexes.values()) insert(index, key, object);
    for (const handler of this.#handlers) this.#call(() => handler.onAdd?.(object));
  }

  #remove(key: string, last: T): void {
    const old = this.#objects.get(key);
    if (old === undefined) return;
    this.#objects.delete(key);
    for (const index of this.#indexes.values()) remove(index, key, old);
    for (const handler of this.#handlers) this.#call(() => handler.onDelete?.(last));
  }

  #call(run: () => void): void {
    try {
      run();
    } catch (error) {
      this.#logger.error('an informer handler failed', { err: error });
    }
  }
}

function insert<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.values(object)) {
    const keys = index.keys.get(value);
    if (keys === undefined) index.keys.set(value, new Set([key]));
    else keys.add(key);
  }
}

function remove<T>(index: Index<T>, key: string, object: T): void {
  for (const value of index.values(object)) {
    const keys = index.keys.get(value);
    if (keys === undefined) continue;
    keys.delete(key);
    if (keys.size === 0) index.keys.delete(value);
  }
}
