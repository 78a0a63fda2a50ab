import type { HttpResponse, UserInfo } from '@coffer/base/http/handler';
import type { Clock } from '@coffer/base/time/clock';
import type { AuditBackend, AuditEvent, AuditUser } from '../audit/backend.ts';
import { type AuditDecision, type AuditPolicy, type AuditStage, decideAudit } from '../audit/policy.ts';
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

/**
 * Records who did what, stage by stage, as the policy says. Runs behind authentication and before impersonation, so that both
 * users are known. The answer waits until the backends have taken the event.
 */
export function withAudit(deps: AuditFilterDeps): Filter {
  return async (context, next) => {
    const decision = decideAudit(deps.policy, context, deps.secretBodies);
    if (decision.level === 'None') return next(context);
    const requester = context.user;
    const emit = (stage: AuditStage, response?: { readonly code: number; readonly body?: unknown }) =>
      record(deps, buildEvent(deps, context, decision, requester, stage, response), decision, stage);
    await emit('RequestReceived');
    let response: HttpResponse;
    try {
      response = await next(context);
    } catch (error) {
      const code = statusCodeOf(error);
      await emit(code === undefined ? 'Panic' : 'ResponseComplete', { code: code ?? 500 });
      throw error;
    }
    if (response.kind === 'upgraded') {
      await emit('ResponseComplete', { code: 101 });
      return response;
    }
    if (response.kind === 'full' || !isLongRunning(context)) {
      await emit('ResponseComplete', { code: response.status, body: response.kind === 'full' ? response.body : undefined });
      return response;
    }
    await emit('ResponseStarted', { code: response.status });
    const { run, status } = response;
    return { ...response, run: (sink) => run(sink).finally(() => emit('ResponseComplete', { code: status })) };
  };
}

async function record(deps: AuditFilterDeps, event: AuditEvent, decision: AuditDecision, stage: AuditStage): Promise<void> {
  if (decision.omitStages.has(stage)) return;
  if (deps.backends.length === 1 && deps.backends[0]) await deps.backends[0].record(event);
  else await Promise.all(deps.backends.map((backend) => backend.record(event)));
}

function buildEvent(
  deps: AuditFilterDeps,
  context: RequestContext,
  decision: AuditDecision,
  requester: UserInfo,
  stage: AuditStage,
  response: { readonly code: number; readonly body?: unknown } | undefined,
): AuditEvent {
  const { http, info, user } = context;
  const forwarded = http.headers['user-agent'];
  const withBodies = decision.level === 'Request' || decision.level === 'RequestResponse';
  return {
    kind: 'Event',
    apiVersion: 'audit.k8s.io/v1',
    level: decision.level,
    auditID: context.auditId,
    stage,
    requestURI: http.url,
    verb: info.verb,
    user: auditUser(requester),
    ...(user === requester ? {} : { impersonatedUser: auditUser(user) }),
    sourceIPs: [http.peer.address],
    ...(typeof forwarded === 'string' ? { userAgent: forwarded } : {}),
    ...(info.isResourceRequest ? { objectRef: objectRef(context) } : {}),
    ...(response ? { responseStatus: { metadata: {}, code: response.code } } : {}),
    ...(withBodies && context.requestObject && stage !== 'RequestReceived'
      ? { requestObject: parseBody(context.requestObject, decision) }
      : {}),
    ...(decision.level === 'RequestResponse' && response?.body !== undefined ? { responseObject: parseBody(response.body, decision) } : {}),
    requestReceivedTimestamp: microTime(context.receivedAtMs),
    stageTimestamp: microTime(deps.clock.now()),
    ...(context.auditAnnotations.size > 0 ? { annotations: Object.fromEntries(context.auditAnnotations) } : {}),
  };
}

function objectRef({ info }: RequestContext): Record<string, string> {
  const entries = {
    resource: info.resource,
    namespace: info.namespace,
    name: info.name,
    apiGroup: info.group,
    apiVersion: info.version,
    subresource: info.subresource,
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== ''));
}

function auditUser(user: UserInfo): AuditUser {
  return {
    username: user.name,
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
  };
}

/** The body as JSON data; what is not JSON (YAML, protobuf) is left out rather than guessed. */
function parseBody(body: unknown, decision: AuditDecision): unknown {
  const text = typeof body === 'string' ? body : body instanceof Uint8Array ? Buffer.from(body).toString('utf8') : undefined;
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text, (key, value) => (decision.omitManagedFields && key === 'managedFields' ? undefined : value));
  } catch {
    return undefined;
  }
}

function statusCodeOf(error: unknown): number | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'number' ? error.code : undefined;
}

function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
