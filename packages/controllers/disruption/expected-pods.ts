/** How many pods a disruption budget is about, and how many of them have to be healthy. */

import { builtInCatalog } from '@coffer/api/catalog/catalog';
import { isReason } from '@coffer/api/errors/status-error';
import type { V1OwnerReference, V1Pod, V1PodDisruptionBudget } from '@coffer/api/generated/types';
import { parseApiVersion } from '@coffer/api/meta/object';
import { type ApiObject, nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS } from '@coffer/client/rest/well-known';
import { controllerOf } from '../common/controller-ref.ts';
import type { LoopDeps } from '../common/loop-deps.ts';

type Scalable = ApiObject & { readonly spec?: { readonly replicas?: number } };

/** The kinds that keep a number of pods, by the kind of the owner reference. */
const scalable: readonly ResourceRef<Scalable>[] = [DEPLOYMENTS, REPLICA_SETS, REPLICATION_CONTROLLERS];

export interface Expectation {
  readonly expected: number;
  readonly desired: number;
  /** Pods without a controller, where it is the controllers that are counted. */
  readonly unmanaged: number;
}

export async function expectedPods(
  deps: LoopDeps,
  budget: V1PodDisruptionBudget,
  pods: readonly V1Pod[],
  signal: AbortSignal,
): Promise<Expectation> {
  const { minAvailable, maxUnavailable } = budget.spec ?? {};
  if (maxUnavailable !== undefined) {
    const { expected, unmanaged } = await scaleOf(deps, namespaceOf(budget), pods, signal);
    return { expected, desired: Math.max(expected - amountOf(maxUnavailable, expected), 0), unmanaged };
  }
  if (typeof minAvailable === 'number') return { expected: pods.length, desired: minAvailable, unmanaged: 0 };
  if (minAvailable === undefined) return { expected: 0, desired: 0, unmanaged: 0 };
  const { expected, unmanaged } = await scaleOf(deps, namespaceOf(budget), pods, signal);
  return { expected, desired: amountOf(minAvailable, expected), unmanaged };
}

/** Parts are rounded up. */
function amountOf(amount: number | string, total: number): number {
  return typeof amount === 'number' ? amount : Math.ceil((Number.parseInt(amount, 10) * total) / 100);
}

/** The replicas that the controllers of the pods keep, each controller once; pods without one are not counted. */
async function scaleOf(
  deps: LoopDeps,
  namespace: string,
  pods: readonly V1Pod[],
  signal: AbortSignal,
): Promise<Pick<Expectation, 'expected' | 'unmanaged'>> {
  const controllers = new Map<string, number>();
  /** The owners that were looked up already: replica sets of a deployment count as the deployment. */
  const seen = new Set<string>();
  let unmanaged = 0;
  for (const pod of pods) {
    const owner = controllerOf(pod);
    if (owner === undefined) unmanaged += 1;
    else if (!seen.has(owner.uid)) {
      const controller = await controllerBehind(deps, namespace, owner, signal);
      if (controller === undefined) throw new Error(`found no controllers for pod "${nameOf(pod)}"`);
      controllers.set(uidOf(controller), controller.spec?.replicas ?? 1);
      seen.add(owner.uid);
    }
  }
  return { expected: [...controllers.values()].reduce((sum, replicas) => sum + replicas, 0), unmanaged };
}

/** What keeps the number of pods: the owner, or the deployment above it. Undefined when the owner is gone. */
async function controllerBehind(
  deps: LoopDeps,
  namespace: string,
  owner: V1OwnerReference,
  signal: AbortSignal,
): Promise<Scalable | undefined> {
  const find = async (ref: ResourceRef<Scalable>, { name, uid }: V1OwnerReference) => {
    try {
      const found = await deps.api.resource(ref).get(name, { namespace, signal });
      return uidOf(found) === uid ? found : undefined;
    } catch (error) {
      if (isReason(error, 'NotFound')) return undefined;
      throw error;
    }
  };
  const ref = scalableOf(owner);
  const found = await find(ref, owner);
  const above = found === undefined || ref !== REPLICA_SETS ? undefined : controllerOf(found);
  if (above?.kind !== DEPLOYMENTS.kind || parseApiVersion(above.apiVersion).group !== DEPLOYMENTS.group) return found;
  return (await find(DEPLOYMENTS, above)) ?? found;
}

function scalableOf({ apiVersion, kind }: V1OwnerReference): ResourceRef<Scalable> {
  const { group, version } = parseApiVersion(apiVersion);
  const ref = scalable.find((candidate) => candidate.group === group && candidate.kind === kind);
  if (ref !== undefined) return ref;
  const resource = builtInCatalog().byGroupVersionKind(group, version, kind)?.resource;
  if (resource === undefined) throw new Error(`no matches for kind "${kind}" in version "${apiVersion}"`);
  throw new Error(`${group === '' ? resource : `${resource}.${group}`} does not implement the scale subresource`);
}
