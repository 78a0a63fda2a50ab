import { createHmac } from 'node:crypto';
import { CONFIG_MAPS, SECRETS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runBootstrapSigner } from './bootstrap-signer.ts';
import { runTokenCleaner } from './token-cleaner.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('token-cleaner', runTokenCleaner);
  cluster.run('bootstrap-signer', runBootstrapSigner);
});

afterEach(() => cluster.stop());

const hour = 3_600_000;
const base64 = (text: string) => Buffer.from(text).toString('base64');

function putToken(id: string, data: Record<string, string> = {}, extra: object = {}): void {
  const all = { 'token-id': id, 'token-secret': 'f395accd246ae52d', 'usage-bootstrap-signing': 'true', ...data };
  const encoded = Object.fromEntries(Object.entries(all).map(([key, value]) => [key, base64(value)]));
  cluster.api.put(SECRETS, {
    metadata: { name: `bootstrap-token-${id}`, namespace: 'kube-system' },
    type: 'bootstrap.kubernetes.io/token',
    data: encoded,
    ...extra,
  });
}

const inHours = (hours: number) => ({ expiration: new Date(cluster.clock.now() + hours * hour).toISOString() });
const tokens = () => cluster.api.all(SECRETS).map((secret) => secret.metadata.name);
const clusterInfo = () => (cluster.api.find(CONFIG_MAPS, 'kube-public', 'cluster-info')?.data ?? {}) as Record<string, string>;

describe('token cleaner', () => {
  it('deletes a token when it expires, and only then', async () => {
    putToken('aaaaaa', inHours(1));
    putToken('bbbbbb', inHours(50));
    putToken('cccccc');
    putToken('dddddd', inHours(-1));
    putToken('eeeeee', { expiration: 'tomorrow' });
    putToken('ffffff', inHours(-1), { type: 'Opaque' });
    await cluster.settle();
    const kept = ['bootstrap-token-aaaaaa', 'bootstrap-token-bbbbbb', 'bootstrap-token-cccccc', 'bootstrap-token-ffffff'];
    expect(tokens()).toEqual(kept);
    await cluster.clock.advance(hour);
    await cluster.settle();
    expect(tokens()).toEqual(kept.slice(1));
    for (const hours of [24, 24]) {
      await cluster.clock.advance(hours * hour);
      await cluster.settle();
    }
    expect(tokens()).toEqual(kept.slice(1));
    await cluster.clock.advance(hour);
    await cluster.settle();
    expect(tokens()).toEqual(kept.slice(2));
  });
});

describe('bootstrap signer', () => {
  it('signs with every valid token and takes signatures back', async () => {
    putToken('aaaaaa', inHours(1));
    putToken('bbbbbb', { 'token-secret': 'other' });
    putToken('cccccc', { 'usage-bootstrap-signing': 'false' });
    putToken('dddddd', { 'token-id': 'zzzzzz' });
    const metadata = { name: 'cluster-info', namespace: 'kube-public' };
    cluster.api.put(CONFIG_MAPS, { metadata, data: { kubeconfig: 'KC', note: 'x', 'jws-kubeconfig-gone': 'old' } });
    await cluster.settle();
    expect(Object.keys(clusterInfo()).sort()).toEqual(['jws-kubeconfig-aaaaaa', 'jws-kubeconfig-bbbbbb', 'kubeconfig', 'note']);
    const [header = '', content, signature] = clusterInfo()['jws-kubeconfig-bbbbbb']?.split('.') ?? [];
    expect(Buffer.from(header, 'base64url').toString()).toBe('{"alg":"HS256","kid":"bbbbbb"}');
    expect(content).toBe('');
    expect(signature).toBe(createHmac('sha256', 'other').update(`${header}.S0M`).digest('base64url'));

    await cluster.clock.advance(hour);
    await cluster.settle();
    expect(Object.keys(clusterInfo()).sort()).toEqual(['jws-kubeconfig-bbbbbb', 'kubeconfig', 'note']);
    cluster.api.remove(SECRETS, 'kube-system', 'bootstrap-token-bbbbbb');
    await cluster.settle();
    expect(clusterInfo()).toEqual({ kubeconfig: 'KC', note: 'x' });
  });
});
