import { createHash } from 'node:crypto';
import { StorageError } from '../../errors.ts';
import { encryptedPrefix, startsWith, type TransformContext, type Transformer } from '../transformer.ts';
import type { Cipher } from './ciphers.ts';

/**
 * The providers of a resource in order. A value is read by the providers whose prefix it begins with, until one succeeds (two
 * keys may have the same name while they are being exchanged); the first provider writes. A value that another one could read is
 * stale.
 */
export interface Provider {
  /** `k8s:enc:aesgcm:v1:key1:`; empty for identity. */
  readonly prefix: string;
  /** See `Transformer.writeId`. */
  readonly writeId: string;
  /** `stored` without the prefix. */
  decrypt(stored: Uint8Array, context: TransformContext): Decrypted | Promise<Decrypted>;
  encrypt(plain: Uint8Array, context: TransformContext): Uint8Array | Promise<Uint8Array>;
}

export interface Decrypted {
  readonly plain: Uint8Array;
  readonly stale: boolean;
}

export class PrefixChain implements Transformer {
  readonly #providers: readonly Provider[];
  readonly #first: Provider;

  constructor(providers: readonly Provider[]) {
    const [first] = providers;
    if (first === undefined) throw new Error('a resource needs at least one provider');
    this.#providers = providers;
    this.#first = first;
  }

  get prefixes(): readonly string[] {
    return this.#providers.map(({ prefix }) => prefix);
  }

  get writeId(): string {
    return this.#first.writeId;
  }

  fromStorage(stored: Uint8Array, context: TransformContext): Decrypted | Promise<Decrypted> {
    return this.#tryFrom(0, stored, context, []);
  }

  toStorage(plain: Uint8Array, context: TransformContext): Uint8Array | Promise<Uint8Array> {
    const { prefix } = this.#first;
    const encrypted = this.#first.encrypt(plain, context);
    if (prefix === '') return encrypted;
    return encrypted instanceof Promise ? encrypted.then((bytes) => withPrefix(prefix, bytes)) : withPrefix(prefix, encrypted);
  }

  /** Tries the providers from number `start`; goes on asynchronously behind the first asynchronous one. */
  #tryFrom(start: number, stored: Uint8Array, context: TransformContext, errors: string[]): Decrypted | Promise<Decrypted> {
    for (let i = start; i < this.#providers.length; i++) {
      const provider = this.#providers[i];
      if (provider === undefined || !startsWith(stored, provider.prefix)) continue;
      try {
        const result = provider.decrypt(stored.subarray(provider.prefix.length), context);
        if (!(result instanceof Promise)) return { plain: result.plain, stale: result.stale || i > 0 };
        return result.then(
          ({ plain, stale }) => ({ plain, stale: stale || i > 0 }),
          (error: unknown) => this.#tryFrom(i + 1, stored, context, note(errors, provider, error)),
        );
      } catch (error) {
        note(errors, provider, error);
      }
    }
    throw new StorageError(
      'unreadable',
      errors.length > 0 ? errors.join('; ') : `no configured provider can read ${describe(stored)}`,
      context,
    );
  }
}

/** A provider with one local key. */
export function keyProvider(kind: 'aescbc' | 'aesgcm' | 'secretbox', keyName: string, key: Buffer, cipher: Cipher): Provider {
  const prefix = `${encryptedPrefix}${kind}:v1:${keyName}:`;
  const fingerprint = createHash('sha256').update(key).digest('base64url').slice(0, 12);
  return {
    prefix,
    writeId: prefix + fingerprint,
    encrypt: (plain, { key: authenticated }) => cipher.encrypt(plain, authenticated),
    decrypt: (stored, { key: authenticated }) => ({ plain: cipher.decrypt(stored, authenticated), stale: false }),
  };
}

function note(errors: string[], provider: Provider, error: unknown): string[] {
  // What identity says about an encrypted value is of interest only when nothing else could be tried.
  if (provider.prefix !== '') errors.push(`${provider.prefix} ${error instanceof Error ? error.message : String(error)}`);
  return errors;
}

/** Provider and key name that a value names; nothing else of it. */
function describe(stored: Uint8Array): string {
  if (!startsWith(stored, encryptedPrefix)) return 'a value that is not encrypted';
  const head = Buffer.from(stored.subarray(0, 200)).toString('latin1');
  const parts = head.split(':');
  return parts.length > 5 ? `a value written with ${parts.slice(0, 5).join(':')}` : 'the value';
}

function withPrefix(prefix: string, bytes: Uint8Array): Buffer {
  const result = Buffer.allocUnsafe(prefix.length + bytes.length);
  result.write(prefix, 'latin1');
  result.set(bytes, prefix.length);
  return result;
}
