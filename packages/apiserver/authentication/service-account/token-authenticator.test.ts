import { generateKeyPairSync } from 'node:crypto';
import { FakeClock } from '@coffer/base/time/fake-clock';
import type { StoredObject } from '@coffer/storage/store/store';
import { describe, expect, it } from 'vitest';
import { jsonWebKeySet, loadSigningKeys } from './signing-keys.ts';
import { ServiceAccountTokenAuthenticator } from './token-authenticator.ts';
import { ServiceAccountTokenIssuer } from './token-issuer.ts';

const issuer = 'https://kubernetes.default.svc.cluster.local';
const newKey = (type: 'ec' | 'rsa') =>
  (type === 'ec' ? generateKeyPairSync('ec', { namedCurve: 'P-256' }) : generateKeyPairSync('rsa', { modulusLength: 2048 })).privateKey
    .export({ type: 'pkcs8', format: 'pem' })
    .toString();

function setUp(options: { readonly pem?: string; readonly accepted?: readonly string[]; readonly clock?: FakeClock } = {}) {
  const clock = options.clock ?? new FakeClock();
  const keys = loadSigningKeys(options.pem ?? newKey('ec'), options.accepted ?? []);
  const objects = new Map<
    string,
    {
      uid: string;
      deletionTimestamp?: string;
      data?: Readonly<Record<string, string>>;
      labels?: Readonly<Record<string, string>>;
      secrets?: readonly object[];
    }
  >([
    ['serviceaccounts/ns/app', { uid: 'sa-uid' }],
    ['pods/ns/pod', { uid: 'pod-uid' }],
  ]);
  const get = (resource: string, namespace: string, name: string) => {
    const found = objects.get(`${resource}/${namespace}/${name}`);
    const { data, secrets, ...metadata } = found ?? {};
    return found && ({ uid: found.uid, namespace, name, peek: () => ({ metadata, data, secrets }) } as unknown as StoredObject);
  };
  const recorded: unknown[] = [];
  const recordLegacyUse = (...use: unknown[]) => recorded.push(use);
  return {
    clock,
    objects,
    keys,
    issuer: new ServiceAccountTokenIssuer({ keys, issuer, apiAudiences: [issuer], clock }),
    authenticator: new ServiceAccountTokenAuthenticator({
      keys,
      issuers: [issuer],
      apiAudiences: [issuer],
      clock,
      objects: { get },
      recordLegacyUse,
    }),
    recorded,
  };
}

const account = { namespace: 'ns', name: 'app', uid: 'sa-uid', audiences: [], expirationSeconds: 600 };
const bound = { ...account, boundObject: { kind: 'Pod', name: 'pod', uid: 'pod-uid' } as const, node: { name: 'n1', uid: 'node-uid' } };

