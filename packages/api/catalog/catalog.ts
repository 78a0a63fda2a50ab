import { createHash } from 'node:crypto';
import { builtInResources, groupOrder } from './built-in-resources.ts';
import type { ResourceInfo } from './resource.ts';

/** A group and its served versions, the preferred one first. */
export interface ApiGroup {
  /** Empty for the core group. */
  readonly name: string;
  readonly versions: readonly string[];
}

/**
 * Look-ups over the rows of served resources. Immutable: a catalogue with other rows (custom resources) is a new one.
 * Rows keep their order within a group version; that order is the one discovery prints.
 */
export class Catalog {
  readonly resources: readonly ResourceInfo[];
  readonly #byResource: ReadonlyMap<string, ResourceInfo>;
  readonly #byKind: ReadonlyMap<string, ResourceInfo>;
  readonly #groups: readonly ApiGroup[];

  constructor(resources: readonly ResourceInfo[]) {
    this.resources = resources;
    this.#byResource = new Map(resources.map((r) => [`${r.group}/${r.version}/${r.resource}`, r]));
    this.#byKind = new Map(resources.map((r) => [`${r.group}/${r.version}/${r.kind}`, r]));
    this.#groups = groupsOf(resources);
  }

  /** The row of `configmaps` in group '' and version 'v1', without a subresource. */
  byGroupVersionResource(group: string, version: string, resource: string): ResourceInfo | undefined {
    return this.#byResource.get(`${group}/${version}/${resource}`);
  }

  byGroupVersionKind(group: string, version: string, kind: string): ResourceInfo | undefined {
    return this.#byKind.get(`${group}/${version}/${kind}`);
  }

  /** The row of a resource in the preferred version of its group. */
  byGroupResource(group: string, resource: string): ResourceInfo | undefined {
    const versions = this.#groups.find((g) => g.name === group)?.versions ?? [];
    for (const version of versions) {
      const found = this.byGroupVersionResource(group, version, resource);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  /** All groups in the order of discovery, the core group first. */
  groups(): readonly ApiGroup[] {
    return this.#groups;
  }

  inGroupVersion(group: string, version: string): readonly ResourceInfo[] {
    return this.resources.filter((r) => r.group === group && r.version === version);
  }
}

/** The catalogue of the built-in resources. */
export function builtInCatalog(): Catalog {
  return new Catalog(builtInResources);
}

/** Discovery's `storageVersionHash`: what the objects are stored as, in a form clients only compare. */
export function storageVersionHash(resource: ResourceInfo): string {
  if (resource.storagePrefix === '') return '';
  const stored = resource.storageApiVersion.includes('/') ? resource.storageApiVersion : `/${resource.storageApiVersion}`;
  const digest = createHash('sha256').update(`${stored}/${resource.kind}`).digest();
  return digest.subarray(0, 8).toString('base64');
}

function groupsOf(resources: readonly ResourceInfo[]): ApiGroup[] {
  const versions = new Map<string, string[]>();
  for (const { group, version } of resources) {
    const known = versions.get(group);
    if (known === undefined) versions.set(group, [version]);
    else if (!known.includes(version)) known.push(version);
  }
  const rank = (name: string): number => (groupOrder.includes(name) ? groupOrder.indexOf(name) : groupOrder.length);
  const names = [...versions.keys()].sort((a, b) => rank(a) - rank(b) || (a < b ? -1 : 1));
  return names.map((name) => ({ name, versions: versions.get(name) ?? [] }));
}
