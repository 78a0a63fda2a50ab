import { describe, expect, it } from 'vitest';
import { builtInCatalog } from '../catalog/catalog.ts';
import { discoveryAnswer } from './discovery.ts';

const deps = { catalog: builtInCatalog(), serverAddress: '127.0.0.1:6443' };
const get = (path: string, accept = 'application/json') => discoveryAnswer(path, accept, deps);

/** The document of a path that must have one. */
function documentOf<T extends object>(path: string, accept?: string): T {
  const answer = get(path, accept);
  if (answer === undefined) throw new Error(`nothing at ${path}`);
  return answer.document as T;
}

describe('discovery', () => {
  it('answers /api and /apis in the old form', () => {
    expect(get('/api')).toEqual({
      contentType: 'application/json',
      document: {
        kind: 'APIVersions',
        versions: ['v1'],
        serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress: '127.0.0.1:6443' }],
      },
    });
    const { groups } = documentOf<{ groups: { name: string }[] }>('/apis/');
    expect(groups[0]).toEqual({
      name: 'apps',
      versions: [{ groupVersion: 'apps/v1', version: 'v1' }],
      preferredVersion: { groupVersion: 'apps/v1', version: 'v1' },
    });
    expect(groups.map((g) => g.name)).not.toContain('');
  });

  it('answers a group and a group version', () => {
    expect(get('/apis/apps')?.document).toMatchObject({ kind: 'APIGroup', apiVersion: 'v1', name: 'apps' });
    const list = documentOf<{ resources: { name: string }[] }>('/apis/apps/v1');
    expect(list).toMatchObject({ kind: 'APIResourceList', apiVersion: 'v1', groupVersion: 'apps/v1' });
    expect(list.resources.map((r) => r.name)).toEqual([
      'deployments',
      'deployments/scale',
      'deployments/status',
      'replicasets',
      'replicasets/scale',
      'replicasets/status',
    ]);
    expect(list.resources[1]).toEqual({
      name: 'deployments/scale',
      singularName: '',
      namespaced: true,
      group: 'autoscaling',
      version: 'v1',
      kind: 'Scale',
      verbs: ['get', 'patch', 'update'],
    });
    expect(documentOf<{ resources: object[] }>('/api/v1').resources).toContainEqual({
      name: 'configmaps',
      singularName: 'configmap',
      namespaced: true,
      kind: 'ConfigMap',
      verbs: ['create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch'],
      shortNames: ['cm'],
      storageVersionHash: 'qFsyl6wFWjQ=',
    });
  });

  it.each(['/apis/bogus', '/apis/bogus/v1', '/apis/apps/v2', '/api/v2', '/apis/apps/v1/deployments', '/', '/apix'])(
    'has nothing at %s',
    (path) => {
      expect(get(path)).toBeUndefined();
    },
  );

  const aggregated = (version: string) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
  it('answers the aggregated form to clients that prefer it', () => {
    const accept = `${aggregated('v2')},${aggregated('v2beta1')},application/json`;
    expect(get('/apis', accept)?.contentType).toBe(aggregated('v2'));
    const document = documentOf<{ items: object[] }>('/apis', accept);
    expect(document).toMatchObject({ kind: 'APIGroupDiscoveryList', apiVersion: 'apidiscovery.k8s.io/v2' });
    expect(document.items[0]).toMatchObject({
      metadata: { name: 'apps' },
      versions: [
        {
          version: 'v1',
          freshness: 'Current',
          resources: [
            {
              resource: 'deployments',
              responseKind: { group: 'apps', version: 'v1', kind: 'Deployment' },
              scope: 'Namespaced',
              singularResource: 'deployment',
              shortNames: ['deploy'],
              categories: ['all'],
              subresources: [
                { subresource: 'scale', responseKind: { group: 'autoscaling', version: 'v1', kind: 'Scale' } },
                { subresource: 'status', responseKind: { group: 'apps', version: 'v1', kind: 'Deployment' } },
              ],
            },
            {},
          ],
        },
      ],
    });
    expect(documentOf<{ items: object[] }>('/api', aggregated('v2beta1')).items).toHaveLength(1);
  });

  it('falls back to the old form', () => {
    expect(get('/apis', 'application/json, */*')?.document).toMatchObject({ kind: 'APIGroupList' });
    expect(get('/apis', `${aggregated('v9')},application/json`)?.document).toMatchObject({ kind: 'APIGroupList' });
    expect(get('/apis', `application/json,${aggregated('v2')}`)?.document).toMatchObject({ kind: 'APIGroupList' });
  });
});
