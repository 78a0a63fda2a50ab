import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const configMaps = '/api/v1/namespaces/ns/configmaps';
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

async function create(name: string, extra: object = {}) {
  const { json } = await api.request('POST', configMaps, { metadata: { name }, data: { k: 'v' }, ...extra });
  return json;
}

describe('create', () => {
  it('answers 201 with server-set metadata and managed fields', async () => {
    const { status, json } = await api.request('POST', configMaps, {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'one' },
      data: { k: 'v' },
    });
    expect(status).toBe(201);
    expect(json).toMatchObject({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'one', namespace: 'ns' }, data: { k: 'v' } });
    expect(json.metadata.uid).toMatch(/^[0-9a-f-]{36}$/);
    expect(json.metadata.creationTimestamp).toBe('2026-01-01T00:00:00Z');
    expect(Number(json.metadata.resourceVersion)).toBeGreaterThan(1);
    expect(json.metadata.managedFields).toEqual([
      {
        manager: 'tester',
        operation: 'Update',
        apiVersion: 'v1',
        time: '2026-01-01T00:00:00Z',
        fieldsType: 'FieldsV1',
        fieldsV1: { 'f:data': { '.': {}, 'f:k': {} } },
      },
    ]);
  });

  it('refuses a name that is taken', async () => {
    await create('taken');
    const { status, json } = await api.request('POST', configMaps, { metadata: { name: 'taken' } });
    expect(status).toBe(409);
    expect(json).toMatchObject({
      reason: 'AlreadyExists',
      message: 'configmaps "taken" already exists',
      details: { name: 'taken', kind: 'configmaps' },
    });
  });

  it('says when the one that is there is being deleted', async () => {
    await create('dying', { metadata: { name: 'dying', finalizers: ['x.io/hold'] } });
    await api.request('DELETE', `${configMaps}/dying`);
    const { json } = await api.request('POST', configMaps, { metadata: { name: 'dying' } });
    expect(json.message).toBe('object is being deleted: configmaps "dying" already exists');
  });

  it('generates a name of the base and five characters', async () => {
    const { json } = await api.request('POST', configMaps, { metadata: { generateName: 'gen-' } });
    expect(json.metadata.name).toMatch(/^gen-[bcdfghjklmnpqrstvwxz2456789]{5}$/);
    expect(json.metadata.generateName).toBe('gen-');
  });

  it('ignores metadata that only the server sets, but for resourceVersion, which it refuses', async () => {
    const sent = { name: 'eager', uid: 'x', creationTimestamp: '2020-01-01T00:00:00Z', generation: 7, selfLink: '/x' };
    const { status, json } = await api.request('POST', configMaps, { metadata: { ...sent, deletionTimestamp: '2020-01-01T00:00:00Z' } });
    expect(status).toBe(201);
    expect(json.metadata).toMatchObject({ generation: 7, creationTimestamp: '2026-01-01T00:00:00Z' });
    expect(json.metadata.uid).not.toBe('x');
    expect(json.metadata).not.toHaveProperty('deletionTimestamp');
    expect(json.metadata).not.toHaveProperty('selfLink');
    const refused = await api.request('POST', configMaps, { metadata: { name: 'eager2', resourceVersion: '1' } });
    expect(refused.json).toMatchObject({ code: 500, message: 'resourceVersion should not be set on objects to be created' });
  });

  it('refuses a namespace that is not the one of the URL', async () => {
    const { status, json } = await api.request('POST', configMaps, { metadata: { name: 'x', namespace: 'other' } });
    expect(status).toBe(400);
    expect(json.message).toBe('the namespace of the provided object does not match the namespace sent on the request');
  });

  it.each(['pods/p/eviction', 'pods/p/binding', 'serviceaccounts/default/token'])('refuses it in a body for %s, too', async (path) => {
    const body = { metadata: { name: path.split('/')[1], namespace: 'other' }, target: { name: 'n' }, spec: {} };
    const { status, json } = await api.request(
      'POST',
      `/api/v1/namespaces/ns/${path}`,
      path.endsWith('token') ? { ...body, target: undefined } : body,
    );
    expect([status, json.message]).toEqual([400, 'the namespace of the provided object does not match the namespace sent on the request']);
  });

  it('drops a namespace where there are none', async () => {
    const { status, json } = await api.request('POST', '/api/v1/namespaces', { metadata: { name: 'inside', namespace: 'other' } });
    expect([status, json.metadata.namespace]).toEqual([201, undefined]);
  });

  it('keeps keys like __proto__ as ordinary data', async () => {
    const { text } = await api.request('POST', configMaps, '{"metadata":{"name":"proto"},"data":{"__proto__":"p","constructor":"c"}}');
    expect(text).toContain('"data":{"__proto__":"p","constructor":"c"}');
    expect((await api.request('GET', `${configMaps}/proto`)).text).toContain('"__proto__":"p"');
  });

  it('warns about unknown fields, refuses them when asked to, and is silent when asked to be', async () => {
    const body = { metadata: { name: 'odd' }, spec: {} };
    const strict = await api.request('POST', `${configMaps}?fieldValidation=Strict`, body);
    expect(strict.json.message).toBe(
      'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: unknown field "spec"',
    );
    const warned = await api.request('POST', `${configMaps}?fieldValidation=Warn&dryRun=All`, body);
    expect(warned.headers.warning).toEqual(['299 - "unknown field \\"spec\\""']);
    const silent = await api.request('POST', `${configMaps}?fieldValidation=Ignore&dryRun=All`, body);
    expect(silent.headers).not.toHaveProperty('warning');
  });

  it('refuses a body of more than 3 MiB', async () => {
    const { status, json } = await api.request('POST', configMaps, {
      metadata: { name: 'huge' },
      data: { k: 'x'.repeat(3 * 1024 * 1024) },
    });
    expect(status).toBe(413);
    expect(json).toMatchObject({ reason: 'RequestEntityTooLarge', message: 'Request entity too large: limit is 3145728' });
  });

  it('drops repeated owner references with a warning', async () => {
    const owner = { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: 'u-1' };
    const { json, headers } = await api.request('POST', configMaps, { metadata: { name: 'owned', ownerReferences: [owner, owner] } });
    expect(json.metadata.ownerReferences).toEqual([owner]);
    expect(String(headers.warning)).toContain('duplicate UID(s) observed: u-1');
    const path = { op: 'add', path: '/metadata/ownerReferences/-', value: owner };
    const patched = await api.request('PATCH', `${configMaps}/owned`, [path], { contentType: 'application/json-patch+json' });
    expect(patched.json.metadata.ownerReferences).toEqual([owner]);
    expect(String(patched.headers.warning)).toContain('contains duplicate entries after mutating admission happens;');
  });
});

