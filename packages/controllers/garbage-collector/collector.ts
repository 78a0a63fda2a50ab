/**
 * What the garbage collector does to single objects. Every decision is taken on the object and its owners as the server has them now;
 * the graph only says where to look. Deletions carry UID and revision as preconditions.
 */

import { isReason, StatusError } from '@coffer/api/errors/status-error';
import type { V1ObjectMeta, V1OwnerReference } from '@coffer/api/generated/types';
import type { DiscoveredResource } from '@coffer/client/discovery/discover-resources';
import type { ApiClient } from '@coffer/client/rest/api-client';
import type { ApiObject } from '@coffer/client/rest/api-object';
import { AbsentOwners } from './absent-owners.ts';
import type { GraphNode, OwnerGraph } from './graph.ts';
import { FOREGROUND, ORPHAN } from './graph.ts';

export interface CollectorDeps {
  readonly api: ApiClient;
  readonly graph: OwnerGraph;
  resourceOf(reference: V1OwnerReference): DiscoveredResource | undefined;
  attemptToDelete(node: GraphNode): void;
}

/** The kind of an owner is not served (yet): nobody can tell whether it exists, so its dependents are kept. */
export class UnknownOwnerKindError extends Error {
  constructor(reference: V1OwnerReference) {
    super(`no resource serves the owner's kind ${reference.kind} of ${reference.apiVersion}`);
    this.name = 'UnknownOwnerKindError';
  }
}

type OwnerState = 'solid' | 'dangling' | 'waiting';

export class Collector {
  readonly #deps: CollectorDeps;
  readonly #signal: AbortSignal;
  readonly #absent = new AbsentOwners(500);

  constructor(deps: CollectorDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
  }

  /** Deletes the object when no owner is left, drops references to owners that are gone, or lets a waiting owner go. */
  async attemptToDelete(node: GraphNode): Promise<void> {
    if (node.beingDeleted && !node.deletingDependents) return;
    const resource = this.#resourceOfNode(node);
    if (resource === undefined) return;
    if (resource.namespaced && node.namespace === '') {
      // Named by an object of the cluster, which does not say where this one is: other dependents must not suffer from that.
      this.#deps.graph.remove(node.uid);
      return;
    }
    const latest = await this.#look(resource, node.namespace, node.name);
    if (latest === undefined || latest.metadata?.uid !== node.uid) {
      this.#absent.add({ ...resource, namespace: node.namespace, name: node.name, uid: node.uid });
      this.#deps.graph.remove(node.uid);
      return;
    }
    if (node.virtual && this.#deps.graph.get(node.uid) === node) this.#deps.graph.put(resource, latest.metadata);
    if (node.deletingDependents) {
      await this.#releaseWaiting(node, resource);
      return;
    }
    const references = latest.metadata.ownerReferences ?? [];
    if (references.length === 0) return;
    const states = await this.#classify(node, references);
    const count = (state: OwnerState) => [...states.values()].filter((other) => other === state).length;
    if (count('solid') > 0) {
      const gone = references.filter((reference) => states.get(reference.uid) !== 'solid').map((reference) => reference.uid);
      if (gone.length > 0) await this.#removeOwners(node, resource, gone);
    } else if (count('waiting') > 0 && node.dependents.size > 0) {
      if ([...node.dependents].some((dependent) => dependent.deletingDependents))
        await this.#unblockOwners(node, resource, latest.metadata);
      await this.#delete(node, resource, latest.metadata, 'Foreground');
    } else {
      await this.#delete(node, resource, latest.metadata, policyOf(latest.metadata));
    }
  }

  /** Takes the owner out of all its dependents and lets it go. */
  async orphanDependents(owner: GraphNode): Promise<void> {
    if (owner.resource === undefined) return;
    for (const dependent of owner.dependents) {
      if (dependent.resource !== undefined) await this.#removeOwners(dependent, dependent.resource, [owner.uid]);
    }
    await this.#removeFinalizer(owner, owner.resource, ORPHAN);
  }

  /** The kind of an owner that was never seen may have become known since its dependents named it. */
  #resourceOfNode(node: GraphNode): DiscoveredResource | undefined {
    if (node.resource !== undefined) return node.resource;
    for (const dependent of node.dependents) {
      const reference = dependent.owners.find((owner) => owner.uid === node.uid);
      if (reference === undefined) continue;
      node.resource = this.#deps.resourceOf(reference);
      if (node.resource === undefined) throw new UnknownOwnerKindError(reference);
      node.namespace = node.resource.namespaced ? dependent.namespace : '';
      return node.resource;
    }
    return undefined;
  }

