import type { Attributes, Authorizer, Decision } from './authorizer.ts';

/** Asks each authorizer in order; the first opinion counts. Without one the reasons, and what went wrong, are joined as upstream. */
export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(attributes) {
      const silent = new Silence();
      for (let i = 0; i < authorizers.length; i++) {
        const result = authorizers[i]?.authorize(attributes);
        if (result instanceof Promise) return continueAsync(result, authorizers.slice(i + 1), attributes, silent);
        if (!result) continue;
        if (result.decision !== 'no-opinion') return result;
        silent.add(result);
      }
      return silent.decision();
    },
  };
}

async function continueAsync(
  first: Promise<Decision>,
  rest: readonly Authorizer[],
  attributes: Attributes,
  silent: Silence,
): Promise<Decision> {
  for (const pending of [first, ...rest]) {
    const result = await ('authorize' in pending ? pending.authorize(attributes) : pending);
    if (result.decision !== 'no-opinion') return result;
    silent.add(result);
  }
  return silent.decision();
}

/** What those who had no opinion said. */
class Silence {
  readonly #reasons: string[] = [];
  readonly #errors: string[] = [];

  add({ reason, error }: Decision): void {
    if (reason !== '') this.#reasons.push(reason);
    if (error !== undefined) this.#errors.push(error);
  }

  decision(): Decision {
    const reason = this.#reasons.join('\n');
    if (this.#errors.length === 0) return { decision: 'no-opinion', reason };
    const [first = ''] = this.#errors;
    return { decision: 'no-opinion', reason, error: this.#errors.length === 1 ? first : `[${this.#errors.join(', ')}]` };
  }
}
