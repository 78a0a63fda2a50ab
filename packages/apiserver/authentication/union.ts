import { unauthorized } from '@coffer/api/errors/status-error';
import { type AuthenticationResult, type Authenticator, CredentialsError } from './authenticator.ts';
import { combine } from './bearer-token.ts';

const authenticatedGroup = 'system:authenticated';
const unauthenticatedGroup = 'system:unauthenticated';

/**
 * Asks each authenticator in order; the first that accepts the credentials decides. Only a request without any bad credentials
 * falls through to `anonymous`; one with bad credentials is a 401 whose `cause` says why.
 */
export function unionAuthenticator(authenticators: readonly Authenticator[], anonymous?: Authenticator): Authenticator {
  return {
    async authenticate(request) {
      const refusals: CredentialsError[] = [];
      for (const authenticator of authenticators) {
        try {
          const pending = authenticator.authenticate(request);
          const result = pending instanceof Promise ? await pending : pending;
          if (result) return withAuthenticatedGroup(result);
        } catch (error) {
          if (!(error instanceof CredentialsError)) throw error;
          refusals.push(error);
        }
      }
      if (refusals.length > 0) throw unauthorized('Unauthorized', { cause: combine(refusals) });
      return anonymous?.authenticate(request);
    },
  };
}

/** Whoever is authenticated is in the group `system:authenticated` from then on. */
export function withAuthenticatedGroup(result: AuthenticationResult): AuthenticationResult {
  const { user } = result;
  if (user.name === 'system:anonymous' || user.groups.includes(authenticatedGroup) || user.groups.includes(unauthenticatedGroup))
    return result;
  return { ...result, user: { ...user, groups: [...user.groups, authenticatedGroup] } };
}
