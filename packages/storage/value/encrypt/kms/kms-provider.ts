import { randomBytes, randomUUID } from 'node:crypto';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { Root } from 'protobufjs';
import { StorageError } from '../../../errors.ts';
import { encryptedPrefix, type TransformContext } from '../../transformer.ts';
import { aesGcm, type Cipher } from '../ciphers.ts';
import type { Decrypted, Provider } from '../prefix-chain.ts';
import {
  checkKeyId,
  decodeEncryptedObject,
  type EncryptedObject,
  encodeEncryptedObject,
  sourceId,
  sourceType,
} from './encrypted-object.ts';
import { KmsClient } from './kms-client.ts';
import { seedCipher } from './seed-cipher.ts';

/**
 * KMS v2: values are encrypted here with keys derived from a seed; the plugin only encrypts and decrypts seeds. The plugin's
 * Status is asked every minute; when it names another key, a new seed is made and older values are stale. A seed whose key the
 * plugin has not confirmed for three minutes is not used for writing any more; reading goes on.
 */
export interface KmsOptions {
  readonly name: string;
  readonly socketPath: string;
  readonly timeoutMs: number;
}

interface WriteState {
  readonly cipher: Cipher;
  readonly source: Omit<EncryptedObject, 'encryptedData'>;
  /** Monotonic time at which the plugin last confirmed the key. */
  confirmedMs: number;
}

const pollHealthyMs = 60_000;
const pollUnhealthyMs = 10_000;
const writeTtlMs = 180_000;
const maxCachedSources = 1000;

export class KmsProvider implements Provider {
  readonly name: string;
  readonly prefix: string;
  readonly #client: KmsClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  /** Ciphers by `sourceId`, in order of use. */
  readonly #ciphers = new Map<string, Cipher>();
  readonly #decrypting = new Map<string, Promise<Cipher>>();
  #write: WriteState | undefined;
  #messages: Root | undefined;
  #probing: Promise<void> | undefined;
  #failure: Error | undefined;
  #cancelTimer = () => {};
  #closed = false;

  constructor(options: KmsOptions, deps: { readonly clock: Clock; readonly logger: Logger }) {
    this.name = options.name;
    this.prefix = `${encryptedPrefix}kms:v2:${options.name}:`;
    this.#client = new KmsClient(options.socketPath, options.timeoutMs);
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    void this.#poll();
  }

