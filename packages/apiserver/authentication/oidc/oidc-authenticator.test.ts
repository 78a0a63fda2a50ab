import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { exportJWK, type JWTPayload, SignJWT } from 'jose';
import { describe, expect, it } from 'vitest';
import { parseAuthenticationConfiguration } from '../authentication-config.ts';
import { type IssuerConfig, issuerFromFlags } from './issuer-config.ts';
import { OidcAuthenticator } from './oidc-authenticator.ts';

const url = 'https://issuer.example.com';
const own = ['https://api'];

const flags = {
  issuerUrl: url,
  clientId: 'coffer',
  certificateAuthorityPem: undefined,
  usernameClaim: 'sub',
  usernamePrefix: undefined,
  groupsClaim: 'groups',
  groupsPrefix: 'oidc:',
  signingAlgorithms: ['RS256'],
  requiredClaims: [],
};

/** Keys take long to make: one pair per ID for all tests. */
const keyPairs = new Map<string, ReturnType<typeof generateKeyPairSync>>();

function keyPair(id: string) {
  const pair = keyPairs.get(id) ?? generateKeyPairSync('rsa', { modulusLength: 2048 });
  keyPairs.set(id, pair);
  return pair as { readonly privateKey: KeyObject; readonly publicKey: KeyObject };
}

class FakeIssuer {
  fetches = 0;
  down = false;
  #keys: { readonly id: string; readonly privateKey: KeyObject; readonly publicKey: KeyObject }[] = [];

  constructor() {
    this.rotate('one');
  }

  rotate(id: string): void {
    this.#keys = [{ id, ...keyPair(id) }];
  }

  readonly fetchJson = async (address: string): Promise<unknown> => {
    this.fetches++;
    if (this.down) throw new Error('no route');
    const discovery = '/.well-known/openid-configuration';
    if (address.endsWith(discovery)) return { issuer: address.slice(0, -discovery.length), jwks_uri: `${url}/keys` };
    const keys = this.#keys.map(async ({ id, publicKey }) => ({ ...(await exportJWK(publicKey)), kid: id, alg: 'RS256', use: 'sig' }));
    return { keys: await Promise.all(keys) };
  };

  /** What distributed claims are answered with, by address and bearer token. */
  readonly sources = new Map<string, string>();

  readonly fetchToken = async (address: string, accessToken: string): Promise<string> => {
    const token = this.sources.get(`${address} ${accessToken}`);
    if (token === undefined) throw new Error(`${address} answered 401`);
    return token;
  };

  sign(claims: JWTPayload): Promise<string> {
    const [key] = this.#keys;
    if (!key) throw new Error('no key');
    return new SignJWT({ iss: url, aud: 'coffer', sub: 'jane', exp: 1767225600 + 3600, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: key.id })
      .sign(key.privateKey);
  }
}

function setUp(issuer: IssuerConfig = issuerFromFlags(flags)) {
  const clock = new FakeClock();
  const fake = new FakeIssuer();
  const authenticator = new OidcAuthenticator({
    issuer,
    apiAudiences: own,
    fetchJson: fake.fetchJson,
    fetchToken: fake.fetchToken,
    clock,
    logger: silentLogger,
  });
  return {
    clock,
    fake,
    userOf: async (claims: JWTPayload) => (await authenticator.authenticateToken(await fake.sign(claims), own))?.user,
    authenticator,
  };
}

function configured(jwt: string): IssuerConfig {
  const indented = jwt.replaceAll('\n', '\n  ');
  const { issuers } = parseAuthenticationConfiguration(
    `apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\njwt:\n- issuer:\n    url: ${url}\n    audiences: [coffer]\n  ${indented}`,
  );
  if (!issuers[0]) throw new Error('no issuer');
  return issuers[0];
}

