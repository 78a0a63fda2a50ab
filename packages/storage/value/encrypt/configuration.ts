import { isRecord } from '@coffer/api/meta/safe-object';
import { parseDuration } from '@coffer/base/time/duration';
import { load } from 'js-yaml';
import { validateEncryptionConfiguration } from './configuration-validation.ts';

/** Kubernetes' `EncryptionConfiguration` (apiserver.config.k8s.io/v1) as checked data. Keys are decoded. */
export interface EncryptionConfiguration {
  readonly resources: readonly ResourceConfiguration[];
}

export interface ResourceConfiguration {
  /** `secrets`, `deployments.apps`, `*.` (core group), `*.apps`, `*.*`. */
  readonly resources: readonly string[];
  /** The first one writes, all of them read. */
  readonly providers: readonly ProviderConfiguration[];
}

export type ProviderConfiguration =
  | { readonly kind: 'aescbc' | 'aesgcm' | 'secretbox'; readonly keys: readonly NamedKey[] }
  | { readonly kind: 'identity' }
  | { readonly kind: 'kms'; readonly name: string; readonly socketPath: string; readonly timeoutMs: number };

export interface NamedKey {
  readonly name: string;
  readonly secret: Buffer;
}

/** Parses YAML or JSON text. Throws one Error that names every problem and no key material. */
export function parseEncryptionConfiguration(text: string): EncryptionConfiguration {
  if (text.trim() === '') throw new Error('the encryption configuration is empty');
  let document: unknown;
  try {
    document = load(text);
  } catch (error) {
    // The parser's message quotes lines of the file.
    const mark = (error as { mark?: { line?: number } }).mark;
    throw new Error(`the encryption configuration is not valid YAML${mark?.line === undefined ? '' : ` (line ${mark.line + 1})`}`);
  }
  if (!isRecord(document)) throw new Error('the encryption configuration is not an object');
  if (document.apiVersion !== 'apiserver.config.k8s.io/v1' || document.kind !== 'EncryptionConfiguration') {
    throw new Error(
      `expected kind EncryptionConfiguration of apiserver.config.k8s.io/v1, got ${String(document.kind)} of ${String(document.apiVersion)}`,
    );
  }
  const errors = validateEncryptionConfiguration(document);
  if (errors.length > 0) throw new Error(errors.length === 1 ? errors[0] : `[${errors.join(', ')}]`);
  return toConfiguration(document as unknown as RawConfiguration);
}

/** The document after validation. */
interface RawConfiguration {
  readonly resources: readonly { readonly resources: readonly string[]; readonly providers: readonly RawProvider[] }[];
}

interface RawProvider {
  readonly aescbc?: RawKeys;
  readonly aesgcm?: RawKeys;
  readonly secretbox?: RawKeys;
  readonly identity?: object;
  readonly kms?: { readonly name: string; readonly endpoint: string; readonly timeout?: string };
}

interface RawKeys {
  readonly keys: readonly { readonly name: string; readonly secret: string }[];
}

function toConfiguration(document: RawConfiguration): EncryptionConfiguration {
  return {
    resources: document.resources.map(({ resources, providers }) => ({ resources, providers: providers.map(toProvider) })),
  };
}

function toProvider(provider: RawProvider): ProviderConfiguration {
  for (const kind of ['aescbc', 'aesgcm', 'secretbox'] as const) {
    const settings = provider[kind];
    if (settings !== undefined) {
      return { kind, keys: settings.keys.map(({ name, secret }) => ({ name, secret: Buffer.from(secret, 'base64') })) };
    }
  }
  if (provider.kms === undefined) return { kind: 'identity' };
  const { name, endpoint, timeout } = provider.kms;
  return { kind: 'kms', name, socketPath: endpoint.replace(/^unix:(\/\/)?/, ''), timeoutMs: parseDuration(timeout ?? '3s') ?? 3000 };
}
