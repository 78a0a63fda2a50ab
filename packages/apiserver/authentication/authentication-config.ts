import { load } from 'js-yaml';
import { listField, onlyFields, optionalText, recordField, requiredText } from '../config-file/config-fields.ts';
import {
  allSigningAlgorithms,
  type ClaimMapping,
  type ClaimRule,
  checkIssuerUrl,
  defaultDiscoveryUrl,
  type ExpressionRule,
  type IssuerConfig,
} from './oidc/issuer-config.ts';

/** `AuthenticationConfiguration` of `--authentication-config`, checked: who issues tokens, and whether anonymous requests count. */
export interface AuthenticationConfiguration {
  readonly issuers: readonly IssuerConfig[];
  /** Undefined: the file says nothing, the flag decides. `paths` empty means every path. */
  readonly anonymous: { readonly enabled: boolean; readonly paths: readonly string[] } | undefined;
}

const versions = ['v1', 'v1beta1', 'v1alpha1'].map((version) => `apiserver.config.k8s.io/${version}`);
const maxIssuers = 64;

/** Reads the file. Every problem, unknown fields included, is an error that names the field. */
export function parseAuthenticationConfiguration(text: string): AuthenticationConfiguration {
  const document = recordField(load(text), 'authentication configuration');
  if (!versions.includes(String(document.apiVersion)) || document.kind !== 'AuthenticationConfiguration') {
    throw new Error(`authentication configuration: expected apiVersion ${versions[0]}, kind AuthenticationConfiguration`);
  }
  onlyFields(document, ['apiVersion', 'kind', 'jwt', 'anonymous'], 'authentication configuration');
  const jwt = listField(document.jwt, 'jwt');
  if (jwt.length > maxIssuers) throw new Error(`jwt: at most ${maxIssuers} issuers`);
  const issuers = jwt.map((item, index) => parseIssuer(recordField(item, `jwt[${index}]`), `jwt[${index}]`));
  const twice = issuers.find(({ url }, index) => issuers.findIndex((other) => other.url === url) < index);
  if (twice) throw new Error(`jwt: issuer ${JSON.stringify(twice.url)} stands twice`);
  return { issuers, anonymous: parseAnonymous(document.anonymous) };
}

function parseAnonymous(value: unknown): AuthenticationConfiguration['anonymous'] {
  if (value === undefined || value === null) return undefined;
  const anonymous = recordField(value, 'anonymous');
  onlyFields(anonymous, ['enabled', 'conditions'], 'anonymous');
  const paths = listField(anonymous.conditions, 'anonymous.conditions').map((condition, index) => {
    const at = `anonymous.conditions[${index}]`;
    return requiredText(recordField(condition, at).path, `${at}.path`);
  });
  if (anonymous.enabled !== true && paths.length > 0)
    throw new Error('anonymous.conditions: enabled should be set to true when conditions are');
  return { enabled: anonymous.enabled === true, paths };
}

function parseIssuer(jwt: Record<string, unknown>, at: string): IssuerConfig {
  onlyFields(jwt, ['issuer', 'claimValidationRules', 'claimMappings', 'userValidationRules'], at);
  const issuer = recordField(jwt.issuer, `${at}.issuer`);
  onlyFields(
    issuer,
    ['url', 'discoveryURL', 'certificateAuthority', 'audiences', 'audienceMatchPolicy', 'egressSelectorType'],
    `${at}.issuer`,
  );
  const url = requiredText(issuer.url, `${at}.issuer.url`);
  checkIssuerUrl(url, `${at}.issuer.url`);
  const discoveryUrl = optionalText(issuer.discoveryURL, `${at}.issuer.discoveryURL`);
  if (discoveryUrl !== undefined) checkIssuerUrl(discoveryUrl, `${at}.issuer.discoveryURL`);
  if (discoveryUrl === url) throw new Error(`${at}.issuer.discoveryURL: must be different from url`);
  if (issuer.egressSelectorType !== undefined) throw new Error(`${at}.issuer.egressSelectorType: not supported`);
  const audiences = listField(issuer.audiences, `${at}.issuer.audiences`).map((item, i) =>
    requiredText(item, `${at}.issuer.audiences[${i}]`),
  );
  if (audiences.length === 0) throw new Error(`${at}.issuer.audiences: at least one audience is required`);
  const policy = optionalText(issuer.audienceMatchPolicy, `${at}.issuer.audienceMatchPolicy`);
  if (policy !== undefined && policy !== 'MatchAny') throw new Error(`${at}.issuer.audienceMatchPolicy: supported values: "MatchAny"`);
  if (audiences.length > 1 && policy === undefined) {
    throw new Error(`${at}.issuer.audienceMatchPolicy: must be MatchAny for multiple audiences`);
  }
  const mappings = recordField(jwt.claimMappings, `${at}.claimMappings`);
  onlyFields(mappings, ['username', 'groups', 'uid', 'extra'], `${at}.claimMappings`);
  const config: IssuerConfig = {
    url,
    discoveryUrl: discoveryUrl ?? defaultDiscoveryUrl(url),
    certificateAuthorityPem: optionalText(issuer.certificateAuthority, `${at}.issuer.certificateAuthority`),
    audiences,
    signingAlgorithms: allSigningAlgorithms,
    claimValidationRules: listField(jwt.claimValidationRules, `${at}.claimValidationRules`).map((item, index) =>
      parseClaimRule(item, `${at}.claimValidationRules[${index}]`),
    ),
    username: parsePrefixed(mappings.username, `${at}.claimMappings.username`),
    groups: mappings.groups === undefined ? undefined : parsePrefixed(mappings.groups, `${at}.claimMappings.groups`),
    uid: mappings.uid === undefined ? undefined : parsePlain(mappings.uid, `${at}.claimMappings.uid`),
    extra: parseExtra(mappings.extra, `${at}.claimMappings.extra`),
    userValidationRules: listField(jwt.userValidationRules, `${at}.userValidationRules`).map((item, index) =>
      parseExpressionRule(recordField(item, `${at}.userValidationRules[${index}]`), `${at}.userValidationRules[${index}]`),
    ),
  };
  checkEmail(config, at);
  return config;
}

