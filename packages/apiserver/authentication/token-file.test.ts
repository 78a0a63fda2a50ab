import { describe, expect, it } from 'vitest';
import { tokenFileAuthenticator } from './token-file.ts';

const own = ['https://api'];

describe('tokenFileAuthenticator', () => {
  const authenticator = tokenFileAuthenticator('# a comment\nabc,admin,1,"system:masters,devs"\n\n"d""ef", joe ,2\n', own);

  it('knows user, uid and groups of a token', () => {
    const admin = { name: 'admin', uid: '1', groups: ['system:masters', 'devs'] };
    expect(authenticator.authenticateToken('abc', own)).toEqual({ user: admin, audiences: own });
    expect(authenticator.authenticateToken('d"ef', own)).toEqual({ user: { name: 'joe', uid: '2', groups: [] }, audiences: own });
  });

  it('has no opinion about other tokens and for other audiences', () => {
    expect(authenticator.authenticateToken('abcd', own)).toBeUndefined();
    expect(authenticator.authenticateToken('abc', ['vault'])).toBeUndefined();
  });

  it('refuses lines with too few columns and tokens that stand twice, without printing them', () => {
    expect(() => tokenFileAuthenticator('secret-token,admin\n', own)).toThrow(
      'token file line 1: expected at least 3 columns (token, user name, user uid)',
    );
    expect(() => tokenFileAuthenticator('secret-token,a,1\nsecret-token,b,2\n', own)).toThrow(
      'token file line 2: the same token stands on an earlier line',
    );
  });
});
