import type { Decision } from '../authorization/authorizer.ts';
import type { RequestContext } from '../request/context.ts';
import type { Scope } from './scope.ts';

/** Asks the authorizer about another verb than the request's own, on the same object. */
export function authorizeVerb(context: RequestContext, scope: Scope, verb: string): Decision | Promise<Decision> {
  const { info, user } = context;
  const { group, version, resource } = scope.resource;
  return scope.tools.authorizer.authorize({
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
  });
}
