import { createHash } from 'node:crypto';
import { assertNever } from '@coffer/base/assert-never';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { identityTransformer, type Transformer } from '../transformer.ts';
import { aesCbc, aesGcm, secretbox } from './ciphers.ts';
import { type EncryptionConfiguration, type ProviderConfiguration, parseEncryptionConfiguration } from './configuration.ts';
import { parseGroupResource } from './configuration-validation.ts';
import type { EncryptionObserver } from './encryption-observer.ts';
import type { KeyCounter, KeyUsage } from './key-usage.ts';
import { KmsProvider } from './kms/kms-provider.ts';
import { keyProvider, PrefixChain, type Provider } from './prefix-chain.ts';

/** Encryption at rest as one EncryptionConfiguration describes it. */
export interface Encryption {
  /** The codec of a resource: of its own entry, of `*.group`, of `*.*`, or identity. */
  transformerFor(group: string, resource: string): Transformer;
  /** How values of a resource may begin, the writing provider first: `k8s:enc:aesgcm:v1:key1:`, empty for identity. */
  prefixesFor(group: string, resource: string): readonly string[];
  /** One check per KMS plugin; rejects with the reason when it does not work. */
  readonly healthChecks: readonly { readonly name: string; check(): Promise<void> }[];
  /** What the configuration says, for status output; without key material. */
  describe(): readonly EncryptionRule[];
  /** `Transformer.writeId` of every local key. */
  readonly writeIds: readonly string[];
  /** Equal for two configurations exactly when they use the same keys in the same order for the same resources. */
  readonly keysDigest: string;
  /** Ends plugin connections and overwrites the keys in memory. */
  close(): Promise<void>;
}

export interface EncryptionRule {
  readonly resources: readonly string[];
  /** Prefixes of the stored values, the writing one first: `k8s:enc:aesgcm:v1:key1:`, empty for identity. */
  readonly prefixes: readonly string[];
}

export interface EncryptionDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Counts what each AES-GCM key encrypts. */
  readonly usage?: KeyUsage;
  readonly observer?: EncryptionObserver;
}

/** Parses and checks the text of a configuration file; throws an Error that names every problem, never a key. */
export function loadEncryptionConfig(text: string, deps: EncryptionDeps): Encryption {
  return new ConfiguredEncryption(parseEncryptionConfiguration(text), deps);
}

class ConfiguredEncryption implements Encryption {
  readonly keysDigest: string;
  /** Providers by `resource.group`, as the rules name them. */
  readonly #rulesByName = new Map<string, readonly Provider[]>();
  /** Codecs by resource, each made when it is first asked for. */
  readonly #transformers = new Map<string, PrefixChain>();
  readonly #observer: EncryptionObserver | undefined;
  readonly #rules: EncryptionRule[] = [];
  readonly #kms: KmsProvider[] = [];
  readonly #keys: Buffer[] = [];
  readonly #writeIds = new Set<string>();

  constructor(configuration: EncryptionConfiguration, deps: EncryptionDeps) {
    this.#observer = deps.observer;
    const chains = new Map<string, Provider[]>();
    const identities: unknown[] = [];
    for (const { resources, providers } of configuration.resources) {
      const built = providers.flatMap((provider) => this.#build(provider, deps));
      this.#rules.push({ resources, prefixes: built.map(({ prefix }) => prefix) });
      identities.push([resources, built.map((provider) => (provider instanceof KmsProvider ? provider.prefix : provider.writeId))]);
      for (const name of resources) {
        const { group, resource } = parseGroupResource(name);
        const chain = chains.get(`${resource}.${group}`);
        if (chain === undefined) chains.set(`${resource}.${group}`, [...built]);
        else chain.push(...built);
      }
    }
    for (const [name, providers] of chains) this.#rulesByName.set(name, providers);
    this.keysDigest = createHash('sha256').update(JSON.stringify(identities)).digest('hex');
  }

  get healthChecks() {
    return this.#kms.map((provider) => ({ name: provider.name, check: () => provider.check() }));
  }

  transformerFor(group: string, resource: string): Transformer {
    const name = `${resource}.${group}`;
    const known = this.#transformers.get(name);
    if (known !== undefined) return known;
    const providers = this.#providersOf(group, resource);
    if (providers === undefined) return identityTransformer;
    const label = group === '' ? resource : name;
    const chain = new PrefixChain(providers, (direction, prefix, seconds, error) =>
      this.#observer?.transformed(direction, label, prefix, seconds, error),
    );
    this.#transformers.set(name, chain);
    return chain;
  }

  prefixesFor(group: string, resource: string): readonly string[] {
    return (this.#providersOf(group, resource) ?? [identityProvider]).map(({ prefix }) => prefix);
  }

  describe(): readonly EncryptionRule[] {
    return this.#rules;
  }

  get writeIds(): readonly string[] {
    return [...this.#writeIds];
  }

  async close(): Promise<void> {
    await Promise.all(this.#kms.map((provider) => provider.close()));
    for (const key of this.#keys) key.fill(0);
  }

  #providersOf(group: string, resource: string): readonly Provider[] | undefined {
    const rules = [`${resource}.${group}`, `*.${group}`, '*.*'];
    const rule = rules.find((name) => this.#rulesByName.has(name));
    return rule === undefined ? undefined : this.#rulesByName.get(rule);
  }

  #build(provider: ProviderConfiguration, deps: EncryptionDeps): Provider[] {
    switch (provider.kind) {
      case 'aescbc':
      case 'aesgcm':
      case 'secretbox': {
        const cipherOf = { aescbc: aesCbc, aesgcm: aesGcm, secretbox }[provider.kind];
        return provider.keys.map(({ name, secret }) => {
          this.#keys.push(secret);
          const built = keyProvider(provider.kind, name, secret, cipherOf(secret));
          this.#writeIds.add(built.writeId);
          return provider.kind === 'aesgcm' && deps.usage !== undefined ? countWrites(built, deps.usage.counterOf(built.writeId)) : built;
        });
      }
      case 'kms': {
        const kms = new KmsProvider(provider, deps);
        this.#kms.push(kms);
        return [kms];
      }
      case 'identity':
        return [identityProvider];
      default:
        return assertNever(provider);
    }
  }
}

const identityProvider: Provider = {
  prefix: '',
  writeId: 'identity',
  encrypt: (plain) => plain,
  decrypt: (stored, context) => identityTransformer.fromStorage(stored, context),
};

function countWrites(provider: Provider, counter: KeyCounter): Provider {
  return {
    ...provider,
    encrypt(plain, context) {
      counter.add();
      return provider.encrypt(plain, context);
    },
  };
}
