import type { HttpRequest, UserInfo } from '@coffer/base/http/handler';

export interface AuthenticationResult {
  readonly user: UserInfo;
  readonly audiences?: readonly string[];
}

/** Finds out who sends a request. Undefined: no credentials of this kind. Throws StatusError 401 for bad credentials. */
export interface Authenticator {
  authenticate(request: HttpRequest): AuthenticationResult | undefined | Promise<AuthenticationResult | undefined>;
}
