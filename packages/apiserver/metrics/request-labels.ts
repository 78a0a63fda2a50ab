import type { RequestContext } from '../request/context.ts';
import type { RequestInfo } from '../request/request-info.ts';

/** What kube-apiserver's metrics say of a request. Labels hold kinds, verbs and codes, never names or values of objects. */
export interface RequestLabels {
  readonly verb: string;
  readonly dry_run: string;
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly subresource: string;
  readonly scope: string;
  readonly component: string;
}

/** True for what the server serves; only that may become labels. */
export type IsServed = (group: string, version: string, resource: string, subresource: string) => boolean;

const methods = new Set(['GET', 'POST', 'PUT', 'PATCH', 'DELETE']);
const connectSubresources = new Set(['log', 'exec', 'portforward', 'attach', 'proxy']);
/** Paths beside the API groups that are counted by name, health checks with what is below them. */
const namedPaths = /^\/(?:(healthz|livez|readyz)|(openapi\/v[23]))(?:\/|$)/;

/** Whatever the server does not serve shares one set of label values, so that a client cannot grow the metric. */
export function requestLabels(context: RequestContext, isServed: IsServed): RequestLabels {
  const { http, info } = context;
  const dryRun = dryRunOf(context.query);
  const method = http.method === 'HEAD' ? 'GET' : http.method;
  const verb = methods.has(method) ? method : 'other';
  if (!info.isResourceRequest) return { ...nonResource(info.path), verb, dry_run: dryRun };
  const { group, version, resource, subresource } = info;
  if (!isServed(group, version, resource, subresource)) return { ...nonResource(''), verb: 'other', dry_run: dryRun };
  return {
    verb: resourceVerb(context, verb),
    dry_run: dryRun,
    group,
    version,
    resource,
    subresource,
    scope: scopeOf(info),
    component: 'apiserver',
  };
}

function nonResource(path: string) {
  const [, health, openApi] = namedPaths.exec(path) ?? [];
  const subresource = health === undefined ? (openApi ?? '') : `/${health}`;
  return { group: '', version: '', resource: '', subresource, scope: '', component: subresource === '' ? 'apiserver' : '' };
}

/** The method, but reads of many are LIST or WATCH, server-side apply is APPLY, and streams are CONNECT. */
function resourceVerb({ http, info }: RequestContext, verb: string): string {
  if (connectSubresources.has(info.subresource)) return 'CONNECT';
  if (info.verb === 'watch') return 'WATCH';
  if (info.verb === 'list') return 'LIST';
  if (verb !== 'PATCH') return verb;
  const type = http.headers['content-type'];
  return type === 'application/apply-patch+yaml' || type === 'application/apply-patch+cbor' ? 'APPLY' : verb;
}

function scopeOf({ verb, name, namespace }: RequestInfo): string {
  if (name !== '' || verb === 'create') return 'resource';
  return namespace === '' ? 'cluster' : 'namespace';
}

function dryRunOf(query: URLSearchParams): string {
  if (query.size === 0) return '';
  const values = query.getAll('dryRun');
  if (values.length === 0) return '';
  return values.every((value) => value === 'All') ? 'All' : 'invalid';
}
