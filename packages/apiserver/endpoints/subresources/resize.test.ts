import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';

const pods = '/api/v1/namespaces/ns/pods';
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

describe('resize', () => {
  const size = (requests: object, more: object = {}) => ({ name: 'c', image: 'i', resources: { requests }, ...more });
  const resize = (name: string, containers: object[]) => api.request('PATCH', `${pods}/${name}/resize`, { spec: { containers } }, merge);

  it('changes cpu and memory, and nothing else that was sent', async () => {
    await createPod('big', { containers: [size({ cpu: '1', memory: '1Gi' })] });
    const { status, json } = await api.request(
      'PATCH',
      `${pods}/big/resize`,
      { metadata: { labels: { a: 'b' } }, spec: { nodeName: 'n', containers: [size({ cpu: '2', memory: '1Gi' }, { image: 'other' })] } },
      merge,
    );
    expect(status).toBe(200);
    expect(json.spec.containers[0]).toMatchObject({ image: 'i', resources: { requests: { cpu: '2', memory: '1Gi' } } });
    expect(json.spec).not.toHaveProperty('nodeName');
    expect(json.metadata).toMatchObject({ generation: 2 });
    expect(json.metadata).not.toHaveProperty('labels');
  });

  it('keeps the quality of service, the containers and the kinds of resources', async () => {
    await createPod('fix', { containers: [size({ cpu: '1', memory: '1Gi' }), { name: 'd', image: 'i' }] });
    const messageOf = async (...containers: object[]) => (await resize('fix', containers)).json.message;
    const other = { name: 'd', image: 'i' };
    expect(await messageOf(size({}), other)).toContain(
      'spec: Invalid value: "Burstable": Pod QOS Class may not change as a result of resizing',
    );
    expect(await messageOf(size({ cpu: '1' }), other)).toContain(
      'spec.containers[0].resources.requests: Forbidden: resource requests cannot be removed',
    );
    expect(await messageOf(size({ cpu: '1', memory: '1Gi', 'example.com/x': '1' }), other)).toContain(
      'only cpu and memory resources are mutable',
    );
    expect(await messageOf(size({ cpu: '1', memory: '1Gi' }))).toContain(
      'spec.containers: Forbidden: containers may not be added or removed on resize',
    );
    expect(await messageOf(other, size({ cpu: '1', memory: '1Gi' }))).toContain(
      'spec.containers[0].name: Forbidden: containers may not be renamed or reordered on resize',
    );
  });

  it('is refused for what runs on a node that shows no resources of it', async () => {
    await createNode('resizing', { allocatable: { cpu: '4' } });
    await createPod('run', { nodeName: 'resizing', containers: [size({ cpu: '1' })] });
    const show = (more: object) => {
      const status = { name: 'c', image: 'i', imageID: '', ready: true, restartCount: 0, state: { running: {} }, ...more };
      return api.request('PATCH', `${pods}/run/status`, { status: { containerStatuses: [status] } }, merge);
    };
    await show({});
    expect((await resize('run', [size({ cpu: '2' })])).json.message).toBe(
      'Pod "run" is invalid: spec: Forbidden: Pod running on node without support for resize',
    );
    await show({ resources: { requests: { cpu: '1' } } });
    expect((await resize('run', [size({ cpu: '2' })])).status).toBe(200);
  });

  it('changes what the pod asks for as a whole, which may come but not go', async () => {
    const whole = (name: string, resources: object | null) =>
      api.request('PATCH', `${pods}/${name}/resize`, { spec: { resources } }, merge);
    await createPod('whole', { resources: { requests: { cpu: '1', 'hugepages-2Mi': '2Mi' }, limits: { 'hugepages-2Mi': '2Mi' } } });
    const { json } = await whole('whole', { requests: { cpu: '2', memory: '1Gi' } });
    expect(json.spec.resources.requests).toEqual({ cpu: '2', memory: '1Gi', 'hugepages-2Mi': '2Mi' });
    expect(json.metadata.generation).toBe(2);
    const messageOf = async (resources: object | null) => (await whole('whole', resources)).json.message;
    expect(await messageOf({ requests: { cpu: null } })).toBe(
      'Pod "whole" is invalid: spec.resources.requests: Forbidden: pod-level resource requests cannot be removed',
    );
    expect(await messageOf({ requests: { 'hugepages-2Mi': '4Mi' }, limits: { 'hugepages-2Mi': '4Mi' } })).toBe(
      'Pod "whole" is invalid: spec: Forbidden: only cpu and memory resources are mutable at pod-level',
    );
    expect(await messageOf(null)).toContain('spec.resources: Forbidden: pod-level resources cannot be removed');
    await createPod('parts', { containers: [size({ cpu: '1' })] });
    expect((await whole('parts', { requests: { cpu: '1' } })).json.spec.resources).toEqual({ requests: { cpu: '1' } });
  });

  it('changes init containers', async () => {
    const init = (cpu: string) => ({ name: 'init', image: 'i', resources: { requests: { cpu } } });
    await createPod('first', { initContainers: [init('1')] });
    const { json } = await api.request('PATCH', `${pods}/first/resize`, { spec: { initContainers: [init('2')] } }, merge);
    expect(json.spec.initContainers[0].resources).toEqual({ requests: { cpu: '2' } });
  });

  it('is refused when the node has less than is asked for, has another system, or is not there', async () => {
    await createNode('small', { allocatable: { cpu: '1500m', memory: '1Gi' } });
    await createNode('other', { allocatable: { cpu: '8' } }, { 'kubernetes.io/os': 'windows' });
    const refusal = async (nodeName: string, requests: object) => {
      await createPod(`on-${nodeName}`, { nodeName, containers: [size({ cpu: '1', memory: '1Mi' })] });
      const { status, json } = await resize(`on-${nodeName}`, [size(requests)]);
      return [status, json.message, json.details?.causes];
    };
    expect(await refusal('small', { cpu: '2', memory: '2Gi' })).toEqual([
      403,
      'pods "on-small" is forbidden: node didn\'t have enough allocatable resources: cpu, requested: 2000, allocatable: 1500; memory, requested: 2147483648, allocatable: 1073741824',
      [{ reason: 'NodeCapacity' }],
    ]);
    expect((await resize('on-small', [size({ cpu: '1500m', memory: '1Gi' })])).status).toBe(200);
    expect(await refusal('other', { cpu: '2', memory: '1Mi' })).toEqual([
      403,
      'pods "on-other" is forbidden: pod resize is only supported on linux nodes, node "other" is "windows"',
      [{ reason: 'UnsupportedPlatform' }],
    ]);
    expect(await refusal('gone', { cpu: '2', memory: '1Mi' })).toEqual([
      403,
      'pods "on-gone" is forbidden: node "gone" not found',
      undefined,
    ]);
    expect((await resize('on-gone', [size({ cpu: '1', memory: '1Mi' })])).status).toBe(200);
  });
});