  get writeId(): string {
    return this.prefix + (this.#write?.source.keyID ?? '');
  }

  encrypt(plain: Uint8Array, { key }: TransformContext): Uint8Array | Promise<Uint8Array> {
    const state = this.#write;
    if (state !== undefined && this.#messages !== undefined && this.#isConfirmed(state))
      return this.#encode(this.#messages, state, plain, key);
    return this.#afterProbe().then(({ messages, write }) => this.#encode(messages, write, plain, key));
  }

  decrypt(stored: Uint8Array, { key }: TransformContext): Decrypted | Promise<Decrypted> {
    if (this.#messages === undefined) return this.#client.messages().then((messages) => this.#decryptWith(messages, stored, key));
    return this.#decryptWith(this.#messages, stored, key);
  }

  /** Rejects when the plugin cannot be used for writing now. */
  async check(): Promise<void> {
    if (this.#write === undefined || this.#failure !== undefined) await this.#probe();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    await this.#client.close();
  }

  #isConfirmed(state: WriteState): boolean {
    return this.#clock.monotonicMs() - state.confirmedMs <= writeTtlMs;
  }

  async #afterProbe(): Promise<{ readonly messages: Root; readonly write: WriteState }> {
    await this.#probe();
    const messages = await this.#client.messages();
    if (this.#write !== undefined && this.#isConfirmed(this.#write)) return { messages, write: this.#write };
    throw new StorageError(
      'unavailable',
      `the KMS provider ${this.name} cannot encrypt: ${this.#failure?.message ?? 'its key is not confirmed'}`,
    );
  }

  #encode(messages: Root, { cipher, source }: WriteState, plain: Uint8Array, key: string): Uint8Array {
    return encodeEncryptedObject(messages, { ...source, encryptedData: cipher.encrypt(plain, key) });
  }

  #decryptWith(messages: Root, stored: Uint8Array, key: string): Decrypted | Promise<Decrypted> {
    const object = decodeEncryptedObject(messages, stored);
    const decrypt = (cipher: Cipher) => ({ plain: cipher.decrypt(object.encryptedData, key), stale: this.#isStale(object) });
    const id = sourceId(object);
    const known = this.#ciphers.get(id);
    return known === undefined ? this.#fetchCipher(id, object).then(decrypt) : decrypt(known);
  }

  #isStale({ keyID, encryptedDEKSourceType }: EncryptedObject): boolean {
    return this.#write !== undefined && (keyID !== this.#write.source.keyID || encryptedDEKSourceType !== sourceType.hkdfSeed);
  }

  /** Asks the plugin for the key or seed; values that share it share the question. */
  #fetchCipher(id: string, object: EncryptedObject): Promise<Cipher> {
    const running = this.#decrypting.get(id);
    if (running !== undefined) return running;
    const { encryptedDEKSource: ciphertext, keyID: keyId, annotations } = object;
    const question = this.#client
      .decrypt({ ciphertext, keyId, annotations, uid: randomUUID() })
      .then((key) =>
        this.#remember(id, object.encryptedDEKSourceType === sourceType.hkdfSeed ? seedCipher(Buffer.from(key)) : aesGcm(Buffer.from(key))),
      )
      .catch((cause: unknown) => {
        throw new Error(`failed to decrypt DEK, error: ${cause instanceof Error ? cause.message : String(cause)}`);
      })
      .finally(() => this.#decrypting.delete(id));
    this.#decrypting.set(id, question);
    return question;
  }

  #remember(id: string, cipher: Cipher): Cipher {
    this.#ciphers.set(id, cipher);
    const [oldest] = this.#ciphers.keys();
    if (this.#ciphers.size > maxCachedSources && oldest !== undefined) this.#ciphers.delete(oldest);
    return cipher;
  }

  async #poll(): Promise<void> {
    await this.#probe();
    if (this.#closed) return;
    this.#cancelTimer = this.#clock.setTimer(this.#failure === undefined ? pollHealthyMs : pollUnhealthyMs, () => void this.#poll());
  }

  /** Asks for the plugin's status once, however many wait for it; never rejects. */
  #probe(): Promise<void> {
    this.#probing ??= this.#askStatus()
      .then(() => {
        this.#failure = undefined;
      })
      .catch((cause: unknown) => {
        this.#failure = new Error(
          `the KMS provider ${this.name} is not healthy: ${cause instanceof Error ? cause.message : String(cause)}`,
        );
        if (!this.#closed) this.#logger.warn('the KMS plugin does not work', { provider: this.name, err: this.#failure });
      })
      .finally(() => {
        this.#probing = undefined;
      });
    return this.#probing;
  }

  async #askStatus(): Promise<void> {
    this.#messages ??= await this.#client.messages();
    const { version, healthz, keyId } = await this.#client.status();
    if (healthz !== 'ok') throw new Error(`got unexpected healthz status: ${healthz}`);
    if (version !== 'v2' && version !== 'v2beta1') throw new Error(`expected KMSv2 API version v2, got ${version}`);
    checkKeyId(keyId);
    if (this.#write?.source.keyID === keyId) {
      this.#write.confirmedMs = this.#clock.monotonicMs();
      return;
    }
    this.#write = await this.#newWriteState(keyId);
  }

  async #newWriteState(keyId: string): Promise<WriteState> {
    const seed = randomBytes(32);
    const answer = await this.#client.encrypt(seed, randomUUID());
    if (answer.keyId !== keyId) throw new Error('Status and Encrypt of the plugin name different keys');
    const source = {
      keyID: answer.keyId,
      encryptedDEKSource: answer.ciphertext,
      annotations: answer.annotations,
      encryptedDEKSourceType: sourceType.hkdfSeed,
    };
    const cipher = this.#remember(sourceId(source), seedCipher(seed));
    // Fails when the plugin's answer could not be stored.
    if (this.#messages !== undefined) encodeEncryptedObject(this.#messages, { ...source, encryptedData: Buffer.from([0]) });
    return { cipher, source, confirmedMs: this.#clock.monotonicMs() };
  }
}
