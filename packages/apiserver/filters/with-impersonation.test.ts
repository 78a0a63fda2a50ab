import type { HttpRequest, UserInfo } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import type { Attributes, Authorizer } from '../authorization/authorizer.ts';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import { withImpersonation } from './with-impersonation.ts';

const jane: UserInfo = { name: 'jane', groups: ['system:authenticated'] };

/** One line per question: `verb resource[/subresource][.group] [namespace/]name`. */
function question(a: Attributes): string {
  const resource = a.subresource === '' ? a.resource : `${a.resource}/${a.subresource}`;
  return `${a.verb} ${resource}${a.group === '' ? '' : `.${a.group}`} ${a.namespace === '' ? '' : `${a.namespace}/`}${a.name}`.trim();
}

function setUp(allowed: readonly string[]) {
  const asked: string[] = [];
  const authorizer: Authorizer = {
    authorize(attributes) {
      asked.push(question(attributes));
      return { decision: allowed.includes(question(attributes)) ? 'allow' : 'no-opinion', reason: '' };
    },
  };
  const filter = withImpersonation(authorizer);
  const run = async (rawHeaders: readonly string[], url = '/api/v1/namespaces/ns/secrets/s', user = jane) => {
    const headers: Record<string, string> = {};
    for (let i = 0; i < rawHeaders.length; i += 2) headers[(rawHeaders[i] ?? '').toLowerCase()] = rawHeaders[i + 1] ?? '';
    const context: RequestContext = {
      http: { method: 'GET', url, headers, rawHeaders, peer: { address: '' } } as unknown as HttpRequest,
      auditId: '',
      receivedAtMs: 0,
      info: parseRequestInfo('GET', url, new URLSearchParams()),
      query: new URLSearchParams(),
      user,
      warnings: new WarningList(),
      auditAnnotations: new Map(),
    };
    await filter(context, async () => ({ kind: 'full', status: 200, headers: {}, body: '' }));
    return context;
  };
  return { asked, run };
}

describe('withImpersonation', () => {
  it('leaves requests without its headers alone', async () => {
    const { run, asked } = setUp([]);
    expect((await run([])).user).toBe(jane);
    expect(asked).toEqual([]);
  });

  it('asks for every identity that is taken', async () => {
    const { run } = setUp([
      'impersonate users bob',
      'impersonate groups devs, and ops',
      'impersonate groups qa',
      'impersonate uids.authentication.k8s.io 42',
      'impersonate userextras/example.com/scope.authentication.k8s.io view',
      'impersonate userextras/example.com/scope.authentication.k8s.io edit',
    ]);
    const context = await run([
      ...['Impersonate-User', 'bob', 'Impersonate-Group', 'devs, and ops', 'Impersonate-Group', 'qa', 'Impersonate-Uid', '42'],
      ...['Impersonate-Extra-Example.com%2fscope', 'view', 'Impersonate-Extra-Example.com%2Fscope', 'edit'],
    ]);
    expect(context.user).toEqual({
      name: 'bob',
      uid: '42',
      groups: ['devs, and ops', 'qa', 'system:authenticated'],
      extra: { 'example.com/scope': ['view', 'edit'] },
    });
    expect(context.impersonationConstraint).toBeUndefined();
  });

  it('gives service accounts their groups, and anonymous its own', async () => {
    const { run } = setUp(['impersonate serviceaccounts ns/app', 'impersonate users system:anonymous']);
    expect((await run(['Impersonate-User', 'system:serviceaccount:ns:app'])).user.groups).toEqual([
      'system:serviceaccounts',
      'system:serviceaccounts:ns',
      'system:authenticated',
    ]);
    expect((await run(['Impersonate-User', 'system:anonymous'])).user.groups).toEqual(['system:unauthenticated']);
  });

  it('shows the first refusal, which is that of the constrained mode', async () => {
    const { run, asked } = setUp([]);
    await expect(run(['Impersonate-User', 'bob'])).rejects.toMatchObject({
      code: 403,
      message:
        'secrets "s" is forbidden: User "jane" cannot impersonate-on:user-info:get resource "secrets" in API group "" in the namespace "ns"',
    });
    expect(asked).toEqual(['impersonate-on:user-info:get secrets ns/s', 'impersonate users bob']);
  });

  it('needs both halves of the constrained mode, and says which one held', async () => {
    const both = ['impersonate-on:user-info:get secrets ns/s', 'impersonate:user-info users.authentication.k8s.io bob'];
    expect((await setUp(both).run(['Impersonate-User', 'bob'])).impersonationConstraint).toBe('impersonate:user-info');
    for (const half of both) await expect(setUp([half]).run(['Impersonate-User', 'bob'])).rejects.toMatchObject({ code: 403 });
  });

  it('never hands out system:masters under the constrained mode', async () => {
    const { run } = setUp(['impersonate-on:user-info:get secrets ns/s', 'impersonate:user-info users.authentication.k8s.io bob']);
    await expect(run(['Impersonate-User', 'bob', 'Impersonate-Group', 'system:masters'])).rejects.toThrow(
      'impersonating the system:masters group is not allowed',
    );
  });

  it('lets an agent act as the node it runs on, for what it may do as any node', async () => {
    const agent: UserInfo = {
      name: 'system:serviceaccount:ns:agent',
      groups: [],
      extra: { 'authentication.kubernetes.io/node-name': ['n1'] },
    };
    const { run } = setUp(['impersonate-on:associated-node:get secrets ns/s', 'impersonate:associated-node nodes.authentication.k8s.io *']);
    const context = await run(['Impersonate-User', 'system:node:n1'], undefined, agent);
    expect(context.user).toEqual({ name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] });
    expect(context.impersonationConstraint).toBe('impersonate:associated-node');
    await expect(run(['Impersonate-User', 'system:node:n2'], undefined, agent)).rejects.toMatchObject({ code: 403 });
  });

  it('refuses groups without a user', async () => {
    await expect(setUp([]).run(['Impersonate-Group', 'devs'])).rejects.toMatchObject({
      code: 400,
      message:
        'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"devs"}, Extra:map[string][]string(nil)} without impersonating a user name',
    });
  });
});
