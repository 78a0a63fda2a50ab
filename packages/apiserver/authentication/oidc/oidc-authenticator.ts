import type { UserInfo } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import { decodeJwt, errors, type JWTPayload, jwtVerify } from 'jose';
import { type AuthenticationResult, CredentialsError, type TokenAuthenticator, withOwnAudiences } from '../authenticator.ts';
import { ClaimsReader } from './claims-reader.ts';
import type { IssuerConfig } from './issuer-config.ts';
import { type FetchJson, RemoteKeys } from './remote-keys.ts';

export interface OidcAuthenticatorOptions {
  readonly issuer: IssuerConfig;
  readonly apiAudiences: readonly string[];
  readonly fetchJson: FetchJson;
  readonly clock: Clock;
  readonly logger: Logger;
}

const notBeforeSkewSeconds = 5 * 60;

/** ID tokens of one issuer: signature, audience, times and the configured rules, then the user its claims describe. */
export class OidcAuthenticator implements TokenAuthenticator {
  readonly #options: OidcAuthenticatorOptions;
  readonly #keys: RemoteKeys;
  readonly #reader: ClaimsReader;

  constructor(options: OidcAuthenticatorOptions) {
    const { issuer, fetchJson, clock } = options;
    this.#options = options;
    this.#reader = new ClaimsReader(issuer);
    this.#keys = new RemoteKeys({ fetchJson, issuer: issuer.url, discoveryUrl: issuer.discoveryUrl, clock });
  }

  async authenticateToken(token: string, audiences: readonly string[]): Promise<AuthenticationResult | undefined> {
    const { issuer, apiAudiences } = this.#options;
    if (issuerOf(token) !== issuer.url) return undefined;
    const claims = await this.#verify(token);
    let user: UserInfo;
    try {
      user = this.#reader.read(claims);
    } catch (error) {
      throw new CredentialsError(`oidc: ${(error as Error).message}`, { cause: error });
    }
    return withOwnAudiences(user, audiences, apiAudiences);
  }

  async #verify(token: string): Promise<JWTPayload> {
    const { issuer, clock, logger } = this.#options;
    try {
      const currentDate = new Date(clock.now());
      const options = { algorithms: [...issuer.signingAlgorithms], audience: [...issuer.audiences], issuer: issuer.url };
      const { payload } = await jwtVerify(token, this.#keys.get, { ...options, currentDate, clockTolerance: notBeforeSkewSeconds });
      // The tolerance is for `nbf` alone.
      if (payload.exp === undefined || clock.now() / 1000 >= payload.exp)
        throw new CredentialsError('oidc: verify token: token is expired');
      return payload;
    } catch (error) {
      if (error instanceof CredentialsError) throw error;
      if (error instanceof errors.JOSEError) throw new CredentialsError(`oidc: verify token: ${describe(error)}`, { cause: error });
      logger.error('the keys of an OIDC issuer cannot be read', { issuer: issuer.url, err: error });
      throw new CredentialsError('oidc: authenticator not initialized', { cause: error });
    }
  }
}

function issuerOf(token: string): string | undefined {
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
