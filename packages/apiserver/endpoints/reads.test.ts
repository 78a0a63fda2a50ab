import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const configMaps = '/api/v1/namespaces/ns/configmaps';
const table = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
  for (const [name, tier] of [
    ['a', 'front'],
    ['b', 'front'],
    ['c', 'back'],
    ['d', 'back'],
    ['e', 'back'],
  ]) {
    await api.request('POST', configMaps, { metadata: { name, labels: { app: 'x', tier } }, data: { k: name } });
  }
});
afterAll(() => api.close());

function names(json: { items: { metadata: { name: string } }[] }): string[] {
  return json.items.map((item) => item.metadata.name);
}

describe('get', () => {
  it('answers 404 with the resource and the name', async () => {
    const { json } = await api.request('GET', `${configMaps}/none`);
    expect(json).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: 'configmaps "none" not found',
      reason: 'NotFound',
      details: { name: 'none', kind: 'configmaps' },
      code: 404,
    });
  });

  it('speaks YAML, indented JSON and metadata only', async () => {
    const yaml = await api.request('GET', `${configMaps}/a`, undefined, { headers: { accept: 'application/yaml' } });
    expect(yaml.text).toMatch(/^apiVersion: v1\ndata:\n {2}k: a\nkind: ConfigMap\nmetadata:\n/);
    expect(yaml.headers['content-type']).toBe('application/yaml');
    const pretty = await api.request('GET', `${configMaps}/a?pretty=true`);
    expect(pretty.text).toContain('\n  "kind": "ConfigMap"');
    expect((await api.request('GET', `${configMaps}/a?pretty`)).text).toMatch(/^\{"kind":"ConfigMap"/);
    const partial = await api.request('GET', `${configMaps}/a`, undefined, {
      headers: { accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' },
    });
    expect(partial.json).toMatchObject({ kind: 'PartialObjectMetadata', apiVersion: 'meta.k8s.io/v1', metadata: { name: 'a' } });
    expect(partial.json).not.toHaveProperty('data');
  });

  it('waits for a revision, and says when it does not come', async () => {
    expect((await api.request('GET', `${configMaps}/a?resourceVersion=2`)).status).toBe(200);
    const odd = await api.request('GET', `${configMaps}/a?resourceVersion=abc`);
    expect(odd.json).toMatchObject({ code: 400, reason: 'BadRequest' });
  });
});

