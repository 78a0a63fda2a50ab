import { describe, expect, it } from 'vitest';
import { builtInCatalog, storageVersionHash } from './catalog.ts';

const catalog = builtInCatalog();

describe('Catalog', () => {
  it('finds a resource by its plural and by its kind', () => {
    expect(catalog.byGroupVersionResource('', 'v1', 'configmaps')?.kind).toBe('ConfigMap');
    expect(catalog.byGroupVersionKind('apps', 'v1', 'Deployment')?.resource).toBe('deployments');
    expect(catalog.byGroupResource('rbac.authorization.k8s.io', 'roles')?.namespaced).toBe(true);
    expect(catalog.byGroupVersionResource('apps', 'v1', 'configmaps')).toBeUndefined();
    expect(catalog.byGroupVersionResource('', 'v1', 'constructor')).toBeUndefined();
  });

  it('lists the groups in the order of discovery', () => {
    expect(catalog.groups().map((g) => g.name)).toEqual([
      '',
      'apps',
      'events.k8s.io',
      'authentication.k8s.io',
      'authorization.k8s.io',
      'certificates.k8s.io',
      'policy',
      'rbac.authorization.k8s.io',
      'apiextensions.k8s.io',
      'scheduling.k8s.io',
      'coordination.k8s.io',
      'node.k8s.io',
      'discovery.k8s.io',
    ]);
  });

  it.each([
    ['', 'nodes', 'minions'],
    ['', 'services', 'services/specs'],
    ['', 'endpoints', 'services/endpoints'],
    ['events.k8s.io', 'events', 'events'],
    ['rbac.authorization.k8s.io', 'clusterroles', 'clusterroles'],
    ['authorization.k8s.io', 'subjectaccessreviews', ''],
  ])('knows where %s %s is stored', (group, resource, prefix) => {
    expect(catalog.byGroupResource(group, resource)?.storagePrefix).toBe(prefix);
  });

  it('stores events of both groups as v1', () => {
    expect(catalog.byGroupResource('events.k8s.io', 'events')?.storageApiVersion).toBe('v1');
  });

  it('hashes the storage version as upstream', () => {
    const pods = catalog.byGroupResource('', 'pods');
    const configMaps = catalog.byGroupResource('', 'configmaps');
    if (pods === undefined || configMaps === undefined) throw new Error('not in the catalogue');
    expect(storageVersionHash(pods)).toBe('xPOwRZ+Yhw8=');
    expect(storageVersionHash(configMaps)).toBe('qFsyl6wFWjQ=');
  });
});
