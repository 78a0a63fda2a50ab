import type { HttpRequest } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import type { Authenticator } from './authenticator.ts';
import { tokenFileAuthenticator } from './token-file.ts';

function who(authenticator: Authenticator, authorization?: string) {
  const request = { headers: authorization === undefined ? {} : { authorization }, peer: { address: '' } } as unknown as HttpRequest;
  return authenticator.authenticate(request);
}

describe('tokenFileAuthenticator', () => {
  const authenticator = tokenFileAuthenticator('# a comment\nabc,admin,1,"system:masters,devs"\n\n"d""ef", joe ,2\n');

  it('knows user, uid and groups of a token', () => {
    expect(who(authenticator, 'Bearer abc')).toEqual({ user: { name: 'admin', uid: '1', groups: ['system:masters', 'devs'] } });
    expect(who(authenticator, 'bearer d"ef')).toEqual({ user: { name: 'joe', uid: '2', groups: [] } });
  });

  it('has no opinion about other tokens, other schemes and none', () => {
    expect(who(authenticator, 'Bearer abcd')).toBeUndefined();
    expect(who(authenticator, 'Basic abc')).toBeUndefined();
    expect(who(authenticator)).toBeUndefined();
  });

  it('refuses lines with too few columns and tokens that stand twice, without printing them', () => {
    expect(() => tokenFileAuthenticator('secret-token,admin\n')).toThrow(
      'token file line 1: expected at least 3 columns (token, user name, user uid)',
    );
    expect(() => tokenFileAuthenticator('secret-token,a,1\nsecret-token,b,2\n')).toThrow(
      'token file line 2: the same token stands on an earlier line',
    );
  });
});
