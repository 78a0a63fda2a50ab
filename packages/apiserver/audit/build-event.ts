import { isRecord } from '@coffer/api/meta/safe-object';
import type { UserInfo } from '@coffer/base/http/handler';
import { attributesOf } from '../authorization/request-attributes.ts';
import type { RequestContext } from '../request/context.ts';
import type { AuditEvent, AuditUser } from './backend.ts';
import { type AuditDecision, type AuditStage, holdsSecrets } from './policy.ts';
import { sourceIps } from './source-ips.ts';

const maxUserAgentLength = 1024;

export interface AuditedResponse {
  readonly code: number;
  /** Bytes of the answer where it is complete. */
  readonly body?: Uint8Array | string | readonly Uint8Array[] | undefined;
  /** For answers that have no Status as body. */
  readonly message?: string;
}

/** One audit.k8s.io/v1 Event. `requester` is who sent the request; the context's user may be impersonated by now. */
export function buildEvent(
  context: RequestContext,
  decision: AuditDecision,
  requester: UserInfo,
  stage: AuditStage,
  response: AuditedResponse | undefined,
  nowMs: number,
): AuditEvent {
  const { http, info, user } = context;
  const userAgent = http.headers['user-agent'];
  const ips = sourceIps(http);
  const withRequest = (decision.level === 'Request' || decision.level === 'RequestResponse') && stage !== 'RequestReceived';
  const requestObject = withRequest ? parseBody(context.requestObject, decision) : undefined;
  const responseObject = decision.level === 'RequestResponse' ? parseBody(response?.body, decision) : undefined;
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
    ...(context.impersonationConstraint === undefined
      ? {}
      : { authenticationMetadata: { impersonationConstraint: context.impersonationConstraint } }),
    ...(ips.length > 0 ? { sourceIPs: ips } : {}),
    ...(typeof userAgent === 'string' ? { userAgent: shorten(userAgent) } : {}),
    ...(info.isResourceRequest ? { objectRef: objectRef(context) } : {}),
    ...(response ? { responseStatus: responseStatus(context, response) } : {}),
    ...(requestObject === undefined ? {} : { requestObject }),
    ...(responseObject === undefined ? {} : { responseObject }),
    requestReceivedTimestamp: microTime(context.receivedAtMs),
    stageTimestamp: microTime(nowMs),
    ...(context.auditAnnotations.size > 0 ? { annotations: Object.fromEntries(context.auditAnnotations) } : {}),
  };
}

function objectRef(context: RequestContext): Record<string, string> {
  const { resource, namespace, name, group, version, subresource } = attributesOf(context);
  const body = context.requestReference;
  const entries = {
    resource,
    namespace: namespace === '' ? (body?.namespace ?? '') : namespace,
    name: name === '' ? (body?.name ?? '') : name,
    uid: body?.uid ?? '',
    apiGroup: group,
    apiVersion: version,
    resourceVersion: body?.resourceVersion ?? '',
    subresource,
  };
  return Object.fromEntries(Object.entries(entries).filter(([, value]) => value !== ''));
}

function auditUser(user: UserInfo): AuditUser {
  return {
    ...(user.name === '' ? {} : { username: user.name }),
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
  };
}

/** Code, and of a Status answer what it says. Messages about requests that hold secrets are left out, whatever they say. */
function responseStatus(context: RequestContext, { code, body, message }: AuditedResponse): Readonly<Record<string, unknown>> {
  const status = code >= 400 || context.info.verb.startsWith('delete') ? statusOf(body) : undefined;
  if (!status) return { metadata: {}, ...(message === undefined ? {} : { status: 'Failure', message }), code };
  const { reason } = status;
  return {
    metadata: {},
    ...(typeof status.status === 'string' ? { status: status.status } : {}),
    ...(typeof status.message === 'string' && !holdsSecrets(context) ? { message: status.message } : {}),
    ...(typeof reason === 'string' && reason !== '' ? { reason } : {}),
    ...(isRecord(status.details) && !holdsSecrets(context) ? { details: status.details } : {}),
    code,
  };
}

function statusOf(body: AuditedResponse['body']): Record<string, unknown> | undefined {
  const parsed = parseJson(body, undefined);
  return isRecord(parsed) && parsed.kind === 'Status' ? parsed : undefined;
}

/** The body as JSON data; what is not JSON (YAML) is left out rather than guessed. */
function parseBody(body: AuditedResponse['body'], decision: AuditDecision): unknown {
  return parseJson(body, decision.omitManagedFields ? withoutManagedFields : undefined);
}

function withoutManagedFields(this: unknown, key: string, value: unknown): unknown {
  return key === 'managedFields' && Array.isArray(value) ? undefined : value;
}

function parseJson(body: AuditedResponse['body'], reviver: ((this: unknown, key: string, value: unknown) => unknown) | undefined): unknown {
  if (body === undefined) return undefined;
  try {
    return JSON.parse(textOf(body), reviver);
  } catch {
    return undefined;
  }
}

function textOf(body: Uint8Array | string | readonly Uint8Array[]): string {
  if (typeof body === 'string') return body;
  return Buffer.concat(body instanceof Uint8Array ? [body] : [...body]).toString('utf8');
}

function shorten(userAgent: string): string {
  return userAgent.length <= maxUserAgentLength ? userAgent : `${userAgent.slice(0, maxUserAgentLength)}...TRUNCATED`;
}

function microTime(ms: number): string {
  return new Date(ms).toISOString().replace('Z', '000Z');
}
