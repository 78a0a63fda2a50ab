import type { Authenticator } from './authenticator.ts';

/** Trusts the identity that the in-process transport attached. A network request never carries one. */
export const inProcessAuthenticator: Authenticator = {
  authenticate: (request) => (request.peer.identity ? { user: request.peer.identity } : undefined),
};
