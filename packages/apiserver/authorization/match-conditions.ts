import type { Logger } from '@coffer/base/log/logger';
import { type CompiledExpression, compileExpression } from '../expressions/compile-expression.ts';
import type { Attributes, Authorizer, Decision } from './authorizer.ts';
import { reviewSpec } from './review-spec.ts';
import type { FailurePolicy } from './webhook-authorizer.ts';

const noOpinion: Decision = { decision: 'no-opinion', reason: '' };
const noResource = { namespace: '', verb: '', group: '', version: '', resource: '', subresource: '', name: '' };

/**
 * Asks an authorizer only about requests that all conditions are true for. The conditions are CEL over `request`, the spec of a
 * SubjectAccessReview. One that fails, while none is false, decides by the failure policy.
 */
export class MatchConditions implements Authorizer {
  readonly #conditions: readonly CompiledExpression[];
  readonly #asked: Authorizer;
  readonly #failurePolicy: FailurePolicy;
  readonly #logger: Logger;

  /** Compiles the expressions: throws for those that are not CEL. `where` names them in messages. */
  constructor(expressions: readonly string[], asked: Authorizer, failurePolicy: FailurePolicy, logger: Logger, where: string) {
    this.#conditions = expressions.map((text, index) => compileExpression(text, 'request', `${where}[${index}].expression`));
    this.#asked = asked;
    this.#failurePolicy = failurePolicy;
    this.#logger = logger;
  }

  authorize(attributes: Attributes): Decision | Promise<Decision> {
    const request = requestOf(attributes);
    let failure: Error | undefined;
    for (const condition of this.#conditions) {
      try {
        const result = condition.evaluate(request);
        if (result === false) return noOpinion;
        if (result !== true) failure ??= new Error('a match condition is neither true nor false');
      } catch (error) {
        failure ??= error instanceof Error ? error : new Error(String(error));
      }
    }
    if (failure === undefined) return this.#asked.authorize(attributes);
    this.#logger.error('a match condition of an authorization webhook failed', { err: failure });
    return { decision: this.#failurePolicy === 'Deny' ? 'deny' : 'no-opinion', reason: '', error: failure.message };
  }
}

/** Fields a request has are there even when empty, so that conditions may read them. */
function requestOf(attributes: Attributes): Readonly<Record<string, unknown>> {
  const { resourceAttributes, nonResourceAttributes, ...rest } = reviewSpec(attributes);
  return {
    user: '',
    uid: '',
    groups: [],
    extra: {},
    ...rest,
    ...(resourceAttributes ? { resourceAttributes: { ...noResource, ...resourceAttributes } } : {}),
    ...(nonResourceAttributes ? { nonResourceAttributes: { path: '', verb: '', ...nonResourceAttributes } } : {}),
  };
}
