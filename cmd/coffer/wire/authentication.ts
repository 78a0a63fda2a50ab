import { readFile } from 'node:fs/promises';
import { equalJson } from '@coffer/api/meta/safe-object';
import { anonymousAuthenticator } from '@coffer/apiserver/authentication/anonymous';
import type { AuthenticationConfiguration } from '@coffer/apiserver/authentication/authentication-config';
import type { Authenticator, TokenAuthenticator } from '@coffer/apiserver/authentication/authenticator';
import { bearerTokenAuthenticator, unionTokenAuthenticator } from '@coffer/apiserver/authentication/bearer-token';
import { bootstrapTokenAuthenticator } from '@coffer/apiserver/authentication/bootstrap-token';
import { clientCertificateAuthenticator } from '@coffer/apiserver/authentication/client-certificate';
import { inProcessAuthenticator } from '@coffer/apiserver/authentication/in-process';
import type { IssuerConfig } from '@coffer/apiserver/authentication/oidc/issuer-config';
import type { RecordLegacyUse } from '@coffer/apiserver/authentication/service-account/legacy-token-use';
import { loadSigningKeys, type SigningKeys, splitPemKeys } from '@coffer/apiserver/authentication/service-account/signing-keys';
import { ServiceAccountTokenAuthenticator } from '@coffer/apiserver/authentication/service-account/token-authenticator';
import { ServiceAccountTokenIssuer } from '@coffer/apiserver/authentication/service-account/token-issuer';
import { tokenFileAuthenticator } from '@coffer/apiserver/authentication/token-file';
import { unionAuthenticator } from '@coffer/apiserver/authentication/union';
import { issuerDiscoveryEndpoint, issuerKeysPath } from '@coffer/apiserver/server/issuer-discovery-endpoint';
import type { NonResourceEndpoint } from '@coffer/apiserver/server/non-resource-endpoints';
import { followFile } from '@coffer/base/files/followed-file';
import type { Logger } from '@coffer/base/log/logger';
import type { Clock } from '@coffer/base/time/clock';
import type { ResourceStore } from '@coffer/storage/store/store';
import type { AccessFlags } from '../up/access-flags.ts';
import type { ClientTrust } from './authentication-trust.ts';

export interface AuthenticationDeps {
  /** The cluster's own key of ServiceAccount tokens, in PEM. */
  readonly serviceAccountKeyPem: string;
  /** `host:port` clients reach this server at. */
  readonly serverAddress: string;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Stores by their prefix. */
  readonly store: (prefix: string) => ResourceStore;
  readonly recordLegacyUse: RecordLegacyUse;
  readonly clientTrust: ClientTrust;
  /** Ends what follows the configuration file. */
  readonly signal: AbortSignal;
}

export interface Authentication {
  readonly authenticator: Authenticator;
  /** Every token this server accepts; for TokenReview. */
  readonly tokens: TokenAuthenticator;
  readonly tokenIssuer: ServiceAccountTokenIssuer;
  readonly apiAudiences: readonly string[];
  /** The discovery document of the ServiceAccount issuer and its keys. */
  readonly issuerDiscovery: NonResourceEndpoint;
}

