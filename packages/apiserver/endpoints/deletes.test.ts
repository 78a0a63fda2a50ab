import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const configMaps = '/api/v1/namespaces/ns/configmaps';
const pods = '/api/v1/namespaces/ns/pods';
const merge = { contentType: 'application/merge-patch+json' };
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

async function create(name: string, metadata: object = {}) {
  return (await api.request('POST', configMaps, { metadata: { name, ...metadata }, data: { k: 'v' } })).json;
}

async function createPod(name: string, spec: object = {}) {
  const response = await api.request('POST', pods, { metadata: { name }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } });
  expect(response.status).toBe(201);
  return response.json;
}

describe('delete', () => {
  it('answers with a Status that names what is gone', async () => {
    const made = await create('gone');
    const { status, json } = await api.request('DELETE', `${configMaps}/gone`);
    expect(status).toBe(200);
    expect(json).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Success',
      details: { name: 'gone', kind: 'configmaps', uid: made.metadata.uid },
    });
    expect((await api.request('DELETE', `${configMaps}/gone`)).status).toBe(404);
  });

  it('waits for finalizers, takes no new ones, and ends with the last', async () => {
    await create('held', { finalizers: ['x.io/hold'] });
    const { status, json } = await api.request('DELETE', `${configMaps}/held`);
    expect(status).toBe(200);
    expect(json.metadata).toMatchObject({
      deletionTimestamp: expect.any(String),
      deletionGracePeriodSeconds: 0,
      finalizers: ['x.io/hold'],
    });
    const more = await api.request('PATCH', `${configMaps}/held`, { metadata: { finalizers: ['x.io/hold', 'x.io/more'] } }, merge);
    expect(more.status).toBe(422);
    const last = await api.request('PATCH', `${configMaps}/held`, { metadata: { finalizers: null } }, merge);
    expect(last.status).toBe(200);
    expect(last.json.metadata).not.toHaveProperty('finalizers');
    expect((await api.request('GET', `${configMaps}/held`)).status).toBe(404);
  });

  it('shows watchers the last state that was stored, live and replayed alike', async () => {
    const created = await create('shown', { finalizers: ['x.io/hold'] });
    const watched = `${configMaps}?watch=1&fieldSelector=metadata.name%3Dshown&resourceVersion=${created.metadata.resourceVersion}`;
    const live = await api.watch(watched);
    const { json: marked } = await api.request('DELETE', `${configMaps}/shown`);
    const { json: answer } = await api.request('PATCH', `${configMaps}/shown`, { metadata: { finalizers: null } }, merge);
    expect(answer.metadata).toMatchObject({ resourceVersion: marked.metadata.resourceVersion });
    const replayed = await api.watch(watched);
    await api.clock.advance(0);
    expect(replayed.summary).toEqual(['MODIFIED shown', 'DELETED shown']);
    const { resourceVersion, ...metadata } = replayed.events[1]?.object.metadata ?? {};
    expect({ ...metadata, resourceVersion: marked.metadata.resourceVersion }).toEqual(marked.metadata);
    expect(Number(resourceVersion)).toBeGreaterThan(Number(marked.metadata.resourceVersion));
    expect(live.events).toEqual(replayed.events);
    live.close();
    replayed.close();
  });

  it.each([
    ['Foreground', ['foregroundDeletion']],
    ['Orphan', ['orphan']],
  ])('leaves propagationPolicy %s to the garbage collector', async (policy, finalizers) => {
    await create('owner');
    const { json } = await api.request('DELETE', `${configMaps}/owner`, { propagationPolicy: policy });
    expect(json.metadata.finalizers).toEqual(finalizers);
    await api.request('PATCH', `${configMaps}/owner`, { metadata: { finalizers: null } }, merge);
  });

  it('answers 202 when the old orphanDependents=false has to wait', async () => {
    await create('slow', { finalizers: ['x.io/hold'] });
    expect((await api.request('DELETE', `${configMaps}/slow?orphanDependents=false`)).status).toBe(202);
  });

  it('checks preconditions against the record', async () => {
    const made = await create('pre');
    const uid = await api.request('DELETE', `${configMaps}/pre`, { preconditions: { uid: 'nope' } });
    expect(uid.json).toMatchObject({
      code: 409,
      message: `Operation cannot be fulfilled on ConfigMap "pre": the UID in the precondition (nope) does not match the UID in record (${made.metadata.uid}). The object might have been deleted and then recreated`,
    });
    const version = await api.request('DELETE', `${configMaps}/pre`, { preconditions: { resourceVersion: '1' } });
    expect(version.json.message).toContain('the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (');
    const right = await api.request('DELETE', `${configMaps}/pre`, { preconditions: { uid: made.metadata.uid } });
    expect(right.status).toBe(200);
  });

  it('refuses options that contradict each other or are unknown', async () => {
    await create('opts');
    const both = await api.request('DELETE', `${configMaps}/opts`, { orphanDependents: true, propagationPolicy: 'Orphan' });
    expect(both.json.message).toBe(
      'DeleteOptions.meta.k8s.io "" is invalid: propagationPolicy: Invalid value: "Orphan": orphanDependents and deletionPropagation cannot be both set',
    );
    const odd = await api.request('DELETE', `${configMaps}/opts?propagationPolicy=Bogus`);
    expect(odd.json.message).toContain('Unsupported value: "Bogus": supported values: "Foreground", "Background", "Orphan", "nil"');
  });
});

