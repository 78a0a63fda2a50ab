import type { KubeObject } from '@coffer/api/meta/object';
import { cloneJson } from '@coffer/api/meta/safe-object';
import type { HttpResponse } from '@coffer/base/http/handler';
import type { UpdateRules } from '../../registry/generic/strategy.ts';
import { updateObject } from '../../registry/generic/update.ts';
import type { RequestContext } from '../../request/context.ts';
import { authorizeCreate } from '../authorize-verb.ts';
import { checkName } from '../check-name.ts';
import { readObject } from '../decode-body.ts';
import { storedIfNotTooLarge, trackFields } from '../managed-fields.ts';
import { negotiateOutput } from '../negotiation.ts';
import { parseWriteOptions } from '../options/write-options.ts';
import { dropDuplicateOwners } from '../owner-references.ts';
import { respondStored } from '../represent.ts';
import { admissionAttributes, bodyKindOf, type Scope, storageNamespace, writeContextOf } from '../scope.ts';

/** PUT of an object, or of a subresource whose body is the whole object (`rules` say what of it counts). */
export async function updateFromBody(context: RequestContext, scope: Scope, rules: UpdateRules): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  const { registry, tools } = scope;
  const { name, subresource } = context.info;
  const namespace = storageNamespace(context, scope);
  const options = parseWriteOptions(context.http, context.query, 'UpdateOptions');
  const decoded = await readObject(context, tools, bodyKindOf(scope.resource), options.fieldValidation, (copy) => registry.complete(copy));
  checkName(decoded, name, namespace);
  dropDuplicateOwners(decoded, context.warnings);
  const body = registry.complete(decoded);

  const write = writeContextOf(context, scope, options.dryRun);
  const outcome = await storedIfNotTooLarge((tracked) =>
    updateObject(registry, {
      namespace,
      name,
      rules,
      context: write,
      warnings: context.warnings,
      uid: body.metadata.uid === '' ? undefined : body.metadata.uid,
      change: async (current) => {
        // Every round starts from the body as it came: the registry and admission change what they are given.
        const object: KubeObject = cloneJson(body);
        if (tracked) trackFields(scope, current, object, { manager: options.fieldManager, subresource, now: write.now });
        else delete object.metadata.managedFields;
        return admitted(context, scope, object, current, options.dryRun);
      },
      ...validators(context, scope, options.dryRun),
    }),
  );
  return respondStored(context, scope, outcome.created ? 201 : 200, outcome.object, format);
}

/** The object after mutating admission for an update that may turn into a create. */
export async function admitted(
  context: RequestContext,
  scope: Scope,
  object: KubeObject,
  oldObject: KubeObject | undefined,
  dryRun: boolean,
): Promise<KubeObject> {
  const { name } = context.info;
  const operation = oldObject === undefined ? 'CREATE' : 'UPDATE';
  await scope.tools.admission.admit(admissionAttributes(context, scope, operation, { name, object, oldObject, dryRun }));
  dropDuplicateOwners(object, undefined);
  return object;
}

/** Validating admission for an update that may turn into a create. */
export function validators(context: RequestContext, scope: Scope, dryRun: boolean) {
  const { name } = context.info;
  const { admission } = scope.tools;
  return {
    validateCreate: async (object: KubeObject) => {
      await authorizeCreate(context, scope);
      await admission.validate(admissionAttributes(context, scope, 'CREATE', { name, object, oldObject: undefined, dryRun }));
    },
    validateUpdate: (object: KubeObject, old: KubeObject) =>
      admission.validate(admissionAttributes(context, scope, 'UPDATE', { name, object, oldObject: old, dryRun })),
  };
}
