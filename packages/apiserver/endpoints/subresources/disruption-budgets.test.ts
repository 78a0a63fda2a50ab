import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';

const budgets = '/apis/policy/v1/namespaces/ns/poddisruptionbudgets';
let api: TestApi;
let number = 0;
let app = '';

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());
beforeEach(() => {
  app = `app-${++number}`;
});

/** A pod as its kubelet reports it. */
async function runPod(name: string, ready: boolean, phase = 'Running'): Promise<void> {
  const path = '/api/v1/namespaces/ns/pods';
  const { json } = await api.request('POST', path, {
    metadata: { name, labels: { app } },
    spec: { nodeName: 'n', terminationGracePeriodSeconds: 0, containers: [{ name: 'c', image: 'i' }] },
  });
  const conditions = [{ type: 'Ready', status: ready ? 'True' : 'False' }];
  await api.request('PUT', `${path}/${name}/status`, { ...json, status: { phase, conditions } });
}

/** A budget as the disruption loop leaves it. */
async function putBudget(status: object, spec: object = {}, name = app): Promise<void> {
  const body = { metadata: { name }, spec: { minAvailable: 1, selector: { matchLabels: { app } }, ...spec } };
  const { json } = await api.request('POST', budgets, body);
  await api.request('PUT', `${budgets}/${name}/status`, { ...json, status: { observedGeneration: 1, ...status } });
}

const evict = (name: string, query = '') =>
  api.request('POST', `/api/v1/namespaces/ns/pods/${name}/eviction${query}`, { metadata: { name } });
const exists = async (name: string) => (await api.request('GET', `/api/v1/namespaces/ns/pods/${name}`)).status === 200;
const status = async () => (await api.request('GET', `${budgets}/${app}`)).json.status;

describe('eviction', () => {
  it('takes from the budget of the pod until there is nothing left', async () => {
    await runPod(`${app}-a`, true);
    await runPod(`${app}-b`, true);
    await putBudget({ disruptionsAllowed: 1, currentHealthy: 2, desiredHealthy: 1, expectedPods: 2 });
    expect((await evict(`${app}-a`, '?dryRun=All')).status).toBe(201);
    expect(await status()).toMatchObject({ disruptionsAllowed: 1 });
    expect((await evict(`${app}-a`)).status).toBe(201);
    expect(await exists(`${app}-a`)).toBe(false);
    expect(await status()).toMatchObject({
      disruptionsAllowed: 0,
      disruptedPods: { [`${app}-a`]: expect.any(String) },
      conditions: [{ type: 'DisruptionAllowed', status: 'False', reason: 'InsufficientPods' }],
    });
    expect((await evict(`${app}-b`)).json).toEqual({
      kind: 'Status',
      apiVersion: 'v1',
      metadata: {},
      status: 'Failure',
      code: 429,
      reason: 'TooManyRequests',
      message: "Cannot evict pod as it would violate the pod's disruption budget.",
      details: {
        causes: [{ reason: 'DisruptionBudget', message: `The disruption budget ${app} needs 1 healthy pods and has 2 currently` }],
      },
    });
    expect(await exists(`${app}-b`)).toBe(true);
  });

  it('waits until a budget has been counted', async () => {
    await runPod(app, true);
    await putBudget({ disruptionsAllowed: 1, observedGeneration: 0 });
    expect((await evict(app)).json.details).toEqual({
      retryAfterSeconds: 10,
      causes: [{ reason: 'DisruptionBudget', message: `The disruption budget ${app} is still being processed by the server.` }],
    });
  });

  it('lets pods go that are no loss', async () => {
    await putBudget({ disruptionsAllowed: 0, currentHealthy: 2, desiredHealthy: 2 });
    for (const phase of ['Pending', 'Succeeded']) {
      await runPod(app, true, phase);
      expect((await evict(app)).status).toBe(201);
    }
    await runPod(app, false);
    expect((await evict(app)).status).toBe(201);
    expect(await exists(app)).toBe(false);
  });

  it('keeps pods that are not healthy while too few are, unless the budget says otherwise', async () => {
    await runPod(app, false);
    await putBudget({ disruptionsAllowed: 0, currentHealthy: 1, desiredHealthy: 2 });
    expect((await evict(app)).status).toBe(429);
    const patch = { spec: { unhealthyPodEvictionPolicy: 'AlwaysAllow' } };
    await api.request('PATCH', `${budgets}/${app}`, patch, { contentType: 'application/merge-patch+json' });
    expect((await evict(app)).status).toBe(201);
  });

  it('does not choose between budgets', async () => {
    await runPod(app, true);
    await putBudget({ disruptionsAllowed: 1 });
    await putBudget({ disruptionsAllowed: 1 }, {}, `${app}-second`);
    const { status: code, json } = await evict(app);
    expect([code, json.message]).toEqual([
      500,
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    ]);
  });

  it('takes the older version of its body, and no other', async () => {
    await runPod(app, true);
    const post = (apiVersion: string) =>
      api.request('POST', `/api/v1/namespaces/ns/pods/${app}/eviction?dryRun=All`, {
        apiVersion,
        kind: 'Eviction',
        metadata: { name: app },
      });
    expect((await post('policy/v1beta1')).status).toBe(201);
    expect((await post('policy/v2')).json.message).toContain('no kind "Eviction" is registered for version "policy/v2"');
  });

  it.each([
    ['resourceVersion', '1', 'the ResourceVersion in the precondition (1) does not match the ResourceVersion in record ('],
    ['uid', 'other', 'the UID in the precondition (other) does not match the UID in record ('],
  ])('leaves pods that are not those meant by their %s', async (field, value, message) => {
    await runPod(app, true);
    const metadata = { name: app };
    const { status: code, json } = await api.request('POST', `/api/v1/namespaces/ns/pods/${app}/eviction`, {
      metadata,
      deleteOptions: { preconditions: { [field]: value } },
    });
    expect([code, json.message]).toEqual([409, expect.stringContaining(`Operation cannot be fulfilled on Pod "${app}": ${message}`)]);
    const kept = await api.request('GET', `/api/v1/namespaces/ns/pods/${app}`);
    expect(kept.json.status.conditions).not.toContainEqual(expect.objectContaining({ type: 'DisruptionTarget' }));
  });

  it('says in the pod why it goes', async () => {
    await runPod(app, true);
    const { json } = await api.request('GET', `/api/v1/namespaces/ns/pods/${app}`);
    await api.request('PUT', `/api/v1/namespaces/ns/pods/${app}`, {
      ...json,
      metadata: { ...json.metadata, finalizers: ['example.com/x'] },
    });
    expect((await evict(app)).status).toBe(201);
    const kept = await api.request('GET', `/api/v1/namespaces/ns/pods/${app}`);
    expect(kept.json.metadata.deletionTimestamp).toBeDefined();
    expect(kept.json.status.conditions).toContainEqual(
      expect.objectContaining({
        type: 'DisruptionTarget',
        status: 'True',
        reason: 'EvictionByEvictionAPI',
        message: 'Eviction API: evicting',
      }),
    );
  });
});
