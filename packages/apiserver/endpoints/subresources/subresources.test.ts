import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';

const pods = '/api/v1/namespaces/ns/pods';
const deployments = '/apis/apps/v1/namespaces/ns/deployments';
const merge = { contentType: 'application/merge-patch+json' };
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

async function createPod(name: string, spec: object = {}) {
  return (await api.request('POST', pods, { metadata: { name }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } })).json;
}

async function createNode(name: string, status: object, labels: object = {}) {
  expect((await api.request('POST', '/api/v1/nodes', { metadata: { name, labels }, status })).status).toBe(201);
}

async function createDeployment(name: string) {
  const template = { metadata: { labels: { a: 'b' } }, spec: { containers: [{ name: 'c', image: 'i' }] } };
  return (
    await api.request('POST', deployments, { metadata: { name }, spec: { replicas: 1, selector: { matchLabels: { a: 'b' } }, template } })
  ).json;
}

describe('status', () => {
  it('is written by its own subresource and by nothing else', async () => {
    const made = await createPod('p');
    expect(made.status).toEqual({ phase: 'Pending', qosClass: 'BestEffort' });
    const main = await api.request('PATCH', `${pods}/p`, { status: { phase: 'Running' } }, merge);
    expect(main.json.status.phase).toBe('Pending');
    const own = await api.request('PATCH', `${pods}/p/status`, { status: { phase: 'Running' }, spec: { nodeName: 'x' } }, merge);
    expect(own.json.status).toEqual({ phase: 'Running', qosClass: 'BestEffort' });
    expect(own.json.spec).not.toHaveProperty('nodeName');
    const entry = own.json.metadata.managedFields.find((e: { subresource?: string }) => e.subresource === 'status');
    expect(entry).toMatchObject({ manager: 'tester', operation: 'Update', fieldsV1: { 'f:status': { 'f:phase': {} } } });
  });

  it('of a pod keeps what it observed and its class, and warns of odd addresses', async () => {
    await createPod('seen');
    const write = (status: object) => api.request('PATCH', `${pods}/seen/status`, { status }, merge);
    const ready = { type: 'Ready', status: 'True', observedGeneration: 1 };
    const first = await write({ observedGeneration: 1, conditions: [ready], podIPs: [{ ip: 'fd00:0::1' }] });
    expect(String(first.headers.warning)).toContain('status.podIPs[0].ip: IPv6 address');
    const conditions = [
      { type: 'Ready', status: 'False' },
      { type: 'Ready', status: 'True' },
    ];
    const second = await write({ observedGeneration: null, qosClass: null, conditions });
    expect(second.json.status).toMatchObject({ observedGeneration: 1, qosClass: 'BestEffort' });
    const seen = second.json.status.conditions.map((condition: { observedGeneration?: number }) => condition.observedGeneration);
    expect(seen).toEqual([1, undefined]);
    const metadata = { deletionTimestamp: '2026-01-01T00:00:00Z' };
    const alive = await api.request('PATCH', `${pods}/seen/status`, { metadata }, merge);
    expect([alive.status, alive.json.metadata.deletionTimestamp]).toEqual([200, undefined]);
    const changed = await write({ qosClass: 'Guaranteed' });
    expect([changed.status, changed.json.message]).toEqual([422, expect.stringContaining('status.qosClass: Invalid value: "Guaranteed"')]);
  });

  it('does not count generations', async () => {
    await createDeployment('d');
    const { json } = await api.request('PATCH', `${deployments}/d/status`, { status: { replicas: 1 } }, merge);
    expect(json).toMatchObject({ metadata: { generation: 1 }, status: { replicas: 1 } });
    const changed = await api.request('PATCH', `${deployments}/d`, { metadata: { annotations: { note: 'x' } } }, merge);
    expect(changed.json.metadata.generation).toBe(2);
  });
});

describe('a subresource of no object', () => {
  it.each([
    ['POST', `${pods}//exec`],
    ['GET', `${pods}//log`],
    ['GET', `${deployments}//scale`],
  ])('is refused: %s %s', async (method, path) => {
    const { status, json } = await api.request(method, path);
    expect([status, json.message]).toEqual([400, 'name must be provided']);
  });
});

