import { internalError, StatusError } from '@coffer/api/errors/status-error';
import { BodyTooLargeError, type HttpResponse, type UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import { StorageError } from '@coffer/storage/errors';
import type { AuditBackend, AuditEvent } from '../audit/backend.ts';
import { type AuditedResponse, buildEvent } from '../audit/build-event.ts';
import { type AuditDecision, type AuditPolicy, type AuditStage, decideAudit } from '../audit/policy.ts';
import { errorResponse } from '../endpoints/errors.ts';
import type { RequestContext } from '../request/context.ts';
import type { Filter } from './filter.ts';
import { isLongRunning } from './long-running.ts';

export interface AuditFilterDeps {
  readonly policy: AuditPolicy;
  readonly backends: readonly AuditBackend[];
  readonly clock: Clock;
  /** `--audit-allow-secret-bodies`: lets the policy record bodies of Secrets and tokens. */
  readonly secretBodies: boolean;
}

export interface AuditFilters {
  /** Behind authentication and before impersonation, so that both users are known. */
  readonly authenticated: Filter;
  /** Around authentication: records requests that it refuses. */
  readonly unauthenticated: Filter;
}

/**
 * Records who did what, stage by stage, as the policy says. The answer waits until the backends have taken the event; a backend
 * that refuses the first event of a request makes the request fail.
 */
export function withAudit(deps: AuditFilterDeps): AuditFilters {
  return { authenticated: recordStages(deps), unauthenticated: recordRefusal(deps) };
}

function recordStages(deps: AuditFilterDeps): Filter {
  return async (context, next) => {
    const decision = decideAudit(deps.policy, context, deps.secretBodies);
    if (decision.level === 'None') return next(context);
    context.auditLevel = decision.level;
    const requester = context.user;
    const emit = (stage: AuditStage, response?: AuditedResponse) => record(deps, context, decision, requester, stage, response);
    await emit('RequestReceived').catch((error: unknown) => {
      throw internalError('the audit log does not take events', { cause: error });
    });
    const response = await answer(context, next, () => emit('Panic', { code: 500 }));
    if (response.kind === 'upgraded') {
      await emit('ResponseComplete', { code: 101 });
      return response;
    }
    if (response.kind === 'full' || !isLongRunning(context)) {
      await settle(emit('ResponseComplete', { code: response.status, body: response.kind === 'full' ? response.body : undefined }));
      return response;
    }
    await settle(emit('ResponseStarted', { code: response.status }));
    const { run, status } = response;
    return { ...response, run: (sink) => run(sink).finally(() => settle(emit('ResponseComplete', { code: status }))) };
  };
}

function recordRefusal(deps: AuditFilterDeps): Filter {
  return async (context, next) => {
    try {
      return await next(context);
    } catch (error) {
      if (!(error instanceof StatusError) || error.code !== 401) throw error;
      const decision = decideAudit(deps.policy, context, deps.secretBodies);
      if (decision.level !== 'None') {
        const response = { code: 401, message: attempted(context) };
        await settle(record(deps, context, decision, context.user, 'ResponseStarted', response));
      }
      throw error;
    }
  };
}

/** The answer, errors that are answers included; anything else is a panic. */
async function answer(context: RequestContext, next: Parameters<Filter>[1], panicked: () => Promise<void>): Promise<HttpResponse> {
  try {
    return await next(context);
  } catch (error) {
    if (error instanceof StatusError || error instanceof StorageError || error instanceof BodyTooLargeError) {
      return errorResponse(error, context);
    }
    await settle(panicked());
    throw error;
  }
}

/** Which kinds of credentials a refused request came with; never the credentials. */
function attempted({ http }: RequestContext): string {
  const methods: string[] = [];
  const [scheme] = String(http.headers.authorization ?? '').split(' ');
  if (scheme && /^basic$/i.test(scheme)) methods.push('basic');
  if (http.peer.certificate) methods.push('x509');
  if (scheme && !/^basic$/i.test(scheme)) methods.push('bearer');
  return methods.length === 0
    ? 'Authentication failed, no credentials provided'
    : `Authentication failed, attempted: ${methods.join(', ')}`;
}

/** After the work is done an audit failure cannot undo it: the backend has counted it. */
function settle(recorded: Promise<void>): Promise<void> {
  return recorded.catch(() => undefined);
}

async function record(
  deps: AuditFilterDeps,
  context: RequestContext,
  decision: AuditDecision,
  requester: UserInfo,
  stage: AuditStage,
  response: AuditedResponse | undefined,
): Promise<void> {
  if (decision.omitStages.has(stage)) return;
  const event: AuditEvent = buildEvent(context, decision, requester, stage, response, deps.clock.now());
  if (deps.backends.length === 1 && deps.backends[0]) await deps.backends[0].record(event);
  else await Promise.all(deps.backends.map((backend) => backend.record(event)));
}
