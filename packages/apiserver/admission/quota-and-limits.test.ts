import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

let api: TestApi;
let namespace = '';
let number = 0;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());
beforeEach(async () => {
  namespace = `n${++number}`;
  await api.request('POST', '/api/v1/namespaces', { metadata: { name: namespace } });
  await create('serviceaccounts', { metadata: { name: 'default' } });
});

const path = (resource: string) => `/api/v1/namespaces/${namespace}/${resource}`;

function create(resource: string, object: object) {
  return api.request('POST', path(resource), object);
}

function createPod(resources: object, extra: object = {}, query = '') {
  return create(`pods${query}`, { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i', resources }], ...extra } });
}

describe('LimitRanger', () => {
  it('fills in what is usual, and says so', async () => {
    await create('limitranges', {
      metadata: { name: 'l' },
      spec: { limits: [{ type: 'Container', default: { cpu: '500m', memory: '64Mi' }, defaultRequest: { cpu: '100m' } }] },
    });
    const { json } = await createPod({ limits: { cpu: '200m' } }, { initContainers: [{ name: 'i', image: 'i' }] });
    expect(json.spec.containers[0].resources).toEqual({
      limits: { cpu: '200m', memory: '64Mi' },
      requests: { cpu: '200m', memory: '64Mi' },
    });
    expect(json.spec.initContainers[0].resources.requests).toEqual({ cpu: '100m', memory: '64Mi' });
    expect(json.metadata.annotations['kubernetes.io/limit-ranger']).toBe(
      'LimitRanger plugin set: memory request for container c; memory limit for container c; cpu, memory request for init container i; cpu, memory limit for init container i',
    );
  });

  it('refuses what is below the least, above the most or stretched too far', async () => {
    await create('limitranges', {
      metadata: { name: 'l' },
      spec: {
        limits: [
          { type: 'Container', min: { cpu: '100m' }, max: { cpu: '1' }, maxLimitRequestRatio: { cpu: '2' } },
          { type: 'Pod', max: { memory: '1Gi' } },
        ],
      },
    });
    const refusal = async (resources: object) => (await createPod(resources, {}, '?dryRun=All')).json.message;
    const memory = { memory: '1Mi' };
    expect(await refusal({ requests: { cpu: '50m', ...memory }, limits: { cpu: '60m', ...memory } })).toBe(
      'pods "p" is forbidden: minimum cpu usage per Container is 100m, but request is 50m',
    );
    expect(await refusal({ requests: { cpu: '1', ...memory }, limits: { cpu: '1500m', ...memory } })).toBe(
      'pods "p" is forbidden: maximum cpu usage per Container is 1, but limit is 1500m',
    );
    expect(await refusal({ requests: { cpu: '300m' }, limits: { cpu: '900m' } })).toBe(
      'pods "p" is forbidden: [cpu max limit to request ratio per Container is 2, but provided ratio is 3.000000, maximum memory usage per Pod is 1Gi.  No limit is specified]',
    );
  });

  it('holds resizes to the same limits', async () => {
    await createPod({ requests: { cpu: '1' } });
    await create('limitranges', { metadata: { name: 'l' }, spec: { limits: [{ type: 'Container', max: { cpu: '2' } }] } });
    const patch = { spec: { containers: [{ name: 'c', resources: { requests: { cpu: '3' }, limits: { cpu: '3' } } }] } };
    const options = { contentType: 'application/strategic-merge-patch+json' };
    const { json } = await api.request('PATCH', path('pods/p/resize'), patch, options);
    expect(json.message).toBe('pods "p" is forbidden: maximum cpu usage per Container is 2, but limit is 3');
  });

  it('names a range that has no name', async () => {
    const { status, json } = await create('limitranges', { spec: { limits: [] } });
    expect(status).toBe(201);
    expect(json.metadata.name).toMatch(/^[0-9a-f]{8}-[0-9a-f-]{27}$/);
  });
});

describe('ResourceQuota', () => {
  const used = async (name = 'q') => (await api.request('GET', path(`resourcequotas/${name}`))).json.status?.used;

  /** A quota as the quota loop leaves it. */
  async function quota(hard: object, counted: object = {}, spec: object = {}, name = 'q') {
    const { json } = await create('resourcequotas', { metadata: { name }, spec: { hard, ...spec } });
    const zeros = Object.fromEntries(Object.keys(hard).map((key) => [key, '0']));
    const status = { hard, used: { ...zeros, ...counted } };
    await api.request('PUT', path(`resourcequotas/${name}/status`), { ...json, status });
  }

  it('counts objects in and refuses what is too much', async () => {
    await quota({ configmaps: '2', 'count/configmaps': '5' });
    expect((await create('configmaps', { metadata: { name: 'a' } })).status).toBe(201);
    expect((await create('configmaps', { metadata: { name: 'b' } })).status).toBe(201);
    expect(await used()).toEqual({ configmaps: '2', 'count/configmaps': '2' });
    const refused = await create('configmaps', { metadata: { name: 'c' } });
    expect(refused.json).toMatchObject({
      code: 403,
      message: 'configmaps "c" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=2, limited: configmaps=2',
    });
    expect((await api.request('PUT', path('configmaps/a'), { metadata: { name: 'a' }, data: { k: 'v' } })).status).toBe(200);
  });

  it('counts creates that come at once one after the other', async () => {
    await quota({ secrets: '5' });
    const answers = await Promise.all(Array.from({ length: 9 }, (_, i) => create('secrets', { metadata: { name: `s${i}` } })));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(5);
    expect(await used()).toEqual({ secrets: '5' });
  });

  it('does not count what is only tried', async () => {
    await quota({ configmaps: '1' });
    expect((await create('configmaps?dryRun=All', { metadata: { name: 'a' } })).status).toBe(201);
    expect(await used()).toEqual({ configmaps: '0' });
  });

  it('waits for the first count', async () => {
    const { json } = await create('resourcequotas', { metadata: { name: 'q' }, spec: { hard: { configmaps: '1' } } });
    await api.request('PUT', path('resourcequotas/q/status'), { ...json, status: { hard: { configmaps: '1' } } });
    expect((await create('configmaps', { metadata: { name: 'a' } })).json.message).toBe(
      'configmaps "a" is forbidden: status unknown for quota: q, resources: configmaps',
    );
  });

  it('counts what pods ask for, in every quota they are in the scope of', async () => {
    await quota({ pods: '1', 'requests.cpu': '1' }, {}, { scopes: ['NotBestEffort'] });
    await quota({ pods: '5' }, {}, { scopes: ['BestEffort'] }, 'best-effort');
    expect((await createPod({ requests: { memory: '1Mi' } })).json.message).toBe(
      'pods "p" is forbidden: failed quota: q: must specify requests.cpu for: c',
    );
    expect((await createPod({ requests: { cpu: '1500m' } })).json.message).toBe(
      'pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=1500m, used: requests.cpu=0, limited: requests.cpu=1',
    );
    expect((await createPod({ requests: { cpu: '400m' } })).status).toBe(201);
    expect([await used(), await used('best-effort')]).toEqual([{ pods: '1', 'requests.cpu': '400m' }, { pods: '0' }]);
  });

  it('counts the difference of a service that becomes reachable from outside', async () => {
    await quota({ services: '5', 'services.nodeports': '1' });
    const spec = { ports: [{ name: 'a', port: 1 }], type: 'ClusterIP' };
    await create('services', { metadata: { name: 's' }, spec });
    expect(await used()).toEqual({ services: '1', 'services.nodeports': '0' });
    const patch = (fields: object) => api.request('PATCH', path('services/s'), fields, { contentType: 'application/merge-patch+json' });
    expect((await patch({ spec: { type: 'NodePort' } })).status).toBe(200);
    expect(await used()).toEqual({ services: '1', 'services.nodeports': '1' });
    const second = await patch({
      spec: {
        ports: [
          { name: 'a', port: 1 },
          { name: 'b', port: 2 },
        ],
      },
    });
    expect(second.json.message).toContain('exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=1');
  });

  it('does not count events, nor other namespaces', async () => {
    await quota({ 'count/events': '0', configmaps: '0' });
    expect((await create('events', { metadata: { name: 'e' }, involvedObject: { namespace } })).status).toBe(201);
    expect((await api.request('POST', '/api/v1/namespaces/ns/configmaps', { metadata: { name: `other-${namespace}` } })).status).toBe(201);
  });
});
