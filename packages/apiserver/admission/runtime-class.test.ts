import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../testing/test-api.ts';

let api: TestApi;

beforeAll(async () => {
  api = await openTestApi();
  const classes = '/apis/node.k8s.io/v1/runtimeclasses';
  await api.request('POST', classes, { metadata: { name: 'plain' }, handler: 'runc' });
  await api.request('POST', classes, {
    metadata: { name: 'costly' },
    handler: 'vm',
    overhead: { podFixed: { cpu: '10m', memory: '1Mi' } },
    scheduling: { nodeSelector: { vm: 'yes' }, tolerations: [{ key: 'vm', operator: 'Exists', effect: 'NoSchedule' }] },
  });
});
afterAll(() => api.close());

function create(spec: object) {
  const pod = { metadata: { name: 'p' }, spec: { containers: [{ name: 'c', image: 'i' }], ...spec } };
  return api.request('POST', '/api/v1/namespaces/ns/pods?dryRun=All', pod);
}
const refusal = async (spec: object) => {
  const { status, json } = await create(spec);
  return `${status} ${json.message}`;
};

describe('RuntimeClass', () => {
  it('refuses classes that are not there', async () => {
    expect(await refusal({ runtimeClassName: 'none' })).toBe('403 pods "p" is forbidden: pod rejected: RuntimeClass "none" not found');
  });

  it('gives a pod what its class says', async () => {
    const { json } = await create({ runtimeClassName: 'costly', nodeSelector: { disk: 'ssd' } });
    expect(json.spec.overhead).toEqual({ cpu: '10m', memory: '1Mi' });
    expect(json.spec.nodeSelector).toEqual({ disk: 'ssd', vm: 'yes' });
    expect(json.spec.tolerations).toContainEqual({ key: 'vm', operator: 'Exists', effect: 'NoSchedule' });
    expect((await create({ runtimeClassName: 'plain' })).json.spec).not.toHaveProperty('overhead');
  });

  it('refuses other nodes and other overhead than the class has', async () => {
    expect(await refusal({ runtimeClassName: 'costly', nodeSelector: { vm: 'no' } })).toBe(
      '403 pods "p" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[vm] = yes; pod.spec.nodeSelector[vm] = no',
    );
    expect((await create({ runtimeClassName: 'costly', overhead: { cpu: '0.01', memory: '1024Ki' } })).status).toBe(201);
    expect(await refusal({ runtimeClassName: 'costly', overhead: { cpu: '11m', memory: '1Mi' } })).toBe(
      "403 pods \"p\" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead",
    );
    for (const spec of [{ overhead: { cpu: '1' } }, { runtimeClassName: 'plain', overhead: { cpu: '1' } }]) {
      expect(await refusal(spec)).toBe(
        '403 pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead',
      );
    }
  });

  it('keeps the wider one of two tolerations', async () => {
    const given = [
      { key: 'vm', operator: 'Equal', value: 'a', effect: 'NoSchedule' },
      { key: 'vm', operator: 'Equal', value: 'a', effect: 'NoExecute' },
    ];
    const { json } = await create({ runtimeClassName: 'costly', tolerations: given });
    expect(json.spec.tolerations.filter(({ key }: { key: string }) => key === 'vm')).toEqual([
      given[1],
      { key: 'vm', operator: 'Exists', effect: 'NoSchedule' },
    ]);
  });
});
