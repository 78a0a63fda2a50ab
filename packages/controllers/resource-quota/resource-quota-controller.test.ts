import { CONFIG_MAPS, PODS, RESOURCE_QUOTAS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runResourceQuotaController } from './resource-quota-controller.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('resourcequota-controller', runResourceQuotaController);
});

afterEach(() => cluster.stop());

const status = () => cluster.api.find(RESOURCE_QUOTAS, 'default', 'q')?.status;

function putQuota(hard: object, fields: object = {}): void {
  cluster.api.put(RESOURCE_QUOTAS, { metadata: { name: 'q', namespace: 'default', uid: 'q' }, spec: { hard }, ...fields });
}

function putConfigMap(name: string, namespace = 'default'): void {
  cluster.api.put(CONFIG_MAPS, { metadata: { name, namespace, uid: `${namespace}-${name}` } });
}

function putPod(name: string, phase: string): void {
  const spec = { containers: [{ name: 'c', resources: { requests: { cpu: '250m' } } }] };
  cluster.api.put(PODS, { metadata: { name, namespace: 'default', uid: name }, spec, status: { phase } });
}

describe('resource quota controller', () => {
  it('counts what is there, of the namespace only', async () => {
    putConfigMap('a');
    putConfigMap('b', 'elsewhere');
    putPod('p', 'Running');
    putQuota({ configmaps: '5', pods: '3', cpu: '2', 'count/unknown': '1' });
    await cluster.settle();
    expect(status()).toEqual({
      hard: { configmaps: '5', pods: '3', cpu: '2', 'count/unknown': '1' },
      used: { configmaps: '1', pods: '1', cpu: '250m' },
    });
  });

  it('follows the limits, and what goes away or comes to its end', async () => {
    putConfigMap('a');
    putPod('p', 'Running');
    putQuota({ configmaps: '5', pods: '3' });
    await cluster.settle();
    cluster.api.remove(CONFIG_MAPS, 'default', 'a');
    putPod('p', 'Succeeded');
    await cluster.settle();
    expect(status()).toMatchObject({ used: { configmaps: '0', pods: '0' } });
    putQuota({ configmaps: '7' }, { status: status() });
    await cluster.settle();
    expect(status()).toEqual({ hard: { configmaps: '7' }, used: { configmaps: '0' } });
  });

  it('takes out after a while what admission counted for nothing', async () => {
    putQuota({ configmaps: '5' });
    await cluster.settle();
    putQuota({ configmaps: '5' }, { status: { hard: { configmaps: '5' }, used: { configmaps: '1' } } });
    await cluster.settle();
    expect(status()).toMatchObject({ used: { configmaps: '1' } });
    await cluster.clock.advance(5000);
    await cluster.settle();
    expect(status()).toMatchObject({ used: { configmaps: '0' } });
  });

  it('watches nothing while there is no quota', async () => {
    putConfigMap('a');
    await cluster.settle();
    expect(cluster.api.requests.filter(({ path }) => path.includes('configmaps'))).toEqual([]);
  });
});
