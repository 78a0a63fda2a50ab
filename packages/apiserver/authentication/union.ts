import type { Authenticator } from './authenticator.ts';

const authenticated = 'system:authenticated';

/**
 * Asks each authenticator in order; the first that knows the credentials decides. Whoever is authenticated is in the group
 * `system:authenticated` from then on.
 */
export function unionAuthenticator(authenticators: readonly Authenticator[]): Authenticator {
  return {
    async authenticate(request) {
      for (const authenticator of authenticators) {
        const pending = authenticator.authenticate(request);
        const result = pending instanceof Promise ? await pending : pending;
        if (!result) continue;
        const { user } = result;
        if (user.groups.includes(authenticated) || user.name === 'system:anonymous') return result;
        return { ...result, user: { ...user, groups: [...user.groups, authenticated] } };
      }
      return undefined;
    },
  };
}
