import { forbidden } from '@coffer/api/errors/status-error';
import { parseFieldSelector } from '@coffer/api/selectors/fields';
import type { RequestContext } from '../request/context.ts';
import type { Attributes } from './authorizer.ts';

const selectorVerbs = new Set(['list', 'watch', 'deletecollection']);

/** What the authorizer is asked about a request. A list or watch that selects one name is about that name. */
export function attributesOf(context: RequestContext): Attributes {
  const { info, user } = context;
  const hasSelectors = info.isResourceRequest && selectorVerbs.has(info.verb);
  const fieldSelector = hasSelectors ? context.query.get('fieldSelector') : null;
  const labelSelector = hasSelectors ? context.query.get('labelSelector') : null;
  return {
    user,
    verb: info.verb,
    isResourceRequest: info.isResourceRequest,
    group: info.group,
    version: info.version,
    resource: info.resource,
    subresource: info.subresource,
    namespace: info.namespace,
    name: info.name === '' && fieldSelector ? selectedName(info.verb, fieldSelector) : info.name,
    path: info.path,
    ...(fieldSelector ? { fieldSelector } : {}),
    ...(labelSelector ? { labelSelector } : {}),
  };
}

/** The name a list or watch pins by `metadata.name=…`; empty when it pins none or the selector cannot be read. */
function selectedName(verb: string, fieldSelector: string): string {
  if (verb === 'deletecollection') return '';
  try {
    const name = parseFieldSelector(fieldSelector).exact('metadata.name') ?? '';
    return isPathSegment(name) ? name : '';
  } catch {
    return ''; // the endpoint answers 400
  }
}

function isPathSegment(name: string): boolean {
  return name !== '.' && name !== '..' && !name.includes('/') && !name.includes('%');
}

/** The 403 of a denied request, in upstream's words. */
export function forbiddenFor(attributes: Attributes, reason: string): Error {
  const why = reason === '' ? '' : `: ${reason}`;
  const user = JSON.stringify(attributes.user.name);
  if (!attributes.isResourceRequest) {
    const denied = escapeHtml(`User ${user} cannot ${attributes.verb} path ${JSON.stringify(attributes.path)}`);
    return forbidden({ group: '', resource: '' }, '', denied + why);
  }
  const resource = attributes.subresource === '' ? attributes.resource : `${attributes.resource}/${attributes.subresource}`;
  const scope = attributes.namespace === '' ? 'at the cluster scope' : `in the namespace ${JSON.stringify(attributes.namespace)}`;
  const denied = escapeHtml(
    `User ${user} cannot ${attributes.verb} resource ${JSON.stringify(resource)} in API group ${JSON.stringify(attributes.group)} ${scope}`,
  );
  return forbidden({ group: attributes.group, resource: attributes.resource }, attributes.name, denied + why);
}

/** As upstream: the message may end up in a browser. */
export function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
