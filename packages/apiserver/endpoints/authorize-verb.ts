import { internalError } from '@coffer/api/errors/status-error';
import type { Attributes, Decision } from '../authorization/authorizer.ts';
import { forbiddenFor } from '../authorization/request-attributes.ts';
import type { RequestContext } from '../request/context.ts';
import type { Scope } from './scope.ts';

/** Asks the authorizer about another verb than the request's own, on the same object. */
export function authorizeVerb(context: RequestContext, scope: Scope, verb: string): Decision | Promise<Decision> {
  return scope.tools.authorizer.authorize(attributesFor(context, scope, verb));
}

/** A request that was allowed to update, and turns out to create, must be allowed to do that as well. Throws StatusError 403 or 500. */
export async function authorizeCreate(context: RequestContext, scope: Scope): Promise<void> {
  const reason = await createRefusal(context, scope);
  if (reason !== undefined) throw forbiddenFor(attributesFor(context, scope, 'create'), reason);
}

/** Why the user may not create what the request is about; undefined when that is allowed. Throws StatusError 500 when nobody knows. */
export async function createRefusal(context: RequestContext, scope: Scope): Promise<string | undefined> {
  const { decision, reason, error } = await authorizeVerb(context, scope, 'create');
  if (decision === 'allow') return undefined;
  if (error !== undefined) throw internalError(error);
  return reason;
}

function attributesFor(context: RequestContext, scope: Scope, verb: string): Attributes {
  const { info, user } = context;
  const { group, version, resource } = scope.resource;
  return {
    user,
    verb,
    isResourceRequest: true,
    group,
    version,
    resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    path: info.path,
  };
}
