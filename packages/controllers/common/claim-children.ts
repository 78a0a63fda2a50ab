/**
 * Decides which objects belong to a controller: those it controls and selects. Matching objects without a controller are adopted, objects
 * that no longer match are released. Before the first adoption the owner is read from the server, so that a deleted owner adopts nothing.
 */
import { isReason } from '@coffer/api/errors/status-error';
import type { LabelSelector } from '@coffer/api/selectors/labels';
import type { ApiObject } from '@coffer/client/rest/api-object';
import { nameOf, namespaceOf, uidOf } from '@coffer/client/rest/api-object';
import type { ResourceRef } from '@coffer/client/rest/resource-ref';
import { controllerOf, controllerReference } from './controller-ref.ts';
import type { LoopDeps } from './loop-deps.ts';

export interface ClaimRequest<Owner extends ApiObject, Child extends ApiObject> {
  readonly owner: Owner;
  readonly ownerRef: ResourceRef<Owner>;
  readonly childRef: ResourceRef<Child>;
  readonly selector: LabelSelector;
  /** Objects of the owner's namespace: at least those it controls and those without a controller. */
  readonly candidates: readonly Child[];
  readonly mayBeAdopted: (child: Child) => boolean;
}

/** The candidates that belong to the owner after adoptions and releases. */
export async function claimChildren<Owner extends ApiObject, Child extends ApiObject>(
  deps: LoopDeps,
  request: ClaimRequest<Owner, Child>,
  signal: AbortSignal,
): Promise<Child[]> {
  const { owner, selector } = request;
  const ownerIsDeleted = owner.metadata?.deletionTimestamp !== undefined;
  const claimed: Child[] = [];
  let mayAdopt: Promise<boolean> | undefined;
  for (const child of request.candidates) {
    const controller = controllerOf(child);
    const matches = selector.matches(child.metadata?.labels);
    if (controller !== undefined) {
      if (controller.uid !== uidOf(owner)) continue;
      if (matches) claimed.push(child);
      else if (!ownerIsDeleted) await release(deps, request, child, signal);
    } else if (matches && !ownerIsDeleted && child.metadata?.deletionTimestamp === undefined && request.mayBeAdopted(child)) {
      mayAdopt ??= isStillThere(deps, request, signal);
      if ((await mayAdopt) && (await adopt(deps, request, child, signal))) claimed.push(child);
    }
  }
  return claimed;
}

async function isStillThere<Owner extends ApiObject, Child extends ApiObject>(
  deps: LoopDeps,
  { owner, ownerRef }: ClaimRequest<Owner, Child>,
  signal: AbortSignal,
): Promise<boolean> {
  const fresh = await deps.api.resource(ownerRef).get(nameOf(owner), { namespace: namespaceOf(owner), signal });
  if (uidOf(fresh) !== uidOf(owner)) throw new Error(`${ownerRef.kind} ${nameOf(owner)} was replaced by another of the same name`);
  return fresh.metadata?.deletionTimestamp === undefined;
}

async function adopt<Owner extends ApiObject, Child extends ApiObject>(
  deps: LoopDeps,
  { owner, ownerRef, childRef }: ClaimRequest<Owner, Child>,
  child: Child,
  signal: AbortSignal,
): Promise<boolean> {
  const patch = { metadata: { ownerReferences: [controllerReference(owner, ownerRef)], uid: uidOf(child) } };
  try {
    await deps.api.resource(childRef).patch(nameOf(child), 'strategic', patch, { namespace: namespaceOf(child), signal });
    return true;
  } catch (error) {
    if (isReason(error, 'NotFound')) return false;
    throw error;
  }
}

async function release<Owner extends ApiObject, Child extends ApiObject>(
  deps: LoopDeps,
  { owner, childRef }: ClaimRequest<Owner, Child>,
  child: Child,
  signal: AbortSignal,
): Promise<void> {
  const patch = { metadata: { ownerReferences: [{ $patch: 'delete', uid: uidOf(owner) }], uid: uidOf(child) } };
  try {
    await deps.api.resource(childRef).patch(nameOf(child), 'strategic', patch, { namespace: namespaceOf(child), signal });
  } catch (error) {
    // Gone, or already without that owner.
    if (!isReason(error, 'NotFound') && !isReason(error, 'Invalid')) throw error;
  }
}
