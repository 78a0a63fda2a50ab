import type { Catalog } from '@coffer/api/catalog/catalog';
import type { ResourceInfo } from '@coffer/api/catalog/resource';
import type { KindDefinition } from '@coffer/api/kinds/kind';
import { parseApiVersion } from '@coffer/api/meta/object';
import type { ResourceStore, ResourceStoreConfig } from '@coffer/storage/store/store';

export type KindLookup = (group: string, resource: string) => KindDefinition | undefined;

/** The open stores by storage prefix: one per stored resource, however many groups serve it. */
export type ResourceStores = ReadonlyMap<string, ResourceStore>;

/** Opens the store of every stored resource of the catalogue and loads its objects. */
export async function openResourceStores(
  open: (config: ResourceStoreConfig) => Promise<ResourceStore>,
  catalog: Catalog,
  kinds: KindLookup,
): Promise<ResourceStores> {
  const rows = catalog.resources.filter(isStoredForm);
  const stores = await Promise.all(rows.map((row) => open(storeConfig(row, kinds))));
  return new Map(rows.map((row, i) => [row.storagePrefix, stores[i] as ResourceStore]));
}

/** True for the row whose version is the stored one. */
function isStoredForm(row: ResourceInfo): boolean {
  if (row.storagePrefix === '') return false;
  const { group, version } = parseApiVersion(row.storageApiVersion);
  return row.group === group && row.version === version;
}

function storeConfig(row: ResourceInfo, kinds: KindLookup): ResourceStoreConfig {
  const kind = kinds(row.group, row.resource);
  if (kind === undefined) throw new Error(`no kind definition for ${row.resource} in group "${row.group}"`);
  return {
    prefix: row.storagePrefix,
    namespaced: row.namespaced,
    apiVersion: row.storageApiVersion,
    kind: row.kind,
    selectableFields: (object) => kind.selectableFields(object),
  };
}