describe('list', () => {
  it('drops kind and apiVersion of the items', async () => {
    const { json } = await api.request('GET', configMaps);
    expect(json).toMatchObject({ kind: 'ConfigMapList', apiVersion: 'v1', metadata: { resourceVersion: expect.stringMatching(/^\d+$/) } });
    expect(names(json)).toEqual(['a', 'b', 'c', 'd', 'e']);
    expect(json.items[0]).not.toHaveProperty('kind');
    expect(json.items[0].data).toEqual({ k: 'a' });
  });

  it('is an empty list where there is nothing', async () => {
    const { text } = await api.request('GET', '/api/v1/namespaces/ns/secrets');
    expect(text).toMatch(/^\{"kind":"SecretList","apiVersion":"v1","metadata":\{"resourceVersion":"\d+"\},"items":\[\]\}\n$/);
  });

  it.each([
    ['labelSelector=tier%3Dfront', ['a', 'b']],
    ['labelSelector=tier%21%3Dfront,app', ['c', 'd', 'e']],
    ['labelSelector=tier+in+(back)', ['c', 'd', 'e']],
    ['fieldSelector=metadata.name%3Db', ['b']],
    ['fieldSelector=metadata.name%21%3Db', ['a', 'c', 'd', 'e']],
    ['fieldSelector=metadata.namespace%3Dns', ['a', 'b', 'c', 'd', 'e']],
    ['fieldSelector=metadata.name%3Db&labelSelector=tier%3Dback', []],
  ])('selects by %s', async (query, expected) => {
    expect(names((await api.request('GET', `${configMaps}?${query}`)).json)).toEqual(expected);
  });

  it.each([
    ['labelSelector=a%3D%3D%3Db', 400, "unable to parse requirement: found '=', expected: identifier"],
    ['fieldSelector=spec.nope%3Dx', 400, '"spec.nope" is not a known field selector: only "metadata.name", "metadata.namespace"'],
    ['limit=abc', 400, 'strconv.ParseInt: parsing "abc": invalid syntax'],
    ['limit=99999999999999999999', 400, 'strconv.ParseInt: parsing "99999999999999999999": value out of range'],
    [
      'resourceVersion=abc',
      400,
      'invalid resource version: resourceVersion: Invalid value: "abc": strconv.ParseUint: parsing "abc": invalid syntax',
    ],
    [
      'resourceVersionMatch=Exact',
      422,
      'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided',
    ],
    [
      'resourceVersionMatch=Exact&resourceVersion=0',
      422,
      'ListOptions.meta.k8s.io "" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch "exact" is forbidden for resourceVersion "0"',
    ],
    [
      'sendInitialEvents=true',
      422,
      'ListOptions.meta.k8s.io "" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list',
    ],
    [
      'continue=garbage',
      400,
      "invalid continue token: continue key is not valid: invalid character '\\u0081' looking for beginning of value",
    ],
    ['continue=%21', 400, 'invalid continue token: continue key is not valid: illegal base64 data at input byte 0'],
    [
      `continue=${token({ v: 'other', rv: 1, start: 'a' })}`,
      400,
      'invalid continue token: continue key is not valid: server does not recognize this encoded version "other"',
    ],
    [`continue=${token({ v: 'meta.k8s.io/v1', rv: 1, start: '../x' })}`, 400, 'invalid continue token: continue key is not valid: ../x'],
  ])('refuses %s', async (query, status, message) => {
    expect((await api.request('GET', `${configMaps}?${query}`)).json).toMatchObject({ code: status, message });
  });

  it('pages at one revision', async () => {
    const first = await api.request('GET', `${configMaps}?limit=2`);
    expect(names(first.json)).toEqual(['a', 'b']);
    expect(first.json.metadata.remainingItemCount).toBe(3);
    await api.request('POST', configMaps, { metadata: { name: 'bb' } });
    const next = `${configMaps}?limit=2&continue=${first.json.metadata.continue}`;
    const second = await api.request('GET', next);
    expect(names(second.json)).toEqual(['c', 'd']);
    expect(second.json.metadata).toMatchObject({ resourceVersion: first.json.metadata.resourceVersion, remainingItemCount: 1 });
    const third = await api.request('GET', `${configMaps}?limit=2&continue=${second.json.metadata.continue}`);
    expect(names(third.json)).toEqual(['e']);
    expect(third.json.metadata).not.toHaveProperty('continue');
    const pinned = await api.request('GET', `${next}&resourceVersion=5`);
    expect(pinned.json.message).toBe('specifying resource version is not allowed when using continue');
    const damaged = await api.request('GET', `${configMaps}?continue=damaged&resourceVersion=5`);
    expect(damaged.json.message).toMatch(/^invalid continue token: continue key is not valid: /);
    await api.request('DELETE', `${configMaps}/bb`);
  });

  it('does not tell how many remain behind a selector', async () => {
    const { json } = await api.request('GET', `${configMaps}?limit=1&labelSelector=app`);
    expect(json.metadata.continue).toBeDefined();
    expect(json.metadata).not.toHaveProperty('remainingItemCount');
  });

  it('hands out a token for an inconsistent rest when the revision is gone', async () => {
    const first = await api.request('GET', `${configMaps}?limit=2`);
    await api.request('POST', configMaps, { metadata: { name: 'bc' } });
    await api.request('DELETE', `${configMaps}/bc`);
    await api.storage.compact();
    const gone = await api.request('GET', `${configMaps}?limit=2&continue=${first.json.metadata.continue}`);
    expect(gone.json).toMatchObject({ code: 410, reason: 'Expired' });
    expect(gone.json.message).toContain('or use the continue token in this response to retrieve the remainder of the results.');
    const rest = await api.request('GET', `${configMaps}?continue=${gone.json.metadata.continue}`);
    expect(names(rest.json)).toEqual(['c', 'd', 'e']);
  });

  it('lists an exact revision, and any when told 0, whatever the limit', async () => {
    const now = await api.request('GET', configMaps);
    await api.request('POST', configMaps, { metadata: { name: 'later' } });
    const exact = await api.request('GET', `${configMaps}?resourceVersionMatch=Exact&resourceVersion=${now.json.metadata.resourceVersion}`);
    expect(names(exact.json)).toEqual(names(now.json));
    expect(names((await api.request('GET', `${configMaps}?resourceVersion=0&limit=1`)).json)).toHaveLength(6);
    const newer = await api.request(
      'GET',
      `${configMaps}?resourceVersionMatch=NotOlderThan&resourceVersion=${now.json.metadata.resourceVersion}`,
    );
    expect(names(newer.json)).toContain('later');
    await api.request('DELETE', `${configMaps}/later`);
  });

  it('writes large lists in pieces that add up to the announced length', async () => {
    const filler = 'x'.repeat(100_000);
    for (let i = 0; i < 15; i++)
      await api.request('POST', configMaps, { metadata: { name: `big-${i}`, labels: { big: '1' } }, data: { filler } });
    const { json, headers, text } = await api.request('GET', `${configMaps}?labelSelector=big`);
    expect(json.items).toHaveLength(15);
    expect(headers['content-length']).toBe(Buffer.byteLength(text));
    await api.request('DELETE', `${configMaps}?labelSelector=big`);
  });

  it('compresses what is large for who accepts it', async () => {
    await api.request('POST', configMaps, { metadata: { name: 'zip', labels: { zip: '1' } }, data: { filler: 'x'.repeat(200_000) } });
    const { headers } = await api.request('GET', `${configMaps}?labelSelector=zip`, undefined, { headers: { 'accept-encoding': 'gzip' } });
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept-Encoding' });
    await api.request('DELETE', `${configMaps}/zip`);
  });
});

