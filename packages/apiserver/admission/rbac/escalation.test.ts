import type { UserInfo } from '@coffer/base/http/handler';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';
import { rbacEscalationPlugin } from './escalation.ts';

const roles = '/apis/rbac.authorization.k8s.io/v1/namespaces/ns/roles';
const bindings = '/apis/rbac.authorization.k8s.io/v1/namespaces/ns/rolebindings';
const jane: UserInfo = { name: 'jane', groups: ['devs'] };
const held = [{ verbs: ['get'], apiGroups: [''], resources: ['configmaps'] }];
const more = [{ verbs: ['get'], apiGroups: [''], resources: ['secrets'] }];
const roleRef = (name: string, kind = 'Role') => ({ apiGroup: 'rbac.authorization.k8s.io', kind, name });
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi({
    plugins: [
      rbacEscalationPlugin({
        authorizer: { authorize: () => ({ decision: 'no-opinion', reason: '' }) },
        rbac: { rulesFor: () => ({ rules: held, errors: [] }) },
        index: { roleRules: (_namespace, name) => (name === 'small' ? held : name === 'large' ? more : undefined) },
      }),
    ],
  });
});
afterAll(() => api.close());

const asJane = (method: string, path: string, body: object, contentType = 'application/json') =>
  api.request(method, path, body, { user: jane, contentType });

describe('granting what one does not have', () => {
  const refusal = (what: string) =>
    `${what} is forbidden: user "jane" (groups=["devs"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[""], Resources:["secrets"], Verbs:["get"]}`;

  it('is refused for roles, and for bindings to them', async () => {
    expect((await asJane('POST', roles, { metadata: { name: 'a' }, rules: held })).status).toBe(201);
    const role = await asJane('POST', roles, { metadata: { name: 'b' }, rules: more });
    expect([role.status, role.json.message]).toEqual([403, refusal('roles.rbac.authorization.k8s.io "b"')]);
    expect((await asJane('POST', bindings, { metadata: { name: 'a' }, roleRef: roleRef('small') })).status).toBe(201);
    const binding = await asJane('POST', bindings, { metadata: { name: 'b' }, roleRef: roleRef('large') });
    expect([binding.status, binding.json.message]).toEqual([403, refusal('rolebindings.rbac.authorization.k8s.io "b"')]);
    const missing = await asJane('POST', bindings, { metadata: { name: 'c' }, roleRef: roleRef('none') });
    expect([missing.status, missing.json.reason]).toEqual([404, 'NotFound']);
  });

  it('is refused before anything is said about the object being invalid', async () => {
    const nameless = { metadata: { generateName: 'gen-' }, rules: [...more, { verbs: [], apiGroups: [''], resources: ['pods'] }] };
    const created = await asJane('POST', roles, nameless);
    expect([created.status, created.json.message]).toEqual([403, refusal('roles.rbac.authorization.k8s.io')]);
    const invalid = await asJane('POST', roles, { metadata: { name: 'Not A Name' }, rules: more });
    expect([invalid.status, invalid.json.reason]).toEqual([403, 'Forbidden']);
    await asJane('POST', roles, { metadata: { name: 'd' }, rules: held });
    const stale = await asJane('PUT', `${roles}/d`, { metadata: { name: 'd', resourceVersion: '1' }, rules: more });
    expect([stale.status, stale.json.reason]).toEqual([403, 'Forbidden']);
    const kind = await asJane('POST', bindings, { metadata: { name: 'e' }, roleRef: roleRef('large', 'Other') });
    expect([kind.status, kind.json.message]).toEqual([500, 'unsupported role reference kind: "Other"']);
  });

  it('is no question for who only lets an object go, or is allowed everything', async () => {
    await api.request('POST', roles, { metadata: { name: 'f', finalizers: ['example.com/x'] }, rules: more });
    const merge = 'application/merge-patch+json';
    expect((await asJane('PATCH', `${roles}/f`, { metadata: { finalizers: null } }, merge)).status).toBe(200);
    expect((await asJane('PATCH', `${roles}/f`, { metadata: { labels: { a: 'b' } } }, merge)).status).toBe(403);
  });
});
