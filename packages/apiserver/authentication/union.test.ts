import { StatusError } from '@coffer/api/errors/status-error';
import type { HttpRequest } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import { anonymousAuthenticator } from './anonymous.ts';
import { type Authenticator, CredentialsError } from './authenticator.ts';
import { bearerToken, bearerTokenAuthenticator } from './bearer-token.ts';
import { unionAuthenticator } from './union.ts';

const request = (headers: HttpRequest['headers'] = {}, url = '/version') =>
  ({ headers, url, method: 'GET', peer: { address: '' } }) as unknown as HttpRequest;

const tokens = bearerTokenAuthenticator(
  {
    authenticateToken(token) {
      if (token === 'expired') throw new CredentialsError('token has expired');
      return token === 'good' ? { user: { name: 'jane', groups: ['devs'] } } : undefined;
    },
  },
  ['api'],
);
const badCertificate: Authenticator = {
  authenticate() {
    throw new CredentialsError('certificate signed by unknown authority');
  },
};

async function refusalOf(authenticator: Authenticator, http: HttpRequest): Promise<{ code: number; why: string }> {
  const error = await Promise.resolve(authenticator.authenticate(http)).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof StatusError)) throw new Error('no StatusError');
  return { code: error.code, why: (error.cause as Error).message };
}

describe('unionAuthenticator', () => {
  const union = unionAuthenticator([tokens], anonymousAuthenticator());

  it('adds system:authenticated to whoever is known', async () => {
    const result = await union.authenticate(request({ authorization: 'Bearer good' }));
    expect(result?.user).toEqual({ name: 'jane', groups: ['devs', 'system:authenticated'] });
  });

  it('takes requests without credentials as anonymous, also those of schemes it does not know', async () => {
    const anonymous = { user: { name: 'system:anonymous', groups: ['system:unauthenticated'] } };
    expect(await union.authenticate(request())).toEqual(anonymous);
    expect(await union.authenticate(request({ authorization: 'Basic Zm9vOmJhcg==' }))).toEqual(anonymous);
  });

  it('refuses bad credentials rather than ignoring them', async () => {
    expect(await refusalOf(union, request({ authorization: 'Bearer expired' }))).toEqual({ code: 401, why: 'token has expired' });
    expect(await refusalOf(union, request({ authorization: 'Bearer other' }))).toEqual({ code: 401, why: 'invalid bearer token' });
    const withCertificate = unionAuthenticator([badCertificate, tokens], anonymousAuthenticator());
    expect(await refusalOf(withCertificate, request())).toEqual({ code: 401, why: 'certificate signed by unknown authority' });
  });

  it('lets a good token make up for a certificate it cannot verify', async () => {
    const withCertificate = unionAuthenticator([badCertificate, tokens], anonymousAuthenticator());
    expect((await withCertificate.authenticate(request({ authorization: 'Bearer good' })))?.user.name).toBe('jane');
  });

  it('knows nobody without anonymous, or outside its paths', async () => {
    expect(await unionAuthenticator([tokens]).authenticate(request())).toBeUndefined();
    const health = unionAuthenticator([tokens], anonymousAuthenticator(['/livez', '/readyz']));
    expect((await health.authenticate(request({}, '/readyz?verbose')))?.user.name).toBe('system:anonymous');
    expect(await health.authenticate(request({}, '/readyz/ping'))).toBeUndefined();
  });
});

describe('bearerToken', () => {
  it.each([
    ['Bearer abc', 'abc'],
    ['bearer abc', 'abc'],
    ['Bearer abc more', 'abc'],
    ['  Bearer abc  ', 'abc'],
    ['Bearer  abc', undefined],
    ['Bearer', undefined],
    ['Basic abc', undefined],
  ])('reads %j as %j', (authorization, token) => {
    expect(bearerToken(request({ authorization }))).toBe(token);
  });

  it('reads the WebSocket subprotocol of browsers, for upgrades only', () => {
    const headers = { 'sec-websocket-protocol': 'v5.channel.k8s.io, base64url.bearer.authorization.k8s.io.YWJj' };
    expect(bearerToken(request(headers))).toBeUndefined();
    const upgrade = { ...request(headers), upgrade: () => undefined } as unknown as HttpRequest;
    expect(bearerToken(upgrade)).toBe('abc');
  });
});