describe('OidcAuthenticator with distributed claims', () => {
  const address = 'https://groups.example.com/jane';
  const source = { endpoint: address, access_token: 'secret' };
  const elsewhere = { _claim_names: { groups: 'src' }, _claim_sources: { src: source } };
  const other = { iss: 'https://groups.example.com', groups: ['far'] };

  it('reads groups from where the token says, with its access token, from an issuer of its own', async () => {
    const { fake, userOf } = setUp();
    fake.sources.set(`${address} secret`, `${await fake.sign(other)}\n`);
    expect((await userOf(elsewhere))?.groups).toEqual(['oidc:far']);
    fake.sources.set(`${address} `, await fake.sign({ ...other, groups: 'open' }));
    expect((await userOf({ ...elsewhere, _claim_sources: { src: { endpoint: address } } }))?.groups).toEqual(['oidc:open']);
  });

  it('reads nothing where it need not', async () => {
    expect((await setUp().userOf({ ...elsewhere, groups: ['near'] }))?.groups).toEqual(['oidc:near']);
    expect((await setUp().userOf({ ...elsewhere, _claim_names: { roles: 'src' } }))?.groups).toEqual([]);
    expect((await setUp().userOf({ ...elsewhere, _claim_sources: { src: { JWT: 'aggregated' } } }))?.groups).toEqual([]);
    const byExpression = configured('claimMappings:\n  username: {expression: claims.sub}\n  groups: {expression: "[claims.sub]"}');
    expect((await setUp(byExpression).userOf(elsewhere))?.groups).toEqual(['jane']);
  });

  it.each([
    ['an address that fails', elsewhere, undefined, 'answered 401'],
    ['a source that is not there', { ...elsewhere, _claim_sources: {} }, undefined, 'a source missing in _claim_sources'],
    ['no sources', { _claim_names: { groups: 'src' } }, undefined, 'no claim sources'],
    ['names that are none', { ...elsewhere, _claim_names: 'src' }, undefined, 'error parsing distributed claim names'],
    ['no token', elsewhere, 'text', 'is no token of an issuer'],
    ['a token for others', elsewhere, { ...other, aud: 'others' }, 'claim "aud" is not acceptable'],
    ['a token that is over', elsewhere, { ...other, exp: 1767225600 - 1 }, 'token is expired'],
    ['a token without the claim', elsewhere, { iss: other.iss }, 'did not contain the claim "groups"'],
    ['an issuer without TLS', elsewhere, { ...other, iss: 'http://groups.example.com' }, 'URL scheme must be https'],
  ])('refuses a token whose groups come from %s', async (_name, claims, answer, message) => {
    const { fake, userOf } = setUp();
    if (answer !== undefined) fake.sources.set(`${address} secret`, typeof answer === 'string' ? answer : await fake.sign(answer));
    await expect(userOf(claims)).rejects.toThrow(message);
    await expect(userOf(claims)).rejects.toThrow('oidc: could not expand distributed claims: ');
  });
});

describe('OidcAuthenticator with flags', () => {
  it('prefixes the name with the issuer unless told otherwise, and groups as told', async () => {
    expect(await setUp().userOf({ groups: ['a', 'b'] })).toEqual({ name: `${url}#jane`, groups: ['oidc:a', 'oidc:b'] });
    expect((await setUp(issuerFromFlags({ ...flags, usernamePrefix: '-' })).userOf({}))?.name).toBe('jane');
    expect((await setUp(issuerFromFlags({ ...flags, usernamePrefix: 'o:' })).userOf({ groups: 'one' }))?.groups).toEqual(['oidc:one']);
  });

  it('takes an address as name only when it is not unverified', async () => {
    const email = issuerFromFlags({ ...flags, usernameClaim: 'email' });
    expect((await setUp(email).userOf({ email: 'j@x', email_verified: true }))?.name).toBe('j@x');
    expect((await setUp(email).userOf({ email: 'j@x' }))?.name).toBe('j@x');
    await expect(setUp(email).userOf({ email: 'j@x', email_verified: false })).rejects.toThrow('oidc: email not verified');
  });

  it('refuses other audiences, expired tokens and missing claims', async () => {
    await expect(setUp().userOf({ aud: 'other' })).rejects.toThrow('oidc: verify token: claim "aud" is not acceptable');
    await expect(setUp().userOf({ exp: 1767225600 - 1 })).rejects.toThrow('oidc: verify token: token is expired');
    const strict = issuerFromFlags({ ...flags, requiredClaims: ['hd=example.com'] });
    await expect(setUp(strict).userOf({ hd: 'other.com' })).rejects.toThrow('oidc: required claim hd is not present');
    expect((await setUp(strict).userOf({ hd: 'example.com' }))?.name).toBe(`${url}#jane`);
  });

  it('leaves tokens of other issuers to others', async () => {
    const { fake, authenticator } = setUp();
    expect(await authenticator.authenticateToken(await fake.sign({ iss: 'https://other.example.com' }), own)).toBeUndefined();
    expect(await authenticator.authenticateToken('no.jwt', own)).toBeUndefined();
    expect(fake.fetches).toBe(0);
  });

  it('reads the keys once, and again when the issuer rotated them', async () => {
    const { fake, clock, userOf } = setUp();
    await userOf({});
    await userOf({});
    expect(fake.fetches).toBe(2);
    fake.rotate('two');
    await expect(userOf({})).rejects.toThrow('failed to verify signature');
    await clock.advance(5_000);
    expect((await userOf({}))?.name).toBe(`${url}#jane`);
    expect(fake.fetches).toBe(4);
  });

  it('accepts nobody before the keys are known, and keeps known keys through an outage', async () => {
    const { fake, clock, userOf } = setUp();
    fake.down = true;
    await expect(userOf({})).rejects.toThrow('oidc: authenticator not initialized');
    fake.down = false;
    await userOf({});
    fake.down = true;
    await clock.advance(11 * 60_000);
    expect((await userOf({}))?.name).toBe(`${url}#jane`);
  });
});

