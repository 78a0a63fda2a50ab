import { randomBytes, randomUUID } from 'node:crypto';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { Root } from 'protobufjs';
import { StorageError } from '../../../errors.ts';
import { encryptedPrefix, type TransformContext } from '../../transformer.ts';
import { aesGcm, type Cipher } from '../ciphers.ts';
import type { EncryptionObserver } from '../encryption-observer.ts';
import type { Decrypted, Provider } from '../prefix-chain.ts';
import {
  checkEncryptedObject,
  checkKeyId,
  decodeEncryptedObject,
  type EncryptedObject,
  encodeEncryptedObject,
  keyIdProblem,
  sourceId,
  sourceType,
} from './encrypted-object.ts';
import { KmsClient } from './kms-client.ts';
import { seedCipher } from './seed-cipher.ts';
import { SourceCache } from './source-cache.ts';

/**
 * KMS v2: values are encrypted here with keys derived from a seed; the plugin only encrypts and decrypts seeds. The plugin's
 * Status is asked every minute, and by health checks; when it names another key, a new seed is made and older values are stale. A seed whose key the
 * plugin has not confirmed for three minutes is not used for writing any more; reading goes on.
 */
export interface KmsOptions {
  readonly name: string;
  readonly socketPath: string;
  readonly timeoutMs: number;
}

export interface KmsDeps {
  readonly clock: Clock;
  readonly logger: Logger;
  readonly observer?: EncryptionObserver;
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
/** For how long a plugin that was well is taken to be so by health checks. */
const healthyTtlMs = 20_000;
const maxCachedSources = 1000;

export class KmsProvider implements Provider {
  readonly name: string;
  readonly prefix: string;
  readonly #client: KmsClient;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #observer: EncryptionObserver | undefined;
  /** By `sourceId`. */
  readonly #sources: SourceCache;
  readonly #decrypting = new Map<string, Promise<Cipher>>();
  #write: WriteState | undefined;
  #messages: Root | undefined;
  #probing: Promise<void> | undefined;
  #failure: Error | undefined;
  /** Monotonic time at which the plugin was last found well. */
  #healthyMs = Number.NEGATIVE_INFINITY;
  #cancelTimer = () => {};
  #closed = false;

  constructor(options: KmsOptions, deps: KmsDeps) {
    this.name = options.name;
    this.prefix = `${encryptedPrefix}kms:v2:${options.name}:`;
    this.#client = new KmsClient(options.socketPath, options.timeoutMs);
    this.#clock = deps.clock;
    this.#logger = deps.logger;
    this.#observer = deps.observer;
    this.#sources = new SourceCache(maxCachedSources, (size) => this.#observer?.kmsSourcesKept(this.name, size));
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
    if (this.#failure !== undefined || this.#clock.monotonicMs() - this.#healthyMs >= healthyTtlMs) await this.#probe();
    if (this.#failure !== undefined) throw this.#failure;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#cancelTimer();
    await this.#client.close();
    this.#write = undefined;
    this.#sources.clear();
  }

  /** What the plugin answers after the end must not be kept. */
  #checkOpen(): void {
    if (this.#closed) throw new Error('the KMS provider is closed');
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
    this.#observer?.kmsKeyUsed('to_storage', this.name, source.keyID);
    return encodeEncryptedObject(messages, { ...source, encryptedData: cipher.encrypt(plain, key) });
  }

  #decryptWith(messages: Root, stored: Uint8Array, key: string): Decrypted | Promise<Decrypted> {
    const object = decodeEncryptedObject(messages, stored);
    const decrypt = (cipher: Cipher) => {
      this.#observer?.kmsKeyUsed('from_storage', this.name, object.keyID);
      return { plain: cipher.decrypt(object.encryptedData, key), stale: this.#isStale(object) };
    };
    const id = sourceId(object);
    const known = this.#sources.get(id);
    if (known !== undefined) return decrypt(known);
    this.#observer?.kmsSourceMissed();
    return this.#fetchCipher(id, object).then(decrypt);
  }

  #isStale({ keyID, encryptedDEKSourceType }: EncryptedObject): boolean {
    return this.#write !== undefined && (keyID !== this.#write.source.keyID || encryptedDEKSourceType !== sourceType.hkdfSeed);
  }

  /** Asks the plugin for the key or seed; values that share it share the question. */
  #fetchCipher(id: string, object: EncryptedObject): Promise<Cipher> {
    const running = this.#decrypting.get(id);
    if (running !== undefined) return running;
    const { encryptedDEKSource: ciphertext, keyID: keyId, annotations } = object;
    const question = this.#timed('Decrypt', () => this.#client.decrypt({ ciphertext, keyId, annotations, uid: randomUUID() }))
      .then((answer) => {
        const key = Buffer.from(answer);
        answer.fill(0);
        this.#checkOpen();
        const cipher = object.encryptedDEKSourceType === sourceType.hkdfSeed ? seedCipher(key) : aesGcm(key);
        return this.#sources.add(id, key, cipher);
      })
      .catch((cause: unknown) => {
        throw new Error(`failed to decrypt DEK, error: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
      })
      .finally(() => this.#decrypting.delete(id));
    this.#decrypting.set(id, question);
    return question;
  }

  async #timed<T>(method: 'Status' | 'Encrypt' | 'Decrypt', call: () => Promise<T>): Promise<T> {
    const startedMs = this.#clock.monotonicMs();
    const ended = (error?: unknown) => this.#observer?.kmsCall(this.name, method, (this.#clock.monotonicMs() - startedMs) / 1000, error);
    try {
      const answer = await call();
      ended();
      return answer;
    } catch (error) {
      ended(error);
      throw error;
    }
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
        this.#healthyMs = this.#clock.monotonicMs();
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
    const { version, healthz, keyId } = await this.#timed('Status', () => this.#client.status());
    if (healthz !== 'ok') throw new Error(`got unexpected healthz status: ${healthz}`);
    if (version !== 'v2' && version !== 'v2beta1') throw new Error(`expected KMSv2 API version v2, got ${version}`);
    this.#observer?.kmsKeyNamed(this.name, keyId, keyIdProblem(keyId));
    checkKeyId(keyId);
    if (this.#write?.source.keyID === keyId) {
      this.#write.confirmedMs = this.#clock.monotonicMs();
      return;
    }
    this.#write = await this.#newWriteState(keyId);
  }

  async #newWriteState(keyId: string): Promise<WriteState> {
    const startedMs = this.#clock.monotonicMs();
    const made = (error?: unknown) => this.#observer?.seedMade((this.#clock.monotonicMs() - startedMs) / 1000, error);
    const seed = randomBytes(32);
    try {
      const answer = await this.#timed('Encrypt', () => this.#client.encrypt(seed, randomUUID()));
      this.#checkOpen();
      if (answer.keyId !== keyId) throw new Error('Status and Encrypt of the plugin name different keys');
      const source = {
        keyID: answer.keyId,
        encryptedDEKSource: answer.ciphertext,
        annotations: answer.annotations,
        encryptedDEKSourceType: sourceType.hkdfSeed,
      };
      // Fails when the plugin's answer could not be stored.
      checkEncryptedObject({ ...source, encryptedData: Buffer.from([0]) });
      const id = sourceId(source);
      const cipher = this.#sources.add(id, seed, seedCipher(seed));
      this.#sources.writeWith(id);
      made();
      return { cipher, source, confirmedMs: this.#clock.monotonicMs() };
    } catch (error) {
      seed.fill(0);
      made(error);
      throw error;
    }
  }
}
