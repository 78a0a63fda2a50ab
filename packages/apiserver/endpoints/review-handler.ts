import { canonicalize } from '@coffer/api/codec/canonicalize';
import { invalidObject } from '@coffer/api/errors/status-error';
import type { V1ObjectMeta } from '@coffer/api/generated/types';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { trackUpdate } from '@coffer/api/managedfields/manager';
import type { Mutable } from '@coffer/api/meta/object';
import { ensureNamespace, rfc3339, wipeSystemMetadata } from '../registry/generic/system-metadata.ts';
import type { Review } from '../registry/reviews/review.ts';
import { readObject } from './decode-body.ts';
import type { ReviewHandler } from './dispatch.ts';
import { negotiateWithoutTable } from './negotiation.ts';
import { parseWriteOptions } from './options/write-options.ts';
import { respondObject } from './respond.ts';
import { bodyKindOf } from './scope.ts';

/** POST of a kind that is answered and never stored: decode → defaults → validation → the review → 201 with its status. */
export function reviewHandler(kind: KindDefinition, review: Review): ReviewHandler {
  return async (context, resource, tools) => {
    const format = negotiateWithoutTable(context.http, context.query);
    const options = parseWriteOptions(context.http, context.query, 'CreateOptions');
    const object = await readObject(context, tools, bodyKindOf(resource), options.fieldValidation);
    wipeSystemMetadata(object);
    ensureNamespace(object, context.info.namespace);
    kind.applyDefaults(object);
    const errors = kind.validate(object);
    if (errors.length > 0) throw invalidObject({ group: resource.group, kind: resource.kind }, object.metadata.name ?? '', errors);
    const schema = tools.table.struct(kind.schema);
    const now = rfc3339(tools.clock.now());
    // As upstream, what is never stored has owners of its fields all the same.
    const managedFields = trackUpdate({
      live: undefined,
      next: object,
      manager: options.fieldManager,
      apiVersion: object.apiVersion,
      subresource: '',
      now,
      schema,
      table: tools.table,
    });
    if (managedFields.length > 0) (object.metadata as Mutable<V1ObjectMeta>).managedFields = managedFields;
    const answer = await review(object, { user: context.user, namespace: context.info.namespace, now });
    return respondObject(context, 201, canonicalize(answer, schema, tools.table), format);
  };
}
