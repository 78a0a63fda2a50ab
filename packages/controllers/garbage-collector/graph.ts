/**
 * Who owns whom. Holds only objects that take part in ownership (they have owners, have dependents, or are being deleted), so that a
 * hundred thousand independent ConfigMaps cost nothing. An owner that was never seen is `virtual` until a watch or a look-up shows it.
 */
import type { V1ObjectMeta, V1OwnerReference } from '@coffer/api/generated/types';
import type { DiscoveredResource } from '@coffer/client/discovery/discover-resources';

export const FOREGROUND = 'foregroundDeletion';
export const ORPHAN = 'orphan';

export interface GraphNode {
  readonly uid: string;
  /** Unknown for a virtual node whose kind the server does not serve. */
  resource: DiscoveredResource | undefined;
  /** As the first dependent named it, for virtual nodes. */
  namespace: string;
  name: string;
  owners: readonly V1OwnerReference[];
  readonly dependents: Set<GraphNode>;
  virtual: boolean;
  beingDeleted: boolean;
  /** Waits for its dependents to be deleted first. */
  deletingDependents: boolean;
  /** Waits for its dependents to forget it. */
  orphaningDependents: boolean;
}

const NO_OWNERS: readonly V1OwnerReference[] = [];

/** What a change of the graph asks for. */
export interface GraphEffects {
  /** Look at the node: it may have to be deleted. */
  attemptToDelete(node: GraphNode): void;
  attemptToOrphan(node: GraphNode): void;
  /** The resource of a kind, when the server serves it. */
  resourceOf(reference: V1OwnerReference): DiscoveredResource | undefined;
  /** A namespaced owner is referred to from another namespace. */
  invalidOwner(dependent: GraphNode, reference: V1OwnerReference): void;
}

export class OwnerGraph {
  readonly #nodes = new Map<string, GraphNode>();
  readonly #effects: GraphEffects;

  constructor(effects: GraphEffects) {
    this.#effects = effects;
  }

  get size(): number {
    return this.#nodes.size;
  }

  get(uid: string): GraphNode | undefined {
    return this.#nodes.get(uid);
  }

