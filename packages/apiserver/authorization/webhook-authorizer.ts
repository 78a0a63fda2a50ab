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
 * Asks a webhook by SubjectAccessReview and remembers its answer. `denied` ends the chain; a webhook that fails has no opinion
 * or denies, so that nothing is allowed because of a failure.
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
    const failed: Decision = { decision: failurePolicy === 'Deny' ? 'deny' : 'no-opinion', reason: '' };
    const review = { apiVersion: `authorization.k8s.io/${version}`, kind: 'SubjectAccessReview', spec: specFor(version, spec) };
    let answer: unknown;
    try {
      answer = await postWithRetries(client, review, clock, retries);
    } catch (error) {
      logger.error('the authorization webhook did not answer', { err: error });
      return failed;
    }
    const decision = decisionOf(answer);
    if (!decision) {
      logger.error('the authorization webhook gave no usable answer', {});
      return failed;
    }
    const ttlMs = decision.decision === 'allow' ? authorizedTtlMs : unauthorizedTtlMs;
    if (ttlMs > 0 && key.length <= maxCachedLength) this.#decisions.set(key, decision, ttlMs);
    return decision;
  }
}

function decisionOf(answer: unknown): Decision | undefined {
  const status = isRecord(answer) ? answer.status : undefined;
  if (!isRecord(status) || typeof status.allowed !== 'boolean' || (status.allowed && status.denied === true)) return undefined;
  const reason = typeof status.reason === 'string' ? status.reason : '';
  return { decision: status.denied === true ? 'deny' : status.allowed ? 'allow' : 'no-opinion', reason };
}

/** In v1beta1 the groups are called `group`. */
function specFor(version: 'v1' | 'v1beta1', spec: object): object {
  if (version === 'v1' || !('groups' in spec)) return spec;
  const { groups, ...rest } = spec;
  return { ...rest, group: groups };
}
