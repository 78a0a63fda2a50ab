import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

const services = '/api/v1/namespaces/ns/services';
const ports = [{ port: 80 }];
const merge = { contentType: 'application/merge-patch+json' };
let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
});
afterAll(() => api.close());

const create = (name: string, spec: object) => api.request('POST', services, { metadata: { name }, spec: { ports, ...spec } });
const patch = (name: string, spec: object) => api.request('PATCH', `${services}/${name}`, { spec }, merge);

describe('cluster addresses', () => {
  it('are given to every service and owned by nobody', async () => {
    const { json } = await create('plain', { selector: { app: 'x' } });
    expect(json.spec).toMatchObject({ ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack', clusterIPs: [json.spec.clusterIP] });
    expect(json.spec.clusterIP).toMatch(/^10\.96\.\d+\.\d+$/);
    expect(json.metadata.managedFields[0].fieldsV1['f:spec']).toEqual({
      'f:internalTrafficPolicy': {},
      'f:ports': {
        '.': {},
        'k:{"port":80,"protocol":"TCP"}': { '.': {}, 'f:port': {}, 'f:protocol': {}, 'f:targetPort': {} },
      },
      'f:selector': {},
      'f:sessionAffinity': {},
      'f:type': {},
    });
  });

  it('stay, whatever is sent', async () => {
    const { json } = await create('stays', {});
    const replaced = await api.request('PUT', `${services}/stays`, { metadata: { name: 'stays' }, spec: { ports: [{ port: 81 }] } });
    expect(replaced.json.spec).toMatchObject({ clusterIP: json.spec.clusterIP, clusterIPs: [json.spec.clusterIP], ipFamilies: ['IPv4'] });
    const changed = await patch('stays', { clusterIP: '10.96.200.200' });
    expect(changed.json.message).toBe(
      'Service "stays" is invalid: spec.clusterIPs[0]: Invalid value: ["10.96.200.200"]: may not change once set',
    );
  });

  it('can be chosen while they are free', async () => {
    expect((await create('chosen', { clusterIP: '10.96.3.3' })).json.spec).toMatchObject({ clusterIPs: ['10.96.3.3'] });
    expect((await create('again', { clusterIP: '10.96.3.3' })).json.message).toBe(
      'Service "again" is invalid: spec.clusterIPs: Invalid value: ["10.96.3.3"]: failed to allocate IP 10.96.3.3: provided IP is already allocated',
    );
    expect((await create('outside', { clusterIP: '10.97.0.1' })).json.message).toBe(
      'Service "outside" is invalid: spec.clusterIPs: Invalid value: ["10.97.0.1"]: failed to allocate IP 10.97.0.1: the provided IP (10.97.0.1) is not in the valid range. The range of valid IPs is 10.96.0.0/16',
    );
    expect((await create('six', { ipFamilies: ['IPv6'], ipFamilyPolicy: 'RequireDualStack' })).json.details.causes).toEqual([
      { reason: 'FieldValueInvalid', field: 'spec.ipFamilies[0]', message: 'Invalid value: "IPv6": not configured on this cluster' },
      {
        reason: 'FieldValueInvalid',
        field: 'spec.ipFamilyPolicy',
        message: 'Invalid value: "RequireDualStack": this cluster is not configured for dual-stack services',
      },
    ]);
  });

  it('are left out on request', async () => {
    const selected = await create('headless', { clusterIP: 'None', selector: { app: 'x' } });
    expect(selected.json.spec).toMatchObject({ clusterIPs: ['None'], ipFamilies: ['IPv4'], ipFamilyPolicy: 'SingleStack' });
    const open = await create('selectorless', { clusterIP: 'None' });
    expect(open.json.spec).toMatchObject({ ipFamilies: ['IPv4', 'IPv6'], ipFamilyPolicy: 'RequireDualStack' });
    const alias = await create('alias', { type: 'ExternalName', externalName: 'a.b' });
    expect(Object.keys(alias.json.spec).sort()).toEqual(['externalName', 'ports', 'sessionAffinity', 'type']);
  });
});

describe('node ports', () => {
  it('come with the type and go with it', async () => {
    const created = await create('node', { type: 'NodePort' });
    const [{ nodePort }] = created.json.spec.ports;
    expect(nodePort).toBeGreaterThanOrEqual(30_086);
    expect(nodePort).toBeLessThanOrEqual(32_767);
    const grown = await patch('node', {
      ports: [
        { name: 'a', port: 80 },
        { name: 'b', port: 80, protocol: 'UDP' },
      ],
    });
    const [a, b] = grown.json.spec.ports;
    expect(a.nodePort).toBe(b.nodePort);
    const inside = await patch('node', { type: 'ClusterIP' });
    expect(inside.json.spec).not.toHaveProperty('externalTrafficPolicy');
    expect(inside.json.spec.ports.map((port: object) => 'nodePort' in port)).toEqual([false, false]);
    expect((await patch('node', { type: 'ExternalName', externalName: 'a.b' })).status).toBe(200);
  });

  it('can be chosen while they are free', async () => {
    expect((await create('p1', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_010 }] })).status).toBe(201);
    expect((await patch('p1', { externalTrafficPolicy: 'Local' })).json.spec.ports[0].nodePort).toBe(30_010);
    expect((await create('p2', { type: 'NodePort', ports: [{ port: 80, nodePort: 30_010 }] })).json.message).toBe(
      'Service "p2" is invalid: spec.ports[0].nodePort: Invalid value: 30010: provided port is already allocated',
    );
    expect((await create('p3', { type: 'NodePort', ports: [{ port: 80, nodePort: 80 }] })).json.message).toBe(
      'Service "p3" is invalid: spec.ports[0].nodePort: Invalid value: 80: provided port is not in the valid range. The range of valid ports is 30000-32767',
    );
  });

  it('are also there for health checks of balancers', async () => {
    const { json } = await create('balanced', { type: 'LoadBalancer', externalTrafficPolicy: 'Local' });
    expect(json.spec.healthCheckNodePort).toBeGreaterThan(30_000);
    expect(json.spec.healthCheckNodePort).not.toBe(json.spec.ports[0].nodePort);
    const again = await patch('balanced', { ports: [{ port: 81 }] });
    expect(again.json.spec.healthCheckNodePort).toBe(json.spec.healthCheckNodePort);
    const none = await create('unported', { type: 'LoadBalancer', allocateLoadBalancerNodePorts: false });
    expect(none.json.spec.ports[0]).not.toHaveProperty('nodePort');
  });
});

