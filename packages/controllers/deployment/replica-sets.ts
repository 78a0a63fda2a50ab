/** The replica sets of a deployment: which is the new one, creating it, scaling, cleaning up. */

import { isReason } from '@coffer/api/errors/status-error';
import type { V1Deployment, V1PodTemplateSpec, V1ReplicaSet } from '@coffer/api/generated/types';
import { equalJson, setOwn } from '@coffer/api/meta/safe-object';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import { DEPLOYMENTS, REPLICA_SETS } from '@coffer/client/rest/well-known';
import { controllerOf, controllerReference } from '../common/controller-ref.ts';
import type { LoopDeps } from '../common/loop-deps.ts';
import { podTemplateHash } from '../common/pod-template-hash.ts';
import { newSetAnnotations, POD_TEMPLATE_HASH, revisionOf, withSizes } from './annotations.ts';
import { desiredReplicas, newSetSize, rolloutLimits, specReplicas } from './rollout-math.ts';

/** The name of the new set is taken by a set of another template: the next try uses another hash. */
export class HashCollisionError extends Error {
  constructor(name: string) {
    super(`a replica set named ${name} exists with another template`);
    this.name = 'HashCollisionError';
  }
}

/** The oldest set whose template equals the deployment's but for the hash label. */
export function findNewSet(deployment: V1Deployment, sets: readonly V1ReplicaSet[]): V1ReplicaSet | undefined {
  const wanted = withoutHash(deployment.spec?.template);
  return [...sets].sort(byCreation).find((set) => equalJson(withoutHash(set.spec?.template), wanted));
}

export function findOldSets(deployment: V1Deployment, sets: readonly V1ReplicaSet[]): V1ReplicaSet[] {
  const newUid = uidOf(findNewSet(deployment, sets) ?? {});
  return sets.filter((set) => uidOf(set) !== newUid);
}

/** Oldest first, then by name. */
export function byCreation(a: V1ReplicaSet, b: V1ReplicaSet): number {
  const timeA = a.metadata?.creationTimestamp ?? '';
  const timeB = b.metadata?.creationTimestamp ?? '';
  if (timeA !== timeB) return timeA < timeB ? -1 : 1;
  return nameOf(a) < nameOf(b) ? -1 : 1;
}

/** A template but for the label that its replica set added. */
export function withoutHash(template: V1PodTemplateSpec | undefined): V1PodTemplateSpec {
  const labels: Record<string, string> = {};
  for (const [key, value] of Object.entries(template?.metadata?.labels ?? {})) if (key !== POD_TEMPLATE_HASH) setOwn(labels, key, value);
  const { labels: _labels, creationTimestamp: _time, ...metadata } = template?.metadata ?? {};
  return { ...template, metadata: { ...metadata, ...(Object.keys(labels).length === 0 ? {} : { labels }) } };
}

export interface EnsuredSet {
  readonly set: V1ReplicaSet;
  readonly revision: string;
  /** True when this call created it. */
  readonly created: boolean;
}

/** Brings the existing new set's annotations and revision up to date, or creates the set within the surge limit. */
export async function ensureNewSet(
  deps: LoopDeps,
  deployment: V1Deployment,
  all: readonly V1ReplicaSet[],
  options: { readonly create: boolean },
  signal: AbortSignal,
): Promise<EnsuredSet | undefined> {
  const existing = findNewSet(deployment, all);
  const revision = findOldSets(deployment, all).map(revisionOf).reduce(larger, 0n) + 1n;
  if (existing !== undefined)
    return { set: await updateExisting(deps, deployment, existing, revision, signal), revision: String(revision), created: false };
  if (!options.create) return undefined;
  const wanted = newReplicaSet(deployment, revision);
  const size = newSetSize(deployment, [...all, wanted], wanted);
  const { maxSurge } = rolloutLimits(deployment);
  const desired = desiredReplicas(deployment);
  const annotations = withSizes(wanted.metadata?.annotations ?? {}, desired, desired + maxSurge) ?? wanted.metadata?.annotations ?? {};
  const set: V1ReplicaSet = {
    ...wanted,
    metadata: { ...wanted.metadata, annotations },
    spec: { ...wanted.spec, selector: wanted.spec?.selector ?? {}, replicas: size },
  };
  try {
    const created = await deps.api.resource(REPLICA_SETS).create(set, { namespace: namespaceOf(deployment), signal });
    if (size > 0)
      deps.events.record(deployment, 'Normal', 'ScalingReplicaSet', `Scaled up replica set ${nameOf(created)} from 0 to ${size}`);
    return { set: created, revision: maxRevision(created, revision), created: true };
  } catch (error) {
    if (!isReason(error, 'AlreadyExists')) throw error;
    // Ours, seen too late by the informer, or somebody else's.
    const other = await deps.api.resource(REPLICA_SETS).get(nameOf(set), { namespace: namespaceOf(deployment), signal });
    const same =
      controllerOf(other)?.uid === uidOf(deployment) &&
      equalJson(withoutHash(other.spec?.template), withoutHash(deployment.spec?.template));
    if (!same) throw new HashCollisionError(nameOf(set));
    return { set: other, revision: maxRevision(other, revision), created: true };
  }
}