describe('scale', () => {
  it('is shown as a table with what is wanted and what is there', async () => {
    await createDeployment('t');
    const table = { headers: { accept: 'application/json;as=Table;v=v1;g=meta.k8s.io' } };
    const { json } = await api.request('GET', `${deployments}/t/scale`, undefined, table);
    expect(json.columnDefinitions.map((c: { name: string; type: string }) => `${c.name} ${c.type}`)).toEqual([
      'Name string',
      'Desired integer',
      'Available integer',
      'Age string',
    ]);
    expect(json.rows[0].cells).toEqual(['t', 1, 0, expect.any(String)]);
    expect(json.rows[0].object).toMatchObject({ kind: 'PartialObjectMetadata', metadata: { name: 't' } });
  });

  it('shows and sets the replicas of its parent', async () => {
    await createDeployment('s');
    const shown = await api.request('GET', `${deployments}/s/scale`);
    expect(shown.json).toMatchObject({
      kind: 'Scale',
      apiVersion: 'autoscaling/v1',
      metadata: { name: 's' },
      spec: { replicas: 1 },
      status: { replicas: 0, selector: 'a=b' },
    });
    const patched = await api.request('PATCH', `${deployments}/s/scale`, { spec: { replicas: 3 } }, merge);
    expect(patched.json.spec).toEqual({ replicas: 3 });
    const parent = await api.request('GET', `${deployments}/s`);
    expect(parent.json).toMatchObject({ spec: { replicas: 3 }, metadata: { generation: 2 } });
    const put = await api.request('PUT', `${deployments}/s/scale`, { ...shown.json, spec: { replicas: 2 } });
    expect(put.json.code).toBe(409);
    const fresh = await api.request('PUT', `${deployments}/s/scale`, { metadata: { name: 's', namespace: 'ns' }, spec: {} });
    expect(fresh.status).toBe(200);
    expect((await api.request('GET', `${deployments}/s`)).json.spec.replicas).toBe(0);
  });

  it('refuses fewer than none and parents that are not there', async () => {
    await createDeployment('n');
    const negative = await api.request('PATCH', `${deployments}/n/scale`, { spec: { replicas: -1 } }, merge);
    expect(negative.json.message).toBe(
      'Scale.autoscaling "n" is invalid: spec.replicas: Invalid value: -1: must be greater than or equal to 0',
    );
    expect((await api.request('GET', `${deployments}/none/scale`)).json.message).toBe('deployments/scale.apps "none" not found');
  });
});

describe('binding', () => {
  it('assigns a pod to a node, once', async () => {
    await createPod('b');
    await api.request('PATCH', `${pods}/b/status`, { status: { nominatedNodeName: 'n0' } }, merge);
    const bind = () =>
      api.request('POST', `${pods}/b/binding`, {
        metadata: { name: 'b', annotations: { why: 'x' } },
        target: { kind: 'Node', name: 'n1' },
      });
    const { status, json } = await bind();
    expect(status).toBe(201);
    expect(json).toMatchObject({ kind: 'Status', status: 'Success' });
    const bound = await api.request('GET', `${pods}/b`);
    expect(bound.json).toMatchObject({ spec: { nodeName: 'n1' }, metadata: { annotations: { why: 'x' } } });
    expect(bound.json.status.conditions).toMatchObject([{ type: 'PodScheduled', status: 'True' }]);
    expect(bound.json.status.nominatedNodeName).toBeUndefined();
    expect((await bind()).json).toMatchObject({
      code: 409,
      message: 'Operation cannot be fulfilled on pods/binding "b": pod b is already assigned to node "n1"',
    });
  });

  it('gives the pod the labels of the binding, and zone and region of its node', async () => {
    const zone = 'topology.kubernetes.io/zone';
    const region = 'topology.kubernetes.io/region';
    await createNode('placed', {}, { [zone]: 'z1', [region]: 'r1', [`${zone}-other`]: 'x' });
    await api.request('POST', pods, {
      metadata: { name: 'l', labels: { a: 'pod', [zone]: 'guess' } },
      spec: { containers: [{ name: 'c', image: 'i' }] },
    });
    await api.request('POST', `${pods}/l/binding`, {
      metadata: { name: 'l', labels: { a: 'binding', b: 'c' } },
      target: { kind: 'Node', name: 'placed' },
    });
    expect((await api.request('GET', `${pods}/l`)).json.metadata.labels).toEqual({ a: 'binding', b: 'c', [zone]: 'z1', [region]: 'r1' });
    expect((await createPod('chosen', { nodeName: 'placed' })).metadata.labels).toEqual({ [zone]: 'z1', [region]: 'r1' });
    expect((await createPod('unplaced')).metadata).not.toHaveProperty('labels');
  });

  it('also works by the older path', async () => {
    await createPod('old');
    const { status } = await api.request('POST', '/api/v1/namespaces/ns/bindings', { metadata: { name: 'old' }, target: { name: 'n2' } });
    expect(status).toBe(201);
    expect((await api.request('GET', `${pods}/old`)).json.spec.nodeName).toBe('n2');
  });
});

