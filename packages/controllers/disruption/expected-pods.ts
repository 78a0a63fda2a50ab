/** How many pods a disruption budget is about, and how many of them have to be healthy. */

import type { V1Pod, V1PodDisruptionBudget } from '@coffer/api/generated/types';
import { parseApiVersion } from '@coffer/api/meta/object';
import { type ApiObject, namespaceOf } from '@coffer/client/rest/api-object';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS } from '@coffer/client/rest/well-known';
import { controllerOf } from '../common/controller-ref.ts';
import type { LoopDeps } from '../common/loop-deps.ts';

/** The kinds that keep a number of pods, by the kind of the owner reference. */
const scalable: readonly ResourceRef<ApiObject & { readonly spec?: { readonly replicas?: number } }>[] = [
  DEPLOYMENTS,
  REPLICA_SETS,
  REPLICATION_CONTROLLERS,
];

export interface Expectation {
  readonly expected: number;
  readonly desired: number;
}

export async function expectedPods(
  deps: LoopDeps,
  budget: V1PodDisruptionBudget,
  pods: readonly V1Pod[],
  signal: AbortSignal,
): Promise<Expectation> {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  if (maxUnavailable !== undefined) {
    const expected = await scaleOf(deps, namespaceOf(budget), pods, signal);
    return { expected, desired: Math.max(expected - amountOf(maxUnavailable, expected), 0) };
  }
  if (typeof minAvailable === 'number') return { expected: pods.length, desired: minAvailable };
  if (minAvailable === undefined) return { expected: 0, desired: 0 };
  const expected = await scaleOf(deps, namespaceOf(budget), pods, signal);
  return { expected, desired: amountOf(minAvailable, expected) };
}

/** Parts are rounded up. */
function amountOf(amount: number | string, total: number): number {
  return typeof amount === 'number' ? amount : Math.ceil((Number.parseInt(amount, 10) * total) / 100);
}

/** The replicas that the controllers of the pods keep, each controller once; pods without one are not counted. */
async function scaleOf(deps: LoopDeps, namespace: string, pods: readonly V1Pod[], signal: AbortSignal): Promise<number> {
  const controllers = new Map<string, number>();
  for (const pod of pods) {
    let owner = controllerOf(pod);
    // A ReplicaSet of a Deployment is as large as the Deployment.
    for (let depth = 0; owner !== undefined && depth < 2; depth++) {
      if (controllers.has(owner.uid)) break;
      const { group } = parseApiVersion(owner.apiVersion);
      const { kind, name, uid } = owner;
      const ref = scalable.find((candidate) => candidate.group === group && candidate.kind === kind);
      if (ref === undefined) throw new Error(`${group === '' ? kind : `${kind}.${group}`} does not implement the scale subresource`);
      const found = await deps.api.resource(ref).get(name, { namespace, signal });
      const above = controllerOf(found);
      if (above !== undefined) {
        owner = above;
        continue;
      }
      controllers.set(uid, found.spec?.replicas ?? 1);
      break;
    }
  }
  return [...controllers.values()].reduce((sum, replicas) => sum + replicas, 0);
}
