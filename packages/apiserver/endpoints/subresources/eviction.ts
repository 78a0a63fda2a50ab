import { badRequest } from '@coffer/api/errors/status-error';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { HttpResponse } from '@coffer/base/http/handler';
import { deleteObject } from '../../registry/generic/delete.ts';
import type { RequestContext } from '../../request/context.ts';
import { readObject } from '../decode-body.ts';
import { negotiateWithoutTable } from '../negotiation.ts';
import { deleteOptionsFromBody } from '../options/delete-options.ts';
import { parseWriteOptions } from '../options/write-options.ts';
import { respondObject } from '../respond.ts';
import { admissionAttributes, type Scope } from '../scope.ts';

const body = { group: 'policy', version: 'v1', kind: 'Eviction' };

/** POST `pods/…/eviction`: deletes the pod, gracefully. There are no disruption budgets that could stand against it. */
export async function evictPod(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const format = negotiateWithoutTable(context.http, context.query);
  const write = parseWriteOptions(context.http, context.query, 'CreateOptions');
  const object = await readObject(context, scope.tools, body, write.fieldValidation);
  const { name, namespace } = context.info;
  if ((object.metadata.name ?? '') !== name) throw badRequest('name in URL does not match name in Eviction object');
  const requested = deleteOptionsFromBody(isRecord(object.deleteOptions) ? object.deleteOptions : {});
  const options = { ...requested, dryRun: requested.dryRun || write.dryRun };
  const attributes = admissionAttributes(context, scope, 'CREATE', { name, object, oldObject: undefined, dryRun: options.dryRun });
  await scope.tools.admission.admit(attributes);
  scope.registry.get(namespace, name);
  await scope.tools.admission.validate(attributes);
  await deleteObject(scope.registry, { namespace, name, options, validate: () => {} });
  return respondObject(context, 201, { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 }, format);
}
