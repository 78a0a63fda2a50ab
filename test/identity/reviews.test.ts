import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { admin, type InProcessServer, startInProcessServer } from './in-process-server.ts';

// The six kinds that are answered and never stored, as clients read them.

let server: InProcessServer;
beforeAll(async () => {
  server = await startInProcessServer();
  await post('/api/v1/namespaces', { metadata: { name: 'ns' } });
});
afterAll(() => server?.close());

const authorization = '/apis/authorization.k8s.io/v1';
const authentication = '/apis/authentication.k8s.io/v1';
const jane = { name: 'jane', uid: '7', groups: ['devs', 'system:authenticated'], extra: { 'example.com/a': ['b'] } };

async function post(path: string, body: object, user = admin) {
  const transport = server.transportAs(user);
  const answer = await transport.request({
    method: 'POST',
    path,
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  return { status: answer.status, json: JSON.parse(Buffer.from(answer.body).toString('utf8')) };
}

const owned = (apiVersion: string, fieldsV1: object) => [
  { manager: 'test', operation: 'Update', apiVersion, time: '2026-01-01T00:00:00Z', fieldsType: 'FieldsV1', fieldsV1 },
];

describe('SubjectAccessReview', () => {
  it('answers for somebody else, with the question and who asked it', async () => {
    const spec = { user: 'jane', resourceAttributes: { verb: 'get', resource: 'pods', namespace: 'ns' } };
    expect(await post(`${authorization}/subjectaccessreviews`, { spec })).toEqual({
      status: 201,
      json: {
        kind: 'SubjectAccessReview',
        apiVersion: 'authorization.k8s.io/v1',
        metadata: {
          managedFields: owned('authorization.k8s.io/v1', {
            'f:spec': { 'f:resourceAttributes': { '.': {}, 'f:namespace': {}, 'f:resource': {}, 'f:verb': {} }, 'f:user': {} },
          }),
        },
        spec,
        status: { allowed: false },
      },
    });
  });

  it('says why something is allowed', async () => {
    const spec = { user: 'x', groups: ['system:authenticated'], nonResourceAttributes: { path: '/api', verb: 'get' } };
    const { json } = await post(`${authorization}/subjectaccessreviews`, { spec });
    expect(json.status).toEqual({
      allowed: true,
      reason: 'RBAC: allowed by ClusterRoleBinding "system:discovery" of ClusterRole "system:discovery" to Group "system:authenticated"',
    });
  });

  it('tells which selectors it could not understand', async () => {
    const about = (resourceAttributes: object) => ({
      spec: { user: 'x', resourceAttributes: { verb: 'list', resource: 'pods', ...resourceAttributes } },
    });
    const evaluate = async (body: object) => (await post(`${authorization}/subjectaccessreviews`, body)).json.status.evaluationError;
    expect(await evaluate(about({ fieldSelector: { rawSelector: 'spec.nodeName=n1' } }))).toBeUndefined();
    expect(await evaluate(about({ fieldSelector: { rawSelector: 'spec.nodeName' } }))).toBe(
      'spec.resourceAttributes.fieldSelector ignored due to parse error',
    );
    const requirements = [
      { key: 'a', operator: 'In', values: ['b'] },
      { key: 'a', operator: 'Exists' },
    ];
    expect(await evaluate(about({ fieldSelector: { requirements }, labelSelector: { rawSelector: '((' } }))).toBe(
      'spec.resourceAttributes.fieldSelector partially ignored due to parse error; spec.resourceAttributes.labelSelector ignored due to parse error',
    );
  });

  it('knows what a kubelet may list by a field selector', async () => {
    const spec = {
      user: 'system:node:n1',
      groups: ['system:nodes'],
      resourceAttributes: {
        verb: 'list',
        resource: 'pods',
        fieldSelector: { requirements: [{ key: 'spec.nodeName', operator: 'In', values: ['n1'] }] },
      },
    };
    expect((await post(`${authorization}/subjectaccessreviews`, { spec })).json.status).toEqual({ allowed: true });
  });
});

describe('LocalSubjectAccessReview', () => {
  it('is about its namespace only', async () => {
    const path = `${authorization}/namespaces/ns/localsubjectaccessreviews`;
    const spec = (namespace: string) => ({ spec: { user: 'jane', resourceAttributes: { verb: 'get', resource: 'pods', namespace } } });
    expect((await post(path, spec('ns'))).json).toMatchObject({ metadata: { namespace: 'ns' }, status: { allowed: false } });
    expect((await post(path, spec('other'))).json).toMatchObject({
      code: 422,
      message:
        'LocalSubjectAccessReview.authorization.k8s.io "" is invalid: spec.resourceAttributes.namespace: Invalid value: "other": must match metadata.namespace',
    });
  });
});

describe('SelfSubjectAccessReview', () => {
  it('answers for who asks', async () => {
    const spec = { resourceAttributes: { verb: 'delete', resource: 'nodes' } };
    expect((await post(`${authorization}/selfsubjectaccessreviews`, { spec })).json.status).toEqual({ allowed: true });
    expect((await post(`${authorization}/selfsubjectaccessreviews`, { spec }, jane)).json.status).toEqual({ allowed: false });
  });
});

describe('SelfSubjectRulesReview', () => {
  it('lists rules and nothing of the question', async () => {
    const { json } = await post(`${authorization}/selfsubjectrulesreviews`, { spec: { namespace: 'ns' } }, jane);
    expect({ ...json, status: { ...json.status, nonResourceRules: [] } }).toEqual({
      kind: 'SelfSubjectRulesReview',
      apiVersion: 'authorization.k8s.io/v1',
      metadata: {},
      spec: {},
      status: {
        resourceRules: [
          { verbs: ['create'], apiGroups: ['authorization.k8s.io'], resources: ['selfsubjectaccessreviews', 'selfsubjectrulesreviews'] },
          { verbs: ['create'], apiGroups: ['authentication.k8s.io'], resources: ['selfsubjectreviews'] },
        ],
        nonResourceRules: [],
        incomplete: false,
      },
    });
    expect(json.status.nonResourceRules.length).toBe(2);
  });

  it('says when it cannot know all of them', async () => {
    const node = { name: 'system:node:n1', groups: ['system:nodes', 'system:authenticated'] };
    const { json } = await post(`${authorization}/selfsubjectrulesreviews`, { spec: { namespace: 'ns' } }, node);
    expect(json.status).toMatchObject({ incomplete: true, evaluationError: 'node authorizer does not support user rule resolution' });
    expect((await post(`${authorization}/selfsubjectrulesreviews`, { spec: {} }, jane)).json).toMatchObject({
      code: 400,
      message: 'no namespace on request',
    });
  });
});

describe('SelfSubjectReview', () => {
  it('tells who asks, and when', async () => {
    expect(await post(`${authentication}/selfsubjectreviews`, {}, jane)).toEqual({
      status: 201,
      json: {
        kind: 'SelfSubjectReview',
        apiVersion: 'authentication.k8s.io/v1',
        metadata: { creationTimestamp: '2026-01-01T00:00:00Z' },
        status: { userInfo: { username: 'jane', uid: '7', groups: ['devs', 'system:authenticated'], extra: { 'example.com/a': ['b'] } } },
      },
    });
  });
});

describe('TokenReview', () => {
  it('tells of a token nobody knows', async () => {
    expect(await post(`${authentication}/tokenreviews`, { spec: { token: 'abc' } })).toEqual({
      status: 201,
      json: {
        kind: 'TokenReview',
        apiVersion: 'authentication.k8s.io/v1',
        metadata: { managedFields: owned('authentication.k8s.io/v1', { 'f:spec': { 'f:token': {} } }) },
        spec: { token: 'abc' },
        status: { user: {}, error: 'invalid bearer token' },
      },
    });
  });

  it('needs a token', async () => {
    for (const body of [{}, { spec: {} }])
      expect((await post(`${authentication}/tokenreviews`, body)).json).toMatchObject({
        code: 400,
        message: 'token is required for TokenReview in authentication',
      });
  });
});
