import { CONFIG_MAPS, PODS, SECRETS, SERVICE_ACCOUNTS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runLegacyTokenCleaner } from './legacy-token-cleaner.ts';

let cluster: TestCluster;
const day = 86_400_000;
const invalidSince = 'kubernetes.io/legacy-token-invalid-since';

beforeEach(() => {
  cluster = new TestCluster();
  const secrets = ['old', 'used', 'mounted', 'young'].map((name) => ({ name }));
  cluster.api.put(SERVICE_ACCOUNTS, { metadata: { name: 'bot', namespace: 'ns' }, secrets });
  putSecret('old');
  putSecret('manual');
  putSecret('mounted');
  putSecret('used', { 'kubernetes.io/legacy-token-last-used': '2026-01-09' });
  putSecret('young', {}, '2026-01-09T00:00:00Z');
  cluster.api.put(PODS, {
    metadata: { name: 'p', namespace: 'ns' },
    spec: { volumes: [{ name: 'v', secret: { secretName: 'mounted' } }] },
  });
});

afterEach(() => cluster.stop());

function putSecret(name: string, labels: Record<string, string> = {}, creationTimestamp = '2025-01-01T00:00:00Z'): void {
  const annotations = { 'kubernetes.io/service-account.name': 'bot' };
  cluster.api.put(SECRETS, {
    metadata: { name, namespace: 'ns', annotations, labels, creationTimestamp },
    type: 'kubernetes.io/service-account-token',
  });
}

function track(since: string): void {
  const metadata = { name: 'kube-apiserver-legacy-service-account-token-tracking', namespace: 'kube-system' };
  cluster.api.put(CONFIG_MAPS, { metadata, data: { since } });
}

async function daysLater(days: number): Promise<void> {
  for (let i = 0; i < days; i++) {
    await cluster.clock.advance(day);
    await cluster.settle();
  }
}

const names = () => cluster.api.all(SECRETS).map((secret) => secret.metadata.name);
const marked = () => cluster.api.all(SECRETS).filter((secret) => secret.metadata.labels?.[invalidSince] !== undefined);

describe('legacy token cleaner', () => {
  it('marks what nobody used for the period, then deletes it', async () => {
    track('2026-01-01');
    cluster.run('legacy-service-account-token-cleaner', (deps, signal) => runLegacyTokenCleaner(deps, { periodMs: 10 * day }, signal));
    await cluster.settle();
    await daysLater(10);
    expect(marked()).toEqual([]);
    await daysLater(1);
    expect(marked().map((secret) => [secret.metadata.name, secret.metadata.labels?.[invalidSince]])).toEqual([['old', '2026-01-12']]);
    await daysLater(10);
    expect(names()).toContain('old');
    await daysLater(1);
    expect(names()).toEqual(['manual', 'mounted', 'used', 'young']);
  });

  it('does nothing while nobody keeps track of use', async () => {
    cluster.run('legacy-service-account-token-cleaner', (deps, signal) => runLegacyTokenCleaner(deps, { periodMs: 10 * day }, signal));
    await daysLater(40);
    expect(marked()).toEqual([]);
    expect(names()).toHaveLength(5);
  });
});
