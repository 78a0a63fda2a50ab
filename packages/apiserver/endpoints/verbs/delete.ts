import type { Status } from '@coffer/api/errors/status-error';
import type { HttpResponse } from '@coffer/base/http/handler';
import { type DeleteOutcome, deleteObject } from '../../registry/generic/delete.ts';
import type { RequestContext } from '../../request/context.ts';
import { readDeleteOptions } from '../delete-body.ts';
import { negotiateOutput, type OutputFormat } from '../negotiation.ts';
import type { DeleteOptions } from '../options/delete-options.ts';
import { respondStored } from '../represent.ts';
import { respondObject } from '../respond.ts';
import { admissionAttributes, type Scope, storageNamespace } from '../scope.ts';

/** DELETE of one object. */
export async function deleteOne(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  const options = await readDeleteOptions(context, scope);
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
  return respondObject(context, status, successStatus(scope, outcome), format);
}

function successStatus(scope: Scope, { object }: DeleteOutcome): Status {
  const { group, resource } = scope.resource;
  return {
    kind: 'Status',
    apiVersion: 'v1',
    metadata: {},
    status: 'Success',
    details: { name: object.name, ...(group === '' ? {} : { group }), kind: resource, uid: object.uid },
  };
}
