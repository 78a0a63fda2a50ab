import { StorageError } from '../errors.ts';

/** Codec between the plaintext of an object and the bytes in the backend: encryption at rest hangs here. */
export interface Transformer {
  /**
   * What `toStorage` writes with now (provider and key), if that can change while the server runs: an object that was read or
   * written under another one counts as stale from the moment this changes.
   */
  readonly writeId?: string;
  /**
   * `stale` is true when the bytes are readable but would be written differently now (older key, older provider): the next
   * write of the object goes through even if nothing else changed. Throws StorageError `unreadable`.
   */
  fromStorage(
    stored: Uint8Array,
    context: TransformContext,
  ): { readonly plain: Uint8Array; readonly stale: boolean } | Promise<{ readonly plain: Uint8Array; readonly stale: boolean }>;
  toStorage(plain: Uint8Array, context: TransformContext): Uint8Array | Promise<Uint8Array>;
}

export interface TransformContext {
  /** Full key `/registry/<prefix>/<namespace>/<name>`: authenticated data of providers that bind it. */
  readonly key: string;
}

/** How the stored form of every encrypting provider begins. */
export const encryptedPrefix = 'k8s:enc:';

/** Stores the plaintext as it is. Refuses to read a value that another provider wrote, rather than serve ciphertext. */
export const identityTransformer: Transformer = {
  writeId: 'identity',
  fromStorage: (stored, { key }) => {
    if (startsWith(stored, encryptedPrefix)) {
      throw new StorageError('unreadable', 'the value is encrypted, and no provider for it is configured', { key });
    }
    return { plain: stored, stale: false };
  },
  toStorage: (plain) => plain,
};

/** True when the bytes begin with these ASCII characters. */
export function startsWith(bytes: Uint8Array, prefix: string): boolean {
  if (bytes.length < prefix.length) return false;
  for (let i = 0; i < prefix.length; i++) if (bytes[i] !== prefix.charCodeAt(i)) return false;
  return true;
}
