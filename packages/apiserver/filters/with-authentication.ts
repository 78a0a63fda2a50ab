import { unauthorized } from '@coffer/api/errors/status-error';
import type { Authenticator } from '../authentication/authenticator.ts';
import type { Filter } from './filter.ts';

/** Sets `context.user`, or answers 401. Runs before anything else looks at the request. */
export function withAuthentication(authenticator: Authenticator): Filter {
  return async (context, next) => {
    const pending = authenticator.authenticate(context.http);
    const result = pending instanceof Promise ? await pending : pending;
    if (!result) throw unauthorized();
    context.user = result.user;
    for (const [key, value] of Object.entries(result.annotations ?? {})) context.auditAnnotations.set(key, value);
    for (const text of result.warnings ?? []) context.warnings.add(text);
    return next(context);
  };
}