  async #releaseWaiting(node: GraphNode, resource: DiscoveredResource): Promise<void> {
    const blocking = [...node.dependents].filter((dependent) =>
      dependent.owners.some((owner) => owner.uid === node.uid && owner.blockOwnerDeletion === true),
    );
    if (blocking.length === 0) {
      await this.#removeFinalizer(node, resource, FOREGROUND);
      return;
    }
    for (const dependent of blocking) if (!dependent.deletingDependents) this.#deps.attemptToDelete(dependent);
  }

  async #classify(node: GraphNode, references: readonly V1OwnerReference[]): Promise<Map<string, OwnerState>> {
    const states = new Map<string, OwnerState>();
    for (const reference of references) states.set(reference.uid, await this.#ownerState(node, reference));
    return states;
  }

  async #ownerState(node: GraphNode, reference: V1OwnerReference): Promise<OwnerState> {
    const resource = this.#deps.resourceOf(reference);
    if (resource === undefined) throw new UnknownOwnerKindError(reference);
    // A cluster-wide object cannot have a namespaced owner; nothing says that this one is gone.
    if (resource.namespaced && node.namespace === '') return 'solid';
    const namespace = resource.namespaced ? node.namespace : '';
    const identity = { ...resource, namespace, name: reference.name, uid: reference.uid };
    if (this.#absent.has(identity)) return 'dangling';
    const owner = await this.#look(resource, namespace, reference.name);
    if (owner === undefined || owner.metadata?.uid !== reference.uid) {
      this.#absent.add(identity);
      return 'dangling';
    }
    this.#deps.graph.linkLiving(node, resource, owner.metadata);
    const waits = owner.metadata.deletionTimestamp !== undefined && (owner.metadata.finalizers ?? []).includes(FOREGROUND);
    return waits ? 'waiting' : 'solid';
  }

  async #look(resource: DiscoveredResource, namespace: string, name: string): Promise<ApiObject | undefined> {
    try {
      return await this.#deps.api.resource(resource).get(name, { namespace, metadataOnly: true, signal: this.#signal });
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    }
  }

  async #delete(node: GraphNode, resource: DiscoveredResource, latest: V1ObjectMeta, propagationPolicy: string): Promise<void> {
    const preconditions = { uid: node.uid, ...(latest.resourceVersion === undefined ? {} : { resourceVersion: latest.resourceVersion }) };
    await this.#ignoringGone(node, () =>
      this.#deps.api.resource(resource).delete(node.name, {
        namespace: node.namespace,
        signal: this.#signal,
        body: { propagationPolicy, preconditions },
      }),
    );
  }

  async #removeOwners(node: GraphNode, resource: DiscoveredResource, uids: readonly string[]): Promise<void> {
    await this.#patchMetadata(node, resource, (metadata) => {
      const kept = (metadata.ownerReferences ?? []).filter((owner) => !uids.includes(owner.uid));
      if (kept.length === (metadata.ownerReferences ?? []).length) return undefined;
      return { ownerReferences: kept.length === 0 ? null : kept };
    });
  }

  async #unblockOwners(node: GraphNode, resource: DiscoveredResource, latest: V1ObjectMeta): Promise<void> {
    if (!(latest.ownerReferences ?? []).some((owner) => owner.blockOwnerDeletion === true)) return;
    await this.#patchMetadata(node, resource, (metadata) => ({
      ownerReferences: (metadata.ownerReferences ?? []).map((owner) => ({ ...owner, blockOwnerDeletion: false })),
    }));
  }

  async #removeFinalizer(node: GraphNode, resource: DiscoveredResource, finalizer: string): Promise<void> {
    await this.#patchMetadata(node, resource, (metadata) => {
      const kept = (metadata.finalizers ?? []).filter((name) => name !== finalizer);
      if (kept.length === (metadata.finalizers ?? []).length) return undefined;
      return { finalizers: kept.length === 0 ? null : kept };
    });
  }

  /** Patches the newest metadata under its revision; tries again when another writer was faster. */
  async #patchMetadata(
    node: GraphNode,
    resource: DiscoveredResource,
    change: (metadata: V1ObjectMeta) => Record<string, unknown> | undefined,
  ): Promise<void> {
    for (let attempt = 0; ; attempt++) {
      const latest = await this.#look(resource, node.namespace, node.name);
      const metadata = latest?.metadata;
      if (metadata === undefined || metadata.uid !== node.uid) return;
      const changed = change(metadata);
      if (changed === undefined) return;
      const patch = { metadata: { uid: node.uid, resourceVersion: metadata.resourceVersion, ...changed } };
      try {
        await this.#deps.api.resource(resource).patch(node.name, 'merge', patch, { namespace: node.namespace, signal: this.#signal });
        return;
      } catch (error) {
        if (isReason(error, 'NotFound') || isReason(error, 'Invalid')) return;
        if (!isReason(error, 'Conflict') || attempt >= 5) throw error;
      }
    }
  }

  /** Gone already, or changed since: a change comes back as an event, so the node is looked at again. */
  async #ignoringGone(node: GraphNode, action: () => Promise<unknown>): Promise<void> {
    try {
      await action();
    } catch (error) {
      if (!(error instanceof StatusError)) throw error;
      if (error.reason === 'NotFound') this.#deps.graph.remove(node.uid);
      else throw error;
    }
  }
}

function policyOf(metadata: V1ObjectMeta): string {
  const finalizers = metadata.finalizers ?? [];
  if (finalizers.includes(ORPHAN)) return 'Orphan';
  return finalizers.includes(FOREGROUND) ? 'Foreground' : 'Background';
}
