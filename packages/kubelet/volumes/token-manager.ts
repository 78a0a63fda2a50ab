/**
 * Tokens for service accounts, asked for with TokenRequest and bound to the pod. A token is renewed when 80 % of its life or 24 hours
 * are over; when the API does not answer, an unexpired one stays in use. Tokens stay in memory here and never reach a log.
 */
import type { V1ServiceAccountTokenProjection } from '@coffer/api/generated/types';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { Clock } from '@coffer/base/time/clock';
import { type KubeletApi, resources } from '../deps.ts';
import type { Pod } from '../types.ts';

interface CachedToken {
  readonly token: string;
  readonly issuedAtMs: number;
  readonly expiresAtMs: number;
  readonly jitterMs: number;
}

const maximumAgeMs = 24 * 3600 * 1000;
const defaultExpirationSeconds = 3600;
const jitterMs = 10_000;

export class TokenManager {
  readonly #api: KubeletApi;
  readonly #clock: Clock;
  readonly #tokens = new Map<string, Map<string, CachedToken>>();

  constructor(api: KubeletApi, clock: Clock) {
    this.#api = api;
    this.#clock = clock;
  }

  async token(pod: Pod, projection: V1ServiceAccountTokenProjection): Promise<string> {
    const { uid, name, namespace } = pod.metadata;
    const expirationSeconds = projection.expirationSeconds ?? defaultExpirationSeconds;
    const key = `${projection.audience ?? ''}/${expirationSeconds}`;
    const cached = this.#tokens.get(uid)?.get(key);
    if (cached !== undefined && this.#clock.now() < renewalTimeMs(cached)) return cached.token;
    try {
      const issuedAtMs = this.#clock.now();
      const answer = await this.#api.create(
        {
          resource: resources.serviceAccounts,
          namespace,
          name: pod.spec.serviceAccountName ?? 'default',
          subresource: 'token',
        },
        {
          apiVersion: 'authentication.k8s.io/v1',
          kind: 'TokenRequest',
          spec: {
            audiences: projection.audience === undefined || projection.audience === '' ? [] : [projection.audience],
            expirationSeconds,
            boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name, uid },
          },
        },
      );
      const status = answer.status;
      if (!isRecord(status) || typeof status.token !== 'string') throw new Error('the API answered a TokenRequest without a token');
      const expiresAtMs = Date.parse(String(status.expirationTimestamp));
      const fresh: CachedToken = {
        token: status.token,
        issuedAtMs,
        expiresAtMs: Number.isNaN(expiresAtMs) ? issuedAtMs + expirationSeconds * 1000 : expiresAtMs,
        jitterMs: Math.random() * jitterMs,
      };
      const ofPod = this.#tokens.get(uid) ?? new Map<string, CachedToken>();
      ofPod.set(key, fresh);
      this.#tokens.set(uid, ofPod);
      return fresh.token;
    } catch (error) {
      if (cached !== undefined && this.#clock.now() < cached.expiresAtMs) return cached.token;
      throw new Error(`failed to fetch token: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }

  removePod(uid: string): void {
    this.#tokens.delete(uid);
  }
}

function renewalTimeMs(token: CachedToken): number {
  const lifeMs = token.expiresAtMs - token.issuedAtMs;
  return token.issuedAtMs + Math.min(lifeMs * 0.8, maximumAgeMs) - token.jitterMs * Math.min(1, lifeMs / 600_000);
}
