import { isRecord } from '@coffer/api/meta/safe-object';
import { parseFieldSelector } from '@coffer/api/selectors/fields';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { ExpiringCache } from '../webhook/expiring-cache.ts';
import { defaultWebhookRetries, postWithRetries, type WebhookClient, type WebhookRetries } from '../webhook/webhook-client.ts';
import type { Attributes, Authorizer, Decision } from './authorizer.ts';

export interface WebhookAuthorizerOptions {
  readonly client: WebhookClient;
  /** `--authorization-webhook-version`. */
  readonly version: 'v1' | 'v1beta1';
  readonly authorizedTtlMs: number;
  readonly unauthorizedTtlMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly retries?: WebhookRetries;
}

/** Longer questions are asked and not remembered, as upstream. */
const maxCachedLength = 10_000;
const noOpinion: Decision = { decision: 'no-opinion', reason: '' };

/**
 * Asks a webhook by SubjectAccessReview and remembers its answer. `denied` ends the chain; a webhook that fails has no opinion,
 * so that nothing is allowed because of a failure.
 */
export class WebhookAuthorizer implements Authorizer {
  readonly #options: WebhookAuthorizerOptions;
  readonly #decisions: ExpiringCache<Decision>;

  constructor(options: WebhookAuthorizerOptions) {
    this.#options = options;
    this.#decisions = new ExpiringCache(options.clock);
  }

  authorize(attributes: Attributes): Decision | Promise<Decision> {
    const spec = specOf(attributes);
    const key = JSON.stringify(spec);
    return this.#decisions.get(key) ?? this.#ask(key, spec);
  }

  async #ask(key: string, spec: object): Promise<Decision> {
    const { client, version, clock, logger, authorizedTtlMs, unauthorizedTtlMs, retries = defaultWebhookRetries } = this.#options;
    const review = { apiVersion: `authorization.k8s.io/${version}`, kind: 'SubjectAccessReview', spec: specFor(version, spec) };
    let answer: unknown;
    try {
      answer = await postWithRetries(client, review, clock, retries);
    } catch (error) {
      logger.error('the authorization webhook did not answer', { err: error });
      return noOpinion;
    }
    const decision = decisionOf(answer);
    if (!decision) {
      logger.error('the authorization webhook gave no usable answer', {});
      return noOpinion;
    }
    if (key.length <= maxCachedLength) {
      this.#decisions.set(key, decision, decision.decision === 'allow' ? authorizedTtlMs : unauthorizedTtlMs);
    }
    return decision;
  }
}

function decisionOf(answer: unknown): Decision | undefined {
  const status = isRecord(answer) ? answer.status : undefined;
  if (!isRecord(status) || typeof status.allowed !== 'boolean' || (status.allowed && status.denied === true)) return undefined;
  const reason = typeof status.reason === 'string' ? status.reason : '';
  return { decision: status.denied === true ? 'deny' : status.allowed ? 'allow' : 'no-opinion', reason };
}

function specOf({ user, ...a }: Attributes): Readonly<Record<string, unknown>> {
  const about = a.isResourceRequest
    ? {
        resourceAttributes: withoutEmpty({
          namespace: a.namespace,
          verb: a.verb,
          group: a.group,
          version: a.version,
          resource: a.resource,
          subresource: a.subresource,
          name: a.name,
          fieldSelector: fieldSelectorOf(a.fieldSelector),
        }),
      }
    : { nonResourceAttributes: withoutEmpty({ path: a.path, verb: a.verb }) };
  return {
    ...about,
    ...withoutEmpty({ user: user.name, uid: user.uid }),
    ...(user.groups.length > 0 ? { groups: user.groups } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0 ? { extra: user.extra } : {}),
  };
}

/** In v1beta1 the groups are called `group`. */
function specFor(version: 'v1' | 'v1beta1', spec: object): object {
  if (version === 'v1' || !('groups' in spec)) return spec;
  const { groups, ...rest } = spec;
  return { ...rest, group: groups };
}

function fieldSelectorOf(text: string | undefined): object | undefined {
  if (text === undefined) return undefined;
  try {
    const requirements = parseFieldSelector(text).requirements.map(({ field, operator, value }) => ({
      key: field,
      operator: operator === '=' ? 'In' : 'NotIn',
      values: [value],
    }));
    return requirements.length > 0 ? { requirements } : undefined;
  } catch {
    return undefined; // the endpoint answers 400
  }
}

function withoutEmpty(fields: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined && value !== ''));
}
