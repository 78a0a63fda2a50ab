import type { UserInfo } from '@coffer/base/http/handler';
import type { Attributes, Authorizer } from '../../authorization/authorizer.ts';
import { forbiddenFor } from '../../authorization/request-attributes.ts';
import { impersonatedUser, isServiceAccountName, nodeOfUserName, onlyNameWanted, type WantedUser } from './impersonation-request.ts';

/** One way to be allowed to act as somebody else; tried in order, the first that allows it wins. */
export interface ImpersonationMode {
  /** The verb on the impersonated identity, which audit shows; empty for the classic mode. */
  readonly constraint: string;
  applies(wanted: WantedUser, requester: UserInfo): boolean;
  /** Throws the 403 of the first check that fails. */
  check(wanted: WantedUser, request: Attributes): Promise<UserInfo>;
}

const nodeNameExtra = 'authentication.kubernetes.io/node-name';
const manyChecks = 4;

/**
 * Constrained impersonation as upstream: the requester needs `impersonate-on:<mode>:<verb>` on what the request is about and
 * `impersonate:<mode>` on every identity he takes. The classic mode, `impersonate` on every identity, stays last.
 */
export function impersonationModes(authorizer: Authorizer): readonly ImpersonationMode[] {
  return [
    constrained(authorizer, 'associated-node', (wanted, requester) => {
      const node = nodeOfUserName(wanted.name);
      const own = requester.extra?.[nodeNameExtra];
      return node !== undefined && onlyNameWanted(wanted) && isAccount(requester) && own?.length === 1 && own[0] === node;
    }),
    constrained(authorizer, 'arbitrary-node', (wanted) => onlyNameWanted(wanted) && nodeOfUserName(wanted.name) !== undefined),
    constrained(authorizer, 'serviceaccount', (wanted) => onlyNameWanted(wanted) && isServiceAccountName(wanted.name) !== undefined),
    constrained(
      authorizer,
      'user-info',
      (wanted) => nodeOfUserName(wanted.name) === undefined && isServiceAccountName(wanted.name) === undefined,
    ),
    classic(authorizer),
  ];
}

function constrained(authorizer: Authorizer, mode: string, applies: ImpersonationMode['applies']): ImpersonationMode {
  const verb = `impersonate:${mode}`;
  return {
    constraint: verb,
    applies,
    async check(wanted, request) {
      // Whichever node it is: the check for the own node holds for all nodes, so neither its name nor the requester's extra counts.
      const requester =
        mode === 'associated-node'
          ? {
              ...request.user,
              extra: { 'authentication.kubernetes.io/associated-node-keys': Object.keys(request.user.extra ?? {}).sort() },
            }
          : request.user;
      await demand(authorizer, { ...request, user: requester, verb: `impersonate-on:${mode}:${request.verb}` });
      const name = nameAttributes(requester, 'authentication.k8s.io', verb, wanted, true);
      await demand(authorizer, mode === 'associated-node' ? { ...name, name: '*' } : name);
      await demandUid(authorizer, requester, verb, wanted.uid);
      await demandGroups(authorizer, requester, 'authentication.k8s.io', verb, wanted.groups, true);
      await demandExtra(authorizer, requester, verb, wanted.extra, true);
      return impersonatedUser(wanted, impliedGroups(wanted, true));
    },
  };
}

function classic(authorizer: Authorizer): ImpersonationMode {
  const verb = 'impersonate';
  return {
    constraint: '',
    applies: () => true,
    async check(wanted, { user }) {
      await demand(authorizer, nameAttributes(user, '', verb, wanted, false));
      await demandUid(authorizer, user, verb, wanted.uid);
      await demandGroups(authorizer, user, '', verb, wanted.groups, false);
      await demandExtra(authorizer, user, verb, wanted.extra, false);
      return impersonatedUser(wanted, impliedGroups(wanted, false));
    },
  };
}

function isAccount(user: UserInfo): boolean {
  return isServiceAccountName(user.name) !== undefined;
}