describe('delete of what cannot be read', () => {
  const unsafe = 'ignoreStoreReadErrorWithClusterBreakingPotential=true';

  it('is not for readable objects, and goes with no other option', async () => {
    await create('fine');
    const readable = await api.request('DELETE', `${configMaps}/fine?${unsafe}`);
    expect(readable.json).toMatchObject({
      code: 422,
      message:
        'ConfigMap "fine" is invalid: ignoreStoreReadErrorWithClusterBreakingPotential: Invalid value: true: is exclusively used to delete corrupt object(s), try again by removing this option',
    });
    const combined = await api.request('DELETE', `${configMaps}/fine?${unsafe}&gracePeriodSeconds=0`);
    expect(combined.json.message).toContain('cannot be set together with .gracePeriodSeconds');
  });

  it('needs a permission of its own', async () => {
    const guarded = await openTestApi({ authorizer: { authorize: () => ({ decision: 'no-opinion', reason: 'nobody said so' }) } });
    const { json } = await guarded.request('DELETE', `${configMaps}/x?${unsafe}`);
    expect(json.message).toBe(
      'configmaps "x" is forbidden: not permitted to do "unsafe-delete-ignore-read-errors", reason: nobody said so',
    );
    await guarded.close();
  });
});

describe('delete of pods', () => {
  it('shows watchers that the grace period is over, and then the deletion', async () => {
    const { metadata } = await createPod('short');
    const watch = await api.watch(`${pods}?watch=1&fieldSelector=metadata.name%3Dshort&resourceVersion=${metadata.resourceVersion}`);
    const { json: answer } = await api.request('DELETE', `${pods}/short`);
    await api.clock.advance(0);
    expect(watch.summary).toEqual(['MODIFIED short', 'DELETED short']);
    const [marked, deleted] = watch.events;
    expect(marked?.object.metadata).toMatchObject({ deletionGracePeriodSeconds: 0, deletionTimestamp: expect.any(String) });
    expect(deleted?.object).toEqual(answer);
    expect({ ...answer.metadata, resourceVersion: marked?.object.metadata.resourceVersion }).toEqual(marked?.object.metadata);
    watch.close();
  });

  it('removes one that no node has at once and shows it', async () => {
    await createPod('fresh');
    const { status, json } = await api.request('DELETE', `${pods}/fresh`);
    expect(status).toBe(200);
    expect(json).toMatchObject({ kind: 'Pod', metadata: { name: 'fresh', deletionGracePeriodSeconds: 0 } });
    expect((await api.request('GET', `${pods}/fresh`)).status).toBe(404);
  });

  it('gives one on a node its grace period, which can be shortened but not extended', async () => {
    await createPod('bound', { nodeName: 'n1', terminationGracePeriodSeconds: 30 });
    const first = await api.request('DELETE', `${pods}/bound`);
    expect(first.json.metadata).toMatchObject({ deletionGracePeriodSeconds: 30, generation: 2 });
    const deadline = Date.parse(first.json.metadata.deletionTimestamp);
    expect(deadline - api.clock.now()).toBeGreaterThanOrEqual(29_000);

    const longer = await api.request('DELETE', `${pods}/bound?gracePeriodSeconds=60`);
    expect(longer.json.metadata.deletionGracePeriodSeconds).toBe(30);
    const shorter = await api.request('DELETE', `${pods}/bound?gracePeriodSeconds=10`);
    expect(shorter.json.metadata.deletionGracePeriodSeconds).toBe(10);
    expect(Date.parse(shorter.json.metadata.deletionTimestamp)).toBe(deadline - 20_000);

    expect((await api.request('DELETE', `${pods}/bound?gracePeriodSeconds=0`)).status).toBe(200);
    expect((await api.request('GET', `${pods}/bound`)).status).toBe(404);
  });
});

