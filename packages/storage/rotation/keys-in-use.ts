import type { Backend } from '../backend/backend.ts';
import { headOf, takeInventory } from './inventory.ts';

/**
 * Providers and keys (`k8s:enc:aesgcm:v1:key1:`) of every value that can still be read: what is live, and every version since the
 * compacted revision.
 */
export async function keysInUse(backend: Backend, prefixes: readonly string[]): Promise<ReadonlySet<string>> {
  const heads = new Set<string>();
  const current = await backend.currentRevision();
  const oldest = Math.max(1, await backend.compactedRevision());
  for (const revision of new Set([oldest, current])) {
    const { resources } = await takeInventory(backend, prefixes, revision);
    for (const counts of resources.values()) for (const head of counts.keys()) heads.add(head);
  }
  if (oldest < current) {
    const ended = new AbortController();
    for await (const batch of backend.watch('/registry/', oldest, ended.signal)) {
      for (const { type, kv } of batch.events) if (type === 'put') heads.add(headOf(kv.value));
      if (batch.revision >= current) break;
    }
    ended.abort();
  }
  return heads;
}
