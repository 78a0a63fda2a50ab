/**
 * Keeps as many pods as each ReplicaSet, or each ReplicationController, says. One worker per set at a time; while pods that were created or
 * deleted have not shown up in the informer, only the status is brought up to date. Pods are watched once there is a set.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Pod } from '@coffer/api/generated/types';
import type { Informer } from '@coffer/client/informer/informer';
import { keyOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { PODS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import { claimChildren } from '../common/claim-children.ts';
import { controllerOf } from '../common/controller-ref.ts';
import { Expectations } from '../common/expectations.ts';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';
import { isPodActive, isPodAvailable, isPodReady, isPodTerminal } from '../common/pods.ts';
import { createPod, deletePod } from './pod-control.ts';
import { podsToDelete } from './pod-ranking.ts';
import { type PodSet, replicaSets, replicationControllers, type SetKind } from './pod-set.ts';
import type { ReplicaFailure } from './replica-set-status.ts';
import { replicaSetStatus, writeReplicaSetStatus } from './replica-set-status.ts';
import { runInGrowingBatches } from './slow-start.ts';

const WORKERS = 8;
const BURST = 500;
const BY_OWNER = 'controller-uid';
const ORPHANS = 'orphans-by-namespace';

/** Runs the loop until the signal is aborted. Identity: `replicaset-controller`. */
export async function runReplicaSetController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  await new ReplicaSetController(deps, replicaSets, signal).run();
}

/** As `runReplicaSetController`, for ReplicationControllers. Identity: `replication-controller`. */
export async function runReplicationController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  await new ReplicaSetController(deps, replicationControllers, signal).run();
}

class ReplicaSetController {
  readonly #deps: LoopDeps;
  readonly #kind: SetKind;
  readonly #signal: AbortSignal;
  readonly #sets: Informer<PodSet>;
  #podInformer: Informer<V1Pod> | undefined;
  readonly #queue: WorkQueue;
  readonly #expectations: Expectations;

  constructor(deps: LoopDeps, kind: SetKind, signal: AbortSignal) {
    this.#deps = deps;
    this.#kind = kind;
    this.#signal = signal;
    this.#sets = deps.informers.informer(kind.ref);
    this.#queue = new WorkQueue(deps.clock);
    this.#expectations = new Expectations(deps.clock);
  }

