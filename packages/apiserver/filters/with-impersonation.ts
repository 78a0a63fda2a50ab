import { isReason } from '@coffer/api/errors/status-error';
import type { Authorizer } from '../authorization/authorizer.ts';
import { attributesOf } from '../authorization/request-attributes.ts';
import type { Filter } from './filter.ts';
import { impersonationModes } from './impersonation/impersonation-modes.ts';
import { readImpersonation } from './impersonation/impersonation-request.ts';

const maxRememberedRequesters = 4096;

/**
 * Lets a request go on as somebody else when the requester may act as him. Runs after authentication and before authorization of
 * the request itself. The mode that last worked for a requester is tried first; when none allows it, the first refusal is shown.
 */
export function withImpersonation(authorizer: Authorizer): Filter {
  const modes = impersonationModes(authorizer);
  const lastMode = new Map<string, number>();
  return async (context, next) => {
    const wanted = readImpersonation(context.http);
    if (!wanted) return next(context);
    const request = attributesOf(context);
    const requester = context.user.name;
    const remembered = lastMode.get(requester);
    const order = [...modes.keys()].filter((index) => index !== remembered);
    if (remembered !== undefined) order.unshift(remembered);
    let refusal: unknown;
    for (const index of order) {
      const mode = modes[index];
      if (!mode?.applies(wanted, context.user)) continue;
      try {
        context.user = await mode.check(wanted, request);
      } catch (error) {
        if (!isReason(error, 'Forbidden')) throw error;
        refusal ??= error;
        continue;
      }
      if (lastMode.size >= maxRememberedRequesters) lastMode.clear();
      lastMode.set(requester, index);
      if (mode.constraint !== '') context.impersonationConstraint = mode.constraint;
      return next(context);
    }
    throw refusal;
  };
}