/** A name made from an address must not count while the address is unverified. */
function checkEmail({ username, extra, claimValidationRules }: IssuerConfig, at: string): void {
  if (username.from !== 'expression' || !/\bclaims\s*\.\s*email\b(?!_)/.test(username.expression)) return;
  const others = [username.expression, ...extra.map(({ expression }) => expression)];
  for (const rule of claimValidationRules) if (rule.from === 'expression') others.push(rule.expression);
  if (others.some((expression) => expression.includes('claims.email_verified'))) return;
  throw new Error(
    `${at}.claimMappings.username.expression: claims.email_verified must be used in claimMappings.username.expression, claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used`,
  );
}

function parsePrefixed(value: unknown, at: string): ClaimMapping {
  const mapping = recordField(value, at);
  onlyFields(mapping, ['claim', 'prefix', 'expression'], at);
  const claim = optionalText(mapping.claim, `${at}.claim`);
  const expression = optionalText(mapping.expression, `${at}.expression`);
  if ((claim === undefined) === (expression === undefined)) throw new Error(`${at}: exactly one of claim and expression is required`);
  if (claim !== undefined) {
    if (typeof mapping.prefix !== 'string') throw new Error(`${at}.prefix: required when claim is set; it may be empty`);
    return { from: 'claim', claim, prefix: mapping.prefix };
  }
  if (mapping.prefix !== undefined) throw new Error(`${at}.prefix: must not be set with expression`);
  return { from: 'expression', expression: expression ?? '' };
}

function parsePlain(value: unknown, at: string): ClaimMapping {
  const mapping = recordField(value, at);
  onlyFields(mapping, ['claim', 'expression'], at);
  const claim = optionalText(mapping.claim, `${at}.claim`);
  const expression = optionalText(mapping.expression, `${at}.expression`);
  if ((claim === undefined) === (expression === undefined)) throw new Error(`${at}: exactly one of claim and expression is required`);
  return claim === undefined ? { from: 'expression', expression: expression ?? '' } : { from: 'claim', claim, prefix: '' };
}

function parseExtra(value: unknown, at: string): IssuerConfig['extra'] {
  const entries = listField(value, at).map((item, index) => {
    const entry = recordField(item, `${at}[${index}]`);
    onlyFields(entry, ['key', 'valueExpression'], `${at}[${index}]`);
    const key = requiredText(entry.key, `${at}[${index}].key`);
    const domain = key.slice(0, key.indexOf('/'));
    if (!/^[a-z0-9.-]+\/[^/].*$/.test(key) || key !== key.toLowerCase()) {
      throw new Error(`${at}[${index}].key: must be a domain-prefixed path in lower case (such as "acme.io/foo")`);
    }
    if (/(^|\.)(kubernetes|k8s)\.io$/.test(domain)) throw new Error(`${at}[${index}].key: k8s.io and kubernetes.io are reserved`);
    return { key, expression: requiredText(entry.valueExpression, `${at}[${index}].valueExpression`) };
  });
  const twice = entries.find(({ key }, index) => entries.findIndex((other) => other.key === key) < index);
  if (twice) throw new Error(`${at}: key ${JSON.stringify(twice.key)} stands twice`);
  return entries;
}

function parseClaimRule(value: unknown, at: string): ClaimRule {
  const rule = recordField(value, at);
  onlyFields(rule, ['claim', 'requiredValue', 'expression', 'message'], at);
  if ((rule.claim === undefined) === (rule.expression === undefined))
    throw new Error(`${at}: exactly one of claim and expression is required`);
  if (rule.expression !== undefined) return { from: 'expression', ...parseExpressionRule(rule, at) };
  return {
    from: 'claim',
    claim: requiredText(rule.claim, `${at}.claim`),
    requiredValue: optionalText(rule.requiredValue, `${at}.requiredValue`) ?? '',
  };
}

function parseExpressionRule(rule: Record<string, unknown>, at: string): ExpressionRule {
  const expression = requiredText(rule.expression, `${at}.expression`);
  return { expression, message: optionalText(rule.message, `${at}.message`) ?? `validation expression '${expression}' failed` };
}
