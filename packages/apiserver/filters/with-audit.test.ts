import { forbidden, unauthorized } from '@coffer/api/errors/status-error';
import type { HttpRequest, HttpResponse, UserInfo } from '@coffer/base/http/handler';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import type { AuditEvent } from '../audit/backend.ts';
import { parseAuditPolicy } from '../audit/policy.ts';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import type { Next } from './filter.ts';
import { withAudit } from './with-audit.ts';

const jane: UserInfo = { name: 'jane', groups: ['system:authenticated'] };

function setUp(rules = '- {level: RequestResponse}', secretBodies = false) {
  const events: AuditEvent[] = [];
  const clock = new FakeClock();
  const policy = parseAuditPolicy(`apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n${rules}`);
  const backend = {
    async record(event: AuditEvent) {
      events.push(event);
    },
    async close() {},
  };
  return { events, filters: withAudit({ policy, backends: [backend], clock, secretBodies }) };
}

function context(method: string, url: string, headers: HttpRequest['headers'] = {}): RequestContext {
  const [path = '', query = ''] = url.split('?');
  const search = new URLSearchParams(query);
  return {
    http: { method, url, headers, peer: { address: '10.0.0.9' } } as unknown as HttpRequest,
    auditId: 'id-1',
    receivedAtMs: Date.parse('2026-01-01T00:00:00Z'),
    info: parseRequestInfo(method, path, search),
    query: search,
    user: jane,
    warnings: new WarningList(),
    auditAnnotations: new Map(),
  };
}

const ok = (body: string): HttpResponse => ({ kind: 'full', status: 200, headers: {}, body });
const stages = (events: readonly AuditEvent[]) =>
  events.map(({ stage, responseStatus }) => `${stage} ${responseStatus?.code ?? ''}`.trim());

