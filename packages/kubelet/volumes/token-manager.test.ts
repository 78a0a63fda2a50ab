import { FakeClock } from '@coffer/base/time/fake-clock';
import { describe, expect, it } from 'vitest';
import type { KubeletApi } from '../deps.ts';
import type { Pod } from '../types.ts';
import { TokenManager } from './token-manager.ts';

const pod: Pod = { metadata: { name: 'p', namespace: 'ns', uid: 'u' }, spec: { serviceAccountName: 'sa', containers: [] }, status: {} };

function manager() {
  const clock = new FakeClock();
  const asked: unknown[] = [];
  let broken = false;
  const api = {
    create: async (path: unknown, body: unknown) => {
      if (broken) throw new Error('no API');
      asked.push([path, body]);
      const expirationTimestamp = new Date(clock.now() + 3_600_000).toISOString();
      return { apiVersion: 'v1', kind: 'TokenRequest', metadata: {}, status: { token: `t${asked.length}`, expirationTimestamp } };
    },
  } as unknown as KubeletApi;
  return { clock, asked, tokens: new TokenManager(api, clock), breakApi: () => (broken = true) };
}

describe('TokenManager', () => {
  it('asks for a token bound to the pod, once for each audience', async () => {
    const { asked, tokens } = manager();
    expect(await tokens.token(pod, { path: 'token' })).toBe('t1');
    expect(await tokens.token(pod, { path: 'other' })).toBe('t1');
    expect(await tokens.token(pod, { path: 'vault', audience: 'vault', expirationSeconds: 600 })).toBe('t2');
    expect(asked[1]).toMatchObject([
      { namespace: 'ns', name: 'sa', subresource: 'token' },
      { spec: { audiences: ['vault'], expirationSeconds: 600, boundObjectRef: { kind: 'Pod', name: 'p', uid: 'u' } } },
    ]);
  });

  it('renews after 80 % of the life, and keeps the old one while the API is away', async () => {
    const { clock, tokens, breakApi } = manager();
    await tokens.token(pod, { path: 'token' });
    await clock.advance(47 * 60_000);
    expect(await tokens.token(pod, { path: 'token' })).toBe('t1');
    await clock.advance(60_000);
    expect(await tokens.token(pod, { path: 'token' })).toBe('t2');
    breakApi();
    await clock.advance(50 * 60_000);
    expect(await tokens.token(pod, { path: 'token' })).toBe('t2');
    await clock.advance(11 * 60_000);
    await expect(tokens.token(pod, { path: 'token' })).rejects.toThrow('failed to fetch token: no API');
  });
});
