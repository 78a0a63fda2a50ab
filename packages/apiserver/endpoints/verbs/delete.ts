import { invalid } from '@coffer/api/errors/field-error';
import { forbidden, invalidObject, type Status } from '@coffer/api/errors/status-error';
import type { HttpResponse } from '@coffer/base/http/handler';
import { StorageError } from '@coffer/storage/errors';
import { deleteObject } from '../../registry/generic/delete.ts';
import type { RequestContext } from '../../request/context.ts';
import { authorizeVerb } from '../authorize-verb.ts';
import { readDeleteOptions } from '../delete-body.ts';
import { toStatusError } from '../errors.ts';
import { negotiateOutput, type OutputFormat } from '../negotiation.ts';
import type { DeleteOptions } from '../options/delete-options.ts';
import { respondStored } from '../represent.ts';
import { respondObject } from '../respond.ts';
import { admissionAttributes, type Scope, storageNamespace } from '../scope.ts';

/** DELETE of one object. */
export async function deleteOne(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  const options = await readDeleteOptions(context, scope);
  if (options.ignoreStoreReadError === true) return deleteUnreadable(context, scope, format);
  return deleteNamed(context, scope, options, format);
}

/** The rest of a DELETE once its options are known; also how an eviction deletes its pod. */
export async function deleteNamed(
  context: RequestContext,
  scope: Scope,
  options: DeleteOptions,
  format: OutputFormat,
): Promise<HttpResponse> {
  const { name } = context.info;
  const namespace = storageNamespace(context, scope);
  const reason = scope.registry.strategy.undeletable?.(name);
  if (reason !== undefined) throw forbidden(scope.registry.gr, name, reason);
  const outcome = await deleteObject(scope.registry, {
    namespace,
    name,
    options,
    validate: async (old) => {
      const attributes = admissionAttributes(context, scope, 'DELETE', { name, object: undefined, oldObject: old, dryRun: options.dryRun });
      await scope.tools.admission.admit(attributes);
      await scope.tools.admission.validate(attributes);
    },
  });
  const status = !outcome.deleted && options.orphanDependents === false ? 202 : 200;
  if (outcome.showObject) return respondStored(context, scope, status, outcome.object, format);
  return respondObject(context, status, successStatus(scope, outcome.object), format);
}

const unsafeVerb = 'unsafe-delete-ignore-read-errors';

/** Removes an object nobody can read any more: without its finalizers, without an event, and only with a permission of its own. */
async function deleteUnreadable(context: RequestContext, scope: Scope, format: OutputFormat): Promise<HttpResponse> {
  const { name } = context.info;
  const { gr, resource, store } = scope.registry;
  const { decision, reason } = await authorizeVerb(context, scope, unsafeVerb);
  if (decision !== 'allow') throw forbidden(gr, name, `not permitted to do ${JSON.stringify(unsafeVerb)}, reason: ${reason}`);
  try {
    await store.deleteUnreadable(storageNamespace(context, scope), name);
  } catch (error) {
    if (!(error instanceof StorageError) || error.code !== 'precondition-failed') throw toStatusError(error, gr, name);
    const detail = 'is exclusively used to delete corrupt object(s), try again by removing this option';
    const problem = invalid('ignoreStoreReadErrorWithClusterBreakingPotential', true, detail);
    throw invalidObject({ group: resource.group, kind: resource.kind }, name, [problem]);
  }
  return respondObject(context, 200, successStatus(scope, { name }), format);
}

function successStatus(scope: Scope, object: { readonly name: string; readonly uid?: string }): Status {
  const { group, resource } = scope.resource;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: {
      name: object.name,
      ...(group === '' ? {} : { group }),
      kind: resource,
      ...(object.uid === undefined ? {} : { uid: object.uid }),
    },
  };
}