describe('deletecollection', () => {
  it('deletes what the selectors match and answers with the list as it was', async () => {
    await Promise.all(['a', 'b', 'c'].map((name) => create(`many-${name}`, { labels: { t: name === 'c' ? '2' : '1' } })));
    const { status, json } = await api.request('DELETE', `${configMaps}?labelSelector=t%3D1`);
    expect(status).toBe(200);
    expect(json.kind).toBe('ConfigMapList');
    expect(json.items.map((item: { metadata: { name: string } }) => item.metadata.name)).toEqual(['many-a', 'many-b']);
    const left = await api.request('GET', `${configMaps}?labelSelector=t`);
    expect(left.json.items).toHaveLength(1);
  });
});

describe('namespaces', () => {
  it('turn Terminating and go when the finalizer of their spec goes', async () => {
    const made = await api.request('POST', '/api/v1/namespaces', { metadata: { name: 'short' } });
    expect(made.json).toMatchObject({
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Active' },
      metadata: { labels: { 'kubernetes.io/metadata.name': 'short' } },
    });
    const { json } = await api.request('DELETE', '/api/v1/namespaces/short');
    expect(json).toMatchObject({ kind: 'Namespace', status: { phase: 'Terminating' } });
    expect(json.metadata).not.toHaveProperty('deletionGracePeriodSeconds');

    const refused = await api.request('POST', '/api/v1/namespaces/short/configmaps', { metadata: { name: 'late' } });
    expect(refused.json).toMatchObject({
      code: 403,
      message: 'configmaps "late" is forbidden: unable to create new content in namespace short because it is being terminated',
      details: {
        causes: [{ reason: 'NamespaceTerminating', message: 'namespace short is being terminated', field: 'metadata.namespace' }],
      },
    });

    const finalized = await api.request('PUT', '/api/v1/namespaces/short/finalize', {
      metadata: { name: 'short' },
      spec: { finalizers: [] },
    });
    expect(finalized.status).toBe(200);
    expect((await api.request('GET', '/api/v1/namespaces/short')).status).toBe(404);
  });

  it.each(['default', 'kube-system', 'kube-public'])('%s may not be deleted', async (name) => {
    await api.request('POST', '/api/v1/namespaces', { metadata: { name } });
    const { json } = await api.request('DELETE', `/api/v1/namespaces/${name}`);
    expect(json).toMatchObject({ code: 403, message: `namespaces "${name}" is forbidden: this namespace may not be deleted` });
  });

  it('that do not exist take nothing', async () => {
    const { json } = await api.request('POST', '/api/v1/namespaces/none/configmaps', { metadata: { name: 'x' } });
    expect(json).toMatchObject({ code: 404, message: 'namespaces "none" not found' });
  });
});
