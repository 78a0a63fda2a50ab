/** Is told what encryption does, for metrics: which codec, which key and how long; never a key or a value. */
export interface EncryptionObserver {
  /** One value was read or written by a provider: `prefix` as stored, `identity` for none, `unknown` when no provider fitted. */
  transformed(direction: TransformDirection, resource: string, prefix: string, seconds: number, error?: unknown): void;
  /** A call of a KMS plugin has ended. */
  kmsCall(provider: string, method: 'Status' | 'Encrypt' | 'Decrypt', seconds: number, error?: unknown): void;
  /** A value was read or written with something that this key of the plugin protects. */
  kmsKeyUsed(direction: TransformDirection, provider: string, keyId: string): void;
  /** The plugin's Status named this key, or one that cannot be: empty or too long. */
  kmsKeyNamed(provider: string, keyId: string, problem?: 'empty' | 'too_long'): void;
  /** How many decrypted seeds and keys of the plugin are kept in memory. */
  kmsSourcesKept(provider: string, count: number): void;
  /** A seed had to be decrypted by the plugin. */
  kmsSourceMissed(): void;
  /** A new seed was made, or could not be. */
  seedMade(seconds: number, error?: unknown): void;
}

export type TransformDirection = 'from_storage' | 'to_storage';