/** In-process identity, authenticating proxy, client certificate, bearer tokens, anonymous: in this order. */
export async function wireAuthentication(flags: AccessFlags, deps: AuthenticationDeps): Promise<Authentication> {
  const { clock, store } = deps;
  const issuer = flags.serviceAccountIssuer[0] ?? '';
  const keys = await signingKeys(flags, deps.serviceAccountKeyPem);
  const apiAudiences = flags.apiAudiences.length > 0 ? flags.apiAudiences : [issuer];
  const { config, text } = await authenticationConfig(flags);
  const tokens: TokenAuthenticator[] = [];
  if (flags.tokenAuthFile) tokens.push(tokenFileAuthenticator(await readFile(flags.tokenAuthFile, 'utf8'), apiAudiences));
  tokens.push(
    new ServiceAccountTokenAuthenticator({
      keys,
      issuers: flags.serviceAccountIssuer,
      apiAudiences,
      clock,
      objects: { get: (resource, namespace, name) => store(resource === 'nodes' ? 'minions' : resource).get(namespace, name) },
      recordLegacyUse: deps.recordLegacyUse,
    }),
  );
  if (flags.enableBootstrapTokenAuth) {
    tokens.push(bootstrapTokenAuthenticator({ secret: (name) => store('secrets').get('kube-system', name), apiAudiences, clock }));
  }
  tokens.push(await issuersOf(flags, config, text, apiAudiences, deps));
  if (flags.authenticationTokenWebhookConfigFile) {
    tokens.push(await webhookAuthenticator(flags, flags.authenticationTokenWebhookConfigFile, apiAudiences, deps));
  }
  const anyToken = unionTokenAuthenticator(tokens);
  const anonymous = config.anonymous ?? { enabled: flags.anonymousAuth ?? true, paths: [] };
  const maxExpirationSeconds = Math.floor(flags.serviceAccountMaxTokenExpiration / 1000);
  return {
    authenticator: unionAuthenticator(
      [
        inProcessAuthenticator,
        ...(await requestHeaders(flags, deps)),
        clientCertificateAuthenticator(deps.clientTrust.clients, clock),
        bearerTokenAuthenticator(anyToken, apiAudiences),
      ],
      anonymous.enabled ? anonymousAuthenticator(anonymous.paths) : undefined,
    ),
    tokens: anyToken,
    tokenIssuer: new ServiceAccountTokenIssuer({
      keys,
      issuer,
      apiAudiences,
      extendExpiration: flags.serviceAccountExtendTokenExpiration,
      clock,
      ...(maxExpirationSeconds > 0 ? { maxExpirationSeconds } : {}),
    }),
    apiAudiences,
    issuerDiscovery: await issuerDiscoveryEndpoint({
      issuer,
      keys,
      jwksUri: flags.serviceAccountJwksUri ?? `https://${deps.serverAddress}${issuerKeysPath}`,
    }),
  };
}

/** The cluster's own key stays accepted when another one signs, so that tokens live on through a change of the flag. */
async function signingKeys(flags: AccessFlags, ownPem: string): Promise<SigningKeys> {
  const files = await Promise.all(flags.serviceAccountKeyFile.map((file) => readFile(file, 'utf8')));
  const accepted = files.flatMap(splitPemKeys);
  if (flags.serviceAccountKeyFile.some((_file, index) => splitPemKeys(files[index] ?? '').length === 0)) {
    throw new Error('--service-account-key-file: a file holds no PEM key');
  }
  if (!flags.serviceAccountSigningKeyFile) return loadSigningKeys(ownPem, accepted);
  return loadSigningKeys(await readFile(flags.serviceAccountSigningKeyFile, 'utf8'), [...accepted, ownPem]);
}

async function requestHeaders(flags: AccessFlags, { clientTrust, clock }: AuthenticationDeps): Promise<Authenticator[]> {
  const { requestheaderUsernameHeaders: usernameHeaders, requestheaderUidHeaders: uidHeaders } = flags;
  const { requestheaderGroupHeaders: groupHeaders, requestheaderExtraHeadersPrefix: extraHeaderPrefixes } = flags;
  const { proxies: authorities } = clientTrust;
  if (authorities === undefined) {
    const others = [usernameHeaders, uidHeaders, groupHeaders, extraHeaderPrefixes, flags.requestheaderAllowedNames];
    if (others.some((list) => list.length > 0)) throw new Error('the --requestheader-* flags need --requestheader-client-ca-file');
    return [];
  }
  if (usernameHeaders.length === 0) throw new Error('--requestheader-client-ca-file needs --requestheader-username-headers');
  const { requestHeaderAuthenticator } = await import('@coffer/apiserver/authentication/request-header');
  const allowedNames = flags.requestheaderAllowedNames;
  return [requestHeaderAuthenticator({ authorities, allowedNames, usernameHeaders, uidHeaders, groupHeaders, extraHeaderPrefixes, clock })];
}

interface LoadedConfiguration {
  readonly config: AuthenticationConfiguration;
  /** Of the file that is followed: the configuration, or the issuer's authority; undefined without one. */
  readonly text?: string;
}

async function authenticationConfig(flags: AccessFlags): Promise<LoadedConfiguration> {
  if (flags.authenticationConfig) {
    if (flags.oidcIssuerUrl) throw new Error('--authentication-config and the --oidc-* flags cannot be used together');
    const { parseAuthenticationConfiguration } = await import('@coffer/apiserver/authentication/authentication-config');
    const text = await readFile(flags.authenticationConfig, 'utf8');
    const config = parseAuthenticationConfiguration(text);
    if (config.anonymous && flags.anonymousAuth !== undefined) {
      throw new Error('--anonymous-auth must not be set when the authentication configuration sets anonymous');
    }
    return { config, text };
  }
  if (!flags.oidcIssuerUrl) return { config: { issuers: [], anonymous: undefined } };
  const authority = flags.oidcCaFile ? await readFile(flags.oidcCaFile, 'utf8') : undefined;
  return {
    config: await configurationOfFlags(flags, flags.oidcIssuerUrl, authority),
    ...(authority === undefined ? {} : { text: authority }),
  };
}

