import type { HttpResponse } from '@coffer/base/http/handler';
import { createObject } from '../../registry/generic/create.ts';
import { ensureNamespace, wipeSystemMetadata } from '../../registry/generic/system-metadata.ts';
import type { RequestContext } from '../../request/context.ts';
import { readObject } from '../decode-body.ts';
import { storedIfNotTooLarge, trackFields } from '../managed-fields.ts';
import { negotiateOutput } from '../negotiation.ts';
import { parseWriteOptions } from '../options/write-options.ts';
import { dropDuplicateOwners } from '../owner-references.ts';
import { respondStored } from '../represent.ts';
import { admissionAttributes, bodyKindOf, type Scope, storageNamespace, writeContextOf } from '../scope.ts';

/** POST to a collection: decode → managed fields → mutating admission → registry → validating admission → 201. */
export async function createFromBody(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  const { registry, tools } = scope;
  const options = parseWriteOptions(context.http, context.query, 'CreateOptions');
  const decoded = await readObject(context, tools, bodyKindOf(scope.resource), options.fieldValidation, (copy) => registry.complete(copy));
  wipeSystemMetadata(decoded);
  ensureNamespace(decoded, storageNamespace(context, scope));
  dropDuplicateOwners(decoded, context.warnings);
  const object = registry.complete(decoded);

  const write = writeContextOf(context, scope, options.dryRun);
  trackFields(scope, undefined, object, { manager: options.fieldManager, subresource: '', now: write.now });
  const subject = { name: object.metadata.name ?? '', object, oldObject: undefined, dryRun: options.dryRun };
  await tools.admission.admit(admissionAttributes(context, scope, 'CREATE', subject));
  dropDuplicateOwners(object, undefined);

  const stored = await storedIfNotTooLarge((tracked) => {
    if (!tracked) delete object.metadata.managedFields;
    return createObject(registry, {
      object,
      namespace: storageNamespace(context, scope),
      context: write,
      warnings: context.warnings,
      validate: (final) =>
        tools.admission.validate(
          admissionAttributes(context, scope, 'CREATE', { ...subject, name: final.metadata.name ?? '', object: final }),
        ),
    });
  });
  return respondStored(context, scope, 201, stored, format);
}
