import { createHash } from 'node:crypto';
import { StorageError } from '../../errors.ts';
import { encryptedPrefix, startsWith, type TransformContext, type Transformer } from '../transformer.ts';
import type { Cipher } from './ciphers.ts';
import type { TransformDirection } from './encryption-observer.ts';

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

/** Is told of every attempt of a provider: its prefix, `identity`, or `unknown` when none fitted. */
export type ObserveTransform = (direction: TransformDirection, prefix: string, seconds: number, error?: unknown) => void;

export class PrefixChain implements Transformer {
  readonly #providers: readonly Provider[];
  readonly #first: Provider;
  readonly #observe: ObserveTransform;

  constructor(providers: readonly Provider[], observe: ObserveTransform = () => {}) {
    const [first] = providers;
    if (first === undefined) throw new Error('a resource needs at least one provider');
    this.#providers = providers;
    this.#first = first;
    this.#observe = observe;
  }

  get writeId(): string {
    return this.#first.writeId;
  }

  fromStorage(stored: Uint8Array, context: TransformContext): Decrypted | Promise<Decrypted> {
    return this.#tryFrom(0, stored, context, { startedMs: performance.now(), errors: [] });
  }

  toStorage(plain: Uint8Array, context: TransformContext): Uint8Array | Promise<Uint8Array> {
    const { prefix } = this.#first;
    const startedMs = performance.now();
    let encrypted: Uint8Array | Promise<Uint8Array>;
    try {
      encrypted = this.#first.encrypt(plain, context);
    } catch (error) {
      this.#ended('to_storage', prefix, startedMs, error);
      throw error;
    }
    if (encrypted instanceof Promise) return this.#laterToStorage(encrypted, prefix, startedMs);
    const stored = prefix === '' ? encrypted : withPrefix(prefix, encrypted);
    this.#ended('to_storage', prefix, startedMs);
    return stored;
  }

  async #laterToStorage(encrypted: Promise<Uint8Array>, prefix: string, startedMs: number): Promise<Uint8Array> {
    try {
      const stored = withPrefix(prefix, await encrypted);
      this.#ended('to_storage', prefix, startedMs);
      return stored;
    } catch (error) {
      this.#ended('to_storage', prefix, startedMs, error);
      throw error;
    }
  }

  /** Tries the providers from number `start`; goes on asynchronously behind the first asynchronous one. */
  #tryFrom(start: number, stored: Uint8Array, context: TransformContext, attempt: Attempt): Decrypted | Promise<Decrypted> {
    const { startedMs, errors } = attempt;
    for (let i = start; i < this.#providers.length; i++) {
      const provider = this.#providers[i];
      if (provider === undefined || !startsWith(stored, provider.prefix)) continue;
      const succeeded = ({ plain, stale }: Decrypted): Decrypted => {
        this.#ended('from_storage', provider.prefix, startedMs);
        return { plain, stale: stale || i > 0 };
      };
      const failed = (error: unknown) => {
        // What identity says about an encrypted value is of interest only when nothing else could be tried.
        if (provider.prefix === '') return;
        this.#ended('from_storage', provider.prefix, startedMs, error);
        errors.push(`${provider.prefix} ${error instanceof Error ? error.message : String(error)}`);
      };
      try {
        const result = provider.decrypt(stored.subarray(provider.prefix.length), context);
        if (!(result instanceof Promise)) return succeeded(result);
        return result.then(succeeded, (error: unknown) => {
          failed(error);
          return this.#tryFrom(i + 1, stored, context, attempt);
        });
      } catch (error) {
        failed(error);
      }
    }
    const message = errors.length > 0 ? errors.join('; ') : `no configured provider can read ${describe(stored)}`;
    const error = new StorageError('unreadable', message, context);
    if (errors.length === 0) this.#observe('from_storage', 'unknown', secondsSince(startedMs), error);
    throw error;
  }

  #ended(direction: TransformDirection, prefix: string, startedMs: number, error?: unknown): void {
    this.#observe(direction, prefix === '' ? 'identity' : prefix, secondsSince(startedMs), error);
  }
}

/** One value that is being read: when it began, and what the providers so far said. */
interface Attempt {
  readonly startedMs: number;
  readonly errors: string[];
}

function secondsSince(startedMs: number): number {
  return (performance.now() - startedMs) / 1000;
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
