import { internalError } from '@coffer/api/errors/status-error';
import type { UserInfo } from '@coffer/base/http/handler';
import type { Attributes, Authorizer } from '../authorization/authorizer.ts';
import type { RequestContext } from '../request/context.ts';
import type { Filter } from './filter.ts';
import { forbiddenFor } from './with-authorization.ts';

const extraPrefix = 'impersonate-extra-';
const anonymousUser = 'system:anonymous';
const authenticatedGroup = 'system:authenticated';
const unauthenticatedGroup = 'system:unauthenticated';

interface ImpersonationRequest {
  readonly user: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: Readonly<Record<string, readonly string[]>>;
}

/**
 * `Impersonate-User`, `-Group`, `-Uid` and `-Extra-*`: the requester needs the verb `impersonate` on every single one of them,
 * then the request goes on as that user. Runs after authentication and before authorization of the request itself.
 */
export function withImpersonation(authorizer: Authorizer): Filter {
  return async (context, next) => {
    if (!hasImpersonation(context)) return next(context);
    const wanted = parse(context);
    for (const attributes of accessChecks(context.user, wanted)) {
      const { decision, reason } = await authorizer.authorize(attributes);
      if (decision !== 'allow') throw forbiddenFor(attributes, reason);
    }
    context.auditAnnotations.set('impersonated-by', context.user.name);
    context.user = impersonated(wanted);
    return next(context);
  };
}

function hasImpersonation({ http: { headers } }: RequestContext): boolean {
  if (headers['impersonate-user'] !== undefined || headers['impersonate-group'] !== undefined || headers['impersonate-uid'] !== undefined)
    return true;
  for (const name in headers) if (name.startsWith(extraPrefix)) return true;
  return false;
}

function parse({ http: { headers } }: RequestContext): ImpersonationRequest {
  const extra: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (name.startsWith(extraPrefix)) extra[decodeURIComponentSafe(name.slice(extraPrefix.length))] = list(value);
  }
  const user = single(headers['impersonate-user']);
  const groups = list(headers['impersonate-group']);
  const uid = single(headers['impersonate-uid']);
  if (user === '' && (groups.length > 0 || uid !== '' || Object.keys(extra).length > 0)) {
    throw internalError(`requested [${describeWithoutUser(groups, uid, extra)}] without impersonating a user`);
  }
  return { user, uid, groups, extra };
}

function describeWithoutUser(groups: readonly string[], uid: string, extra: object): string {
  const parts = [
    ...groups.map((group) => `{Group ${group}}`),
    ...(uid === '' ? [] : [`{UID ${uid}}`]),
    ...Object.keys(extra).map((key) => `{UserExtra ${key}}`),
  ];
  return parts.join(' ');
}

/** One question per impersonated attribute, as upstream asks them. */
function* accessChecks(requester: UserInfo, wanted: ImpersonationRequest): Iterable<Attributes> {
  const base = { user: requester, verb: 'impersonate', isResourceRequest: true, version: 'v1', subresource: '', namespace: '', path: '' };
  const account = serviceAccountOf(wanted.user);
  if (account) yield { ...base, group: '', resource: 'serviceaccounts', namespace: account.namespace, name: account.name };
  else yield { ...base, group: '', resource: 'users', name: wanted.user };
  for (const name of wanted.groups) yield { ...base, group: '', resource: 'groups', name };
  if (wanted.uid !== '') yield { ...base, group: 'authentication.k8s.io', resource: 'uids', name: wanted.uid };
  for (const [key, values] of Object.entries(wanted.extra)) {
    for (const name of values) yield { ...base, group: 'authentication.k8s.io', resource: 'userextras', subresource: key, name };
  }
}

function impersonated(wanted: ImpersonationRequest): UserInfo {
  const account = serviceAccountOf(wanted.user);
  const groups = [...wanted.groups];
  if (account && groups.length === 0) groups.push('system:serviceaccounts', `system:serviceaccounts:${account.namespace}`);
  if (wanted.user === anonymousUser) {
    if (!groups.includes(unauthenticatedGroup)) groups.push(unauthenticatedGroup);
  } else if (!groups.includes(authenticatedGroup) && !groups.includes(unauthenticatedGroup)) groups.push(authenticatedGroup);
  return { name: wanted.user, groups, ...(wanted.uid === '' ? {} : { uid: wanted.uid }), extra: wanted.extra };
}

function serviceAccountOf(user: string): { readonly namespace: string; readonly name: string } | undefined {
  const match = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(user);
  return match ? { namespace: match[1] ?? '', name: match[2] ?? '' } : undefined;
}

function single(value: string | readonly string[] | undefined): string {
  return list(value)[0] ?? '';
}

/** Node joins repeated headers with a comma; names of users and groups have none in practice, as upstream's clients rely on. */
function list(value: string | readonly string[] | undefined): string[] {
  if (value === undefined) return [];
  return (typeof value === 'string' ? value.split(',') : [...value]).map((item) => item.trim()).filter((item) => item !== '');
}

function decodeURIComponentSafe(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
