/** One OpenID Connect issuer whose tokens are accepted, checked and complete. */
export interface IssuerConfig {
  readonly url: string;
  /** Where its discovery document lies; default `<url>/.well-known/openid-configuration`. */
  readonly discoveryUrl: string;
  /** PEM; undefined means the system's authorities. */
  readonly certificateAuthorityPem: string | undefined;
  /** A token must name one of them. */
  readonly audiences: readonly string[];
  readonly signingAlgorithms: readonly string[];
  readonly claimValidationRules: readonly ClaimRule[];
  readonly username: ClaimMapping;
  readonly groups: ClaimMapping | undefined;
  readonly uid: ClaimMapping | undefined;
  readonly extra: readonly { readonly key: string; readonly expression: string }[];
  readonly userValidationRules: readonly ExpressionRule[];
}

/** A value from a claim with a prefix, or from a CEL expression over `claims`. */
export type ClaimMapping =
  | { readonly from: 'claim'; readonly claim: string; readonly prefix: string }
  | { readonly from: 'expression'; readonly expression: string };

export type ClaimRule =
  | { readonly from: 'claim'; readonly claim: string; readonly requiredValue: string }
  | ({ readonly from: 'expression' } & ExpressionRule);

export interface ExpressionRule {
  readonly expression: string;
  readonly message: string;
}

export const allSigningAlgorithms: readonly string[] = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'PS256', 'PS384', 'PS512'];

/** The flags `--oidc-…`, which describe one issuer. */
export interface OidcFlags {
  readonly issuerUrl: string;
  readonly clientId: string;
  readonly certificateAuthorityPem: string | undefined;
  readonly usernameClaim: string;
  readonly usernamePrefix: string | undefined;
  readonly groupsClaim: string | undefined;
  readonly groupsPrefix: string;
  readonly signingAlgorithms: readonly string[];
  /** `key=value` pairs. */
  readonly requiredClaims: readonly string[];
}

/** The issuer that the flags describe, with kube-apiserver's defaults. Throws for what is missing or contradictory. */
export function issuerFromFlags(flags: OidcFlags): IssuerConfig {
  checkIssuerUrl(flags.issuerUrl, '--oidc-issuer-url');
  if (flags.clientId === '') throw new Error('--oidc-client-id must be set with --oidc-issuer-url');
  const unknown = flags.signingAlgorithms.filter((algorithm) => !allSigningAlgorithms.includes(algorithm));
  if (unknown.length > 0) throw new Error(`--oidc-signing-algs: unsupported ${unknown.join(', ')}`);
  const prefix = flags.usernamePrefix ?? (flags.usernameClaim === 'email' ? '-' : `${flags.issuerUrl}#`);
  return {
    url: flags.issuerUrl,
    discoveryUrl: defaultDiscoveryUrl(flags.issuerUrl),
    certificateAuthorityPem: flags.certificateAuthorityPem,
    audiences: [flags.clientId],
    signingAlgorithms: flags.signingAlgorithms,
    claimValidationRules: flags.requiredClaims.map((pair) => {
      const equals = pair.indexOf('=');
      if (equals <= 0) throw new Error(`--oidc-required-claim: expected key=value, found ${JSON.stringify(pair)}`);
      return { from: 'claim', claim: pair.slice(0, equals), requiredValue: pair.slice(equals + 1) };
    }),
    username: { from: 'claim', claim: flags.usernameClaim, prefix: prefix === '-' ? '' : prefix },
    groups: flags.groupsClaim === undefined ? undefined : { from: 'claim', claim: flags.groupsClaim, prefix: flags.groupsPrefix },
    uid: undefined,
    extra: [],
    userValidationRules: [],
  };
}

export function defaultDiscoveryUrl(issuer: string): string {
  return `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
}

export function checkIssuerUrl(text: string, where: string): void {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw new Error(`${where}: ${JSON.stringify(text)} is no URL`);
  }
  if (url.protocol !== 'https:') throw new Error(`${where}: URL scheme must be https`);
  if (url.username !== '' || url.password !== '') throw new Error(`${where}: URL must not contain a username or password`);
  if (url.search !== '') throw new Error(`${where}: URL must not contain a query`);
  if (url.hash !== '') throw new Error(`${where}: URL must not contain a fragment`);
}