describe('OidcAuthenticator with a configuration', () => {
  it('maps claims by CEL', async () => {
    const issuer = configured(`claimMappings:
  username: {expression: "claims.email.split('@')[0] + ':ext'"}
  groups: {expression: "claims.roles.map(r, 'role:' + r)"}
  uid: {claim: sub}
  extra:
  - {key: example.com/tenant, valueExpression: claims.tenant}
claimValidationRules:
- {expression: claims.email_verified, message: verify your address}
- {claim: hd, requiredValue: example.com}
userValidationRules:
- {expression: "!user.username.startsWith('system:')", message: reserved name}
`);
    const claims = { email: 'jane@x', email_verified: true, roles: ['a', 'b'], hd: 'example.com', tenant: 't1' };
    expect(await setUp(issuer).userOf(claims)).toEqual({
      name: 'jane:ext',
      groups: ['role:a', 'role:b'],
      uid: 'jane',
      extra: { 'example.com/tenant': ['t1'] },
    });
    await expect(setUp(issuer).userOf({ ...claims, email_verified: false })).rejects.toThrow('oidc: verify your address');
    await expect(setUp(issuer).userOf({ ...claims, email: 'system:masters@x' })).rejects.toThrow('oidc: reserved name');
    await expect(setUp(issuer).userOf({ ...claims, roles: 3 })).rejects.toThrow('oidc: claimMappings.groups: the expression failed');
  });
});

describe('parseAuthenticationConfiguration', () => {
  const parse = (body: string) => () =>
    parseAuthenticationConfiguration(`apiVersion: apiserver.config.k8s.io/v1beta1\nkind: AuthenticationConfiguration\n${body}`);
  const username = 'claimMappings: {username: {claim: sub, prefix: ""}}';

  it.each([
    [`jwt: [{issuer: {url: "http://x", audiences: [a]}, ${username}}]`, 'jwt[0].issuer.url: URL scheme must be https'],
    [`jwt: [{issuer: {url: "https://x", audiences: []}, ${username}}]`, 'jwt[0].issuer.audiences: at least one audience is required'],
    [`jwt: [{issuer: {url: "https://x", audiences: [a, b]}, ${username}}]`, 'must be MatchAny for multiple audiences'],
    [
      'jwt: [{issuer: {url: "https://x", audiences: [a]}, claimMappings: {username: {claim: sub}}}]',
      'username.prefix: required when claim is set',
    ],
    [
      'jwt: [{issuer: {url: "https://x", audiences: [a]}, claimMappings: {username: {expression: claims.email}}}]',
      'claims.email_verified must be used',
    ],
    [`jwt: [{issuer: {url: "https://x", audiences: [a]}, ${username}, more: 1}]`, 'jwt[0]: unknown field "more"'],
    ['anonymous: {enabled: false, conditions: [{path: /livez}]}', 'enabled should be set to true'],
  ])('refuses %s', (body, message) => {
    expect(parse(body)).toThrow(message);
  });

  it('reads the paths of anonymous requests', () => {
    expect(parse('anonymous: {enabled: true, conditions: [{path: /livez}]}')()).toEqual({
      issuers: [],
      anonymous: { enabled: true, paths: ['/livez'] },
    });
  });

  it('compiles expressions when the authenticator is made', () => {
    const issuer = configured('claimMappings: {username: {expression: "claims.sub +"}}');
    expect(() => setUp(issuer)).toThrow('claimMappings.username: "claims.sub +" is no valid CEL expression');
  });
});
