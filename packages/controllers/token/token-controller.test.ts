import { SECRETS, SERVICE_ACCOUNTS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runTokenController } from './token-controller.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  const tokenIssuer = {
    issue: async (account: { name: string; uid: string }, secret: { name: string }) =>
      `token of ${account.name} ${account.uid} in ${secret.name}`,
  };
  cluster.run('token-controller', (deps, signal) => runTokenController({ ...deps, tokenIssuer, caBundle: 'PEM' }, signal));
});

afterEach(() => cluster.stop());

function putSecret(name: string, annotations: Record<string, string>, extra: object = {}): void {
  cluster.api.put(SECRETS, { metadata: { name, namespace: 'ns', annotations }, type: 'kubernetes.io/service-account-token', ...extra });
}

const decoded = (name: string) => {
  const data = (cluster.api.find(SECRETS, 'ns', name)?.data ?? {}) as Record<string, string>;
  return Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value, 'base64').toString()]));
};

describe('token controller', () => {
  it('fills the Secret of an account and repairs it', async () => {
    cluster.api.put(SERVICE_ACCOUNTS, { metadata: { name: 'bot', namespace: 'ns', uid: 'u1' } });
    putSecret('s', { 'kubernetes.io/service-account.name': 'bot' });
    await cluster.settle();
    const full = { 'ca.crt': 'PEM', namespace: 'ns', token: 'token of bot u1 in s' };
    expect(decoded('s')).toEqual(full);
    expect(cluster.api.find(SECRETS, 'ns', 's')?.metadata.annotations).toEqual({
      'kubernetes.io/service-account.name': 'bot',
      'kubernetes.io/service-account.uid': 'u1',
    });
    cluster.api.put(SECRETS, { ...cluster.api.find(SECRETS, 'ns', 's'), data: { extra: 'eA==' } });
    await cluster.settle();
    expect(decoded('s')).toEqual({ ...full, extra: 'x' });
  });

  it('deletes Secrets of accounts that are gone or were replaced', async () => {
    cluster.api.put(SERVICE_ACCOUNTS, { metadata: { name: 'bot', namespace: 'ns', uid: 'u1' } });
    putSecret('mine', { 'kubernetes.io/service-account.name': 'bot' });
    putSecret('older', { 'kubernetes.io/service-account.name': 'bot', 'kubernetes.io/service-account.uid': 'u0' });
    putSecret('nobodys', { 'kubernetes.io/service-account.name': 'none' });
    putSecret('other', { 'kubernetes.io/service-account.name': 'none' }, { type: 'Opaque' });
    await cluster.settle();
    expect(cluster.api.all(SECRETS).map((secret) => secret.metadata.name)).toEqual(['mine', 'other']);
    cluster.api.remove(SERVICE_ACCOUNTS, 'ns', 'bot');
    await cluster.settle();
    expect(cluster.api.all(SECRETS).map((secret) => secret.metadata.name)).toEqual(['other']);
  });
});
