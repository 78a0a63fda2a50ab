import { canonicalize } from '@coffer/api/codec/canonicalize';
import { invalidObject } from '@coffer/api/errors/status-error';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { ensureNamespace, wipeSystemMetadata } from '../registry/generic/system-metadata.ts';
import type { Review } from '../registry/reviews/review.ts';
import { readObject } from './decode-body.ts';
import type { ReviewHandler } from './dispatch.ts';
import { negotiateOutput } from './negotiation.ts';
import { parseWriteOptions } from './options/write-options.ts';
import { respondObject } from './respond.ts';
import { bodyKindOf } from './scope.ts';

/** POST of a kind that is answered and never stored: decode → defaults → validation → the review → 201 with its status. */
export function reviewHandler(kind: KindDefinition, review: Review): ReviewHandler {
  return async (context, resource, tools) => {
    const format = negotiateOutput(context.http, context.query);
    const options = parseWriteOptions(context.http, context.query, 'CreateOptions');
    const object = await readObject(context, tools, bodyKindOf(resource), options.fieldValidation);
    wipeSystemMetadata(object);
    ensureNamespace(object, context.info.namespace);
    kind.applyDefaults(object);
    const errors = kind.validate(object);
    if (errors.length > 0) throw invalidObject({ group: resource.group, kind: resource.kind }, object.metadata.name ?? '', errors);
    const answer = await review(object, { user: context.user, namespace: context.info.namespace });
    return respondObject(context, 201, canonicalize(answer, tools.table.struct(kind.schema), tools.table), format);
  };
}
