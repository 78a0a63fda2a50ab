import type { ResourceInfo } from '@coffer/api/catalog/resource';
import { notFound } from '@coffer/api/errors/status-error';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { createErrors, updateErrors } from '@coffer/api/kinds/validate-object';
import type { GroupResource, KubeObject } from '@coffer/api/meta/object';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore, StoredObject } from '@coffer/storage/store/store';
import type { Strategy, UpdateRules } from './strategy.ts';

/** What a registry is made of. */
export interface RegistryDeps {
  readonly resource: ResourceInfo;
  readonly kind: KindDefinition;
  readonly store: ResourceStore;
  readonly strategy: Strategy;
  readonly clock: Clock;
  /** The object in the form Go writes: zero values left out or filled in. The argument is not changed. */
  readonly canonicalize: (object: KubeObject, kind: KindDefinition) => KubeObject;
}

/**
 * The generic registry of one served resource: kind + strategy + store. It holds what create, update and delete (one file each)
 * have in common. Objects it hands out are shared and must not be changed; objects it is given are its own.
 */
export class Registry {
  readonly resource: ResourceInfo;
  readonly kind: KindDefinition;
  readonly store: ResourceStore;
  readonly strategy: Strategy;
  readonly clock: Clock;
  readonly gr: GroupResource;
  /** Rules of PUT and PATCH of the resource itself. */
  readonly mainRules: UpdateRules;
  readonly #canonicalize: RegistryDeps['canonicalize'];

  constructor(deps: RegistryDeps) {
    this.resource = deps.resource;
    this.kind = deps.kind;
    this.store = deps.store;
    this.strategy = deps.strategy;
    this.clock = deps.clock;
    this.gr = { group: deps.resource.group, resource: deps.resource.resource };
    this.#canonicalize = deps.canonicalize;
    this.mainRules = mainRules(deps.kind, deps.strategy);
  }

  /** Throws 404. */
  get(namespace: string, name: string): StoredObject {
    const stored = this.store.get(namespace, name);
    if (stored === undefined) throw notFound(this.gr, name);
    return stored;
  }

  /** True when the served version is not the stored one, so that stored bytes cannot be sent as they are. */
  get converts(): boolean {
    return this.kind.fromStored !== undefined;
  }

  /** The object in the served version; shared, not to be changed. */
  served(stored: StoredObject): KubeObject {
    return this.servedObject(stored.peek());
  }

  /** An object of the stored version in the served one: the same object where the two are one version. */
  servedObject(stored: KubeObject): KubeObject {
    const { kind } = this;
    return kind.fromStored === undefined ? stored : this.canonicalize(kind.fromStored(stored));
  }

  /** The object in the served version; a copy of the caller's own. */
  servedCopy(stored: StoredObject): KubeObject {
    const { kind } = this;
    return kind.fromStored === undefined ? stored.decode() : this.canonicalize(kind.fromStored(stored.decode()));
  }

  toStored(object: KubeObject): KubeObject {
    return this.kind.toStored === undefined ? object : this.kind.toStored(object);
  }

  canonicalize(object: KubeObject): KubeObject {
    return this.#canonicalize(object, this.kind);
  }

  /**
   * What decoding a body leaves to the kind: defaults, changes every write gets, the canonical form. Upstream does this before it
   * tracks managed fields.
   */
  complete(object: KubeObject): KubeObject {
    this.kind.applyDefaults(object);
    this.kind.normalize?.(object, undefined);
    const { managedFields } = object.metadata;
    const completed = this.#canonicalize(object, this.kind);
    // An empty list asks to forget all managers: it must not be taken for an absent one.
    if (managedFields?.length === 0) completed.metadata.managedFields = [];
    return completed;
  }

  createErrors(object: KubeObject) {
    return createErrors(this.kind, object);
  }
}

function mainRules(kind: KindDefinition, strategy: Strategy): UpdateRules {
  return {
    ...(strategy.prepareForUpdate === undefined ? {} : { prepareForUpdate: strategy.prepareForUpdate }),
    validateUpdate: (object, old) => updateErrors(kind, object, old),
    warnings: (object, old) => kind.warnings(object, old),
    allowUnconditionalUpdate: strategy.allowUnconditionalUpdate ?? true,
    allowCreateOnUpdate: strategy.allowCreateOnUpdate ?? false,
  };
}