  get #pods(): Informer<V1Pod> {
    this.#podInformer ??= this.#deps.informers.informer(PODS);
    return this.#podInformer;
  }

  async run(): Promise<void> {
    await this.#firstSet();
    if (this.#signal.aborted) return;
    this.#pods.addIndex(BY_OWNER, (pod) => toList(controllerOf(pod)?.uid));
    this.#pods.addIndex(ORPHANS, (pod) => (controllerOf(pod) === undefined ? [namespaceOf(pod)] : []));
    this.#sets.addHandler({
      onAdd: (set) => this.#queue.add(keyOf(set)),
      onUpdate: (old, set) => {
        if (uidOf(old) !== uidOf(set)) this.#expectations.forget(keyOf(set));
        this.#queue.add(keyOf(set));
      },
      onDelete: (set) => {
        this.#expectations.forget(keyOf(set));
        this.#queue.add(keyOf(set));
      },
    });
    await this.#deps.informers.whenSynced(this.#signal);
    this.#pods.addHandler({
      onAdd: (pod) => this.#podAdded(pod),
      onUpdate: (old, pod) => this.#podUpdated(old, pod),
      onDelete: (pod) => this.#podDeleted(pod),
    });
    await this.#queue.run(WORKERS, (key) => this.#sync(key), this.#deps.logger, this.#signal);
  }

  /** Resolves when there is a set, or nothing is to be done any more. */
  #firstSet(): Promise<void> {
    return new Promise((resolve) => {
      this.#sets.addHandler({ onAdd: () => resolve() });
      this.#signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  #podAdded(pod: V1Pod): void {
    if (pod.metadata?.deletionTimestamp !== undefined) {
      this.#podDeleted(pod);
      return;
    }
    const owner = this.#ownerOf(pod);
    if (owner !== undefined) {
      this.#expectations.creationSeen(keyOf(owner));
      this.#queue.add(keyOf(owner));
    } else if (controllerOf(pod) === undefined) {
      for (const set of this.#selecting(pod)) this.#queue.add(keyOf(set));
    }
  }

  #podUpdated(old: V1Pod, pod: V1Pod): void {
    if (old.metadata?.deletionTimestamp === undefined && pod.metadata?.deletionTimestamp !== undefined) {
      this.#podDeleted(pod);
      return;
    }
    const formerUid = controllerOf(old)?.uid;
    if (formerUid !== undefined && formerUid !== controllerOf(pod)?.uid) {
      const former = this.#ownerOf(old);
      if (former !== undefined) this.#queue.add(keyOf(former));
    }
    const owner = this.#ownerOf(pod);
    if (owner !== undefined) {
      this.#queue.add(keyOf(owner));
      const minReadySeconds = owner.spec?.minReadySeconds ?? 0;
      // Half a second more than asked for, because times of the API have whole seconds only.
      if (minReadySeconds > 0 && !isPodReady(old) && isPodReady(pod)) {
        this.#queue.addAfter(keyOf(owner), minReadySeconds * 1000 + 1000);
      }
    } else if (controllerOf(pod) === undefined && (controllerOf(old) !== undefined || labelsChanged(old, pod))) {
      for (const set of this.#selecting(pod)) this.#queue.add(keyOf(set));
    }
  }

  #podDeleted(pod: V1Pod): void {
    const owner = this.#ownerOf(pod);
    if (owner === undefined) return;
    this.#expectations.deletionSeen(keyOf(owner), keyOf(pod));
    this.#queue.add(keyOf(owner));
  }

  #ownerOf(pod: V1Pod): PodSet | undefined {
    const reference = controllerOf(pod);
    if (reference === undefined || reference.kind !== this.#kind.ref.kind) return undefined;
    const set = this.#sets.get(`${namespaceOf(pod)}/${reference.name}`);
    return set !== undefined && uidOf(set) === reference.uid ? set : undefined;
  }

  #selecting(pod: V1Pod): PodSet[] {
    if (Object.keys(pod.metadata?.labels ?? {}).length === 0) return [];
    return this.#sets
      .list()
      .filter((set) => namespaceOf(set) === namespaceOf(pod) && this.#kind.selectorOf(set).matches(pod.metadata?.labels));
  }

  async #sync(key: string): Promise<void> {
    const set = this.#sets.get(key);
    if (set === undefined) return;
    const mayAct = this.#expectations.satisfied(key);
    const selector = this.#kind.selectorOf(set);
    const candidates = [...this.#pods.byIndex(BY_OWNER, uidOf(set)), ...this.#pods.byIndex(ORPHANS, namespaceOf(set))];
    const request = { owner: set, ownerRef: this.#kind.ref, childRef: PODS, selector, candidates, mayBeAdopted: isPodActive };
    const claimed = await claimChildren(this.#deps, request, this.#signal);
    const active = claimed.filter(isPodActive);
    const terminating = claimed.filter((pod) => pod.metadata?.deletionTimestamp !== undefined && !isPodTerminal(pod));
    let failed: { readonly failure: ReplicaFailure; readonly error: unknown } | undefined;
    if (mayAct && set.metadata?.deletionTimestamp === undefined) failed = await this.#manage(key, set, active);
    const nowMs = this.#deps.clock.now();
    const status = replicaSetStatus(this.#kind, set, active, terminating, failed?.failure, nowMs);
    const written = await writeReplicaSetStatus(this.#deps, this.#kind, set, status, this.#signal).catch((error: unknown) => {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    });
    if (failed !== undefined) throw failed.error;
    if (written !== undefined) this.#recheckAvailability(key, set, active, nowMs);
  }

  /** Creates or deletes what is missing or too much. A failure is returned, not thrown: the status tells it first. */
  async #manage(
    key: string,
    set: PodSet,
    active: readonly V1Pod[],
  ): Promise<{ readonly failure: ReplicaFailure; readonly error: unknown } | undefined> {
    const wanted = set.spec?.replicas ?? 1;
    const missing = wanted - active.length;
    if (missing > 0) {
      const count = Math.min(missing, BURST);
      this.#expectations.expectCreations(key, count);
      const result = await runInGrowingBatches(count, 1, () => createPod(this.#deps, this.#kind, set, this.#signal));
      for (let i = result.succeeded; i < count; i++) this.#expectations.creationSeen(key);
      if (result.error === undefined || isNamespaceTerminating(result.error)) return undefined;
      return failureOf('FailedCreate', result.error);
    }
    if (missing === 0) return undefined;
    const victims = podsToDelete(active, this.#related(set), Math.min(-missing, BURST), this.#deps.clock.now());
    this.#expectations.expectDeletions(key, victims.map(keyOf));
    const results = await Promise.allSettled(
      victims.map(async (pod) => {
        try {
          await deletePod(this.#deps, set, pod, this.#signal);
        } catch (error) {
          this.#expectations.deletionSeen(key, keyOf(pod));
          if (!isReason(error, 'NotFound')) throw error;
        }
      }),
    );
    const failed = results.find((result) => result.status === 'rejected');
    return failed === undefined ? undefined : failureOf('FailedDelete', failed.reason);
  }

  /** Pods of all sets that have the same controller as this one: a Deployment spreads over old and new sets. */
  #related(set: PodSet): V1Pod[] {
    const controller = controllerOf(set);
    if (controller === undefined) return this.#pods.byIndex(BY_OWNER, uidOf(set));
    return this.#sets
      .list()
      .filter((other) => namespaceOf(other) === namespaceOf(set) && controllerOf(other)?.uid === controller.uid)
      .flatMap((other) => this.#pods.byIndex(BY_OWNER, uidOf(other)));
  }

  #recheckAvailability(key: string, set: PodSet, active: readonly V1Pod[], nowMs: number): void {
    const minReadySeconds = set.spec?.minReadySeconds ?? 0;
    if (minReadySeconds === 0) return;
    if (active.some((pod) => isPodReady(pod) && !isPodAvailable(pod, minReadySeconds, nowMs))) {
      this.#queue.addAfter(key, Math.min(1000, minReadySeconds * 1000));
    }
  }
}

function failureOf(reason: ReplicaFailure['reason'], error: unknown): { readonly failure: ReplicaFailure; readonly error: unknown } {
  return { failure: { reason, message: error instanceof Error ? error.message : String(error) }, error };
}

function labelsChanged(old: V1Pod, pod: V1Pod): boolean {
  return JSON.stringify(old.metadata?.labels) !== JSON.stringify(pod.metadata?.labels);
}

function toList(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
}
