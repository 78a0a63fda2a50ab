import { isRecord } from '@coffer/api/meta/safe-object';
import type { Clock } from '@coffer/base/time/clock';
import { createLocalJWKSet, errors, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose';

/** Reads a JSON document over HTTPS. Rejects for every other status than 200. */
export type FetchJson = (url: string) => Promise<unknown>;

const maxAgeMs = 10 * 60_000;
/** A token with an unknown key ID makes the keys be read again, but no more often than this. */
const cooldownMs = 5_000;

/**
 * The keys of an issuer, found through its discovery document and kept for ten minutes. A token signed by a key that is not
 * among them makes them be read again, so that a rotation at the issuer is followed at once.
 */
export class RemoteKeys {
  readonly #fetchJson: FetchJson;
  readonly #issuer: string;
  readonly #discoveryUrl: string;
  readonly #clock: Clock;
  #keys: JWTVerifyGetKey | undefined;
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(options: { readonly fetchJson: FetchJson; readonly issuer: string; readonly discoveryUrl: string; readonly clock: Clock }) {
    this.#fetchJson = options.fetchJson;
    this.#issuer = options.issuer;
    this.#discoveryUrl = options.discoveryUrl;
    this.#clock = options.clock;
  }

  /** For `jwtVerify`: the key a token names. */
  readonly get: JWTVerifyGetKey = async (header, token) => {
    if (this.#ageMs() > maxAgeMs) await this.#read();
    try {
      return await this.#known(header, token);
    } catch (error) {
      if (!(error instanceof errors.JWKSNoMatchingKey) || this.#ageMs() < cooldownMs) throw error;
      await this.#read();
      return await this.#known(header, token);
    }
  };

  #known(...args: Parameters<JWTVerifyGetKey>): ReturnType<JWTVerifyGetKey> {
    if (!this.#keys) throw new Error('the keys of the issuer have not been read');
    return this.#keys(...args);
  }

  #ageMs(): number {
    return this.#clock.monotonicMs() - this.#readAtMs;
  }

  /** Keeps what it had when the issuer does not answer, and tries again after the cooldown. */
  #read(): Promise<void> {
    this.#reading ??= this.#fetch()
      .then(
        (keys) => {
          this.#keys = createLocalJWKSet(keys);
          this.#readAtMs = this.#clock.monotonicMs();
        },
        (error: unknown) => {
          if (!this.#keys) throw error;
          this.#readAtMs = this.#clock.monotonicMs() - maxAgeMs + cooldownMs;
        },
      )
      .finally(() => {
        this.#reading = undefined;
      });
    return this.#reading;
  }

  async #fetch(): Promise<JSONWebKeySet> {
    const discovery = await this.#fetchJson(this.#discoveryUrl);
    if (!isRecord(discovery) || discovery.issuer !== this.#issuer) {
      throw new Error(`the discovery document at ${this.#discoveryUrl} is not that of issuer ${this.#issuer}`);
    }
    const keysUrl = discovery.jwks_uri;
    if (typeof keysUrl !== 'string' || !keysUrl.startsWith('https://')) throw new Error(`issuer ${this.#issuer} publishes no jwks_uri`);
    const keys = await this.#fetchJson(keysUrl);
    if (!isRecord(keys) || !Array.isArray(keys.keys)) throw new Error(`issuer ${this.#issuer} publishes no key set`);
    return keys as unknown as JSONWebKeySet;
  }
}
