import type { Authenticator } from './authenticator.ts';
import { bearerToken } from './bearer-token.ts';

const anonymous = { user: { name: 'system:anonymous', groups: ['system:unauthenticated'] } };

/** Last in the chain: whoever sends no credentials at all is `system:anonymous`. Bad credentials stay a 401. */
export const anonymousAuthenticator: Authenticator = {
  authenticate: (request) => (bearerToken(request) === undefined && request.headers.authorization === undefined ? anonymous : undefined),
};
