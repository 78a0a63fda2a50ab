import { invalid } from '@coffer/api/errors/field-error';
import { conflict, invalidObject, notFound } from '@coffer/api/errors/status-error';
import { equalIgnoringTimestamps } from '@coffer/api/managedfields/equal';
import type { KubeObject } from '@coffer/api/meta/object';
import type { StoredObject, UpdateDecision } from '@coffer/storage/store/store';
import { translatingErrors } from '../../endpoints/errors.ts';
import type { WarningList } from '../../request/context.ts';
import { prepareCreate } from './create.ts';
import { checkStoragePreconditions } from './preconditions.ts';
import type { Registry } from './registry.ts';
import { objectRevision } from './resource-version.ts';
import type { UpdateRules, WriteContext } from './strategy.ts';
import { ensureNamespace, fillSystemMetadata } from './system-metadata.ts';

export interface UpdateRequest {
  readonly namespace: string;
  readonly name: string;
  readonly rules: UpdateRules;
  readonly context: WriteContext;
  readonly warnings: WarningList;
  /** UID the object must have, when the client sent one with PUT. */
  readonly uid?: string | undefined;
  /** A missing object is created although the rules do not say so (server-side apply). */
  readonly forceCreate?: boolean;
  /**
   * The new object, made from the current one (shared, not to be changed; undefined when it does not exist): the body of a PUT or the
   * result of a patch, with managed fields tracked and mutating admission done. May run several times. The result is the registry's own.
   */
  readonly change: (current: KubeObject | undefined) => KubeObject | Promise<KubeObject>;
  readonly validateCreate: (object: KubeObject) => void | Promise<void>;
  readonly validateUpdate: (object: KubeObject, old: KubeObject) => void | Promise<void>;
}

export interface UpdateOutcome {
  readonly created: boolean;
  readonly object: StoredObject;
}

/**
 * The order of one update, run afresh for every version another writer puts in between: current version → change → optimistic lock →
 * strategy → validation → validating admission → write. A result equal to what is stored writes nothing; the last finalizer of a
 * deleted object deletes it.
 */
export async function updateObject(registry: Registry, request: UpdateRequest): Promise<UpdateOutcome> {
  const { namespace, name, context } = request;
  const mayCreate = request.rules.allowCreateOnUpdate || request.forceCreate === true;
  try {
    const result = await translatingErrors(registry.gr, name, () =>
      registry.store.guaranteedUpdate(namespace, name, (current) => decide(registry, request, mayCreate, current), {
        mayCreate,
        dryRun: context.dryRun,
      }),
    );
    return { created: result.outcome === 'created', object: result.object };
  } finally {
    await registry.strategy.settled?.(context);
  }
}

async function decide(
  registry: Registry,
  request: UpdateRequest,
  mayCreate: boolean,
  current: StoredObject | undefined,
): Promise<UpdateDecision> {
  const { namespace, name } = request;
  if (current === undefined && !mayCreate) throw notFound(registry.gr, name);
  const existing = current === undefined ? undefined : registry.served(current);
  if (request.uid !== undefined) {
    const key = current?.key ?? storageKey(registry, namespace, name);
    checkStoragePreconditions(registry.gr, name, key, { uid: request.uid }, existing);
  }
  const draft = await request.change(existing);
  if (existing === undefined || current === undefined) return decideCreate(registry, request, draft);

  checkRevision(registry, request, draft, existing);
  const object = await prepareUpdate(registry, request, draft, existing);
  if (!current.stale && equalIgnoringTimestamps(existing, object)) {
    await request.validateUpdate(object, existing);
    return endsDeletion(registry, object, existing) ? { action: 'delete' } : { action: 'keep' };
  }
  await request.validateUpdate(object, existing);
  const stored = registry.toStored(object);
  return endsDeletion(registry, object, existing) ? { action: 'delete', answer: stored } : { action: 'write', object: stored };
}

