import { builtInResources } from '@coffer/api/catalog/built-in-resources';
import type { UserInfo } from '@coffer/base/http/handler';

/** Every question of the decision matrix: what may an identity do, as attributes and as an HTTP request that changes nothing. */
export interface Question {
  /** As the data file calls it, e.g. `pods/log` or `kube-node-lease:leases.coordination.k8s.io=n1`. */
  readonly about: string;
  readonly verb: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly namespace: string;
  readonly name: string;
  /** Path of a question about no resource; empty otherwise. */
  readonly path: string;
  /** How the question is put; undefined for verbs that no request has: they are asked by SelfSubjectAccessReview. */
  readonly http: { readonly method: string; readonly url: string; readonly body?: string } | undefined;
}

const namespace = 'matrix';
const absent = 'absent';

/** Users of the matrix by their tokens; `anonymous` sends none. */
export const identities: Readonly<Record<string, UserInfo | undefined>> = {
  anonymous: undefined,
  jane: { name: 'jane', groups: [] },
  viewer: { name: 'viewer', groups: [] },
  editor: { name: 'editor', groups: [] },
  admin: { name: 'admin', groups: [] },
  reader: { name: 'system:serviceaccount:matrix:reader', groups: ['system:serviceaccounts', 'system:serviceaccounts:matrix'] },
  node: { name: 'system:node:n1', groups: ['system:nodes'] },
  'cluster-admin': { name: 'root', groups: ['kubeadm:cluster-admins'] },
};

const resourceVerbs = ['get', 'list', 'watch', 'create', 'update', 'patch', 'delete', 'deletecollection'];
const subresourceVerbs = ['get', 'create', 'update', 'patch', 'delete'];

/** Objects asked for by name, beside the whole resource. */
const named: readonly (readonly [resource: string, subresource: string, name: string, inNamespace?: string])[] = [
  ['configmaps', '', 'used'],
  ['namespaces', '', namespace],
  ['namespaces', 'status', namespace],
  ['nodes', '', 'n1'],
  ['pods', '', 'p'],
  ['secrets', '', 'one'],
  ['secrets', '', 'two'],
  ['secrets', '', 'used'],
  ['serviceaccounts', '', 'default'],
  ['serviceaccounts', 'token', 'default'],
  ['leases', '', 'n1', 'kube-node-lease'],
];

const paths = ['/healthz', '/livez', '/readyz', '/version', '/api', '/api/v1', '/apis', '/apis/apps/v1', '/openapi/v2', '/openapi/v3'];
const guardedPaths = ['/metrics', '/.well-known/openid-configuration', '/openid/v1/jwks', '/logs'];

/** Verbs no HTTP method stands for. */
const special: readonly (readonly [verb: string, group: string, resource: string, name?: string])[] = [
  ['impersonate', '', 'users'],
  ['impersonate', '', 'groups'],
  ['impersonate', '', 'serviceaccounts'],
  ['impersonate', 'authentication.k8s.io', 'uids'],
  ['escalate', 'rbac.authorization.k8s.io', 'roles'],
  ['bind', 'rbac.authorization.k8s.io', 'roles'],
  ['escalate', 'rbac.authorization.k8s.io', 'clusterroles'],
  ['bind', 'rbac.authorization.k8s.io', 'clusterroles'],
  ['approve', 'certificates.k8s.io', 'signers', 'kubernetes.io/kubelet-serving'],
  ['sign', 'certificates.k8s.io', 'signers', 'kubernetes.io/kubelet-serving'],
];

export interface ServedResource {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly namespaced: boolean;
  readonly subresources: readonly string[];
}

/** What the matrix asks about: every built-in resource, and one that only an aggregated role knows. */
export const servedResources: readonly ServedResource[] = [
  ...builtInResources.map(({ subresources, ...row }) => ({ ...row, subresources: subresources.map(({ name }) => name) })),
  { group: 'example.com', version: 'v1', resource: 'widgets', namespaced: true, subresources: [] },
];

