import { forbidden } from '@coffer/api/errors/status-error';
import type { Attributes, Authorizer } from '../authorization/authorizer.ts';
import type { RequestContext } from '../request/context.ts';
import type { Filter } from './filter.ts';

/** Asks the authorizer before any object is read; everything it does not allow is 403. */
export function withAuthorization(authorizer: Authorizer): Filter {
  return async (context, next) => {
    const attributes = attributesOf(context);
    const pending = authorizer.authorize(attributes);
    const { decision, reason } = pending instanceof Promise ? await pending : pending;
    if (decision !== 'allow') throw forbiddenFor(attributes, reason);
    return next(context);
  };
}

/** What the authorizer is asked about a request. */
export function attributesOf(context: RequestContext): Attributes {
  const { info, user } = context;
  const fieldSelector = info.isResourceRequest ? context.query.get('fieldSelector') : null;
  return {
    user,
    verb: info.verb,
    isResourceRequest: info.isResourceRequest,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name,
    path: info.path,
    ...(fieldSelector ? { fieldSelector } : {}),
  };
}

/** The 403 of a denied request, in upstream's words. */
export function forbiddenFor(attributes: Attributes, reason: string): Error {
  const why = reason === '' ? '' : `: ${reason}`;
  const user = JSON.stringify(attributes.user.name);
  if (!attributes.isResourceRequest) {
    return forbidden(
      { group: '', resource: '' },
      '',
      escapeHtml(`User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}${why}`),
    );
  }
  const resource = attributes.subresource === '' ? attributes.resource : `${attributes.resource}/${attributes.subresource}`;
  const scope = attributes.namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(attributes.namespace)}`;
  const detail = `User ${user} cannot ${attributes.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(attributes.group)} ${scope}${why}`;
  return forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, escapeHtml(detail));
}

/** As upstream: the message may end up in a browser. */
function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
