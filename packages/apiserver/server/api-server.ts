import { randomUUID } from 'node:crypto';
import { badRequest } from '@coffer/api/errors/status-error';
import type { Handler, HttpRequest, HttpResponse, UserInfo } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { Authenticator } from '../authentication/authenticator.ts';
import type { Authorizer } from '../authorization/authorizer.ts';
import { errorResponse } from '../endpoints/errors.ts';
import { chainFilters, type Filter, type Next } from '../filters/filter.ts';
import type { AuditFilters } from '../filters/with-audit.ts';
import { withAuthentication } from '../filters/with-authentication.ts';
import { withAuthorization } from '../filters/with-authorization.ts';
import { withPanicRecovery } from '../filters/with-panic-recovery.ts';
import { withTimeout } from '../filters/with-timeout.ts';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';

/** Everything a request meets between the socket and its endpoint. */
export interface ApiServerDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly authenticator: Authenticator;
  readonly authorizer: Authorizer;
  readonly requestTimeoutMs: number;
  /** Filters of optional parts, by their place in the order below. */
  readonly metrics: Filter;
  readonly audit?: AuditFilters;
  readonly impersonation?: Filter;
  readonly maxInFlight: Filter;
  /** Requests for resources. */
  readonly resources: Next;
  /** Everything else: health, version, discovery, OpenAPI, metrics. */
  readonly nonResources: Next;
}

const nobody: UserInfo = { name: '', groups: [] };
const noQuery = new URLSearchParams();
const skip: Filter = (context, next) => next(context);

/**
 * The server core: a function from request to response. The list is the order of execution; what an earlier filter refuses, a
 * later one never sees.
 */
export function createApiServer(deps: ApiServerDeps): Handler {
  const serve = chainFilters(
    [
      deps.metrics,
      withPanicRecovery(deps.logger),
      withTimeout(deps.clock, deps.requestTimeoutMs),
      deps.audit?.unauthenticated ?? skip,
      withAuthentication(deps.authenticator),
      deps.audit?.authenticated ?? skip,
      deps.impersonation ?? skip,
      deps.maxInFlight,
      withAuthorization(deps.authorizer),
    ],
    (context) => (isRouted(context.info) ? deps.resources(context) : deps.nonResources(context)),
  );
  return async (http) => {
    const context = createContext(http, deps.clock);
    if (context instanceof Error) return errorResponse(context, undefined);
    return finish(context, await serve(context));
  };
}

/** Authorization reads `//api/…` like `/api/…`, but upstream's router serves nothing there. */
function isRouted({ isResourceRequest, path }: RequestContext['info']): boolean {
  return isResourceRequest && !path.startsWith('//');
}

/** Audit ID and request info; an Error for a path that cannot be decoded. */
function createContext(http: HttpRequest, clock: Clock): RequestContext | Error {
  const mark = http.url.indexOf('?');
  const rawPath = mark < 0 ? http.url : http.url.slice(0, mark);
  const query = mark < 0 ? noQuery : new URLSearchParams(http.url.slice(mark + 1));
  let path: string;
  try {
    path = rawPath.includes('%') ? decodeURIComponent(rawPath) : rawPath;
  } catch {
    return badRequest(`invalid URL escape in ${JSON.stringify(rawPath)}`);
  }
  const given = http.headers['audit-id'];
  return {
    http,
    auditId: typeof given === 'string' && given !== '' && given.length <= 64 ? given : randomUUID(),
    receivedAtMs: clock.now(),
    info: parseRequestInfo(http.method, path, query),
    query,
    user: nobody,
    warnings: new WarningList(),
    auditAnnotations: new Map(),
  };
}

/** Headers that every answer has. */
function finish(context: RequestContext, response: HttpResponse): HttpResponse {
  if (response.kind === 'upgraded') return response;
  return { ...response, headers: { 'audit-id': context.auditId, 'cache-control': 'no-cache, private', ...response.headers } };
}
