import type { UserInfo } from '@coffer/base/http/handler';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { JWTPayload } from 'jose';
import { type AuthenticationResult, CredentialsError, type TokenAuthenticator, withOwnAudiences } from '../authenticator.ts';
import { ClaimsReader } from './claims-reader.ts';
import { DistributedClaims, type FetchToken } from './distributed-claims.ts';
import type { IssuerConfig } from './issuer-config.ts';
import type { FetchJson } from './remote-keys.ts';
import { TokenVerifier, unverifiedIssuer } from './token-verifier.ts';

export interface OidcAuthenticatorOptions {
  readonly issuer: IssuerConfig;
  readonly apiAudiences: readonly string[];
  readonly fetchJson: FetchJson;
  readonly fetchToken: FetchToken;
  readonly clock: Clock;
  readonly logger: Logger;
}

/**
 * ID tokens of one issuer: signature, audience, times and the configured rules, then the user its claims describe. Groups that are mapped from
 * a claim may be a distributed one.
 */
export class OidcAuthenticator implements TokenAuthenticator {
  readonly #options: OidcAuthenticatorOptions;
  readonly #verifier: TokenVerifier;
  readonly #distributed: DistributedClaims | undefined;
  readonly #reader: ClaimsReader;

  constructor(options: OidcAuthenticatorOptions) {
    const { issuer, fetchJson, fetchToken, clock, logger } = options;
    const { audiences, signingAlgorithms, groups } = issuer;
    const common = { audiences, signingAlgorithms, fetchJson, clock, logger };
    this.#options = options;
    this.#reader = new ClaimsReader(issuer);
    this.#verifier = new TokenVerifier({ ...common, issuer: issuer.url, discoveryUrl: issuer.discoveryUrl });
    this.#distributed = groups?.from === 'claim' ? new DistributedClaims({ ...common, claim: groups.claim, fetchToken }) : undefined;
  }

  async authenticateToken(token: string, audiences: readonly string[]): Promise<AuthenticationResult | undefined> {
    const { issuer, apiAudiences } = this.#options;
    if (unverifiedIssuer(token) !== issuer.url) return undefined;
    const claims = await this.#expand(await this.#verifier.verify(token));
    let user: UserInfo;
    try {
      user = this.#reader.read(claims);
    } catch (error) {
      throw new CredentialsError(`oidc: ${(error as Error).message}`, { cause: error });
    }
    return withOwnAudiences(user, audiences, apiAudiences);
  }

  async #expand(claims: JWTPayload): Promise<JWTPayload> {
    if (this.#distributed === undefined) return claims;
    try {
      return await this.#distributed.expand(claims);
    } catch (error) {
      throw new CredentialsError(`oidc: could not expand distributed claims: ${(error as Error).message}`, { cause: error });
    }
  }
}
