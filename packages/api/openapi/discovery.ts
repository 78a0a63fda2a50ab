import { type ApiGroup, type Catalog, storageVersionHash } from '../catalog/catalog.ts';
import type { ResourceInfo, SubresourceInfo } from '../catalog/resource.ts';
import { apiVersionOf } from '../meta/object.ts';

/**
 * The discovery documents: which groups, versions and resources there are. `/api` and `/apis` come in two forms, the old one
 * (names only) and the aggregated one (everything at once), as the Accept header asks.
 */
export interface DiscoveryAnswer {
  readonly contentType: string;
  readonly document: object;
}

/** `host:port` under which clients of any network reach the server; part of the old form of `/api`. */
export interface DiscoveryDeps {
  readonly catalog: Catalog;
  readonly serverAddress: string;
}

/** The document under a path without its query; undefined when there is none. */
export function discoveryAnswer(path: string, accept: string, deps: DiscoveryDeps): DiscoveryAnswer | undefined {
  const { catalog } = deps;
  const parts = path.replace(/\/$/, '').split('/').slice(1);
  const [root, group = '', version = ''] = parts;
  if (root === 'api' && parts.length === 1) return aggregated(accept, catalog, true) ?? json(apiVersions(deps.serverAddress));
  if (root === 'api' && parts.length === 2) return resourceList(catalog, '', group);
  if (root !== 'apis') return undefined;
  if (parts.length === 1) return aggregated(accept, catalog, false) ?? json(apiGroupList(catalog));
  if (group === '') return undefined;
  if (parts.length === 2) {
    const found = catalog.groups().find((g) => g.name === group);
    return found === undefined ? undefined : json({ kind: 'APIGroup', apiVersion: 'v1', ...apiGroup(found) });
  }
  return parts.length === 3 ? resourceList(catalog, group, version) : undefined;
}

function apiVersions(serverAddress: string): object {
  return {
    kind: 'APIVersions',
    versions: ['v1'],
    serverAddressByClientCIDRs: [{ clientCIDR: '0.0.0.0/0', serverAddress }],
  };
}

function apiGroupList(catalog: Catalog): object {
  const groups = catalog.groups().filter((group) => group.name !== '');
  return { kind: 'APIGroupList', apiVersion: 'v1', groups: groups.map(apiGroup) };
}

/** The resources of one group version; undefined when it is not served. */
function apiResourceList(catalog: Catalog, group: string, version: string): object | undefined {
  const resources = catalog.inGroupVersion(group, version);
  if (resources.length === 0) return undefined;
  return {
    kind: 'APIResourceList',
    // The core group's list predates this field.
    ...(group === '' ? {} : { apiVersion: 'v1' }),
    groupVersion: apiVersionOf({ group, version }),
    resources: resources.flatMap((resource) => [apiResource(resource), ...resource.subresources.map((s) => apiSubresource(resource, s))]),
  };
}

/** Aggregated discovery (`apidiscovery.k8s.io`) of the core group or of all others. */
function aggregatedDiscovery(catalog: Catalog, core: boolean, version: 'v2' | 'v2beta1'): object {
  const groups = catalog.groups().filter((group) => (group.name === '') === core);
  return {
    kind: 'APIGroupDiscoveryList',
    apiVersion: `apidiscovery.k8s.io/${version}`,
    metadata: {},
    items: groups.map((group) => ({
      metadata: group.name === '' ? {} : { name: group.name },
      versions: group.versions.map((v) => ({
        version: v,
        resources: catalog.inGroupVersion(group.name, v).map(resourceDiscovery),
        freshness: 'Current',
      })),
    })),
  };
}

function json(document: object): DiscoveryAnswer {
  return { contentType: 'application/json', document };
}

function resourceList(catalog: Catalog, group: string, version: string): DiscoveryAnswer | undefined {
  const document = apiResourceList(catalog, group, version);
  return document === undefined ? undefined : json(document);
}

/** The aggregated form when the client prefers it to plain JSON. */
function aggregated(accept: string, catalog: Catalog, core: boolean): DiscoveryAnswer | undefined {
  for (const clause of accept.split(',')) {
    const [mediaType = '', ...parameters] = clause.split(';').map((part) => part.trim());
    const value = (name: string): string | undefined => parameters.find((p) => p.startsWith(`${name}=`))?.slice(name.length + 1);
    if (mediaType !== 'application/json' && mediaType !== '*/*' && mediaType !== 'application/*') continue;
    if (value('as') === undefined) return undefined;
    const version = value('v');
    if (value('as') !== 'APIGroupDiscoveryList' || value('g') !== 'apidiscovery.k8s.io') continue;
    if (version !== 'v2' && version !== 'v2beta1') continue;
    return {
      contentType: `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`,
      document: aggregatedDiscovery(catalog, core, version),
    };
  }
  return undefined;
}

function apiGroup(group: ApiGroup): object {
  const versions = group.versions.map((version) => ({ groupVersion: apiVersionOf({ group: group.name, version }), version }));
  return { name: group.name, versions, preferredVersion: versions[0] };
}

function apiResource(resource: ResourceInfo): object {
  const hash = storageVersionHash(resource);
  return {
    name: resource.resource,
    singularName: resource.singular,
    namespaced: resource.namespaced,
    kind: resource.kind,
    verbs: resource.verbs,
    ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length > 0 ? { categories: resource.categories } : {}),
    ...(hash === '' ? {} : { storageVersionHash: hash }),
  };
}

function apiSubresource(resource: ResourceInfo, subresource: SubresourceInfo): object {
  return {
    name: `${resource.resource}/${subresource.name}`,
    singularName: '',
    namespaced: resource.namespaced,
    ...(subresource.group === undefined ? {} : { group: subresource.group, version: subresource.version }),
    kind: subresource.kind,
    verbs: subresource.verbs,
  };
}

function resourceDiscovery(resource: ResourceInfo): object {
  const { group, version } = resource;
  return {
    resource: resource.resource,
    responseKind: { group, version, kind: resource.kind },
    scope: resource.namespaced ? 'Namespaced' : 'Cluster',
    singularResource: resource.singular,
    verbs: resource.verbs,
    ...(resource.shortNames.length > 0 ? { shortNames: resource.shortNames } : {}),
    ...(resource.categories.length > 0 ? { categories: resource.categories } : {}),
    ...(resource.subresources.length > 0
      ? {
          subresources: resource.subresources.map((s) => ({
            subresource: s.name,
            responseKind: { group: s.group ?? group, version: s.version ?? version, kind: s.kind },
            verbs: s.verbs,
          })),
        }
      : {}),
  };
}
