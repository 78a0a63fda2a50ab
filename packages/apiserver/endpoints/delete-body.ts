import { decodeDeleteOptions } from '@coffer/api/codec/decode';
import { auditDeleteOptions } from '../audit/request-object.ts';
import type { RequestContext } from '../request/context.ts';
import { maxBodyBytes } from './decode-body.ts';
import { headerText } from './negotiation.ts';
import { type DeleteOptions, deleteOptionsFromBody, deleteOptionsFromQuery } from './options/delete-options.ts';
import type { Scope } from './scope.ts';

/** DeleteOptions from the body, or from the query when there is none. Throws StatusError 400, 413, 415 or 422. */
export async function readDeleteOptions(context: RequestContext, scope: Scope): Promise<DeleteOptions> {
  const body = await context.http.readBody(maxBodyBytes);
  if (body.byteLength === 0) return deleteOptionsFromQuery(context.query);
  const options = decodeDeleteOptions(body, headerText(context.http, 'content-type'), scope.tools.table);
  auditDeleteOptions(context, options);
  return deleteOptionsFromBody(options);
}