describe('ServiceAccount tokens', () => {
  for (const type of ['ec', 'rsa'] as const) {
    it(`are accepted with user, groups and what they are bound to (${type})`, async () => {
      const { issuer: tokens, authenticator } = setUp({ pem: newKey(type) });
      const { token, jti } = await tokens.issue(bound);
      const result = await authenticator.authenticateToken(token, [issuer]);
      expect(result?.user).toEqual({
        name: 'system:serviceaccount:ns:app',
        uid: 'sa-uid',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:ns'],
        extra: {
          'authentication.kubernetes.io/credential-id': [`JTI=${jti}`],
          'authentication.kubernetes.io/node-name': ['n1'],
          'authentication.kubernetes.io/node-uid': ['node-uid'],
          'authentication.kubernetes.io/pod-name': ['pod'],
          'authentication.kubernetes.io/pod-uid': ['pod-uid'],
        },
      });
    });
  }

  it('end at their expiry, also for a token that was verified before', async () => {
    const { issuer: tokens, authenticator, clock } = setUp();
    const { token } = await tokens.issue(account);
    await clock.advance(599_000);
    expect((await authenticator.authenticateToken(token, [issuer]))?.user.name).toBe('system:serviceaccount:ns:app');
    await clock.advance(1_000);
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow('service account token has expired');
  });

  it('are refused for another audience', async () => {
    const { issuer: tokens, authenticator } = setUp();
    const { token } = await tokens.issue({ ...account, audiences: ['vault'] });
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow('token audiences ["vault"] is invalid');
    expect((await authenticator.authenticateToken(token, ['vault', 'other']))?.audiences).toEqual(['vault']);
  });

  it('end with the pod and the account they are bound to, and with a recreated one', async () => {
    const { issuer: tokens, authenticator, objects } = setUp();
    const { token } = await tokens.issue(bound);
    objects.set('pods/ns/pod', { uid: 'another' });
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow('pod UID (another) does not match');
    objects.set('pods/ns/pod', { uid: 'pod-uid' });
    expect(await authenticator.authenticateToken(token, [issuer])).toBeDefined();
    objects.delete('serviceaccounts/ns/app');
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow('serviceaccounts "app" not found');
  });

  it('survive a rotation of the key while the old one is still accepted', async () => {
    const oldPem = newKey('ec');
    const clock = new FakeClock();
    const before = setUp({ pem: oldPem, clock });
    const { token } = await before.issuer.issue(account);
    const during = setUp({ pem: newKey('ec'), accepted: [oldPem], clock });
    const after = setUp({ pem: newKey('ec'), clock });
    expect((await during.authenticator.authenticateToken(token, [issuer]))?.user.uid).toBe('sa-uid');
    await expect(after.authenticator.authenticateToken(token, [issuer])).rejects.toThrow('failed to verify the signature');
    const published = await jsonWebKeySet(during.keys);
    expect(published.keys).toHaveLength(2);
    expect(JSON.stringify(published)).not.toContain('"d"');
  });

  it('are refused when altered, and left to others when foreign', async () => {
    const { issuer: tokens, authenticator } = setUp();
    const { token } = await tokens.issue(account);
    const [head = '', payload = '', signature = ''] = token.split('.');
    const forged = JSON.parse(Buffer.from(payload, 'base64url').toString());
    forged.sub = 'system:serviceaccount:kube-system:admin';
    const body = Buffer.from(JSON.stringify(forged)).toString('base64url');
    await expect(authenticator.authenticateToken(`${head}.${body}.${signature}`, [issuer])).rejects.toThrow(
      'failed to verify the signature',
    );
    expect(await authenticator.authenticateToken('not-a-jwt', [issuer])).toBeUndefined();
    forged.iss = 'https://elsewhere';
    const foreign = Buffer.from(JSON.stringify(forged)).toString('base64url');
    expect(await authenticator.authenticateToken(`${head}.${foreign}.${signature}`, [issuer])).toBeUndefined();
  });

  it('of a Secret are accepted while the Secret holds them', async () => {
    const { issuer: tokens, authenticator, objects, recorded } = setUp();
    const token = await tokens.issueForSecret({ namespace: 'ns', name: 'app', uid: 'sa-uid' }, { name: 'app-token' });
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow('service account token has been invalidated');
    const holding = (value: string) => ({ uid: 'secret-uid', data: { token: Buffer.from(value).toString('base64') } });
    objects.set('secrets/ns/app-token', holding(token));
    const result = await authenticator.authenticateToken(token, [issuer]);
    expect(result).toEqual({
      user: {
        name: 'system:serviceaccount:ns:app',
        uid: 'sa-uid',
        groups: ['system:serviceaccounts', 'system:serviceaccounts:ns'],
      },
      audiences: [issuer],
      annotations: { 'authentication.k8s.io/legacy-token-manual-secret': 'app-token' },
      warnings: [],
    });
    expect(recorded).toEqual([['ns', 'app-token', { 'kubernetes.io/legacy-token-last-used': '2026-01-01' }]]);
    objects.set('secrets/ns/app-token', { ...holding(token), labels: { 'kubernetes.io/legacy-token-last-used': '2026-01-02' } });
    objects.set('serviceaccounts/ns/app', { uid: 'sa-uid', secrets: [{ name: 'app-token' }] });
    expect(await authenticator.authenticateToken(token, [issuer])).toMatchObject({
      annotations: { 'authentication.k8s.io/legacy-token-autogenerated-secret': 'app-token' },
      warnings: [expect.stringContaining('instead of auto-generated secret-based tokens')],
    });
    expect(recorded).toHaveLength(1);
    objects.set('secrets/ns/app-token', { ...holding(token), labels: { 'kubernetes.io/legacy-token-invalid-since': '2026-01-01' } });
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow(
      'the token in secret ns/app-token for service account ns/app has been marked invalid',
    );
    objects.set('secrets/ns/app-token', holding('another token'));
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow('service account token has been invalidated');
    await expect(authenticator.authenticateToken(token, ['vault'])).rejects.toThrow('is invalid for the target audiences ["vault"]');
  });

  it('may live on after the time they were asked for, which is recorded', async () => {
    const { issuer: tokens, authenticator, clock } = setUp();
    const { token } = await tokens.issue({ ...bound, expirationSeconds: 86_400, warnAfterSeconds: 3607 });
    await clock.advance(3_607_000);
    expect((await authenticator.authenticateToken(token, [issuer]))?.annotations).toBeUndefined();
    await clock.advance(2_000);
    expect((await authenticator.authenticateToken(token, [issuer]))?.annotations).toEqual({
      'authentication.k8s.io/stale-token': 'subject: system:serviceaccount:ns:app, seconds after warning threshold: 2',
    });
    await clock.advance(86_400_000);
    await expect(authenticator.authenticateToken(token, [issuer])).rejects.toThrow('service account token has expired');
  });
});