it('names of elsewhere have no internal traffic policy', async () => {
  const elsewhere = { type: 'ExternalName', externalName: 'a.b' };
  const alias = await create('alias-policy', { ...elsewhere, internalTrafficPolicy: 'Local' });
  expect([alias.status, alias.json.spec.internalTrafficPolicy]).toEqual([201, undefined]);
  expect((await create('internal', {})).json.spec.internalTrafficPolicy).toBe('Cluster');
  expect((await patch('internal', elsewhere)).json.spec).not.toHaveProperty('internalTrafficPolicy');
  expect((await create('unknown-policy', { ...elsewhere, internalTrafficPolicy: 'Far' })).status).toBe(422);
});

it('every answer about Endpoints says that they are deprecated', async () => {
  const text = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"';
  const endpoints = '/api/v1/namespaces/ns/endpoints';
  const answers = await Promise.all([
    api.request('POST', endpoints, { metadata: { name: 'e' } }),
    api.request('GET', endpoints),
    api.request('GET', `${endpoints}/none`),
  ]);
  expect(answers.map(({ status }) => status)).toEqual([201, 200, 404]);
  for (const { headers } of answers) expect(headers.warning).toEqual([text]);
});

describe('writes at the same time', () => {
  it('never get the same address or port', async () => {
    const all = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', ports: [{ port: 80 }] };
    const created = await Promise.all(Array.from({ length: 40 }, (_, i) => create(`many-${i}`, all)));
    expect(created.map((answer) => answer.status)).toEqual(created.map(() => 201));
    const specs = created.map((answer) => answer.json.spec);
    expect(new Set(specs.map((spec) => spec.clusterIP)).size).toBe(40);
    expect(new Set(specs.flatMap((spec) => [spec.ports[0].nodePort, spec.healthCheckNodePort])).size).toBe(80);
  });

  it('cannot choose the same one', async () => {
    const same = { type: 'NodePort', clusterIP: '10.96.7.7', ports: [{ port: 80, nodePort: 30_007 }] };
    const answers = await Promise.all(Array.from({ length: 8 }, (_, i) => create(`same-${i}`, same)));
    expect(answers.map((answer) => answer.status).sort()).toEqual([201, ...answers.slice(1).map(() => 422)]);
  });

  it('can have what a refused or dry one asked for', async () => {
    const chosen = { clusterIP: '10.96.8.8' };
    const dry = await api.request('POST', `${services}?dryRun=All`, { metadata: { name: 'dry' }, spec: { ports, ...chosen } });
    expect(dry.status).toBe(201);
    await create('taken-name', {});
    expect((await create('taken-name', chosen)).status).toBe(409);
    expect((await create('gets-it', chosen)).status).toBe(201);
  });
});
