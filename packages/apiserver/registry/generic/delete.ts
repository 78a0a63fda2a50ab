import { conflict } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import { equalJson } from '@coffer/api/meta/safe-object';
import { StorageError } from '@coffer/storage/errors';
import type { StoredObject, UpdateDecision } from '@coffer/storage/store/store';
import { toStatusError, translatingErrors } from '../../endpoints/errors.ts';
import type { DeleteOptions } from '../../endpoints/options/delete-options.ts';
import { finalizersForDeletion } from './deletion-finalizers.ts';
import type { Registry } from './registry.ts';
import { rfc3339 } from './system-metadata.ts';

export interface DeleteRequest {
  readonly namespace: string;
  readonly name: string;
  readonly options: DeleteOptions;
  /** Admission of the deletion; sees the stored object. Not asked again for a deletion that is already under way. */
  readonly validate: (old: KubeObject) => void | Promise<void>;
}

export interface DeleteOutcome {
  /** False while a grace period runs or finalizers are left. */
  readonly deleted: boolean;
  /** The last state, or the state while the deletion waits. */
  readonly object: StoredObject;
  /** The answer shows the object; otherwise a Success status. */
  readonly showObject: boolean;
}

type Plan =
  | { readonly kind: 'already-deleting' }
  | { readonly kind: 'delete' }
  /** `ends`: its grace period is over and nothing holds it, so that the deletion follows at once. */
  | { readonly kind: 'mark'; readonly object: KubeObject; readonly ends: boolean };

/**
 * Deletes an object at once, or marks it: with a grace period where the kind has one, and as long as finalizers (the caller's, the
 * garbage collector's by propagation policy) hold it. One read-modify-write, so that preconditions and admission see what is deleted. Where
 * a grace period is cut to nothing, watchers see that mark and then the deletion, as upstream.
 */
export async function deleteObject(registry: Registry, request: DeleteRequest): Promise<DeleteOutcome> {
  let plan: Plan | undefined;
  const result = await translatingErrors(registry.gr, request.name, () =>
    registry.store.guaranteedUpdate(
      request.namespace,
      request.name,
      async (current): Promise<UpdateDecision> => {
        if (current === undefined) return { action: 'keep' };
        plan = await planDeletion(registry, request, current);
        switch (plan.kind) {
          case 'already-deleting':
            return { action: 'keep' };
          case 'delete':
            return { action: 'delete' };
          case 'mark':
            return equalJson(plan.object, registry.served(current))
              ? { action: 'keep' }
              : { action: 'write', object: registry.toStored(plan.object) };
        }
      },
      { dryRun: request.options.dryRun },
    ),
  );
  const returnsObject = registry.strategy.returnDeletedObject === true;
  if (plan?.kind !== 'mark') return { deleted: plan?.kind === 'delete', object: result.object, showObject: returnsObject };
  if (!plan.ends) return { deleted: false, object: result.object, showObject: true };
  const object = request.options.dryRun ? result.object : await removeMarked(registry, request, result.object);
  return { deleted: true, object, showObject: returnsObject };
}

/** Deletes what was marked just now; others, who saw the mark, may have done so already. */
async function removeMarked(registry: Registry, { namespace, name }: DeleteRequest, marked: StoredObject): Promise<StoredObject> {
  try {
    const result = await registry.store.guaranteedUpdate(namespace, name, (current) => ({
      action: current?.uid === marked.uid ? 'delete' : 'keep',
    }));
    return result.outcome === 'deleted' ? result.object : marked;
  } catch (error) {
    if (error instanceof StorageError && error.code === 'key-not-found') return marked;
    throw toStatusError(error, registry.gr, name);
  }
}