function impliedGroups(wanted: WantedUser, isConstrained: boolean): readonly string[] {
  const account = isServiceAccountName(wanted.name);
  if (account) return ['system:serviceaccounts', `system:serviceaccounts:${account.namespace}`];
  return isConstrained && nodeOfUserName(wanted.name) !== undefined ? ['system:nodes'] : [];
}

function nameAttributes(user: UserInfo, group: string, verb: string, wanted: WantedUser, isConstrained: boolean): Attributes {
  const account = isServiceAccountName(wanted.name);
  if (account) return identity(user, group, verb, 'serviceaccounts', account.name, account.namespace);
  const node = isConstrained ? nodeOfUserName(wanted.name) : undefined;
  return node === undefined ? identity(user, group, verb, 'users', wanted.name) : identity(user, group, verb, 'nodes', node);
}

async function demandUid(authorizer: Authorizer, user: UserInfo, verb: string, uid: string): Promise<void> {
  if (uid !== '') await demand(authorizer, identity(user, 'authentication.k8s.io', verb, 'uids', uid));
}

async function demandGroups(
  authorizer: Authorizer,
  user: UserInfo,
  apiGroup: string,
  verb: string,
  groups: readonly string[],
  isConstrained: boolean,
): Promise<void> {
  const about = (name: string) => identity(user, apiGroup, verb, 'groups', name);
  if (isConstrained) {
    if (groups.includes('')) throw forbiddenFor(about(''), 'impersonating the empty string group is not allowed');
    if (groups.includes('system:masters'))
      throw forbiddenFor(about('system:masters'), 'impersonating the system:masters group is not allowed');
    if (groups.length >= manyChecks && (await isAllowed(authorizer, about('*')))) return;
  }
  for (const name of groups) await demand(authorizer, about(name));
}

async function demandExtra(
  authorizer: Authorizer,
  user: UserInfo,
  verb: string,
  extra: WantedUser['extra'],
  isConstrained: boolean,
): Promise<void> {
  const about = (key: string, name: string) => ({ ...identity(user, 'authentication.k8s.io', verb, 'userextras', name), subresource: key });
  if (isConstrained) {
    const problem = extraProblem(extra);
    if (problem !== undefined) throw forbiddenFor(about('', ''), problem);
    const count = [...extra.values()].reduce((sum, values) => sum + values.length, 0);
    if ((extra.size >= manyChecks || count >= manyChecks) && (await isAllowed(authorizer, about('*', '*')))) return;
  }
  for (const [key, values] of extra) for (const value of values) await demand(authorizer, about(key, value));
}

function extraProblem(extra: WantedUser['extra']): string | undefined {
  for (const [key, values] of extra) {
    if (key === '') return 'impersonating the empty string key in extra is not allowed';
    if (!/^[a-z0-9]([-.a-z0-9]*[a-z0-9])?\/.+$/.test(key)) {
      return `impersonating an invalid key in extra is not allowed: extra.key: Invalid value: ${JSON.stringify(key)}: must be a domain-prefixed path (such as "acme.io/foo")`;
    }
    if (key !== key.toLowerCase()) return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`;
    if (values.length === 0) return 'impersonating empty values in extra is not allowed';
    if (values.includes('')) return 'impersonating the empty string value in extra is not allowed';
  }
  return undefined;
}

async function isAllowed(authorizer: Authorizer, attributes: Attributes): Promise<boolean> {
  return (await authorizer.authorize(attributes)).decision === 'allow';
}

async function demand(authorizer: Authorizer, attributes: Attributes): Promise<void> {
  const { decision, reason } = await authorizer.authorize(attributes);
  if (decision !== 'allow') throw forbiddenFor(attributes, reason);
}

function identity(user: UserInfo, group: string, verb: string, resource: string, name: string, namespace = ''): Attributes {
  return { user, verb, isResourceRequest: true, group, version: 'v1', resource, subresource: '', namespace, name, path: '' };
}
