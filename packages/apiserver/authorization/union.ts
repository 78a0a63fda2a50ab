import type { Authorizer } from './authorizer.ts';

/** Asks each authorizer in order; the first opinion counts. Without one the reasons are joined, as upstream. */
export function unionAuthorizer(authorizers: readonly Authorizer[]): Authorizer {
  return {
    authorize(attributes) {
      const reasons: string[] = [];
      for (let i = 0; i < authorizers.length; i++) {
        const result = authorizers[i]?.authorize(attributes);
        if (result instanceof Promise) return continueAsync(result, authorizers.slice(i + 1), attributes, reasons);
        if (!result) continue;
        if (result.decision !== 'no-opinion') return result;
        if (result.reason !== '') reasons.push(result.reason);
      }
      return { decision: 'no-opinion', reason: reasons.join('\n') };
    },
  };
}

async function continueAsync(
  first: ReturnType<Authorizer['authorize']>,
  rest: readonly Authorizer[],
  attributes: Parameters<Authorizer['authorize']>[0],
  reasons: string[],
): Promise<Awaited<ReturnType<Authorizer['authorize']>>> {
  for (const pending of [first, ...rest]) {
    const result = await ('authorize' in pending ? pending.authorize(attributes) : pending);
    if (result.decision !== 'no-opinion') return result;
    if (result.reason !== '') reasons.push(result.reason);
  }
  return { decision: 'no-opinion', reason: reasons.join('\n') };
}
