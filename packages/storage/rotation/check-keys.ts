import type { Backend } from '../backend/backend.ts';
import type { Encryption } from '../value/encrypt/encryption.ts';
import type { Transformer } from '../value/transformer.ts';
import { headOf, valuesBelow } from './inventory.ts';

/**
 * Tells a configuration that lacks a key, or has another key under its name, from values that are damaged. The first must stop a
 * start or a reload; with the second everything else works on.
 */
export interface CheckedResource {
  /** Storage prefix, as in keys. */
  readonly prefix: string;
  readonly group: string;
  readonly resource: string;
}

export interface KeyCheckDeps {
  readonly backend: Backend;
  /** Keys (`Transformer.writeId`) that this store is known to have been used with. */
  readonly knownKeys: ReadonlySet<string>;
}

interface Tally {
  readable: number;
  unreadable: number;
}

/** Reads every value of these resources with `encryption`; rejects with an Error that names the key that is missing or wrong. */
export async function checkKeys(resources: readonly CheckedResource[], encryption: Encryption, deps: KeyCheckDeps): Promise<void> {
  const revision = await deps.backend.currentRevision();
  const problems: string[] = [];
  for (const checked of resources) {
    const { group, resource, prefix } = checked;
    const transformer = encryption.transformerFor(group, resource);
    const tallies = new Map<string, Tally>();
    for await (const { key, value } of valuesBelow(deps.backend, `/registry/${prefix}/`, revision)) {
      const head = headOf(value);
      // What is neither encrypted nor an object is damaged.
      if (head === '' && value[0] !== 0x7b && value[0] !== 0x6b) continue;
      const tally = tallies.get(head) ?? { readable: 0, unreadable: 0 };
      tallies.set(head, tally);
      if (await isReadable(transformer, key, value)) tally.readable++;
      else tally.unreadable++;
    }
    const configured = encryption.prefixesFor(group, resource);
    for (const [head, tally] of tallies) {
      const problem = describeProblem(head, tally, configured, encryption.writeIds, deps.knownKeys);
      if (problem !== undefined) problems.push(`${tally.unreadable} ${group === '' ? resource : `${resource}.${group}`} ${problem}`);
    }
  }
  if (problems.length > 0) throw new Error(problems.join('; '));
}

async function isReadable(transformer: Transformer, key: string, value: Uint8Array): Promise<boolean> {
  try {
    await transformer.fromStorage(value, { key });
    return true;
  } catch {
    return false;
  }
}

function describeProblem(
  head: string,
  { readable, unreadable }: Tally,
  configured: readonly string[],
  writeIds: readonly string[],
  knownKeys: ReadonlySet<string>,
): string | undefined {
  if (readable > 0 || unreadable === 0) return undefined;
  if (head === '') {
    return 'are stored without encryption, and the configuration has no provider "identity" for them';
  }
  const name = describeKey(head);
  const knownHere = [...knownKeys].some((writeId) => writeId.startsWith(head));
  if (!configured.includes(head)) {
    // One value whose head differs in one character was damaged there.
    if (unreadable === 1 && !knownHere && configured.some((other) => differsInOne(head, other))) return undefined;
    return `were written with ${name}, which is missing in the configuration`;
  }
  if (head.startsWith('k8s:enc:kms:')) return undefined;
  const current = writeIds.filter((writeId) => writeId.startsWith(head));
  if (current.some((writeId) => knownKeys.has(writeId))) return undefined;
  return `cannot be decrypted with ${name} of the configuration: it is another key than the one they were written with`;
}

/** `k8s:enc:aesgcm:v1:key1:` → `the aesgcm key "key1"`. */
export function describeKey(head: string): string {
  const [, , provider, , name] = head.split(':');
  if (name === undefined) return 'an unknown provider';
  return provider === 'kms' ? `the kms provider ${JSON.stringify(name)}` : `the ${provider} key ${JSON.stringify(name)}`;
}

function differsInOne(a: string, b: string): boolean {
  if (a.length !== b.length) return false;
  let different = 0;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) different++;
  return different === 1;
}
