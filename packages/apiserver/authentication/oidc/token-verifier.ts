import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { CredentialsError } from '../authenticator.ts';
import { type FetchJson, RemoteKeys } from './remote-keys.ts';

export interface TokenVerifierOptions {
  readonly issuer: string;
  readonly discoveryUrl: string;
  /** A token must name one of them. */
  readonly audiences: readonly string[];
  readonly signingAlgorithms: readonly string[];
  readonly fetchJson: FetchJson;
  readonly clock: Clock;
  readonly logger: Logger;
}

const notBeforeSkewSeconds = 5 * 60;

/** Verifies tokens of one issuer: signature, issuer, audience and times. */
export class TokenVerifier {
  readonly #options: TokenVerifierOptions;
  readonly #keys: RemoteKeys;

  constructor(options: TokenVerifierOptions) {
    this.#options = options;
    this.#keys = new RemoteKeys(options);
  }

  /** What the token says. Throws bad credentials, in words that hold nothing of the token. */
  async verify(token: string): Promise<JWTPayload> {
    const { issuer, audiences, signingAlgorithms, clock, logger } = this.#options;
    try {
      const currentDate = new Date(clock.now());
      const options = { algorithms: [...signingAlgorithms], audience: [...audiences], issuer };
      const { payload } = await jwtVerify(token, this.#keys.get, { ...options, currentDate, clockTolerance: notBeforeSkewSeconds });
      // The tolerance is for `nbf` alone.
      if (payload.exp === undefined || clock.now() / 1000 >= payload.exp)
        throw new CredentialsError('oidc: verify token: token is expired');
      return payload;
    } catch (error) {
      if (error instanceof CredentialsError) throw error;
      if (error instanceof errors.JOSEError) throw new CredentialsError(`oidc: verify token: ${describe(error)}`, { cause: error });
      logger.error('the keys of an OIDC issuer cannot be read', { issuer, err: error });
      throw new CredentialsError('oidc: authenticator not initialized', { cause: error });
    }
  }
}

/** The issuer that a token names, not verified; undefined for what is no token. */
export function unverifiedIssuer(token: string): string | undefined {
  if (token.split('.').length !== 3) return undefined;
  try {
    return decodeJwt(token).iss;
  } catch {
    return undefined;
  }
}

/** What was wrong, without the token's content. */
function describe(error: errors.JOSEError): string {
  if (error instanceof errors.JWTExpired) return 'token is expired';
  if (error instanceof errors.JWTClaimValidationFailed) return `claim ${JSON.stringify(error.claim)} is not acceptable`;
  return 'failed to verify signature';
}
