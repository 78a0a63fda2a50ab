import type { Authorizer } from '../authorization/authorizer.ts';
import { attributesOf, forbiddenFor } from '../authorization/request-attributes.ts';
import type { Filter } from './filter.ts';

/** Asks the authorizer before any object is read; everything it does not allow is 403. Audit learns the decision and why. */
export function withAuthorization(authorizer: Authorizer): Filter {
  return async (context, next) => {
    const attributes = attributesOf(context);
    const pending = authorizer.authorize(attributes);
    const { decision, reason } = pending instanceof Promise ? await pending : pending;
    context.auditAnnotations.set('authorization.k8s.io/decision', decision === 'allow' ? 'allow' : 'forbid');
    context.auditAnnotations.set('authorization.k8s.io/reason', reason);
    if (decision !== 'allow') throw forbiddenFor(attributes, reason);
    return next(context);
  };
}
