import type { Backend } from '../backend/backend.ts';
import { encryptedPrefix, startsWith } from '../value/transformer.ts';

/**
 * Which provider and key every stored value was written with, found by looking at how the values begin. Decrypts nothing; reads
 * the backend in pages, with other work in between.
 */
export interface Inventory {
  readonly revision: number;
  /** By the first part of the keys (`secrets`, `services/specs`), then by `k8s:enc:aesgcm:v1:key1:` (empty: not encrypted). */
  readonly resources: ReadonlyMap<string, ReadonlyMap<string, number>>;
}

const pageSize = 500;

/** `prefixes` are the storage prefixes to look at. */
export async function takeInventory(backend: Backend, prefixes: readonly string[], revision?: number): Promise<Inventory> {
  const at = revision ?? (await backend.currentRevision());
  const resources = new Map<string, Map<string, number>>();
  for (const prefix of prefixes) {
    const counts = new Map<string, number>();
    for await (const { value } of valuesBelow(backend, `/registry/${prefix}/`, at)) {
      const head = headOf(value);
      counts.set(head, (counts.get(head) ?? 0) + 1);
    }
    if (counts.size > 0) resources.set(prefix, counts);
  }
  return { revision: at, resources };
}

/** All values below a key prefix as of one revision, in key order. */
export async function* valuesBelow(backend: Backend, keyPrefix: string, revision: number) {
  let startKey = keyPrefix;
  for (;;) {
    const page = await backend.list(keyPrefix, { revision, startKey, limit: pageSize, skipCount: true });
    yield* page.kvs;
    const last = page.kvs.at(-1);
    if (!page.more || last === undefined) return;
    startKey = `${last.key}\u0000`;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Provider and key name a value begins with, up to and with the last colon; empty for a value that is not encrypted. */
export function headOf(value: Uint8Array): string {
  if (!startsWith(value, encryptedPrefix)) return '';
  const text = Buffer.from(value.buffer, value.byteOffset, Math.min(value.length, 400)).toString('latin1');
  const match = /^k8s:enc:[^:]*:[^:]*:[^:]*:/.exec(text);
  return match === null ? encryptedPrefix : match[0];
}