describe('withAudit', () => {
  it('records a request with its bodies, who sent it and as whom', async () => {
    const { filters, events } = setUp();
    const request = context('PUT', '/api/v1/namespaces/ns/configmaps/c', {
      'user-agent': 'kubectl',
      'x-forwarded-for': '1.2.3.4, 5.6.7.8',
    });
    const next: Next = async (ctx) => {
      ctx.user = { name: 'bob', groups: [] };
      ctx.impersonationConstraint = 'impersonate:user-info';
      ctx.requestObject = Buffer.from('{"data":{"a":"1"}}');
      ctx.auditAnnotations.set('authorization.k8s.io/decision', 'allow');
      return ok('{"data":{"a":"1"},"metadata":{"name":"c"}}');
    };
    await filters.authenticated(request, next);
    expect(stages(events)).toEqual(['RequestReceived', 'ResponseComplete 200']);
    expect(events[1]).toEqual({
      kind: 'Event',
      apiVersion: 'audit.k8s.io/v1',
      level: 'RequestResponse',
      auditID: 'id-1',
      stage: 'ResponseComplete',
      requestURI: '/api/v1/namespaces/ns/configmaps/c',
      verb: 'update',
      user: { username: 'jane', groups: ['system:authenticated'] },
      impersonatedUser: { username: 'bob' },
      authenticationMetadata: { impersonationConstraint: 'impersonate:user-info' },
      sourceIPs: ['1.2.3.4', '5.6.7.8', '10.0.0.9'],
      userAgent: 'kubectl',
      objectRef: { resource: 'configmaps', namespace: 'ns', name: 'c', apiVersion: 'v1' },
      responseStatus: { metadata: {}, code: 200 },
      requestObject: { data: { a: '1' } },
      responseObject: { data: { a: '1' }, metadata: { name: 'c' } },
      requestReceivedTimestamp: '2026-01-01T00:00:00.000000Z',
      stageTimestamp: '2026-01-01T00:00:00.000000Z',
      annotations: { 'authorization.k8s.io/decision': 'allow' },
    });
  });

  it('shows no bodies at Metadata, and none of Secrets and tokens at any level', async () => {
    const metadata = setUp('- {level: Metadata}');
    const secret = setUp();
    const run = async ({ filters }: ReturnType<typeof setUp>, url: string) => {
      await filters.authenticated(context('POST', url), async (ctx) => {
        ctx.requestObject = Buffer.from('{"data":{"a":"c2VjcmV0"}}');
        return ok('{"data":{"a":"c2VjcmV0"}}');
      });
    };
    await run(metadata, '/api/v1/namespaces/ns/configmaps');
    for (const url of [
      '/api/v1/namespaces/ns/secrets',
      '/api/v1/namespaces/ns/serviceaccounts/x/token',
      '/apis/authentication.k8s.io/v1/tokenreviews',
    ])
      await run(secret, url);
    expect(JSON.stringify([metadata.events, secret.events])).not.toContain('c2VjcmV0');
  });

  it('shows what went wrong, but no messages about Secrets', async () => {
    const { filters, events } = setUp();
    const refuse: Next = async () => {
      throw forbidden({ group: '', resource: 'pods' }, 'p', 'no');
    };
    const response = await filters.authenticated(context('GET', '/api/v1/namespaces/ns/pods/p'), refuse);
    expect(response).toMatchObject({ kind: 'full', status: 403 });
    expect(events[1]?.responseStatus).toEqual({
      metadata: {},
      status: 'Failure',
      message: 'pods "p" is forbidden: no',
      reason: 'Forbidden',
      details: { name: 'p', kind: 'pods' },
      code: 403,
    });
    await filters.authenticated(context('GET', '/api/v1/namespaces/ns/secrets/p'), refuse);
    expect(events[3]?.responseStatus).toEqual({ metadata: {}, status: 'Failure', reason: 'Forbidden', code: 403 });
  });

  it('records start and end of a watch', async () => {
    const { filters, events } = setUp();
    const response = await filters.authenticated(context('GET', '/api/v1/pods?watch=1'), async () => ({
      kind: 'stream',
      status: 200,
      headers: {},
      run: async () => {},
    }));
    expect(stages(events)).toEqual(['RequestReceived', 'ResponseStarted 200']);
    if (response.kind === 'stream') await response.run({} as Parameters<typeof response.run>[0]);
    expect(stages(events)).toEqual(['RequestReceived', 'ResponseStarted 200', 'ResponseComplete 200']);
  });

  it('records panics and leaves out stages', async () => {
    const { filters, events } = setUp('- {level: Metadata, omitStages: [RequestReceived]}');
    const broken: Next = async () => {
      throw new TypeError('bug');
    };
    await expect(filters.authenticated(context('GET', '/api/v1/pods'), broken)).rejects.toThrow('bug');
    expect(stages(events)).toEqual(['Panic 500']);
  });

  it('records refused credentials by kind, never by value', async () => {
    const { filters, events } = setUp();
    const refuse: Next = async () => {
      throw unauthorized();
    };
    const request = context('GET', '/api/v1/pods', { authorization: 'Bearer very-secret' });
    request.user = { name: '', groups: [] };
    await expect(filters.unauthenticated(request, refuse)).rejects.toMatchObject({ code: 401 });
    expect(events[0]).toMatchObject({
      stage: 'ResponseStarted',
      user: {},
      responseStatus: { code: 401, message: 'Authentication failed, attempted: bearer' },
    });
    expect(JSON.stringify(events)).not.toContain('very-secret');
  });

  it('fails the request when the backend refuses its first event', async () => {
    const policy = parseAuditPolicy('apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n- {level: Metadata}');
    const backend = { record: () => Promise.reject(new Error('disk full')), close: async () => {} };
    const filters = withAudit({ policy, backends: [backend], clock: new FakeClock(), secretBodies: false });
    await expect(filters.authenticated(context('GET', '/api/v1/pods'), async () => ok(''))).rejects.toMatchObject({ code: 500 });
  });
});
