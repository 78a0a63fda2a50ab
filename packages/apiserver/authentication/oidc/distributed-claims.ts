import { getOwn, isRecord } from '@coffer/api/meta/safe-object';
import type { JWTPayload } from 'jose';
import { checkIssuerUrl, defaultDiscoveryUrl } from './issuer-config.ts';
import { TokenVerifier, type TokenVerifierOptions, unverifiedIssuer } from './token-verifier.ts';

/** Reads a token over HTTPS, with a bearer token when one is given. */
export type FetchToken = (url: string, accessToken: string) => Promise<string>;

export interface DistributedClaimsOptions extends Omit<TokenVerifierOptions, 'issuer' | 'discoveryUrl'> {
  /** The claim that may lie elsewhere. */
  readonly claim: string;
  readonly fetchToken: FetchToken;
}

const maxIssuers = 100;

/**
 * One claim that an issuer keeps elsewhere (OpenID Connect Core, 5.6.2): the ID token names the address, which answers with a token that has
 * the claim. That token's own issuer is found by discovery; it must be for one of our audiences too. What is fetched is not kept.
 */
export class DistributedClaims {
  readonly #options: DistributedClaimsOptions;
  readonly #verifiers = new Map<string, TokenVerifier>();

  constructor(options: DistributedClaimsOptions) {
    this.#options = options;
  }

  /** The claims with the one that lies elsewhere; as they are when it is there already, or nowhere. Throws for a source that fails. */
  async expand(claims: JWTPayload): Promise<JWTPayload> {
    const { claim } = this.#options;
    if (Object.hasOwn(claims, claim) || claims._claim_names === undefined) return claims;
    const source = this.#sourceOf(claims);
    const url = source === undefined ? '' : textOf(source.endpoint);
    // An aggregated claim, which has its token in place, is not looked at either.
    if (source === undefined || url === '') return claims;
    return { ...claims, [claim]: await this.#resolve(url, textOf(source.access_token)) };
  }

  #sourceOf({ _claim_names: names, _claim_sources: sources }: JWTPayload): Readonly<Record<string, unknown>> | undefined {
    if (!isRecord(names)) throw new Error('error parsing distributed claim names');
    if (sources === undefined) throw new Error('no claim sources');
    if (!isRecord(sources)) throw new Error('could not parse claim sources');
    const name = getOwn(names, this.#options.claim);
    if (name === undefined) return undefined;
    const source = typeof name === 'string' ? getOwn(sources, name) : undefined;
    if (!isRecord(source)) throw new Error('id token _claim_names contained a source missing in _claim_sources');
    return source;
  }

  async #resolve(url: string, accessToken: string): Promise<unknown> {
    const { claim, fetchToken } = this.#options;
    const token = (await fetchToken(url, accessToken)).trim();
    const issuer = unverifiedIssuer(token);
    if (issuer === undefined) throw new Error(`what was fetched for the claim ${JSON.stringify(claim)} is no token of an issuer`);
    const found = await this.#verifierFor(issuer).verify(token);
    if (!Object.hasOwn(found, claim)) throw new Error(`the token that was fetched did not contain the claim ${JSON.stringify(claim)}`);
    return found[claim];
  }

  #verifierFor(issuer: string): TokenVerifier {
    checkIssuerUrl(issuer, 'the issuer of a distributed claim');
    let verifier = this.#verifiers.get(issuer);
    if (verifier === undefined) {
      if (this.#verifiers.size >= maxIssuers) this.#verifiers.clear();
      verifier = new TokenVerifier({ ...this.#options, issuer, discoveryUrl: defaultDiscoveryUrl(issuer) });
      this.#verifiers.set(issuer, verifier);
    }
    return verifier;
  }
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
