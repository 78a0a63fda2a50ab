import type { HttpHeaders, HttpResponse } from '@coffer/base/http/handler';
import { errorResponse } from '../endpoints/errors.ts';
import { genericStatus } from '../endpoints/generic-status.ts';
import type { HealthChecks } from '../health/health-checks.ts';
import type { RequestContext } from '../request/context.ts';
import type { VersionInfo } from './version.ts';

/** One document under a fixed path or prefix; undefined when the path is not its own. */
export type NonResourceEndpoint = (context: RequestContext) => HttpResponse | undefined | Promise<HttpResponse | undefined>;

export interface NonResourceDeps {
  readonly health: HealthChecks;
  readonly version: VersionInfo;
  /** Prometheus text format. */
  readonly metrics: () => Promise<{ readonly contentType: string; readonly body: string }>;
  /** Discovery, OpenAPI, OIDC discovery, …; asked in order. */
  readonly endpoints: readonly NonResourceEndpoint[];
}

/** Health, version, metrics and what else is no resource; anything unknown is Go's plain 404. */
export function createNonResourceHandler(deps: NonResourceDeps): (context: RequestContext) => Promise<HttpResponse> {
  const version = JSON.stringify(deps.version, null, 2);
  return async (context) => {
    const { path } = context.info;
    const health = await deps.health.serve(path, context.query);
    if (health) return health;
    for (const endpoint of deps.endpoints) {
      const response = await endpoint(context);
      if (response) return response;
    }
    switch (path) {
      case '/version':
      case '/version/':
        if (context.http.method !== 'GET') return errorResponse(genericStatus(405), context);
        return text(200, version, 'application/json');
      case '/metrics': {
        const { contentType, body } = await deps.metrics();
        return text(200, body, contentType);
      }
      default:
        return pageNotFound();
    }
  };
}

/** The answer of Go's ServeMux for a path nobody serves. */
export function pageNotFound(): HttpResponse {
  return text(404, '404 page not found\n', 'text/plain; charset=utf-8', { 'x-content-type-options': 'nosniff' });
}

function text(status: number, body: string, contentType: string, headers: HttpHeaders = {}): HttpResponse {
  return { kind: 'full', status, headers: { 'content-type': contentType, ...headers }, body };
}