export const questions: readonly Question[] = [
  ...servedResources.flatMap((row) => [
    ...resourceVerbs.map((verb) => ask(row, '', verb, '', row.namespaced ? namespace : '')),
    ...row.subresources.flatMap((sub) => subresourceVerbs.map((verb) => ask(row, sub, verb, '', row.namespaced ? namespace : ''))),
  ]),
  ...servedResources
    .filter(({ group, resource }) => group === '' && ['configmaps', 'pods', 'secrets'].includes(resource))
    .flatMap((row) => resourceVerbs.map((verb) => ask(row, '', verb, '', 'other'))),
  ...servedResources
    .filter(({ resource }) => resource === 'leases')
    .flatMap((row) => resourceVerbs.map((verb) => ask(row, '', verb, '', 'kube-node-lease'))),
  ...named.flatMap(([resource, subresource, name, where]) => {
    const row = servedResources.find((candidate) => candidate.resource === resource);
    if (!row) throw new Error(`${resource} is not served`);
    const verbs = subresource === '' ? resourceVerbs : subresourceVerbs;
    return verbs.map((verb) => ask(row, subresource, verb, name, row.namespaced ? (where ?? namespace) : ''));
  }),
  ...[...paths, ...guardedPaths].map((path) => ({
    ...{ about: path, verb: 'get', group: '', version: '', resource: '', subresource: '', namespace: '', name: '', path },
    http: { method: 'GET', url: path },
  })),
  ...special.map(([verb, group, resource, name = '']) => ({
    ...{ about: aboutOf(group, resource, '', ''), verb, group, version: '*', resource, subresource: '', namespace, name, path: '' },
    http: undefined,
  })),
];

function aboutOf(group: string, resource: string, subresource: string, name: string): string {
  return `${resource}${group === '' ? '' : `.${group}`}${subresource === '' ? '' : `/${subresource}`}${name === '' ? '' : `=${name}`}`;
}

function ask(row: ServedResource, subresource: string, verb: string, wantedName: string, inNamespace: string): Question {
  const { group, version, resource } = row;
  const about = aboutOf(group, resource, subresource, wantedName);
  const onCollection = subresource === '' && ['list', 'watch', 'create', 'deletecollection'].includes(verb);
  const name = wantedName === '' ? absent : wantedName;
  const base = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
  const collection = `${base}${inNamespace === '' ? '' : `/namespaces/${inNamespace}`}/${resource}`;
  const selector = wantedName === '' ? '' : `fieldSelector=metadata.name%3D${wantedName}&`;
  const url = onCollection ? collection : `${collection}/${name}${subresource === '' ? '' : `/${subresource}`}`;
  // As upstream: a path below /namespaces/<name> is in that namespace, the namespace itself included.
  const namespaceOfRequest = resource === 'namespaces' && !onCollection ? name : inNamespace;
  const selects = verb === 'list' || verb === 'watch';
  return {
    about: inNamespace === '' || inNamespace === namespace ? about : `${inNamespace}:${about}`,
    verb,
    group,
    version,
    resource,
    subresource,
    namespace: namespaceOfRequest,
    name: onCollection ? (selects ? wantedName : '') : name,
    path: '',
    http: httpFor(verb, url, selector),
  };
}

/** Bodies that no endpoint takes, and names that do not exist: a request that is allowed fails later and changes nothing. */
function httpFor(verb: string, url: string, selector: string): Question['http'] {
  const body = '{"not":';
  switch (verb) {
    case 'get':
      return { method: 'GET', url };
    case 'list':
      return { method: 'GET', url: `${url}?${selector}limit=1` };
    case 'watch':
      return { method: 'GET', url: `${url}?${selector}watch=1&timeoutSeconds=1` };
    case 'create':
      return { method: 'POST', url: `${url}?dryRun=All`, body };
    case 'update':
      return { method: 'PUT', url: `${url}?dryRun=All`, body };
    case 'patch':
      return { method: 'PATCH', url: `${url}?dryRun=All`, body };
    case 'delete':
      return { method: 'DELETE', url: `${url}?dryRun=All` };
    default:
      return { method: 'DELETE', url: `${url}?dryRun=All` };
  }
}
