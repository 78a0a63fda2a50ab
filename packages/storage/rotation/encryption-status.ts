import type { Backend } from '../backend/backend.ts';
import type { Storage } from '../store/storage.ts';
import { type KeyUsage, manyWrites } from '../value/encrypt/key-usage.ts';
import type { WatchedConfiguration } from '../value/encrypt/watched-configuration.ts';
import { type CheckedResource, describeKey } from './check-keys.ts';
import { takeInventory } from './inventory.ts';

/** What `coffer encryption status` shows. No key material, and no values. */
export interface EncryptionStatus {
  readonly configurationFile: string;
  /** Why the file, as it is now, is not in use. */
  readonly configurationError?: string;
  readonly resources: readonly ResourceEncryption[];
  /** Writes with each AES-GCM key that the configuration has. */
  readonly keyWrites: readonly { readonly key: string; readonly writes: number }[];
  readonly warnings: readonly string[];
}

export interface ResourceEncryption {
  readonly resource: string;
  /** What it is written with: `aesgcm/key1`, `kms/vault`, `identity`. */
  readonly writesWith: string;
  /** Objects by what they were written with. */
  readonly objects: Readonly<Record<string, number>>;
  readonly stale: number;
  readonly unreadable: number;
}

export interface StatusDeps {
  readonly backend: Backend;
  readonly storage: Storage;
  readonly configuration: WatchedConfiguration;
  readonly usage: KeyUsage;
  readonly resources: readonly CheckedResource[];
  readonly prefixes: readonly string[];
}

/** Every resource that is encrypted, or should be. */
export async function encryptionStatus(deps: StatusDeps): Promise<EncryptionStatus> {
  const { configuration } = deps;
  const inventory = await takeInventory(deps.backend, deps.prefixes);
  const { resources: loaded } = await deps.storage.stats();
  const resources: ResourceEncryption[] = [];
  for (const prefix of deps.prefixes) {
    const { group, resource } = deps.resources.find((row) => row.prefix === prefix) ?? { group: '', resource: prefix };
    const [first = ''] = configuration.current.prefixesFor(group, resource);
    const counts = inventory.resources.get(prefix) ?? new Map<string, number>();
    const store = deps.storage.stores.find(({ config }) => config.prefix === prefix);
    const unreadable = loaded.find((row) => row.prefix === prefix)?.unreadable ?? 0;
    if (first === '' && prefix !== 'secrets' && [...counts.keys()].every((head) => head === '')) continue;
    let stale = 0;
    if (store !== undefined && unreadable === 0) for (const object of (await store.list({})).items) if (object.stale) stale++;
    resources.push({
      resource: group === '' ? resource : `${resource}.${group}`,
      writesWith: shortName(first),
      objects: Object.fromEntries([...counts].map(([head, count]) => [shortName(head), count])),
      stale,
      unreadable,
    });
  }
  const keyWrites = configuration.current.writeIds
    .filter((writeId) => writeId.startsWith('k8s:enc:aesgcm:'))
    .map((writeId) => ({ key: shortName(writeId), writes: deps.usage.counterOf(writeId).count }));
  const error = configuration.lastError?.message;
  return {
    configurationFile: configuration.file,
    ...(error === undefined ? {} : { configurationError: error }),
    resources,
    keyWrites,
    warnings: [...warningsOf(configuration, resources), ...keyWrites.flatMap(tooManyWrites)],
  };
}

function warningsOf(configuration: WatchedConfiguration, resources: readonly ResourceEncryption[]): string[] {
  const warnings: string[] = [];
  const aescbc = new Set(
    configuration.current.describe().flatMap(({ prefixes }) => prefixes.slice(0, 1).filter((p) => p.includes(':aescbc:'))),
  );
  for (const head of aescbc)
    warnings.push(`${describeKey(head)} protects nothing from being changed (no integrity): use aesgcm or secretbox`);
  for (const { resource, writesWith, stale, unreadable } of resources) {
    if (writesWith === 'identity' && resource === 'secrets') warnings.push('secrets are stored without encryption');
    if (stale > 0) warnings.push(`${stale} ${resource} would be stored differently now: coffer encryption rotate`);
    if (unreadable > 0) warnings.push(`${unreadable} ${resource} cannot be read`);
  }
  return warnings;
}

function tooManyWrites({ key, writes }: { readonly key: string; readonly writes: number }): string[] {
  return writes < manyWrites ? [] : [`${key} has encrypted ${writes} values: replace it (coffer encryption rotate)`];
}

/** `k8s:enc:aesgcm:v1:key1:…` → `aesgcm/key1`. */
function shortName(head: string): string {
  if (head === '') return 'identity';
  const [, , provider = '?', , name = '?'] = head.split(':');
  return `${provider}/${name}`;
}
