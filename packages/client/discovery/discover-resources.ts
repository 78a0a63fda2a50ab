/**
 * Asks a server what it serves: one request for the aggregated document where there is one, else one per group version. A group
 * version that cannot be read is reported and left out, so that one broken extension does not hide the rest.
 */
import { isRecord } from '@coffer/api/meta/safe-object';
import type { ApiClient } from '../rest/api-client.ts';
import type { ResourceRef } from '../rest/resource-ref.ts';

export interface DiscoveredResource extends ResourceRef {
  readonly verbs: readonly string[];
}

export interface Discovery {
  /** Every resource once, in its group's preferred version; subresources left out. */
  readonly resources: readonly DiscoveredResource[];
  /** Group versions that could not be read. */
  readonly failures: readonly { readonly groupVersion: string; readonly error: unknown }[];
}

const AGGREGATED = 'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json';

/** The resources of the preferred versions. Rejects when the server cannot be asked at all. */
export async function discoverResources(api: ApiClient, signal?: AbortSignal): Promise<Discovery> {
  const request = { method: 'GET', headers: { accept: AGGREGATED }, ...(signal === undefined ? {} : { signal }) };
  const [core, groups] = await Promise.all([api.json({ ...request, path: '/api' }), api.json({ ...request, path: '/apis' })]);
  const resources = new Map<string, DiscoveredResource>();
  const failures: { groupVersion: string; error: unknown }[] = [];
  const add = (found: readonly DiscoveredResource[]) => {
    for (const resource of found) {
      const id = `${resource.group}/${resource.resource}`;
      if (!resources.has(id)) resources.set(id, resource);
    }
  };
  const unread: { group: string; version: string }[] = [];
  for (const document of [core, groups]) {
    if (isRecord(document) && document.kind === 'APIGroupDiscoveryList') {
      add(fromAggregated(document, failures));
    } else {
      unread.push(...groupVersions(document));
    }
  }
  for (const { group, version } of unread) {
    const path = group === '' ? `/api/${version}` : `/apis/${group}/${version}`;
    try {
      const list = await api.json({ method: 'GET', path, ...(signal === undefined ? {} : { signal }) });
      add(fromResourceList(list, group, version));
    } catch (error) {
      signal?.throwIfAborted();
      failures.push({ groupVersion: group === '' ? version : `${group}/${version}`, error });
    }
  }
  return { resources: [...resources.values()], failures };
}

/** Group versions of the legacy documents; the preferred version of a group first. */
function groupVersions(document: unknown): { group: string; version: string }[] {
  if (!isRecord(document)) return [];
  if (document.kind === 'APIVersions') return strings(document.versions).map((version) => ({ group: '', version }));
  return records(document.groups).flatMap((group) => {
    const preferred = isRecord(group.preferredVersion) ? group.preferredVersion.version : undefined;
    const versions = records(group.versions).map((entry) => String(entry.version));
    const ordered = typeof preferred === 'string' ? [preferred, ...versions.filter((version) => version !== preferred)] : versions;
    return ordered.map((version) => ({ group: String(group.name), version }));
  });
}

function fromResourceList(list: unknown, group: string, version: string): DiscoveredResource[] {
  const entries = isRecord(list) ? records(list.resources) : [];
  return entries
    .filter((entry) => !String(entry.name).includes('/'))
    .map((entry) => ({
      group,
      version,
      resource: String(entry.name),
      kind: String(entry.kind),
      namespaced: entry.namespaced === true,
      verbs: strings(entry.verbs),
    }));
}

function fromAggregated(document: Record<string, unknown>, failures: { groupVersion: string; error: unknown }[]): DiscoveredResource[] {
  const found: DiscoveredResource[] = [];
  for (const item of records(document.items)) {
    const metadata = isRecord(item.metadata) ? item.metadata : {};
    const group = typeof metadata.name === 'string' ? metadata.name : '';
    for (const entry of records(item.versions)) {
      const version = String(entry.version);
      if (entry.freshness === 'Stale')
        failures.push({ groupVersion: `${group}/${version}`, error: new Error('the group version is stale') });
      for (const resource of records(entry.resources)) {
        const kind = isRecord(resource.responseKind) ? String(resource.responseKind.kind) : '';
        found.push({
          group,
          version,
          resource: String(resource.resource),
          kind,
          namespaced: resource.scope === 'Namespaced',
          verbs: strings(resource.verbs),
        });
      }
    }
  }
  return found;
}

function records(value: unknown): Record<string, unknown>[] {
  return Array.isArray(value) ? value.filter(isRecord) : [];
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}
