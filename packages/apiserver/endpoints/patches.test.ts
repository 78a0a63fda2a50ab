import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const configMaps = '/api/v1/namespaces/ns/configmaps';
const deployments = '/apis/apps/v1/namespaces/ns/deployments';
const merge = { contentType: 'application/merge-patch+json' };
const json = { contentType: 'application/json-patch+json' };
const strategic = { contentType: 'application/strategic-merge-patch+json' };
const apply = { contentType: 'application/apply-patch+yaml' };
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

async function create(name: string, data: object = { one: '1', two: '2' }) {
  return (await api.request('POST', configMaps, { metadata: { name, labels: { l: 'x' } }, data })).json;
}

describe('patch', () => {
  it('merges', async () => {
    await create('m');
    const { status, json: patched } = await api.request(
      'PATCH',
      `${configMaps}/m`,
      { data: { two: null, three: '3' }, metadata: { labels: { l: null } } },
      merge,
    );
    expect(status).toBe(200);
    expect(patched.data).toEqual({ one: '1', three: '3' });
    expect(patched.metadata).not.toHaveProperty('labels');
  });

  it('applies JSON Patch operations in order', async () => {
    await create('j');
    const operations = [
      { op: 'add', path: '/data/three', value: '3' },
      { op: 'remove', path: '/data/one' },
      { op: 'test', path: '/data/two', value: '2' },
    ];
    expect((await api.request('PATCH', `${configMaps}/j`, operations, json)).json.data).toEqual({ two: '2', three: '3' });
    const failed = await api.request('PATCH', `${configMaps}/j`, [{ op: 'test', path: '/data/two', value: 'no' }], json);
    expect(failed.json).toMatchObject({
      code: 422,
      message: 'the server rejected our request due to an error in our request',
      details: {},
    });
  });

  it('merges lists by their keys where the schema has some', async () => {
    const template = {
      metadata: { labels: { a: 'b' } },
      spec: { containers: [{ name: 'one', image: 'i1', env: [{ name: 'A', value: '1' }] }] },
    };
    await api.request('POST', deployments, {
      metadata: { name: 's' },
      spec: { replicas: 0, selector: { matchLabels: { a: 'b' } }, template },
    });
    const patch = { spec: { template: { spec: { containers: [{ name: 'one', env: [{ name: 'B', value: '2' }] }] } } } };
    const { json: patched } = await api.request('PATCH', `${deployments}/s`, patch, strategic);
    const [container] = patched.spec.template.spec.containers;
    expect(container.image).toBe('i1');
    expect(container.env).toHaveLength(2);
    expect(patched.metadata.generation).toBe(2);
  });

  it('that changes nothing writes nothing', async () => {
    const made = await create('same');
    const { json: patched } = await api.request('PATCH', `${configMaps}/same`, { data: { one: '1' } }, merge);
    expect(patched.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
  });

  it('with a resourceVersion holds for that version only', async () => {
    const made = await create('locked');
    const at = { metadata: { resourceVersion: made.metadata.resourceVersion }, data: { one: 'x' } };
    expect((await api.request('PATCH', `${configMaps}/locked`, at, merge)).status).toBe(200);
    expect((await api.request('PATCH', `${configMaps}/locked`, { ...at, data: { one: 'y' } }, merge)).status).toBe(409);
  });

  it('without one never loses a race', async () => {
    await create('raced', {});
    const keys = Array.from({ length: 20 }, (_, i) => `k${i}`);
    const answers = await Promise.all(keys.map((key) => api.request('PATCH', `${configMaps}/raced`, { data: { [key]: 'v' } }, merge)));
    expect(answers.map((a) => a.status)).toEqual(keys.map(() => 200));
    expect(Object.keys((await api.request('GET', `${configMaps}/raced`)).json.data).sort()).toEqual([...keys].sort());
  });

  it.each([
    ['{"data":', merge, 400, 'error decoding patch: unexpected end of JSON input'],
    ['[]', merge, 400, 'error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}'],
    ['{"op":"x"}', json, 400, 'error decoding patch: json: cannot unmarshal object into Go value of type []handlers.jsonPatchOp'],
    ['{"metadata":{"name":"other"}}', merge, 400, 'the name of the object (other) does not match the name on the URL (bad)'],
    ['{}', { contentType: 'application/json' }, 415, '415: Unsupported Media Type'],
  ])('refuses %s', async (body, options, code, message) => {
    await create('bad');
    expect((await api.request('PATCH', `${configMaps}/bad`, body, options)).json).toMatchObject({ code, message });
  });

  it('reports a missing object before a patch that cannot be read', async () => {
    expect((await api.request('PATCH', `${configMaps}/none`, '{"data":', merge)).status).toBe(404);
  });

  it('names fields it does not know, as a warning or as the reason of a refusal', async () => {
    await create('strict');
    const warned = await api.request('PATCH', `${configMaps}/strict`, { bogus: 1 }, merge);
    expect(warned.headers.warning).toEqual(['299 - "unknown field \\"bogus\\""']);
    const refused = await api.request(
      'PATCH',
      `${configMaps}/strict?fieldValidation=Strict`,
      '{"data":{"a":"1","a":"2"},"bogus":1}',
      merge,
    );
    expect(refused.json.code).toBe(422);
    expect(refused.json.message).toContain('strict decoding error: duplicate field "data.a", unknown field "bogus"');
  });

  it('shows the patched document when it is no object of the kind', async () => {
    await create('typed');
    const { json: refused } = await api.request('PATCH', `${configMaps}/typed`, { data: { one: 5 } }, merge);
    expect(refused).toMatchObject({ code: 422, reason: 'Invalid' });
    expect(refused.details).toEqual({ causes: [{ reason: 'FieldValueInvalid', field: 'patch', message: expect.any(String) }] });
    expect(refused.message).toMatch(
      /^ "" is invalid: patch: Invalid value: "\{\\"apiVersion\\":\\"v1\\",\\"data\\":\{\\"one\\":5,\\"two\\":\\"2\\"\},\\"kind\\"/,
    );
    expect(refused.message).toContain('json: cannot unmarshal number into Go struct field ConfigMap.data of type string');
  });
});

describe('strategic merge patch of the wrong type', () => {
  const secrets = '/api/v1/namespaces/ns/secrets';
  const send = (body: object, url = `${configMaps}/wrong`) => api.request('PATCH', url, body, strategic);

  beforeAll(async () => {
    await create('wrong');
    await api.request('POST', secrets, { metadata: { name: 'wrong' }, data: { a: 'YQ==' } });
  });

  it.each([
    [{ data: { one: 5 } }, 'cannot convert int64 to string'],
    [{ data: { one: 1.5 } }, 'unrecognized type: string'],
    [{ data: { one: {} } }, 'unrecognized type: string'],
    [{ data: 'x' }, 'cannot restore map from string'],
    [{ metadata: 'x' }, 'cannot restore struct from: string'],
    [{ metadata: { finalizers: 'x' } }, 'cannot restore slice from string'],
    [{ metadata: { generation: 'x' } }, 'unrecognized type: int64'],
    [{ metadata: { generation: 1.5 } }, 'cannot convert float64 to int64'],
    [{ metadata: { creationTimestamp: 5 } }, 'json: cannot unmarshal number into Go value of type string'],
    [{ immutable: 'x' }, 'unrecognized type: bool'],
    [{ binaryData: { b: '***' } }, 'error decoding from json: illegal base64 data at input byte 0'],
    [{ binaryData: { b: 5 } }, 'cannot restore slice from int64'],
  ])('%j is refused in the words of the converter', async (patch, why) => {
    const { json: refused } = await send(patch);
    expect(refused.code).toBe(422);
    expect(refused.message.endsWith(`": ${why}`), refused.message).toBe(true);
  });

  it('names the type as Go does', async () => {
    expect((await send({ type: 5 }, `${secrets}/wrong`)).json.message).toContain('cannot convert int64 to v1.SecretType');
  });

  it('keeps the kind whatever the patch says it is', async () => {
    const patched = await send({ kind: 'Secret', apiVersion: 'v2', data: { three: '3' } });
    expect(patched.json).toMatchObject({ kind: 'ConfigMap', apiVersion: 'v1', data: { one: '1', three: '3' } });
    const replaced = await send({ $patch: 'replace', metadata: { name: 'wrong' }, data: { only: '1' } });
    expect(replaced.json).toMatchObject({ kind: 'ConfigMap', data: { only: '1' } });
    expect(replaced.json.metadata).not.toHaveProperty('labels');
  });
});

describe('server-side apply', () => {
  const config = (name: string, data: object) => ({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data });

  it('creates, repeats without writing, and takes away what is given up', async () => {
    const url = `${configMaps}/a?fieldManager=one`;
    const first = await api.request('PATCH', url, config('a', { x: '1', y: '2' }), apply);
    expect(first.status).toBe(201);
    expect(first.json.metadata.managedFields).toMatchObject([{ manager: 'one', operation: 'Apply' }]);
    const again = await api.request('PATCH', url, config('a', { x: '1', y: '2' }), apply);
    expect([again.status, again.json.metadata.resourceVersion]).toEqual([200, first.json.metadata.resourceVersion]);
    const less = await api.request('PATCH', url, config('a', { x: '1' }), apply);
    expect(less.json.data).toEqual({ x: '1' });
  });

  it('refuses fields of others unless forced', async () => {
    await api.request('PATCH', `${configMaps}/c?fieldManager=one`, config('c', { x: '1' }), apply);
    const conflict = await api.request('PATCH', `${configMaps}/c?fieldManager=two`, config('c', { x: '2' }), apply);
    expect(conflict.json).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message: 'Apply failed with 1 conflict: conflict with "one": .data.x',
      details: { causes: [{ reason: 'FieldManagerConflict', message: 'conflict with "one"', field: '.data.x' }] },
    });
    const forced = await api.request('PATCH', `${configMaps}/c?fieldManager=two&force=true`, config('c', { x: '2' }), apply);
    expect(forced.json.data).toEqual({ x: '2' });
  });

  it('reads YAML as kubectl does', async () => {
    const { json: applied } = await api.request(
      'PATCH',
      `${configMaps}/ya?fieldManager=one`,
      'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ya}\ndata: {y: "yaml"}\n',
      apply,
    );
    expect(applied.data).toEqual({ true: 'yaml' });
  });

  it('reports repeated keys one by one as warnings, together as a refusal', async () => {
    const body = 'apiVersion: v1\nkind: ConfigMap\nmetadata: {name: rep}\ndata:\n  a: "1"\n  a: "2"\n  b: "1"\n  b: "2"\n';
    const warned = await api.request('PATCH', `${configMaps}/rep?fieldManager=one&fieldValidation=Warn`, body, apply);
    expect(warned.headers.warning).toEqual([
      '299 - "line 6: key \\"a\\" already set in map"',
      '299 - "line 8: key \\"b\\" already set in map"',
    ]);
    const refused = await api.request('PATCH', `${configMaps}/rep?fieldManager=one&fieldValidation=Strict`, body, apply);
    expect(refused.json.message).toBe(
      'error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 6: key "a" already set in map\n  line 8: key "b" already set in map',
    );
  });

  it.each([
    ['', {}, 422, 'PatchOptions.meta.k8s.io "" is invalid: fieldManager: Required value: is required for apply patch'],
    ['?fieldManager=one', { data: {} }, 400, 'invalid object type: /, Kind='],
    ['?fieldManager=one', { ...config('z', {}), metadata: { name: 'z', managedFields: [] } }, 400, 'metadata.managedFields must be nil'],
    ['?fieldManager=one', '{', 400, 'error decoding YAML: error converting YAML to JSON: yaml: did not find expected node content'],
    [
      '?fieldManager=one',
      '[]',
      400,
      'error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}',
    ],
    [
      '?fieldManager=one',
      { ...config('z', {}), binaryData: { b: '***' } },
      500,
      'failed to convert new object (/z; /v1, Kind=ConfigMap) to proper version: unable to convert unstructured object to /v1, Kind=ConfigMap: error decoding from json: illegal base64 data at input byte 0',
    ],
    ['?fieldManager=one', config('other', {}), 400, 'the name of the object (other) does not match the name on the URL (z)'],
  ])('refuses %s %j', async (query, body, code, message) => {
    expect((await api.request('PATCH', `${configMaps}/z${query}`, body, apply)).json).toMatchObject({ code, message });
  });

  it('asks whether creating is allowed when that is what it comes to', async () => {
    const guarded = await openTestApi({
      authorizer: { authorize: ({ verb }) => ({ decision: verb === 'create' ? 'no-opinion' : 'allow', reason: '' }) },
    });
    const denied = await guarded.request('PATCH', `${configMaps}/a?fieldManager=one`, config('a', {}), apply);
    expect(denied.json).toMatchObject({
      code: 403,
      reason: 'Forbidden',
      message: 'configmaps "a" is forbidden: User "admin" cannot create resource "configmaps" in API group "" in the namespace "ns"',
      details: { name: 'a', kind: 'configmaps' },
    });
    await guarded.request('POST', configMaps, config('b', {}));
    expect((await guarded.request('PATCH', `${configMaps}/b?fieldManager=one`, config('b', { x: '1' }), apply)).status).toBe(200);
    await guarded.close();
  });
});
