import type { Backend } from '../backend/backend.ts';
import type { ObjectKind, ObjectVersion } from '../cacher/object-version.ts';
import { StorageError, UnreadableError } from '../errors.ts';
import { decodeValue } from './decode-events.ts';
import type { StoreListOptions, StoreListResult } from './store.ts';

/** A list at a revision that is further back than the watch cache remembers, straight from the backend. */
export async function listFromBackend(
  backend: Backend,
  kind: ObjectKind,
  options: StoreListOptions,
  revision: number,
): Promise<StoreListResult> {
  const { namespace, name, matches, afterKey, limit = Number.POSITIVE_INFINITY } = options;
  const prefix = namespace !== undefined && kind.config.namespaced ? `${kind.keyPrefix}${namespace}/` : kind.keyPrefix;
  const exact = matches === undefined && name === undefined;
  const pageSize = Math.min(limit, 500) + 1;
  const items: ObjectVersion[] = [];
  const damaged: { readonly key: string; readonly message: string }[] = [];
  let startKey = afterKey === undefined ? prefix : `${kind.keyPrefix}${afterKey}\u0000`;
  let more = false;
  for (;;) {
    const page = await backend.list(prefix, { revision, startKey, limit: pageSize, skipCount: true });
    for (const kv of page.kvs) {
      const version = await decodeValue(kind, kv);
      if (version instanceof StorageError) {
        damaged.push({ key: kv.key, message: version.message });
        continue;
      }
      if ((name !== undefined && version.name !== name) || (matches !== undefined && !matches(version))) continue;
      if (items.length === limit) {
        more = true;
        break;
      }
      items.push(version);
    }
    const last = page.kvs.at(-1);
    if (more || !page.more || last === undefined) break;
    startKey = `${last.key}\u0000`;
  }
  if (damaged.length > 0) throw new UnreadableError(damaged);
  const continueAfter = more ? items.at(-1)?.path : undefined;
  let remaining: number | undefined;
  if (continueAfter !== undefined && exact) {
    remaining = (await backend.list(prefix, { revision, startKey: `${kind.keyPrefix}${continueAfter}\u0000`, limit: 1 })).count;
  }
  return { items, revision, continueAfter, remaining };
}
