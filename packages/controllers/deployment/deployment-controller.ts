/**
 * Rolls deployments out through replica sets. Level-triggered: a sync starts from the informers' view, and what it wrote comes back as
 * events that start the next one. One worker per deployment at a time.
 */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Deployment, V1Pod, V1ReplicaSet } from '@coffer/api/generated/types';
import { fromLabelSelector } from '@coffer/api/selectors/labels';
import type { Informer } from '@coffer/client/informer/informer';
import { keyOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { DEPLOYMENTS, PODS, REPLICA_SETS } from '@coffer/client/rest/well-known';
import { WorkQueue } from '@coffer/client/workqueue/work-queue';
import { claimChildren } from '../common/claim-children.ts';
import { controllerOf } from '../common/controller-ref.ts';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';
import { DeploymentSync } from './deployment-sync.ts';

const WORKERS = 5;
const BY_OWNER = 'controller-uid';
const ORPHANS = 'orphans-by-namespace';

/** Runs the loop until the signal is aborted. Identity: `deployment-controller`. */
export async function runDeploymentController(deps: LoopDeps, signal: AbortSignal): Promise<void> {
  await new DeploymentController(deps, signal).run();
}

class DeploymentController {
  readonly #deps: LoopDeps;
  readonly #signal: AbortSignal;
  readonly #deployments: Informer<V1Deployment>;
  readonly #sets: Informer<V1ReplicaSet>;
  readonly #queue: WorkQueue;
  #pods: Informer<V1Pod> | undefined;

  constructor(deps: LoopDeps, signal: AbortSignal) {
    this.#deps = deps;
    this.#signal = signal;
    this.#deployments = deps.informers.informer(DEPLOYMENTS);
    this.#sets = deps.informers.informer(REPLICA_SETS);
    this.#queue = new WorkQueue(deps.clock);
  }

  async run(): Promise<void> {
    this.#sets.addIndex(BY_OWNER, (set) => toList(controllerOf(set)?.uid));
    this.#sets.addIndex(ORPHANS, (set) => (controllerOf(set) === undefined ? [namespaceOf(set)] : []));
    await this.#deps.informers.whenSynced(this.#signal);
    this.#deployments.addHandler({
      onAdd: (deployment) => this.#queue.add(keyOf(deployment)),
      onUpdate: (_old, deployment) => this.#queue.add(keyOf(deployment)),
    });
    this.#sets.addHandler({
      onAdd: (set) => this.#setChanged(set),
      onUpdate: (old, set) => {
        if (controllerOf(old)?.uid !== controllerOf(set)?.uid) this.#setChanged(old);
        this.#setChanged(set);
      },
      onDelete: (set) => this.#setChanged(set),
    });
    await this.#queue.run(WORKERS, (key) => this.#sync(key), this.#deps.logger, this.#signal);
  }

  #setChanged(set: V1ReplicaSet): void {
    const reference = controllerOf(set);
    if (reference !== undefined) {
      const owner = reference.kind === DEPLOYMENTS.kind ? this.#deployments.get(`${namespaceOf(set)}/${reference.name}`) : undefined;
      if (owner !== undefined && uidOf(owner) === reference.uid) this.#queue.add(keyOf(owner));
      return;
    }
    if (Object.keys(set.metadata?.labels ?? {}).length === 0) return;
    for (const deployment of this.#deployments.list()) {
      if (namespaceOf(deployment) !== namespaceOf(set)) continue;
      if (fromLabelSelector(deployment.spec?.selector).matches(set.metadata?.labels)) this.#queue.add(keyOf(deployment));
    }
  }

  async #sync(key: string): Promise<void> {
    const deployment = this.#deployments.get(key);
    if (deployment === undefined) return;
    const selector = fromLabelSelector(deployment.spec?.selector);
    if (selector.empty) {
      await this.#refuseEmptySelector(deployment);
      return;
    }
    const candidates = [...this.#sets.byIndex(BY_OWNER, uidOf(deployment)), ...this.#sets.byIndex(ORPHANS, namespaceOf(deployment))];
    const request = { owner: deployment, ownerRef: DEPLOYMENTS, childRef: REPLICA_SETS, selector, candidates, mayBeAdopted: () => true };
    const sets = await claimChildren(this.#deps, request, this.#signal);
    const syncDeps = {
      ...this.#deps,
      podsOf: (set: V1ReplicaSet) => this.#podsOf(set),
      lookAgainAfter: (delayMs: number) => this.#queue.addAfter(key, delayMs),
    };
    try {
      await new DeploymentSync(syncDeps, deployment, sets, this.#signal).run();
    } catch (error) {
      // The deployment was deleted, or its namespace is: nothing is left to do here.
      if (!isReason(error, 'NotFound') && !isNamespaceTerminating(error)) throw error;
    }
  }

  async #refuseEmptySelector(deployment: V1Deployment): Promise<void> {
    const message = 'This deployment is selecting all pods. A non-empty selector is required.';
    this.#deps.events.record(deployment, 'Warning', 'SelectingAll', message);
    const generation = deployment.metadata?.generation ?? 0;
    if ((deployment.status?.observedGeneration ?? 0) >= generation) return;
    const status = { ...deployment.status, observedGeneration: generation };
    await this.#deps.api
      .resource(DEPLOYMENTS)
      .updateStatus({ ...deployment, status }, { namespace: namespaceOf(deployment), signal: this.#signal });
  }

  /** Pods are watched from the first deployment on that recreates; no other strategy needs them. */
  async #podsOf(set: V1ReplicaSet): Promise<readonly V1Pod[]> {
    if (this.#pods === undefined) {
      this.#pods = this.#deps.informers.informer(PODS);
      this.#pods.addIndex(BY_OWNER, (pod) => toList(controllerOf(pod)?.uid));
      this.#pods.addHandler({ onDelete: (pod) => this.#podDeleted(pod) });
    }
    await this.#pods.whenSynced(this.#signal);
    return this.#pods.byIndex(BY_OWNER, uidOf(set));
  }

  #podDeleted(pod: V1Pod): void {
    const reference = controllerOf(pod);
    if (reference === undefined) return;
    const set = this.#sets.get(`${namespaceOf(pod)}/${reference.name}`);
    if (set !== undefined && uidOf(set) === reference.uid) this.#setChanged(set);
  }
}

function toList(value: string | undefined): readonly string[] {
  return value === undefined ? [] : [value];
}
