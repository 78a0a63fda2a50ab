/**
 * One look at one deployment: from what is there to the next step towards what is wanted. The order is
 *   1. paused or resumed: say so;  2. paused: resize only;  3. asked for an earlier revision: take its template, which starts anew;
 *   4. scaled: resize, no rollout;  5. roll out by the strategy;  6. status.
 * Every write of the deployment's status returns the new state, on which later steps go on.
 */
import type { V1Deployment, V1DeploymentCondition, V1DeploymentStatus, V1Pod, V1ReplicaSet } from '@coffer/api/generated/types';
import { equalJson } from '@coffer/api/meta/safe-object';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { DEPLOYMENTS } from '@coffer/client/rest/well-known';
import type { LoopDeps } from '../common/loop-deps.ts';
import { isNamespaceTerminating } from '../common/namespace-terminating.ts';
import { isPodTerminal } from '../common/pods.ts';
import { REVISION } from './annotations.ts';
import { findCondition, makeCondition, REASONS, setCondition } from './conditions.ts';
import { deploymentStatus, hasProgressDeadline, isComplete, stuckCheckDelayMs, withProgress } from './deployment-status.ts';
import { deleteOldSets, ensureNewSet, findNewSet, findOldSets, HashCollisionError, scaleSet } from './replica-sets.ts';
import { rollBack, rollbackRevision } from './rollback.ts';
import { rollingUpdateStep } from './rolling-update.ts';
import { desiredReplicas, isRollingUpdate, specReplicas } from './rollout-math.ts';
import { scaleDeployment, wasScaled } from './scale.ts';

export interface DeploymentSyncDeps extends LoopDeps {
  /** Pods by the UID of the replica set that controls them; asked only for the strategy Recreate. */
  podsOf(set: V1ReplicaSet): Promise<readonly V1Pod[]>;
  /** Looks at the deployment again after a while. */
  lookAgainAfter(delayMs: number): void;
}

export class DeploymentSync {
  readonly #deps: DeploymentSyncDeps;
  readonly #signal: AbortSignal;
  readonly #sets: readonly V1ReplicaSet[];
  #deployment: V1Deployment;

  constructor(deps: DeploymentSyncDeps, deployment: V1Deployment, sets: readonly V1ReplicaSet[], signal: AbortSignal) {
    this.#deps = deps;
    this.#deployment = deployment;
    this.#sets = sets;
    this.#signal = signal;
  }

