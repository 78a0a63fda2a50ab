import { isRecord } from '@coffer/api/meta/safe-object';
import { dump, load } from 'js-yaml';
import { configurationComment } from '../value/encrypt/new-configuration.ts';

/**
 * Changes of an EncryptionConfiguration's text that a rotation makes. Only the keys of a rule's first provider change; everything
 * else of the document stays, comments do not. All three can be repeated: what is so already stays as it is.
 */
export interface RotatedKey {
  /** Index in `resources`. */
  readonly rule: number;
  readonly provider: LocalProvider;
  readonly newName: string;
  /** Names of the keys to be removed at the end. */
  readonly oldNames: readonly string[];
}

export type LocalProvider = 'aescbc' | 'aesgcm' | 'secretbox';

interface Key {
  readonly name: string;
  readonly secret: string;
}

const localProviders: readonly LocalProvider[] = ['aescbc', 'aesgcm', 'secretbox'];

/** The keys that a rotation of this configuration exchanges: one for each rule whose first provider has keys of its own. */
export function keysToRotate(text: string, nameOf: () => string): RotatedKey[] {
  return rules(parse(text)).flatMap((rule, index) => {
    const [first] = rule.providers;
    const provider = localProviders.find((kind) => isRecord(first?.[kind]));
    if (provider === undefined || first === undefined) return [];
    return [{ rule: index, provider, newName: nameOf(), oldNames: keysOf(first, provider).map(({ name }) => name) }];
  });
}

/** Step 1: the new keys behind the ones that write, so that every server can read them before one writes with them. */
export function addSecondKeys(text: string, rotated: readonly RotatedKey[], newSecret: () => string): string {
  return change(text, rotated, (keys, { newName }) => {
    if (keys.some(({ name }) => name === newName)) return keys;
    const [first, ...rest] = keys;
    return first === undefined ? keys : [first, { name: newName, secret: newSecret() }, ...rest];
  });
}

/** Step 2: the new keys first. */
export function putNewKeysFirst(text: string, rotated: readonly RotatedKey[]): string {
  return change(text, rotated, (keys, { newName }) => {
    const found = keys.find(({ name }) => name === newName);
    if (found === undefined) throw new Error(`the key ${JSON.stringify(newName)} of this rotation is not in the configuration any more`);
    return [found, ...keys.filter((key) => key !== found)];
  });
}

/** Step 5: without the old keys. */
export function removeOldKeys(text: string, rotated: readonly RotatedKey[]): string {
  return change(text, rotated, (keys, { oldNames }) => keys.filter(({ name }) => !oldNames.includes(name)));
}

function change(text: string, rotated: readonly RotatedKey[], edit: (keys: Key[], rotation: RotatedKey) => Key[]): string {
  const document = parse(text);
  let changed = false;
  for (const rotation of rotated) {
    const provider = rules(document)[rotation.rule]?.providers[0];
    if (provider === undefined || !isRecord(provider[rotation.provider])) {
      throw new Error(`rule ${rotation.rule} of the configuration does not begin with ${rotation.provider} any more`);
    }
    const keys = keysOf(provider, rotation.provider);
    const edited = edit(keys, rotation);
    if (edited.length === keys.length && edited.every((key, i) => key === keys[i])) continue;
    (provider[rotation.provider] as { keys: Key[] }).keys = edited;
    changed = true;
  }
  return changed ? configurationComment + dump(document, { lineWidth: -1 }) : text;
}

/** The document was checked when it was loaded. */
function parse(text: string): Record<string, unknown> {
  const document: unknown = load(text);
  if (!isRecord(document)) throw new Error('the encryption configuration is not an object');
  return document;
}

function rules(document: Record<string, unknown>): readonly { readonly providers: readonly Record<string, unknown>[] }[] {
  return document.resources as readonly { readonly providers: readonly Record<string, unknown>[] }[];
}

function keysOf(provider: Record<string, unknown>, kind: LocalProvider): Key[] {
  return (provider[kind] as { readonly keys: Key[] }).keys;
}