function maxRevision(set: V1ReplicaSet, revision: bigint): string {
  return String(larger(revisionOf(set), revision));
}

function larger(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}

function newReplicaSet(deployment: V1Deployment, revision: bigint): V1ReplicaSet {
  const { creationTimestamp: _time, ...templateMetadata } = deployment.spec?.template?.metadata ?? {};
  const template: V1PodTemplateSpec = { ...deployment.spec?.template };
  const hash = podTemplateHash({ ...template, metadata: templateMetadata }, deployment.status?.collisionCount);
  const labels = { ...templateMetadata.labels, [POD_TEMPLATE_HASH]: hash };
  const selector = deployment.spec?.selector ?? {};
  const minReadySeconds = deployment.spec?.minReadySeconds;
  return {
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    metadata: {
      name: `${nameOf(deployment)}-${hash}`,
      namespace: namespaceOf(deployment),
      labels,
      annotations: newSetAnnotations(deployment, {}, revision, false) ?? {},
      ownerReferences: [controllerReference(deployment, DEPLOYMENTS)],
    },
    spec: {
      replicas: 0,
      ...(minReadySeconds === undefined ? {} : { minReadySeconds }),
      selector: { ...selector, matchLabels: { ...selector.matchLabels, [POD_TEMPLATE_HASH]: hash } },
      template: { ...template, metadata: { ...templateMetadata, labels } },
    },
  };
}

async function updateExisting(
  deps: LoopDeps,
  deployment: V1Deployment,
  set: V1ReplicaSet,
  revision: bigint,
  signal: AbortSignal,
): Promise<V1ReplicaSet> {
  const annotations = newSetAnnotations(deployment, set.metadata?.annotations ?? {}, revision, true);
  const minReadySeconds = deployment.spec?.minReadySeconds ?? 0;
  const minReadyDiffers = (set.spec?.minReadySeconds ?? 0) !== minReadySeconds;
  if (annotations === undefined && !minReadyDiffers) return set;
  const next: V1ReplicaSet = {
    ...set,
    metadata: { ...set.metadata, annotations: annotations ?? set.metadata?.annotations ?? {} },
    spec: { ...set.spec, selector: set.spec?.selector ?? {}, minReadySeconds },
  };
  return deps.api.resource(REPLICA_SETS).update(next, { namespace: namespaceOf(deployment), signal });
}

/** Sets size and size annotations of a replica set; records the change of size. Returns the set as it is afterwards. */
export async function scaleSet(
  deps: LoopDeps,
  deployment: V1Deployment,
  set: V1ReplicaSet,
  size: number,
  signal: AbortSignal,
): Promise<V1ReplicaSet> {
  const before = specReplicas(set);
  const { maxSurge } = rolloutLimits(deployment);
  const desired = desiredReplicas(deployment);
  const annotations = withSizes(set.metadata?.annotations ?? {}, desired, desired + maxSurge);
  if (before === size && annotations === undefined) return set;
  const next: V1ReplicaSet = {
    ...set,
    metadata: { ...set.metadata, annotations: annotations ?? set.metadata?.annotations ?? {} },
    spec: { ...set.spec, selector: set.spec?.selector ?? {}, replicas: size },
  };
  const written = await deps.api.resource(REPLICA_SETS).update(next, { namespace: namespaceOf(deployment), signal });
  if (before !== size) {
    const direction = size > before ? 'up' : 'down';
    deps.events.record(
      deployment,
      'Normal',
      'ScalingReplicaSet',
      `Scaled ${direction} replica set ${nameOf(set)} from ${before} to ${size}`,
    );
  }
  return written;
}

/** Lowest revision first, then by age. */
function byRevision(a: V1ReplicaSet, b: V1ReplicaSet): number {
  const [revisionA, revisionB] = [revisionOf(a), revisionOf(b)];
  if (revisionA !== revisionB) return revisionA < revisionB ? -1 : 1;
  return byCreation(a, b);
}

/** Deletes the oldest empty sets beyond the history limit. */
export async function deleteOldSets(
  deps: LoopDeps,
  deployment: V1Deployment,
  old: readonly V1ReplicaSet[],
  signal: AbortSignal,
): Promise<void> {
  const limit = deployment.spec?.revisionHistoryLimit;
  if (limit === undefined || limit === 2_147_483_647) return;
  const living = old.filter((set) => set.metadata?.deletionTimestamp === undefined);
  const excess = living.length - limit;
  if (excess <= 0) return;
  const oldestFirst = [...living].sort(byRevision);
  for (const set of oldestFirst.slice(0, excess)) {
    const busy =
      (set.status?.replicas ?? 0) !== 0 ||
      specReplicas(set) !== 0 ||
      (set.metadata?.generation ?? 0) > (set.status?.observedGeneration ?? 0);
    if (busy) continue;
    try {
      await deps.api.resource(REPLICA_SETS).delete(nameOf(set), { namespace: namespaceOf(set), signal });
    } catch (error) {
      if (!isReason(error, 'NotFound')) throw error;
    }
  }
}