describe('managedFields', () => {
  const object = (name: string, managedFields?: readonly object[]) => ({ metadata: { name, managedFields }, data: { k: 'v' } });
  const mergePatch = { contentType: 'application/merge-patch+json' };

  it.each([
    ['PUT', (name: string) => api.request('PUT', `${configMaps}/${name}`, object(name, []))],
    ['PATCH', (name: string) => api.request('PATCH', `${configMaps}/${name}`, { metadata: { managedFields: [] } }, mergePatch)],
  ])('are forgotten for good by %s of an empty list', async (verb, write) => {
    const name = `forgotten-by-${verb.toLowerCase()}`;
    expect((await api.request('POST', configMaps, object(name))).json.metadata.managedFields).toHaveLength(1);
    expect((await write(name)).json.metadata).not.toHaveProperty('managedFields');
    const later = await api.request('PATCH', `${configMaps}/${name}`, { data: { k: 'other' } }, mergePatch);
    expect(later.json.metadata).not.toHaveProperty('managedFields');
  });

  it('are left out of an object that is too large to store with them, but not by an apply', async () => {
    const data = Object.fromEntries(
      Array.from({ length: 9000 }, (_, i) => [`a-key-of-which-managed-fields-repeat-every-letter-${'x'.repeat(30)}-${i}`, '']),
    );
    const created = await api.request('POST', configMaps, { metadata: { name: 'large' }, data });
    expect(created.status).toBe(201);
    await api.request('POST', configMaps, object('grown'));
    const put = await api.request('PUT', `${configMaps}/grown`, { metadata: { name: 'grown' }, data });
    expect(put.status).toBe(200);
    await api.request('POST', configMaps, object('patched'));
    const patched = await api.request('PATCH', `${configMaps}/patched`, { data }, mergePatch);
    expect(patched.status).toBe(200);
    for (const { json } of [created, put, patched]) expect(json.metadata).not.toHaveProperty('managedFields');
    const apply = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'large' } };
    const applied = await api.request('PATCH', `${configMaps}/large?fieldManager=m`, apply, {
      contentType: 'application/apply-patch+yaml',
    });
    expect([applied.status, applied.json.message]).toEqual([500, 'etcdserver: request is too large']);
  });
});

