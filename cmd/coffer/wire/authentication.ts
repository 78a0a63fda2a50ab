import { readFile } from 'node:fs/promises';
import { anonymousAuthenticator } from '@coffer/apiserver/authentication/anonymous';
import type { Authenticator, TokenAuthenticator } from '@coffer/apiserver/authentication/authenticator';
import { bearerTokenAuthenticator, unionTokenAuthenticator } from '@coffer/apiserver/authentication/bearer-token';
import { clientCertificateAuthenticator } from '@coffer/apiserver/authentication/client-certificate';
import { inProcessAuthenticator } from '@coffer/apiserver/authentication/in-process';
import { loadSigningKeys } from '@coffer/apiserver/authentication/service-account/signing-keys';
import { ServiceAccountTokenAuthenticator } from '@coffer/apiserver/authentication/service-account/token-authenticator';
import { ServiceAccountTokenIssuer } from '@coffer/apiserver/authentication/service-account/token-issuer';
import { tokenFileAuthenticator } from '@coffer/apiserver/authentication/token-file';
import { unionAuthenticator } from '@coffer/apiserver/authentication/union';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';

export interface AuthenticationOptions {
  readonly tokenAuthFile?: string | undefined;
  readonly anonymousAuth: boolean;
  readonly serviceAccountIssuer: string;
  readonly apiAudiences: readonly string[];
}

export interface AuthenticationDeps {
  /** Key of ServiceAccount tokens in PEM. */
  readonly serviceAccountKeyPem: string;
  readonly clock: Clock;
  /** Stores by their prefix. */
  readonly store: (prefix: string) => ResourceStore;
}

export interface Authentication {
  readonly authenticator: Authenticator;
  /** Every token this server accepts; for TokenReview. */
  readonly tokens: TokenAuthenticator;
  readonly tokenIssuer: ServiceAccountTokenIssuer;
  readonly apiAudiences: readonly string[];
}

/** In-process identity, client certificate, bearer tokens, anonymous: in this order. */
export async function wireAuthentication(options: AuthenticationOptions, deps: AuthenticationDeps): Promise<Authentication> {
  const { clock, store } = deps;
  const keys = loadSigningKeys(deps.serviceAccountKeyPem);
  const apiAudiences = options.apiAudiences.length > 0 ? options.apiAudiences : [options.serviceAccountIssuer];
  const tokens: TokenAuthenticator[] = [];
  if (options.tokenAuthFile) tokens.push(tokenFileAuthenticator(await readFile(options.tokenAuthFile, 'utf8'), apiAudiences));
  tokens.push(
    new ServiceAccountTokenAuthenticator({
      keys,
      issuers: [options.serviceAccountIssuer],
      apiAudiences,
      clock,
      objects: { get: (resource, namespace, name) => store(resource === 'nodes' ? 'minions' : resource).get(namespace, name) },
    }),
  );
  const anyToken = unionTokenAuthenticator(tokens);
  return {
    authenticator: unionAuthenticator(
      [inProcessAuthenticator, clientCertificateAuthenticator(clock), bearerTokenAuthenticator(anyToken, apiAudiences)],
      options.anonymousAuth ? anonymousAuthenticator() : undefined,
    ),
    tokens: anyToken,
    tokenIssuer: new ServiceAccountTokenIssuer({ keys, issuer: options.serviceAccountIssuer, apiAudiences, clock }),
    apiAudiences,
  };
}
