import { conflict } from '@coffer/api/errors/status-error';
import type { KubeObject } from '@coffer/api/meta/object';
import type { HttpResponse } from '@coffer/base/http/handler';
import { auditPatch } from '../../audit/request-object.ts';
import type { UpdateRules, WriteContext } from '../../registry/generic/strategy.ts';
import { ensureNamespace } from '../../registry/generic/system-metadata.ts';
import { updateObject } from '../../registry/generic/update.ts';
import type { RequestContext } from '../../request/context.ts';
import { checkName } from '../check-name.ts';
import { maxBodyBytes } from '../decode-body.ts';
import { genericStatus } from '../generic-status.ts';
import { resetFieldsFor, storedIfNotTooLarge, trackFields } from '../managed-fields.ts';
import { contentTypeOf, negotiateOutput } from '../negotiation.ts';
import { type PatchOptions, parsePatchOptions } from '../options/write-options.ts';
import { dropDuplicateOwners } from '../owner-references.ts';
import { applyPatch, type PatchTarget } from '../patch/apply-patch.ts';
import { type Patch, patchTypeOf, readPatch } from '../patch/read-patch.ts';
import { respondStored } from '../represent.ts';
import { bodyKindOf, type Scope, storageNamespace, writeContextOf } from '../scope.ts';
import { admitted, validators } from './update.ts';

/** A PATCH request, read and checked as far as that is possible without the object. */
export interface PatchRequest {
  readonly options: PatchOptions;
  /** Parses the body on first use: a missing object is reported before a patch that cannot be read. */
  readonly patch: () => Patch;
  readonly isApply: boolean;
}

/** Throws StatusError 413, 415 or 422. */
export async function readPatchRequest(context: RequestContext): Promise<PatchRequest> {
  const type = patchTypeOf(contentTypeOf(context.http));
  if (type === undefined) throw genericStatus(415, '415: Unsupported Media Type');
  const body = await context.http.readBody(maxBodyBytes);
  const options = parsePatchOptions(context.http, context.query, type === 'apply');
  auditPatch(context, body);
  let parsed: Patch | undefined;
  return {
    options,
    isApply: type === 'apply',
    patch: () => {
      parsed ??= readPatch(type, body);
      return parsed;
    },
  };
}

/** PATCH of an object, or of a subresource whose body is the whole object (`rules` say what of it counts). */
export async function patchObject(context: RequestContext, scope: Scope, rules: UpdateRules): Promise<HttpResponse> {
  if (patchTypeOf(contentTypeOf(context.http)) === undefined) throw genericStatus(415, '415: Unsupported Media Type');
  const format = negotiateOutput(context.http, context.query);
  const { registry } = scope;
  const { name, subresource } = context.info;
  const request = await readPatchRequest(context);
  const { options } = request;
  const write = writeContextOf(context, scope, options.dryRun);
  const attempt = (tracked: boolean) =>
    updateObject(registry, {
      namespace: storageNamespace(context, scope),
      name,
      rules,
      context: write,
      warnings: context.warnings,
      forceCreate: request.isApply && subresource === '',
      change: (current) => patchedObject(context, scope, request, write, current, tracked),
      ...validators(context, scope, options.dryRun),
    });
  const outcome = request.isApply ? await attempt(true) : await storedIfNotTooLarge(attempt);
  return respondStored(context, scope, outcome.created ? 201 : 200, outcome.object, format);
}

/** One round: the patch on the current version, completed, checked against the URL, admitted; without managedFields when not `tracked`. */
async function patchedObject(
  context: RequestContext,
  scope: Scope,
  request: PatchRequest,
  write: WriteContext,
  current: KubeObject | undefined,
  tracked: boolean,
): Promise<KubeObject> {
  const { name, subresource } = context.info;
  const namespace = storageNamespace(context, scope);
  const { options } = request;
  const target: PatchTarget = {
    body: bodyKindOf(scope.resource),
    schema: scope.schema,
    table: scope.tools.table,
    gr: scope.registry.gr,
    name,
    subresource,
    now: write.now,
    resetFields: resetFieldsFor(scope, subresource),
    convert: scope.convert,
    warnings: context.warnings,
  };
  const patched = applyPatch(current, request.patch(), options, target);
  dropDuplicateOwners(patched.object, context.warnings, true);
  const object = scope.registry.complete(patched.object);
  const { uid } = object.metadata;
  if (current === undefined && uid !== undefined && uid !== '') {
    throw conflict(scope.registry.gr, name, `uid mismatch: the provided object specified uid ${uid}, and no existing object was found`);
  }
  ensureNamespace(object, namespace);
  checkName(object, name, namespace);
  if (!tracked) {
    delete object.metadata.managedFields;
  } else if (!patched.fieldsTracked) {
    trackFields(scope, current, object, { manager: options.fieldManager, subresource, now: write.now });
  }
  return admitted(context, scope, object, current, options.dryRun);
}