async function configurationOfFlags(flags: AccessFlags, issuerUrl: string, certificateAuthorityPem: string | undefined) {
  const { issuerFromFlags } = await import('@coffer/apiserver/authentication/oidc/issuer-config');
  const issuer = issuerFromFlags({
    issuerUrl,
    clientId: flags.oidcClientId,
    certificateAuthorityPem,
    usernameClaim: flags.oidcUsernameClaim,
    usernamePrefix: flags.oidcUsernamePrefix,
    groupsClaim: flags.oidcGroupsClaim,
    groupsPrefix: flags.oidcGroupsPrefix,
    signingAlgorithms: flags.oidcSigningAlgs,
    requiredClaims: flags.oidcRequiredClaim,
  });
  return { issuers: [issuer], anonymous: undefined };
}

/** The issuers of the configuration; others while its file or that of the issuer's authority changes. Who is anonymous stays. */
async function issuersOf(
  flags: AccessFlags,
  config: AuthenticationConfiguration,
  text: string | undefined,
  apiAudiences: readonly string[],
  deps: AuthenticationDeps,
): Promise<TokenAuthenticator> {
  let current = unionTokenAuthenticator(await oidcAuthenticators(config.issuers, apiAudiences, deps));
  const file = flags.authenticationConfig ?? flags.oidcCaFile;
  if (file !== undefined && text !== undefined) {
    const use = async (changed: string): Promise<void> => {
      const next = await changedConfiguration(flags, changed);
      if (!equalJson(next.anonymous ?? null, config.anonymous ?? null))
        throw new Error('anonymous: a change takes effect with a new start only');
      current = unionTokenAuthenticator(await oidcAuthenticators(next.issuers, apiAudiences, deps));
    };
    void followFile({ file, clock: deps.clock, logger: deps.logger, use }, text, deps.signal);
  }
  return { authenticateToken: (token, audiences) => current.authenticateToken(token, audiences) };
}

async function changedConfiguration(flags: AccessFlags, text: string): Promise<AuthenticationConfiguration> {
  if (flags.oidcIssuerUrl) return configurationOfFlags(flags, flags.oidcIssuerUrl, text);
  const { parseAuthenticationConfiguration } = await import('@coffer/apiserver/authentication/authentication-config');
  return parseAuthenticationConfiguration(text);
}

async function oidcAuthenticators(
  issuers: readonly IssuerConfig[],
  apiAudiences: readonly string[],
  { clock, logger }: AuthenticationDeps,
): Promise<TokenAuthenticator[]> {
  if (issuers.length === 0) return [];
  const [{ OidcAuthenticator }, { fetchJson, fetchText }] = await Promise.all([
    import('@coffer/apiserver/authentication/oidc/oidc-authenticator'),
    import('@coffer/apiserver/authentication/oidc/fetch-json'),
  ]);
  return issuers.map((issuer) => {
    const authority = issuer.certificateAuthorityPem;
    return new OidcAuthenticator({
      issuer,
      apiAudiences,
      fetchJson: (url) => fetchJson(url, authority),
      fetchToken: (url, token) => fetchText(url, authority, token === '' ? {} : { authorization: `Bearer ${token}` }),
      clock,
      logger,
    });
  });
}

async function webhookAuthenticator(
  flags: AccessFlags,
  file: string,
  apiAudiences: readonly string[],
  { clock, logger }: AuthenticationDeps,
): Promise<TokenAuthenticator> {
  const [{ WebhookTokenAuthenticator }, { webhookClient }] = await Promise.all([
    import('@coffer/apiserver/authentication/webhook-token'),
    import('./webhook-client.ts'),
  ]);
  return new WebhookTokenAuthenticator({
    client: webhookClient(file, clock),
    version: flags.authenticationTokenWebhookVersion,
    cacheTtlMs: flags.authenticationTokenWebhookCacheTtl,
    apiAudiences,
    clock,
    logger,
  });
}
