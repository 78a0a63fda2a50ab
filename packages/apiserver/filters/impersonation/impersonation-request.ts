import { badRequest } from '@coffer/api/errors/status-error';
import type { HttpRequest, UserInfo } from '@coffer/base/http/handler';
import { headersWithPrefix, headerValues } from '../../request/header-values.ts';

const extraPrefix = 'impersonate-extra-';

/** Who a request wants to be, exactly as its headers say: nothing added, nothing checked. */
export interface WantedUser {
  readonly name: string;
  readonly uid: string;
  readonly groups: readonly string[];
  readonly extra: ReadonlyMap<string, readonly string[]>;
}

/** Reads `Impersonate-User`, `-Uid`, `-Group` and `-Extra-*`; undefined without them. Throws 400 when only the user is missing. */
export function readImpersonation(request: HttpRequest): WantedUser | undefined {
  if (!mentionsImpersonation(request)) return undefined;
  const groups = headerValues(request, 'impersonate-group');
  const extra = new Map<string, readonly string[]>();
  for (const [key, values] of headersWithPrefix(request, extraPrefix)) {
    const name = unescapeKey(key);
    extra.set(name, [...(extra.get(name) ?? []), ...values]);
  }
  const wanted = {
    name: headerValues(request, 'impersonate-user')[0] ?? '',
    uid: headerValues(request, 'impersonate-uid')[0] ?? '',
    groups,
    extra,
  };
  if (wanted.name !== '') return wanted;
  if (wanted.uid !== '' || groups.length > 0 || extra.size > 0) {
    throw badRequest(`requested ${describe(wanted)} without impersonating a user name`);
  }
  return undefined;
}

export function isServiceAccountName(user: string): { readonly namespace: string; readonly name: string } | undefined {
  const match = /^system:serviceaccount:([a-z0-9](?:[-a-z0-9]*[a-z0-9])?):([a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)$/.exec(user);
  return match ? { namespace: match[1] ?? '', name: match[2] ?? '' } : undefined;
}

export function nodeOfUserName(user: string): string | undefined {
  return /^system:node:([a-z0-9](?:[-.a-z0-9]*[a-z0-9])?)$/.exec(user)?.[1];
}

/** True when nothing but the name is asked for: what the modes for nodes and accounts demand. */
export function onlyNameWanted(wanted: WantedUser): boolean {
  return wanted.uid === '' && wanted.groups.length === 0 && wanted.extra.size === 0;
}

/** The user the wanted one becomes, with the groups his kind always has. */
export function impersonatedUser(wanted: WantedUser, impliedGroups: readonly string[]): UserInfo {
  const groups = wanted.groups.length > 0 ? [...wanted.groups] : [...impliedGroups];
  const belongs = wanted.name === 'system:anonymous' ? 'system:unauthenticated' : 'system:authenticated';
  if (!groups.includes(belongs) && !groups.includes('system:unauthenticated')) groups.push(belongs);
  return {
    name: wanted.name,
    groups,
    ...(wanted.uid === '' ? {} : { uid: wanted.uid }),
    ...(wanted.extra.size === 0 ? {} : { extra: Object.fromEntries(wanted.extra) }),
  };
}

function mentionsImpersonation({ headers }: HttpRequest): boolean {
  for (const name in headers) if (name.startsWith('impersonate-')) return true;
  return false;
}

function unescapeKey(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

/** The wanted user as upstream prints it (Go's `%#v`). */
function describe({ name, uid, groups, extra }: WantedUser): string {
  const list = (values: readonly string[]) => `[]string{${values.map((value) => JSON.stringify(value)).join(', ')}}`;
  const groupText = groups.length === 0 ? '[]string(nil)' : list(groups);
  const entries = [...extra].sort(([a], [b]) => (a < b ? -1 : 1)).map(([key, values]) => `${JSON.stringify(key)}:${list(values)}`);
  const extraText = extra.size === 0 ? 'map[string][]string(nil)' : `map[string][]string{${entries.join(', ')}}`;
  return `&user.DefaultInfo{Name:${JSON.stringify(name)}, UID:${JSON.stringify(uid)}, Groups:${groupText}, Extra:${extraText}}`;
}
