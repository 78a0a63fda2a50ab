import { FakeClock } from '@coffer/base/time/fake-clock';
import type { StoredObject } from '@coffer/storage/store/store';
import { describe, expect, it } from 'vitest';
import { bootstrapTokenAuthenticator } from './bootstrap-token.ts';

const own = ['https://api'];
const token = 'abcdef.0123456789abcdef';
const good = {
  'token-id': 'abcdef',
  'token-secret': '0123456789abcdef',
  'usage-bootstrap-authentication': 'true',
  'auth-extra-groups': 'system:bootstrappers:workers,system:bootstrappers:eu:1',
  expiration: '2026-01-01T01:00:00Z',
};

function setUp(change: Readonly<Record<string, string | undefined>> = {}, object: object = {}) {
  const clock = new FakeClock();
  const data = Object.entries({ ...good, ...change }).filter((entry): entry is [string, string] => entry[1] !== undefined);
  const secret = {
    type: 'bootstrap.kubernetes.io/token',
    metadata: {},
    data: Object.fromEntries(data.map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
    ...object,
  };
  const authenticator = bootstrapTokenAuthenticator({
    secret: (name) => (name === 'bootstrap-token-abcdef' ? ({ peek: () => secret } as unknown as StoredObject) : undefined),
    apiAudiences: own,
    clock,
  });
  return { clock, authenticator };
}

describe('bootstrapTokenAuthenticator', () => {
  it('knows the user and groups of a token until it expires', async () => {
    const { clock, authenticator } = setUp();
    expect(authenticator.authenticateToken(token, own)).toEqual({
      user: {
        name: 'system:bootstrap:abcdef',
        groups: ['system:bootstrappers', 'system:bootstrappers:eu:1', 'system:bootstrappers:workers'],
      },
      audiences: own,
    });
    await clock.advance(3_600_000);
    expect(authenticator.authenticateToken(token, own)).toBeUndefined();
  });

  it.each<[string, Readonly<Record<string, string | undefined>>]>([
    ['another secret', { 'token-secret': 'fedcba9876543210' }],
    ['another ID', { 'token-id': 'abcdeg' }],
    ['no usage', { 'usage-bootstrap-authentication': undefined }],
    ['usage false', { 'usage-bootstrap-authentication': 'false' }],
    ['an expiration that is no time', { expiration: 'tomorrow' }],
    ['a group of another prefix', { 'auth-extra-groups': 'system:masters' }],
  ])('does not count with %s', (_what, change) => {
    expect(setUp(change).authenticator.authenticateToken(token, own)).toBeUndefined();
  });

  it('does not count for a Secret of another type or one that is being deleted', () => {
    expect(setUp({}, { type: 'Opaque' }).authenticator.authenticateToken(token, own)).toBeUndefined();
    const deleted = { metadata: { deletionTimestamp: '2026-01-01T00:00:00Z' } };
    expect(setUp({}, deleted).authenticator.authenticateToken(token, own)).toBeUndefined();
  });

  it('lasts for ever without an expiration, in the common group without others', async () => {
    const { clock, authenticator } = setUp({ expiration: undefined, 'auth-extra-groups': undefined });
    await clock.advance(1e12);
    expect((await authenticator.authenticateToken(token, own))?.user.groups).toEqual(['system:bootstrappers']);
  });

  it('leaves tokens of other forms to others', () => {
    const { authenticator } = setUp();
    for (const other of ['abcdef', 'ABCDEF.0123456789abcdef', 'abcdef.0123', `${token}0`])
      expect(authenticator.authenticateToken(other, own)).toBeUndefined();
  });
});
