import type { HttpResponse } from '@coffer/base/http/handler';
import type { Authorizer } from '../authorization/authorizer.ts';
import { attributesOf, escapeHtml, forbiddenFor } from '../authorization/request-attributes.ts';
import type { Filter } from './filter.ts';

/**
 * Asks the authorizer before any object is read; what it does not allow is 403, or 500 when that is because an authorizer failed. Audit
 * learns the decision and why.
 */
export function withAuthorization(authorizer: Authorizer): Filter {
  return async (context, next) => {
    const attributes = attributesOf(context);
    const pending = authorizer.authorize(attributes);
    const { decision, reason, error } = pending instanceof Promise ? await pending : pending;
    if (decision !== 'allow' && error !== undefined) {
      context.auditAnnotations.set('authorization.k8s.io/reason', 'internal error');
      return failure(context.http.url, error);
    }
    context.auditAnnotations.set('authorization.k8s.io/decision', decision === 'allow' ? 'allow' : 'forbid');
    context.auditAnnotations.set('authorization.k8s.io/reason', reason);
    if (decision !== 'allow') throw forbiddenFor(attributes, reason);
    return next(context);
  };
}

/** As upstream a text, not a Status. */
function failure(url: string, error: string): HttpResponse {
  const body = Buffer.from(`${escapeHtml(`Internal Server Error: ${JSON.stringify(url)}: ${error}`)}\n`);
  const headers = { 'content-type': 'text/plain; charset=utf-8', 'x-content-type-options': 'nosniff' };
  return { kind: 'full', status: 500, headers, body };
}