describe('dryRun', () => {
  it('shows a table without a version', async () => {
    const headers = { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' };
    const { json } = await api.request('POST', `${configMaps}?dryRun=All`, { metadata: { name: 'dry-table' } }, { headers });
    expect([json.kind, json.metadata]).toEqual(['Table', {}]);
  });

  it('does everything but store', async () => {
    const { status, json } = await api.request('POST', `${configMaps}?dryRun=All`, { metadata: { name: 'dry' }, data: { k: 'v' } });
    expect(status).toBe(201);
    expect(json.metadata).not.toHaveProperty('resourceVersion');
    expect(json.metadata.uid).toBeDefined();
    expect((await api.request('GET', `${configMaps}/dry`)).status).toBe(404);
  });

  it('leaves an object alone on update, patch and delete', async () => {
    const made = await create('still');
    const put = await api.request('PUT', `${configMaps}/still?dryRun=All`, { metadata: { name: 'still' }, data: { k: 'new' } });
    expect(put.json.data).toEqual({ k: 'new' });
    await api.request('PATCH', `${configMaps}/still?dryRun=All`, { data: { k: 'p' } }, { contentType: 'application/merge-patch+json' });
    await api.request('DELETE', `${configMaps}/still?dryRun=All`);
    expect((await api.request('GET', `${configMaps}/still`)).json).toEqual(made);
  });

  it('knows All only', async () => {
    const { status, json } = await api.request('POST', `${configMaps}?dryRun=Some`, { metadata: { name: 'x' } });
    expect(status).toBe(422);
    expect(json.message).toBe('CreateOptions.meta.k8s.io "" is invalid: dryRun: Unsupported value: ["Some"]: supported values: "All"');
  });
});

describe('update', () => {
  it('replaces the object and keeps what identifies it', async () => {
    const made = await create('up');
    const { status, json } = await api.request('PUT', `${configMaps}/up`, { metadata: { name: 'up' }, data: { other: '1' } });
    expect(status).toBe(200);
    expect(json.data).toEqual({ other: '1' });
    expect(json.metadata.uid).toBe(made.metadata.uid);
    expect(json.metadata.resourceVersion).not.toBe(made.metadata.resourceVersion);
  });

  it('refuses an old resourceVersion and one that is no number', async () => {
    const made = await create('race');
    const at = (resourceVersion: string) => ({ metadata: { name: 'race', resourceVersion }, data: { k: resourceVersion } });
    expect((await api.request('PUT', `${configMaps}/race`, at(made.metadata.resourceVersion))).status).toBe(200);
    const late = await api.request('PUT', `${configMaps}/race`, at(made.metadata.resourceVersion));
    expect(late.json).toMatchObject({
      code: 409,
      reason: 'Conflict',
      message:
        'Operation cannot be fulfilled on configmaps "race": the object has been modified; please apply your changes to the latest version and try again',
    });
    const odd = await api.request('PUT', `${configMaps}/race`, at('abc'));
    expect(odd.json).toMatchObject({ code: 500, message: 'strconv.ParseUint: parsing "abc": invalid syntax' });
  });

  it('refuses another uid as a failed precondition', async () => {
    const made = await create('same');
    const { json } = await api.request('PUT', `${configMaps}/same`, { metadata: { name: 'same', uid: 'nope' } });
    expect(json.message).toBe(
      `Operation cannot be fulfilled on configmaps "same": StorageError: invalid object, Code: 4, Key: /registry/configmaps/ns/same, ResourceVersion: 0, AdditionalErrorMsg: Precondition failed: UID in precondition: nope, UID in object meta: ${made.metadata.uid}`,
    );
  });

  it('writes nothing when nothing changes', async () => {
    const made = await create('noop');
    await api.clock.advance(5000);
    const { json } = await api.request('PUT', `${configMaps}/noop`, { metadata: { name: 'noop' }, data: { k: 'v' } });
    expect(json.metadata.resourceVersion).toBe(made.metadata.resourceVersion);
  });

  it('compares the name in the body with the URL', async () => {
    await create('named');
    const wrong = await api.request('PUT', `${configMaps}/named`, { metadata: { name: 'b' } });
    expect(wrong.json.message).toBe('the name of the object (b) does not match the name on the URL (named)');
    const none = await api.request('PUT', `${configMaps}/named`, { metadata: {} });
    expect(none.json.message).toBe('the name of the object (named based on URL) was undeterminable: name must be provided');
  });

  it('calls a manager by its user agent, as far as there is room', async () => {
    const managers: unknown[] = [];
    for (const agent of ['Mozilla/5.0 (X11)', Buffer.from('\u{1F354}'.repeat(60)).toString('latin1')]) {
      const headers = { 'user-agent': agent };
      const { json } = await api.request('POST', configMaps, { metadata: { generateName: 'agent-' }, data: { k: 'v' } }, { headers });
      managers.push(json.metadata.managedFields[0].manager);
    }
    expect(managers).toEqual(['Mozilla', '\u{1F354}'.repeat(32)]);
  });

  it('creates missing objects of the kinds that allow it', async () => {
    const missing = await api.request('PUT', `${configMaps}/missing`, { metadata: { name: 'missing' } });
    expect(missing.status).toBe(404);
    const lease = await api.request('PUT', '/apis/coordination.k8s.io/v1/namespaces/ns/leases/l', {
      metadata: { name: 'l' },
      spec: { holderIdentity: 'me' },
    });
    expect(lease.status).toBe(201);
    const spec = { limits: [{ type: 'Pod' }] };
    const range = await api.request('PUT', '/api/v1/namespaces/ns/limitranges/r', { metadata: { name: 'r' }, spec });
    expect(range.status).toBe(201);
    const runtimes = '/apis/node.k8s.io/v1/runtimeclasses';
    expect((await api.request('PUT', `${runtimes}/r`, { metadata: { name: 'r' }, handler: 'h' })).status).toBe(201);
    for (const [url, object] of [
      ['/apis/coordination.k8s.io/v1/namespaces/ns/leases/l', { metadata: { name: 'l' }, spec: {} }],
      [`${runtimes}/r`, { metadata: { name: 'r' }, handler: 'h' }],
    ] as const) {
      const blind = await api.request('PUT', url, object);
      expect(blind.json.message).toContain('metadata.resourceVersion: Invalid value: 0: must be specified for an update');
    }
  });
});

describe('leases', () => {
  it('keep nothing that only a coordinated election would read', async () => {
    const url = '/apis/coordination.k8s.io/v1/namespaces/ns/leases';
    const spec = { holderIdentity: 'me', strategy: 'OldestEmulationVersion', preferredHolder: 'you' };
    const made = await api.request('POST', url, { metadata: { name: 'elect' }, spec });
    expect(made.json.spec).toEqual({ holderIdentity: 'me' });
    const { resourceVersion } = made.json.metadata;
    const updated = await api.request('PUT', `${url}/elect`, {
      metadata: { name: 'elect', resourceVersion },
      spec: { ...spec, holderIdentity: 'you' },
    });
    expect(updated.json.spec).toEqual({ holderIdentity: 'you' });
  });
});