  /** Nodes of one resource that a watch has shown. */
  *observedOf(resource: DiscoveredResource): Generator<GraphNode> {
    for (const node of this.#nodes.values()) if (!node.virtual && sameResource(node.resource, resource)) yield node;
  }

  /** An object exists as its metadata says. */
  put(resource: DiscoveredResource, metadata: V1ObjectMeta): void {
    const uid = metadata.uid ?? '';
    const existing = this.#nodes.get(uid);
    const owners = metadata.ownerReferences ?? NO_OWNERS;
    const deleted = metadata.deletionTimestamp !== undefined;
    if (existing === undefined && owners.length === 0 && !deleted) return;
    const node = existing ?? newNode(uid, resource, metadata);
    this.#nodes.set(uid, node);
    if (node.virtual) this.#observe(node, resource, metadata);
    this.#setOwners(node, owners);
    node.beingDeleted = deleted;
    const finalizers = metadata.finalizers ?? [];
    const orphaning = deleted && finalizers.includes(ORPHAN);
    if (orphaning && !node.orphaningDependents) this.#effects.attemptToOrphan(node);
    node.orphaningDependents = orphaning;
    if (deleted && finalizers.includes(FOREGROUND) && !node.deletingDependents) {
      node.deletingDependents = true;
      for (const dependent of node.dependents) this.#effects.attemptToDelete(dependent);
      this.#effects.attemptToDelete(node);
    }
    this.#dropIfUseless(node);
  }

  /** A look-up showed an owner that the graph had lost; from now on its deletion is noticed again. */
  linkLiving(node: GraphNode, resource: DiscoveredResource, owner: V1ObjectMeta): void {
    const uid = owner.uid ?? '';
    if (this.#nodes.get(node.uid) !== node) return;
    const known = this.#nodes.get(uid) ?? newNode(uid, resource, owner);
    this.#nodes.set(uid, known);
    known.dependents.add(node);
  }

  /** An object is gone. */
  remove(uid: string): void {
    const node = this.#nodes.get(uid);
    if (node === undefined) return;
    this.#nodes.delete(uid);
    for (const reference of node.owners) {
      const owner = this.#nodes.get(reference.uid);
      if (owner === undefined) continue;
      owner.dependents.delete(node);
      if (owner.deletingDependents) this.#effects.attemptToDelete(owner);
      this.#dropIfUseless(owner);
    }
    for (const dependent of node.dependents) this.#effects.attemptToDelete(dependent);
  }

  #observe(node: GraphNode, resource: DiscoveredResource, metadata: V1ObjectMeta): void {
    node.virtual = false;
    node.resource = resource;
    node.namespace = metadata.namespace ?? '';
    node.name = metadata.name ?? '';
    for (const dependent of node.dependents) {
      const reference = dependent.owners.find((owner) => owner.uid === node.uid);
      if (reference !== undefined) this.#checkNamespace(dependent, node, reference);
    }
  }

  #setOwners(node: GraphNode, owners: readonly V1OwnerReference[]): void {
    const before = node.owners;
    node.owners = owners;
    for (const old of before) {
      const current = owners.find((owner) => owner.uid === old.uid);
      const owner = this.#nodes.get(old.uid);
      if (owner === undefined) continue;
      const unblocked = old.blockOwnerDeletion === true && current?.blockOwnerDeletion !== true;
      if (current === undefined) owner.dependents.delete(node);
      if (unblocked && owner.deletingDependents) this.#effects.attemptToDelete(owner);
      if (current === undefined) this.#dropIfUseless(owner);
    }
    for (const reference of owners) {
      if (before.some((old) => old.uid === reference.uid) && this.#nodes.get(reference.uid)?.dependents.has(node)) continue;
      this.#link(node, reference);
    }
  }

  #link(node: GraphNode, reference: V1OwnerReference): void {
    let owner = this.#nodes.get(reference.uid);
    if (owner === undefined) {
      const resource = this.#effects.resourceOf(reference);
      const namespace = resource?.namespaced === false ? '' : node.namespace;
      owner = { ...newNode(reference.uid, resource, { name: reference.name, namespace }), virtual: true };
      this.#nodes.set(reference.uid, owner);
      owner.dependents.add(node);
      // Nobody has seen this owner yet: find out whether it exists.
      this.#effects.attemptToDelete(owner);
      return;
    }
    owner.dependents.add(node);
    if (!owner.virtual) this.#checkNamespace(node, owner, reference);
    if (owner.deletingDependents) this.#effects.attemptToDelete(node);
  }

  #checkNamespace(dependent: GraphNode, owner: GraphNode, reference: V1OwnerReference): void {
    const wrongPlace = owner.namespace !== '' && owner.namespace !== dependent.namespace;
    const wrongName = owner.name !== reference.name || owner.resource?.kind !== reference.kind;
    if (!wrongPlace && !wrongName) return;
    if (wrongPlace) this.#effects.invalidOwner(dependent, reference);
    this.#effects.attemptToDelete(dependent);
  }

  /** Forgets a living node that nothing refers to and that refers to nothing. */
  #dropIfUseless(node: GraphNode): void {
    if (node.owners.length === 0 && node.dependents.size === 0 && !node.beingDeleted) this.#nodes.delete(node.uid);
  }
}

function newNode(uid: string, resource: DiscoveredResource | undefined, metadata: V1ObjectMeta): GraphNode {
  return {
    uid,
    resource,
    namespace: metadata.namespace ?? '',
    name: metadata.name ?? '',
    owners: NO_OWNERS,
    dependents: new Set(),
    virtual: false,
    beingDeleted: false,
    deletingDependents: false,
    orphaningDependents: false,
  };
}

export function sameResource(a: DiscoveredResource | undefined, b: DiscoveredResource): boolean {
  return a !== undefined && a.group === b.group && a.resource === b.resource;
}
