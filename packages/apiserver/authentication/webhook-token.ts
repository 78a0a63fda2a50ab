import { createHash } from 'node:crypto';
import type { V1TokenReview } from '@coffer/api/generated/types';
import { isRecord } from '@coffer/api/meta/safe-object';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { ExpiringCache } from '../webhook/expiring-cache.ts';
import { defaultWebhookRetries, postWithRetries, type WebhookClient, type WebhookRetries } from '../webhook/webhook-client.ts';
import { type AuthenticationResult, CredentialsError, type TokenAuthenticator } from './authenticator.ts';

export interface WebhookTokenOptions {
  readonly client: WebhookClient;
  /** `--authentication-token-webhook-version`: v1 or v1beta1. */
  readonly version: 'v1' | 'v1beta1';
  /** `--authentication-token-webhook-cache-ttl`: how long an answer holds. */
  readonly cacheTtlMs: number;
  readonly apiAudiences: readonly string[];
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retries?: WebhookRetries;
}

type Answer = { readonly result: AuthenticationResult } | { readonly refusal: string };

/** Asks a webhook by TokenReview whose token it is, and remembers the answer by digest. A webhook that fails accepts nobody. */
export class WebhookTokenAuthenticator implements TokenAuthenticator {
  readonly #options: WebhookTokenOptions;
  readonly #answers: ExpiringCache<Answer>;
  readonly #asking = new Map<string, Promise<Answer>>();

  constructor(options: WebhookTokenOptions) {
    this.#options = options;
    this.#answers = new ExpiringCache(options.clock);
  }

  async authenticateToken(token: string, audiences: readonly string[]): Promise<AuthenticationResult | undefined> {
    const key = createHash('sha256')
      .update(JSON.stringify([token, audiences]))
      .digest('base64');
    const answer = this.#answers.get(key) ?? (await this.#askOnce(key, token, audiences));
    if ('result' in answer) return answer.result;
    if (answer.refusal !== '') throw new CredentialsError(answer.refusal);
    return undefined;
  }

  /** Requests that come with the same token at the same time share one call. */
  #askOnce(key: string, token: string, audiences: readonly string[]): Promise<Answer> {
    let pending = this.#asking.get(key);
    if (!pending) {
      pending = this.#ask(token, audiences)
        .then((answer) => {
          this.#answers.set(key, answer, this.#options.cacheTtlMs);
          return answer;
        })
        .finally(() => this.#asking.delete(key));
      this.#asking.set(key, pending);
    }
    return pending;
  }

  async #ask(token: string, audiences: readonly string[]): Promise<Answer> {
    const { client, version, clock, logger, apiAudiences, retries = defaultWebhookRetries } = this.#options;
    const review = { apiVersion: `authentication.k8s.io/${version}`, kind: 'TokenReview', spec: { token, audiences } };
    let answer: unknown;
    try {
      answer = await postWithRetries(client, review, clock, retries);
    } catch (error) {
      logger.error('the token webhook did not answer', { err: error });
      throw new CredentialsError('the token webhook did not answer', { cause: error });
    }
    const status = isRecord(answer) && isRecord(answer.status) ? (answer.status as unknown as V1TokenReview['status']) : undefined;
    const name = status?.user?.username ?? '';
    if (status?.authenticated !== true || name === '') return { refusal: status?.error ?? '' };
    // A webhook that says nothing about audiences vouches for the server's own.
    const vouched = status.audiences && status.audiences.length > 0 ? status.audiences : apiAudiences;
    const accepted = vouched.filter((audience) => audiences.includes(audience));
    if (accepted.length === 0) return { refusal: '' };
    const { uid, groups, extra } = status.user ?? {};
    return {
      result: {
        user: { name, groups: groups ?? [], ...(uid ? { uid } : {}), ...(extra ? { extra } : {}) },
        audiences: accepted,
      },
    };
  }
}