describe('tables', () => {
  it('show columns and rows with the metadata of each object', async () => {
    const { json } = await api.request('GET', `${configMaps}?limit=1`, undefined, table);
    expect(json).toMatchObject({ kind: 'Table', apiVersion: 'meta.k8s.io/v1' });
    expect(json.columnDefinitions.map((c: { name: string }) => c.name)).toEqual(['Name', 'Data', 'Age']);
    expect(json.rows[0].cells.slice(0, 2)).toEqual(['a', 1]);
    expect(json.rows[0].object).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 'a' } });
    expect(json.metadata.continue).toBeDefined();
  });

  it.each([
    ['None', null],
    ['Object', expect.objectContaining({ kind: 'ConfigMap', data: { k: 'a' } })],
  ])('includeObject=%s', async (include, object) => {
    const { json } = await api.request('GET', `${configMaps}/a?includeObject=${include}`, undefined, table);
    expect(json.rows[0].object).toEqual(object);
  });

  it('refuse other values of includeObject', async () => {
    const { json } = await api.request('GET', `${configMaps}/a?includeObject=Some`, undefined, table);
    expect(json.message).toBe(
      `Unable to convert to Table as requested: includeObject: Invalid value: "Some": must be 'Metadata', 'Object', 'None', or empty`,
    );
  });

  it('are not made of errors', async () => {
    expect((await api.request('GET', `${configMaps}/none`, undefined, table)).json).toMatchObject({ kind: 'Status', code: 404 });
  });
});

describe('negotiation', () => {
  const get = (accept: string) => api.request('GET', `${configMaps}/a`, undefined, { headers: { accept } });

  it('takes the first acceptable of several', async () => {
    const asTable = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    expect((await get(`${asTable},application/json`)).json.kind).toBe('Table');
    expect((await get('application/vnd.kubernetes.protobuf,application/json')).json.kind).toBe('ConfigMap');
    expect((await get('application/yaml;q=0.1, application/json;q=0.9')).json.kind).toBe('ConfigMap');
    expect((await get('text/html, */*')).json.kind).toBe('ConfigMap');
  });

  it('refuses the rest in the words of the router and of the API', async () => {
    expect((await get('text/plain')).json).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      message: '406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, application/vnd.kubernetes.protobuf',
      reason: 'NotAcceptable',
      details: {},
      code: 406,
    });
    expect((await get('application/json;as=Bogus;v=v1;g=meta.k8s.io')).json.message).toBe(
      'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    );
    expect((await get('application/vnd.kubernetes.protobuf')).status).toBe(406);
    expect((await get('application/vnd.kubernetes.protobuf;as=Table;v=v1;g=meta.k8s.io')).json.message).toBe(
      'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    );
    const list = await api.request('GET', configMaps, undefined, {
      headers: { accept: 'application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io' },
    });
    expect(list.json.message).toBe('you requested PartialObjectMetadata, but the requested object is a list (*core.ConfigMapList)');
  });
});

describe('paths', () => {
  it.each([
    ['GET', '/apis/bogus/v1/things'],
    ['GET', '/api/v2/configmaps'],
  ])('%s %s is unknown to everybody', async (method, path) => {
    const { status, text } = await api.request(method, path);
    expect([status, text]).toEqual([404, '404 page not found\n']);
  });

  it.each([
    ['GET', '/api/v1/widgets'],
    ['GET', '/api/v1/configmaps/a'],
    ['GET', '/api/v1/namespaces/ns/namespaces'],
    ['GET', `${configMaps}/a/bogus`],
    ['GET', '/api/v1/namespaces/ns/pods/p/status/more'],
  ])('%s %s is not a resource', async (method, path) => {
    expect((await api.request(method, path)).json).toMatchObject({
      code: 404,
      message: 'the server could not find the requested resource',
      details: {},
    });
  });

  it.each([
    ['POST', `${configMaps}/a`],
    ['PUT', configMaps],
    ['PATCH', configMaps],
    ['POST', '/api/v1/configmaps'],
    ['DELETE', '/api/v1/configmaps'],
    ['DELETE', '/api/v1/namespaces'],
    ['OPTIONS', configMaps],
  ])('%s %s is not allowed', async (method, path) => {
    expect((await api.request(method, path)).json).toMatchObject({
      code: 405,
      reason: 'MethodNotAllowed',
      message: 'the server does not allow this method on the requested resource',
    });
  });
});

function token(content: object): string {
  return Buffer.from(JSON.stringify(content)).toString('base64url');
}

describe('a name that no object can have', () => {
  it.each([
    ['a%25b', 'Name parameter invalid: "a%b": may not contain \'%\''],
    ['..', 'Name parameter invalid: "..": may not be \'..\''],
  ])('%s is refused as a parameter', async (name, message) => {
    for (const method of ['GET', 'DELETE']) {
      const { json } = await api.request(method, `/api/v1/namespaces/ns/configmaps/${name}`);
      expect(json).toMatchObject({ code: 400, reason: 'BadRequest', message });
    }
  });
});
