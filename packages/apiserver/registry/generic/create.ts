import { alreadyExists, invalidObject, isReason, StatusError } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { StoredObject } from '@coffer/storage/store/store';
import { translatingErrors } from '../../endpoints/errors.ts';
import { untypedError } from '../../endpoints/generic-status.ts';
import type { WarningList } from '../../request/context.ts';
import { generateName, generateNameConflict, maxNameAttempts } from './name-generator.ts';
import type { Registry } from './registry.ts';
import { objectRevision } from './resource-version.ts';
import type { WriteContext } from './strategy.ts';
import { ensureNamespace, fillSystemMetadata } from './system-metadata.ts';

export interface CreateRequest {
  /** Decoded, defaulted, mutated by admission; the registry's own from here on. */
  readonly object: KubeObject;
  readonly namespace: string;
  readonly context: WriteContext;
  readonly warnings: WarningList;
  /** Validating admission of the final object; throws to refuse. */
  readonly validate: (object: KubeObject) => void | Promise<void>;
}

/** Stores a new object. A generated name that is taken is generated anew a few times; a given one is 409. */
export async function createObject(registry: Registry, request: CreateRequest): Promise<StoredObject> {
  const { metadata } = request.object;
  const generated = (metadata.name ?? '') === '' && (metadata.generateName ?? '') !== '';
  for (let attempt = 1; ; attempt++) {
    if (generated) metadata.name = generateName(metadata.generateName ?? '');
    try {
      return await createOnce(registry, request);
    } catch (error) {
      if (!generated || !isReason(error, 'AlreadyExists')) throw error;
      if (attempt >= maxNameAttempts) throw generateNameConflict(registry.gr, metadata.name ?? '');
    } finally {
      await registry.strategy.settled?.(request.context);
    }
  }
}

async function createOnce(registry: Registry, request: CreateRequest): Promise<StoredObject> {
  const { namespace, context } = request;
  fillSystemMetadata(request.object, context.now);
  const object = await prepareCreate(registry, request.object, namespace, context, request.warnings);
  await request.validate(object);
  const name = object.metadata.name ?? '';
  if (objectRevision(object.metadata.resourceVersion) !== 0)
    throw untypedError('resourceVersion should not be set on objects to be created');
  delete object.metadata.resourceVersion;
  try {
    return await translatingErrors(registry.gr, name, () => registry.store.create(registry.toStored(object), { dryRun: context.dryRun }));
  } catch (error) {
    throw isReason(error, 'AlreadyExists') ? explainDeletion(registry, namespace, name) : error;
  }
}

/**
 * Everything between mutating admission and validating admission, for POST and for PUT or apply that creates: the strategy's
 * changes, the canonical form, validation, warnings. System metadata has been filled in; `draft` may be changed.
 */
export async function prepareCreate(
  registry: Registry,
  draft: KubeObject,
  namespace: string,
  context: WriteContext,
  warnings: WarningList,
): Promise<KubeObject> {
  const { kind, strategy } = registry;
  ensureNamespace(draft, namespace);
  strategy.prepareForCreate?.(draft, context, warnings);
  kind.normalize?.(draft, undefined);
  const object = registry.canonicalize(draft);
  const errors = registry.createErrors(object);
  if (errors.length === 0) errors.push(...((await strategy.allocate?.(object, undefined, context)) ?? []));
  if (errors.length > 0) {
    if (context.wantsAdvice) for (const text of kind.refusalWarnings?.(object) ?? []) warnings.add(text);
    throw invalidObject({ group: registry.gr.group, kind: registry.resource.kind }, object.metadata.name ?? '', errors);
  }
  for (const text of kind.warnings(object, undefined)) warnings.add(text);
  return object;
}

function explainDeletion(registry: Registry, namespace: string, name: string): StatusError {
  const error = alreadyExists(registry.gr, name);
  const existing = registry.store.get(namespace, name);
  if (existing === undefined || existing.peek().metadata.deletionTimestamp === undefined) return error;
  return new StatusError(409, 'AlreadyExists', `object is being deleted: ${error.message}`, error.status.details);
}