async function planDeletion(registry: Registry, request: DeleteRequest, current: StoredObject): Promise<Plan> {
  const { options } = request;
  const { strategy } = registry;
  const old = registry.served(current);
  checkPreconditions(registry, old, options.preconditions ?? {});
  const object = registry.servedCopy(current);
  const nowMs = registry.clock.now();
  const grace = applyGrace(registry, object, options, nowMs);
  if (grace.pending) return { kind: 'already-deleting' };

  await request.validate(old);
  const finalizers = finalizersForDeletion(object, options, strategy.garbageCollection ?? 'background');
  if (finalizers !== undefined) setFinalizers(object, finalizers);
  const held = (object.metadata.finalizers ?? []).length > 0 || strategy.holdsDeletion?.(object) === true;
  if (!grace.graceful) {
    if (!held) return { kind: 'delete' };
    markDeleting(object, nowMs);
  }
  strategy.markDeleting?.(object);
  return { kind: 'mark', object, ends: !held && grace.seconds === 0 };
}

/** Preconditions name the kind, not the resource, as upstream's early check does. */
export function checkPreconditions(
  registry: Registry,
  object: KubeObject,
  { uid, resourceVersion }: NonNullable<DeleteOptions['preconditions']>,
): void {
  const gr = { group: registry.gr.group, resource: registry.resource.kind };
  const { metadata } = object;
  const name = metadata.name ?? '';
  if (uid !== undefined && uid !== metadata.uid) {
    throw conflict(
      gr,
      name,
      `the UID in the precondition (${uid}) does not match the UID in record (${metadata.uid ?? ''}). The object might have been deleted and then recreated`,
    );
  }
  if (resourceVersion !== undefined && resourceVersion !== metadata.resourceVersion) {
    throw conflict(
      gr,
      name,
      `the ResourceVersion in the precondition (${resourceVersion}) does not match the ResourceVersion in record (${metadata.resourceVersion ?? ''}). The object might have been modified`,
    );
  }
}

interface Grace {
  readonly graceful: boolean;
  /** Already being deleted with a grace period that this request does not shorten. */
  readonly pending: boolean;
  readonly seconds: number;
}

const noGrace: Grace = { graceful: false, pending: false, seconds: 0 };

/** Starts or shortens the grace period, in place. */
function applyGrace(registry: Registry, object: KubeObject, options: DeleteOptions, nowMs: number): Grace {
  const { gracePeriodSeconds } = registry.strategy;
  if (gracePeriodSeconds === undefined) return noGrace;
  const { metadata } = object;
  const deletingSince = metadata.deletionTimestamp;
  if (deletingSince !== undefined) {
    const running = metadata.deletionGracePeriodSeconds;
    if (running === undefined || running === 0) return noGrace;
    const wanted = options.gracePeriodSeconds;
    if (wanted === undefined || wanted >= running) return { graceful: false, pending: true, seconds: running };
    setDeletion(object, Date.parse(String(deletingSince)) - (running - wanted) * 1000, wanted);
    return { graceful: true, pending: false, seconds: wanted };
  }
  const seconds = gracePeriodSeconds(object, options);
  if (seconds === undefined) return noGrace;
  setDeletion(object, nowMs + seconds * 1000, seconds);
  countGeneration(object);
  return { graceful: true, pending: false, seconds };
}

/** For kinds without grace: being deleted from now on, held by finalizers only. */
function markDeleting(object: KubeObject, nowMs: number): void {
  const existing = object.metadata.deletionTimestamp;
  if (existing === undefined) countGeneration(object);
  if (existing === undefined || Date.parse(String(existing)) > nowMs) setDeletion(object, nowMs, 0);
  else object.metadata.deletionGracePeriodSeconds = 0;
}

function setDeletion(object: KubeObject, atMs: number, graceSeconds: number): void {
  const metadata = object.metadata as Record<string, unknown>;
  metadata.deletionTimestamp = rfc3339(atMs);
  metadata.deletionGracePeriodSeconds = graceSeconds;
}

function countGeneration(object: KubeObject): void {
  const { generation } = object.metadata;
  if (generation !== undefined && generation > 0) object.metadata.generation = generation + 1;
}

function setFinalizers(object: KubeObject, finalizers: readonly string[]): void {
  if (finalizers.length === 0) delete object.metadata.finalizers;
  else object.metadata.finalizers = [...finalizers];
}