  async run(): Promise<void> {
    if (this.#deployment.metadata?.deletionTimestamp !== undefined) {
      await this.#writeStatus(this.#status(this.#sets, findNewSet(this.#deployment, this.#sets)));
      return;
    }
    await this.#notePause();
    const paused = this.#deployment.spec?.paused === true;
    if (!paused && rollbackRevision(this.#deployment) !== undefined) await this.#rollBack();
    else if (paused || wasScaled(this.#deployment, this.#sets)) await this.#resize();
    else if (isRollingUpdate(this.#deployment)) await this.#rollingUpdate();
    else await this.#recreate();
  }

  async #rollBack(): Promise<void> {
    const { newSet, old } = await this.#replicaSets({ create: true });
    await rollBack(this.#deps, this.#deployment, newSet === undefined ? old : [...old, newSet], this.#signal);
  }

  async #resize(): Promise<void> {
    const { newSet, old } = await this.#replicaSets({ create: false });
    await scaleDeployment(this.#deps, this.#deployment, newSet, old, this.#signal);
    if (this.#deployment.spec?.paused === true) await deleteOldSets(this.#deps, this.#deployment, old, this.#signal);
    await this.#writeStatus(this.#status(newSet === undefined ? old : [...old, newSet], newSet));
  }

  async #rollingUpdate(): Promise<void> {
    const { newSet, old } = await this.#replicaSets({ create: true });
    if (newSet === undefined) return;
    const active = old.filter((set) => specReplicas(set) > 0);
    const scaled = await rollingUpdateStep(this.#deps, this.#deployment, newSet, active, this.#signal);
    if (!scaled && isComplete(this.#deployment, this.#deployment.status ?? {})) {
      await deleteOldSets(this.#deps, this.#deployment, old, this.#signal);
    }
    await this.#writeRolloutStatus([...old, newSet], newSet);
  }

  async #recreate(): Promise<void> {
    let { newSet, old } = await this.#replicaSets({ create: false });
    let scaled = false;
    for (const set of old) {
      if (specReplicas(set) === 0) continue;
      await scaleSet(this.#deps, this.#deployment, set, 0, this.#signal);
      scaled = true;
    }
    if (!scaled && !(await this.#oldPodsRun(old))) {
      if (newSet === undefined) ({ newSet, old } = await this.#replicaSets({ create: true }));
      if (newSet !== undefined)
        newSet = await scaleSet(this.#deps, this.#deployment, newSet, desiredReplicas(this.#deployment), this.#signal);
      if (isComplete(this.#deployment, this.#deployment.status ?? {})) await deleteOldSets(this.#deps, this.#deployment, old, this.#signal);
    }
    await this.#writeRolloutStatus(newSet === undefined ? old : [...old, newSet], newSet);
  }

  /** Anything of an older template that is not finished, pods being terminated included. */
  async #oldPodsRun(old: readonly V1ReplicaSet[]): Promise<boolean> {
    for (const set of old) {
      if ((set.status?.replicas ?? 0) > 0) return true;
      const pods = await this.#deps.podsOf(set);
      if (pods.some((pod) => !isPodTerminal(pod))) return true;
    }
    return false;
  }

  /** The new set (created when asked to) and the old ones, with the revision and the condition that tell about it written. */
  async #replicaSets(options: { readonly create: boolean }): Promise<{ newSet: V1ReplicaSet | undefined; old: V1ReplicaSet[] }> {
    const old = findOldSets(this.#deployment, this.#sets);
    let ensured: Awaited<ReturnType<typeof ensureNewSet>>;
    try {
      ensured = await ensureNewSet(this.#deps, this.#deployment, this.#sets, options, this.#signal);
    } catch (error) {
      await this.#noteCreationFailure(error);
      throw error;
    }
    if (ensured === undefined) return { newSet: undefined, old };
    const condition = this.#newSetCondition(ensured.set, ensured.created);
    const revision = ensured.created ? ensured.revision : (ensured.set.metadata?.annotations?.[REVISION] ?? ensured.revision);
    const annotations = this.#deployment.metadata?.annotations ?? {};
    if (condition !== undefined || annotations[REVISION] !== revision) {
      const status = this.#deployment.status ?? {};
      const conditions = condition === undefined ? status.conditions : setCondition(status.conditions ?? [], condition);
      const metadata = { ...this.#deployment.metadata, annotations: { ...annotations, [REVISION]: revision } };
      await this.#update({ ...this.#deployment, metadata, status: { ...status, ...(conditions === undefined ? {} : { conditions }) } });
    }
    return { newSet: ensured.set, old };
  }

  #newSetCondition(set: V1ReplicaSet, created: boolean): V1DeploymentCondition | undefined {
    if (!hasProgressDeadline(this.#deployment)) return undefined;
    const nowMs = this.#deps.clock.now();
    if (created) return makeCondition('Progressing', 'True', REASONS.newReplicaSet, `Created new replica set "${nameOf(set)}"`, nowMs);
    if (findCondition(this.#deployment.status?.conditions, 'Progressing') !== undefined) return undefined;
    return makeCondition('Progressing', 'True', REASONS.foundNewReplicaSet, `Found new replica set "${nameOf(set)}"`, nowMs);
  }

  async #noteCreationFailure(error: unknown): Promise<void> {
    const status = this.#deployment.status ?? {};
    if (error instanceof HashCollisionError) {
      await this.#update({ ...this.#deployment, status: { ...status, collisionCount: (status.collisionCount ?? 0) + 1 } });
      return;
    }
    if (isNamespaceTerminating(error)) return;
    const message = `Failed to create new replica set "${nameOf(this.#deployment)}": ${error instanceof Error ? error.message : String(error)}`;
    if (hasProgressDeadline(this.#deployment)) {
      const condition = makeCondition('Progressing', 'False', REASONS.failedCreate, message, this.#deps.clock.now());
      await this.#update({ ...this.#deployment, status: { ...status, conditions: setCondition(status.conditions ?? [], condition) } });
    }
    this.#deps.events.record(this.#deployment, 'Warning', REASONS.failedCreate, message);
  }

  async #notePause(): Promise<void> {
    if (!hasProgressDeadline(this.#deployment)) return;
    const status = this.#deployment.status ?? {};
    const current = findCondition(status.conditions, 'Progressing');
    if (current?.reason === REASONS.timedOut) return;
    const paused = this.#deployment.spec?.paused === true;
    const saidPaused = current?.reason === REASONS.paused;
    if (paused === saidPaused) return;
    const nowMs = this.#deps.clock.now();
    const condition = paused
      ? makeCondition('Progressing', 'Unknown', REASONS.paused, 'Deployment is paused', nowMs)
      : makeCondition('Progressing', 'Unknown', REASONS.resumed, 'Deployment is resumed', nowMs);
    await this.#update({ ...this.#deployment, status: { ...status, conditions: setCondition(status.conditions ?? [], condition) } });
  }

  #status(all: readonly V1ReplicaSet[], newSet: V1ReplicaSet | undefined): V1DeploymentStatus {
    return deploymentStatus(this.#deployment, all, newSet, this.#deps.clock.now());
  }

  async #writeRolloutStatus(all: readonly V1ReplicaSet[], newSet: V1ReplicaSet | undefined): Promise<void> {
    const nowMs = this.#deps.clock.now();
    const status = withProgress(this.#deployment, this.#status(all, newSet), all, newSet, nowMs);
    await this.#writeStatus(status);
    const delayMs = stuckCheckDelayMs(this.#deployment, status, nowMs);
    if (delayMs !== undefined) this.#deps.lookAgainAfter(Math.max(delayMs, 1000));
  }

  async #writeStatus(status: V1DeploymentStatus): Promise<void> {
    if (!equalJson(this.#deployment.status ?? {}, status)) await this.#update({ ...this.#deployment, status });
  }

  async #update(next: V1Deployment): Promise<void> {
    const scope = { namespace: namespaceOf(this.#deployment), signal: this.#signal };
    const written = await this.#deps.api.resource(DEPLOYMENTS).updateStatus(next, scope);
    if (uidOf(written) === uidOf(this.#deployment)) this.#deployment = written;
  }
}
