import { isRecord } from '@coffer/api/meta/safe-object';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { ExpiringCache } from '../webhook/expiring-cache.ts';
import { defaultWebhookRetries, postWithRetries, type WebhookClient, type WebhookRetries } from '../webhook/webhook-client.ts';
import type { Attributes, Authorizer, Decision } from './authorizer.ts';
import { reviewSpec } from './review-spec.ts';

export interface WebhookAuthorizerOptions {
  readonly client: WebhookClient;
  /** `--authorization-webhook-version`. */
  readonly version: 'v1' | 'v1beta1';
  /** How long answers are remembered; 0 for not at all. */
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  /** What a webhook that fails decides. Absent: it has no opinion. */
  readonly failurePolicy?: FailurePolicy;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retries?: WebhookRetries;
}

/** Longer questions are asked and not remembered, as upstream. */
const maxCachedLength = 10_000;
/** What counts when nobody can be asked. Nothing is ever allowed because of a failure. */
export type FailurePolicy = 'NoOpinion' | 'Deny';

/**
 * Asks a webhook by SubjectAccessReview and remembers its answer. `denied` ends the chain; one that fails has no opinion or denies, with
 * the error, so that nothing is allowed because of a failure.
 */
export class WebhookAuthorizer implements Authorizer {
  readonly #options: WebhookAuthorizerOptions;
  readonly #decisions: ExpiringCache<Decision>;

  constructor(options: WebhookAuthorizerOptions) {
    this.#options = options;
    this.#decisions = new ExpiringCache(options.clock);
  }

  authorize(attributes: Attributes): Decision | Promise<Decision> {
    const spec = reviewSpec(attributes);
    const key = JSON.stringify(spec);
    return this.#decisions.get(key) ?? this.#ask(key, spec);
  }

  async #ask(key: string, spec: object): Promise<Decision> {
    const {
      client,
      version,
      clock,
      logger,
      authorizedTtlMs,
      unauthorizedTtlMs,
      failurePolicy,
      retries = defaultWebhookRetries,
    } = this.#options;
    const review = { apiVersion: `authorization.k8s.io/${version}`, kind: 'SubjectAccessReview', spec: specFor(version, spec) };
    let answer: unknown;
    try {
      answer = await postWithRetries(client, review, clock, retries);
    } catch (failure) {
      logger.error('the authorization webhook did not answer', { err: failure });
      const error = failure instanceof Error ? failure.message : String(failure);
      return { decision: failurePolicy === 'Deny' ? 'deny' : 'no-opinion', reason: '', error };
    }
    const decision = decisionOf(answer);
    const ttlMs = decision.decision === 'allow' ? authorizedTtlMs : unauthorizedTtlMs;
    if (ttlMs > 0 && key.length <= maxCachedLength) this.#decisions.set(key, decision, ttlMs);
    return decision;
  }
}

/** What is missing in the answer counts as false, as in any object of the API. */
function decisionOf(answer: unknown): Decision {
  const status = isRecord(answer) && isRecord(answer.status) ? answer.status : {};
  const reason = typeof status.reason === 'string' ? status.reason : '';
  const [allowed, denied] = [status.allowed === true, status.denied === true];
  if (allowed && denied) {
    return { decision: 'deny', reason, error: 'webhook subject access review returned both allow and deny response' };
  }
  return { decision: denied ? 'deny' : allowed ? 'allow' : 'no-opinion', reason };
}

/** In v1beta1 the groups are called `group`. */
function specFor(version: 'v1' | 'v1beta1', spec: object): object {
  if (version === 'v1' || !('groups' in spec)) return spec;
  const { groups, ...rest } = spec;
  return { ...rest, group: groups };
}