describe('answers that are no stored objects', () => {
  it('cannot be had as a table', async () => {
    await createPod('tab', {});
    const accept = 'application/json;as=Table;v=v1;g=meta.k8s.io';
    const body = { metadata: { name: 'tab' }, target: { kind: 'Node', name: 'n1' } };
    const refused = await api.request('POST', `${pods}/tab/binding`, body, { headers: { accept } });
    expect(refused.json).toMatchObject({
      code: 406,
      message: 'only the following media types are accepted: application/json, application/yaml, application/vnd.kubernetes.protobuf',
    });
    expect((await api.request('POST', `${pods}/tab/binding`, body, { headers: { accept: `${accept},application/json` } })).status).toBe(
      201,
    );
  });
});

describe('eviction', () => {
  it('deletes gracefully', async () => {
    await createPod('e', { nodeName: 'n1' });
    const { status, json } = await api.request('POST', `${pods}/e/eviction`, { metadata: { name: 'e' } });
    expect([status, json.status]).toEqual([201, 'Success']);
    expect((await api.request('GET', `${pods}/e`)).json.metadata.deletionGracePeriodSeconds).toBe(30);
    expect((await api.request('POST', `${pods}/none/eviction`, { metadata: { name: 'none' } })).status).toBe(404);
  });
});

describe('ephemeralcontainers', () => {
  it('adds containers and keeps those that are there', async () => {
    await createPod('dbg', { nodeName: 'n1' });
    const add = (names: string[]) =>
      api.request(
        'PATCH',
        `${pods}/dbg/ephemeralcontainers`,
        { spec: { ephemeralContainers: names.map((name) => ({ name, image: 'i' })) } },
        merge,
      );
    const first = await add(['one']);
    expect(first.json.spec.ephemeralContainers).toMatchObject([{ name: 'one', image: 'i' }]);
    const gone = await add(['two']);
    expect(gone.json.message).toContain('existing ephemeral containers "one" may not be removed');
    const changed = await api.request(
      'PATCH',
      `${pods}/dbg/ephemeralcontainers`,
      { spec: { ephemeralContainers: [{ name: 'one', image: 'other' }] } },
      merge,
    );
    expect(changed.json.message).toContain('existing ephemeral containers "one" may not be changed\n@@');
  });
});

