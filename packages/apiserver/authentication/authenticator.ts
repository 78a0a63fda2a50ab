import type { HttpRequest, UserInfo } from '@coffer/base/http/handler';

export interface AuthenticationResult {
  readonly user: UserInfo;
  /** Those of the accepted audiences that the credential is good for. */
  readonly audiences?: readonly string[];
  /** What audit records about how this was decided. */
  readonly annotations?: Readonly<Record<string, string>>;
  /** Texts the client is warned with. */
  readonly warnings?: readonly string[];
}

/** Finds out who sends a request. Undefined: no credentials of this kind. Throws `CredentialsError` for bad ones. */
export interface Authenticator {
  authenticate(request: HttpRequest): AuthenticationResult | undefined | Promise<AuthenticationResult | undefined>;
}

/**
 * Finds out whose token this is. `audiences` are those the caller stands for. Undefined: not a token of this kind; throws
 * `CredentialsError` for a token of this kind that is not valid.
 */
export interface TokenAuthenticator {
  authenticateToken(
    token: string,
    audiences: readonly string[],
  ): AuthenticationResult | undefined | Promise<AuthenticationResult | undefined>;
}

/** Bad credentials. The message is for logs and TokenReview, never for the client (who reads `Unauthorized`); it holds no secret. */
export class CredentialsError extends Error {
  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.name = 'CredentialsError';
  }
}

/** For tokens that name no audience: they are good for the server's own. Undefined when the caller stands for none of those. */
export function withOwnAudiences(
  user: UserInfo,
  audiences: readonly string[],
  apiAudiences: readonly string[],
): AuthenticationResult | undefined {
  const shared = apiAudiences.filter((audience) => audiences.includes(audience));
  return shared.length === 0 ? undefined : { user, audiences: shared };
}