async function decideCreate(registry: Registry, request: UpdateRequest, draft: KubeObject): Promise<UpdateDecision> {
  if (objectRevision(draft.metadata.resourceVersion) !== 0) throw conflict(registry.gr, request.name);
  delete draft.metadata.resourceVersion;
  fillSystemMetadata(draft, request.context.now);
  const object = await prepareCreate(registry, draft, request.namespace, request.context, request.warnings);
  await request.validateCreate(object);
  return { action: 'write', object: registry.toStored(object) };
}

/** Optimistic concurrency: a resourceVersion that was sent must be the current one; none sent means the last writer wins. */
function checkRevision(registry: Registry, request: UpdateRequest, object: KubeObject, existing: KubeObject): void {
  const currentVersion = existing.metadata.resourceVersion ?? '';
  const sent = objectRevision(object.metadata.resourceVersion);
  if (sent === 0) {
    if (!request.rules.allowUnconditionalUpdate) {
      const error = invalid('metadata.resourceVersion', 0, 'must be specified for an update');
      throw invalidObject({ group: registry.gr.group, kind: registry.gr.resource }, request.name, [error]);
    }
    object.metadata.resourceVersion = currentVersion;
  } else if (String(sent) !== currentVersion) {
    throw conflict(registry.gr, request.name);
  }
}

async function prepareUpdate(registry: Registry, request: UpdateRequest, draft: KubeObject, old: KubeObject): Promise<KubeObject> {
  const { rules, context } = request;
  ensureNamespace(draft, request.namespace);
  carryOverMetadata(draft, old);
  rules.prepareForUpdate?.(draft, old, context);
  registry.kind.normalize?.(draft, old);
  if ((draft.metadata.uid ?? '') === '') setUid(draft, old.metadata.uid);
  const object = registry.canonicalize(draft);
  const errors = rules.validateUpdate(object, old);
  if (errors.length === 0 && rules === registry.mainRules)
    errors.push(...((await registry.strategy.allocate?.(object, old, context)) ?? []));
  if (errors.length > 0) {
    if (context.wantsAdvice) for (const text of registry.kind.refusalWarnings?.(object) ?? []) request.warnings.add(text);
    throw invalidObject({ group: registry.gr.group, kind: registry.resource.kind }, object.metadata.name ?? '', errors);
  }
  for (const text of rules.warnings?.(object, old) ?? []) request.warnings.add(text);
  return object;
}

/** What no update may change: taken from the stored object, whatever was sent. */
function carryOverMetadata(object: KubeObject, old: KubeObject): void {
  const metadata = object.metadata as Record<string, unknown>;
  const oldMetadata = old.metadata as Record<string, unknown>;
  for (const field of ['generation', 'creationTimestamp'] as const) {
    if (oldMetadata[field] === undefined) delete metadata[field];
    else metadata[field] = oldMetadata[field];
  }
  if (oldMetadata.deletionTimestamp !== undefined) metadata.deletionTimestamp = oldMetadata.deletionTimestamp;
  if (oldMetadata.deletionGracePeriodSeconds !== undefined && metadata.deletionGracePeriodSeconds === undefined) {
    metadata.deletionGracePeriodSeconds = oldMetadata.deletionGracePeriodSeconds;
  }
  delete metadata.selfLink;
}

function setUid(object: KubeObject, uid: string | undefined): void {
  if (uid !== undefined) object.metadata.uid = uid;
}

/** The object was only waiting for its finalizers, and the last one is gone. */
export function endsDeletion(registry: Registry, object: KubeObject, old: KubeObject): boolean {
  if ((object.metadata.finalizers ?? []).length > 0) return false;
  if (old.metadata.deletionTimestamp === undefined || (old.metadata.deletionGracePeriodSeconds ?? 0) !== 0) return false;
  return registry.strategy.holdsDeletion?.(object) !== true;
}

export function storageKey(registry: Registry, namespace: string, name: string): string {
  const prefix = `/registry/${registry.resource.storagePrefix}/`;
  return registry.resource.namespaced ? `${prefix}${namespace}/${name}` : prefix + name;
}