describe('token', () => {
  const url = '/api/v1/namespaces/ns/serviceaccounts/default/token';

  it('is issued for the account and bound to the pod that is named', async () => {
    const pod = await createPod('tok', { nodeName: 'n1' });
    const { status, json } = await api.request('POST', url, {
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: { audiences: ['x'], expirationSeconds: 600, boundObjectRef: { kind: 'Pod', apiVersion: 'v1', name: 'tok' } },
    });
    expect(status).toBe(201);
    expect(JSON.parse(json.status.token)).toMatchObject({
      namespace: 'ns',
      name: 'default',
      audiences: ['x'],
      expirationSeconds: 600,
      boundObject: { kind: 'Pod', name: 'tok', uid: pod.metadata.uid },
      node: { name: 'n1' },
    });
    expect(json.metadata).toMatchObject({ name: 'default', namespace: 'ns' });
  });

  it('lives for a year in pods that get it from admission, though its answer says an hour', async () => {
    await createPod('aged', { nodeName: 'n1' });
    const boundObjectRef = { kind: 'Pod', apiVersion: 'v1', name: 'aged' };
    const issued = async (spec: object) => JSON.parse((await api.request('POST', url, { spec })).json.status.token);
    expect(await issued({ expirationSeconds: 3607, boundObjectRef })).toMatchObject({
      expirationSeconds: 31_536_000,
      warnAfterSeconds: 3607,
    });
    const { json } = await api.request('POST', url, { spec: { expirationSeconds: 3607, boundObjectRef } });
    expect(Date.parse(json.status.expirationTimestamp) - api.clock.now()).toBeLessThanOrEqual(3_607_000);
    for (const spec of [
      { expirationSeconds: 3607 },
      { expirationSeconds: 3600, boundObjectRef },
      { expirationSeconds: 3607, boundObjectRef, audiences: ['x'] },
    ]) {
      expect(await issued(spec)).toMatchObject({ expirationSeconds: spec.expirationSeconds });
    }
  });

  it('lives no longer than the server allows, and the client is told', async () => {
    const { json, headers } = await api.request('POST', url, { spec: { expirationSeconds: 200_000 } });
    expect(json.spec.expirationSeconds).toBe(100_000);
    expect(String(headers.warning)).toContain('requested expiration of 200000 seconds shortened to 100000 seconds');
  });

  it.each([
    [
      { expirationSeconds: 10 },
      'TokenRequest.authentication.k8s.io "" is invalid: spec.expirationSeconds: Invalid value: 10: may not specify a duration less than 10 minutes',
    ],
    [{ boundObjectRef: { kind: 'Job', apiVersion: 'batch/v1', name: 'j' } }, 'cannot bind token to object of type batch/v1, Kind=Job'],
    [{ boundObjectRef: { kind: 'Secret', apiVersion: 'v1', name: 'none' } }, 'secrets "none" not found'],
    [{ boundObjectRef: { kind: 'Secret', apiVersion: 'v1' } }, 'Name parameter required.'],
  ])('refuses %j', async (spec, message) => {
    expect((await api.request('POST', url, { spec })).json.message).toBe(message);
  });

  it('refuses to be for another account', async () => {
    const { status, json } = await api.request('POST', url, { metadata: { name: 'other' }, spec: {} });
    expect({ status, message: json.message }).toEqual({
      status: 422,
      message:
        'TokenRequest.authentication.k8s.io "default" is invalid: metadata.name: Invalid value: "other": must match the service account name if specified',
    });
  });
});

describe('certificate signing requests', () => {
  const csrs = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
  // CN=jane, O=dev, a P-256 key made for this test and thrown away.
  const request =
    'LS0tLS1CRUdJTiBDRVJUSUZJQ0FURSBSRVFVRVNULS0tLS0KTUlIV01IOENBUUF3SFRFTk1Bc0dBMVVFQXd3RWFtRnVaVEVNTUFvR0ExVUVDZ3' +
    'dEWkdWMk1Ga3dFd1lIS29aSQp6ajBDQVFZSUtvWkl6ajBEQVFjRFFnQUV2L0hlbk41N2pwWFZ5N0Z3dVJ5ZkFIQkFHV0N2QllYWmlMa3FneEJq' +
    'Ck9RVFJaenNDQ3dTVVRqTkxEQWw4Y1J2dXRNNnp5ekRlSE9YbDVpcWg2TTd0MHFBQU1Bb0dDQ3FHU000OUJBTUMKQTBjQU1FUUNJQk1jSDhXRW' +
    '9HMm9HNU1NMk9YcUZOM3hqMkN0MzZWN0J1OXhsR0QvcytwakFpQk1jMW11NmdwYQorWFZsR1NGV1BiaGpPU3U1SzdUUit2QkNWQk1yOW1DRGJR' +
    'PT0KLS0tLS1FTkQgQ0VSVElGSUNBVEUgUkVRVUVTVC0tLS0tCg==';
  const jane = { user: { name: 'jane', groups: ['system:authenticated'] } };

  it('say who made them, whatever they claim, and start undecided', async () => {
    const spec = { request, signerName: 'example.com/x', usages: ['client auth'], username: 'root', groups: ['system:masters'] };
    const body = { metadata: { name: 'csr' }, spec, status: { conditions: [{ type: 'Approved', status: 'True' }] } };
    const made = await api.request('POST', csrs, body, jane);
    expect(made.status).toBe(201);
    expect(made.json.spec).toMatchObject({ username: 'jane', groups: ['system:authenticated'] });
    expect(made.json.status).toEqual({});
  });

  it('are decided through approval and signed through status', async () => {
    const decision = { type: 'Approved', status: 'True', reason: 'test', message: 'fine' };
    const approved = await api.request('PATCH', `${csrs}/csr/approval`, { status: { conditions: [decision] } }, merge);
    expect(approved.json.status.conditions).toMatchObject([
      { ...decision, lastUpdateTime: expect.any(String), lastTransitionTime: expect.any(String) },
    ]);
    const undone = await api.request('PATCH', `${csrs}/csr/status`, { status: { conditions: null } }, merge);
    expect(undone.json.message).toContain('status.conditions: Forbidden: updates may not remove a condition of type "Approved"');
    const reworded = { status: { conditions: [{ ...decision, message: 'not so fine' }] } };
    expect((await api.request('PATCH', `${csrs}/csr/status`, reworded, merge)).json.status.conditions).toMatchObject([decision]);
    await api.request('POST', csrs, {
      metadata: { name: 'other' },
      spec: { request, signerName: 'example.com/x', usages: ['client auth'] },
    });
    const denied = { status: { conditions: [{ ...decision, type: 'Denied' }] } };
    expect((await api.request('PATCH', `${csrs}/other/status`, denied, merge)).json.message).toContain(
      'status.conditions: Forbidden: updates may not add a condition of type "Denied"',
    );
    const main = await api.request('PATCH', `${csrs}/csr`, { spec: { signerName: 'example.com/y' } }, merge);
    expect(main.json.spec.signerName).toBe('example.com/x');
  });
});

