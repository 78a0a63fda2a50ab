import type { HttpResponse } from '@coffer/base/http/handler';
import { deleteObjects } from '../../registry/generic/delete-collection.ts';
import type { RequestContext } from '../../request/context.ts';
import { readDeleteOptions } from '../delete-body.ts';
import { negotiateOutput } from '../negotiation.ts';
import { parseListOptions } from '../options/list-options.ts';
import { admissionAttributes, type Scope, storageNamespace } from '../scope.ts';
import { selectionOf } from '../selection.ts';
import { listMetadata, readList, respondList } from './list.ts';

/** DELETE of a collection: what the selectors match is deleted object by object; the answer is the list as it was. */
export async function deleteCollection(context: RequestContext, scope: Scope): Promise<HttpResponse> {
  const format = negotiateOutput(context.http, context.query);
  const listOptions = parseListOptions(context.query, false);
  const selection = selectionOf(scope.registry.kind, storageNamespace(context, scope), '', listOptions);
  const options = await readDeleteOptions(context, scope);
  const result = await readList(scope, listOptions, selection);
  await deleteObjects(scope.registry, result.items, {
    options,
    validate: async (old) => {
      const name = old.metadata.name ?? '';
      const attributes = admissionAttributes(context, scope, 'DELETE', { name, object: undefined, oldObject: old, dryRun: options.dryRun });
      await scope.tools.admission.admit(attributes);
      await scope.tools.admission.validate(attributes);
    },
  });
  return respondList(context, scope, result, listMetadata(result, listOptions, selection), format);
}