describe('services', () => {
  const services = '/api/v1/namespaces/ns/services';
  const spec = { selector: { a: 'b' }, ports: [{ port: 80 }] };

  it('get an address of their own and keep it', async () => {
    const made = await api.request('POST', services, { metadata: { name: 'one' }, spec });
    expect(made.status).toBe(201);
    expect(made.json.spec.clusterIP).toMatch(/^10\.96\.\d+\.\d+$/);
    expect(made.json.spec.clusterIPs).toEqual([made.json.spec.clusterIP]);
    const put = await api.request('PUT', `${services}/one`, { metadata: { name: 'one' }, spec: { ...spec, ports: [{ port: 81 }] } });
    expect(put.json.spec.clusterIP).toBe(made.json.spec.clusterIP);
    const taken = await api.request('POST', services, {
      metadata: { name: 'two' },
      spec: { ...spec, clusterIP: made.json.spec.clusterIP },
    });
    expect(taken.json.message).toContain('provided IP is already allocated');
    const headless = await api.request('POST', services, { metadata: { name: 'three' }, spec: { ...spec, clusterIP: 'None' } });
    expect(headless.json.spec).toMatchObject({ clusterIP: 'None', clusterIPs: ['None'] });
  });
});

describe('events', () => {
  it('are one object in two groups', async () => {
    const made = await api.request('POST', '/api/v1/namespaces/ns/events', {
      metadata: { name: 'ev' },
      involvedObject: { kind: 'Pod', namespace: 'ns', name: 'p', apiVersion: 'v1' },
      reason: 'Started',
      message: 'Started container',
      type: 'Normal',
    });
    expect(made.status).toBe(201);
    const other = await api.request('GET', '/apis/events.k8s.io/v1/namespaces/ns/events/ev');
    expect(other.json).toMatchObject({ apiVersion: 'events.k8s.io/v1', regarding: { name: 'p' }, note: 'Started container' });
    const list = await api.request('GET', '/apis/events.k8s.io/v1/namespaces/ns/events');
    expect(list.json).toMatchObject({ kind: 'EventList', apiVersion: 'events.k8s.io/v1', items: [{ note: 'Started container' }] });
    const selected = await api.request('GET', '/api/v1/namespaces/ns/events?fieldSelector=involvedObject.name%3Dp,reason%3DStarted');
    expect(selected.json.items).toHaveLength(1);
    const byNewNames = '/apis/events.k8s.io/v1/namespaces/ns/events?fieldSelector=regarding.name%3Dp,reportingController%3D';
    expect((await api.request('GET', byNewNames)).json.items).toHaveLength(1);
    expect((await api.request('GET', `${byNewNames}other`)).json.items).toEqual([]);
    await api.request('PATCH', '/api/v1/namespaces/ns/events/ev', { message: 'again' }, merge);
    const labelled = await api.request(
      'PATCH',
      '/apis/events.k8s.io/v1/namespaces/ns/events/ev',
      { metadata: { labels: { l: 'x' } } },
      merge,
    );
    expect(labelled.json).toMatchObject({ apiVersion: 'events.k8s.io/v1', note: 'again', metadata: { labels: { l: 'x' } } });
    const fixed = await api.request('PATCH', '/apis/events.k8s.io/v1/namespaces/ns/events/ev', { note: 'other' }, merge);
    expect(fixed.json.code).toBe(422);
  });
});
