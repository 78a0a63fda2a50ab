import { StatusError } from '@coffer/api/errors/status-error';
import type { V1Namespace } from '@coffer/api/generated/types';
import { CONFIG_MAPS, NAMESPACES, PODS, SECRETS, SERVICE_ACCOUNTS } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runRootCaPublisher } from '../root-ca/root-ca-publisher.ts';
import { runServiceAccountController } from '../serviceaccount/service-account-controller.ts';
import { TestCluster } from '../testing/test-cluster.ts';
import { runNamespaceController } from './namespace-controller.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
});

afterEach(() => cluster.stop());

function putNamespace(name: string): void {
  cluster.api.put(NAMESPACES, { metadata: { name }, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } });
}

const find = (name: string) => cluster.api.find(NAMESPACES, '', name) as V1Namespace | undefined;
const remove = (name: string) => cluster.deps('tester').api.resource(NAMESPACES).delete(name);
const conditions = (name: string) =>
  Object.fromEntries((find(name)?.status?.conditions ?? []).map((c) => [c.type, `${c.status} ${c.reason}: ${c.message}`]));

describe('namespace controller', () => {
  beforeEach(() => cluster.run('namespace-controller', runNamespaceController));

  it('deletes the content of a namespace, and only that', async () => {
    putNamespace('ns');
    cluster.api.put(CONFIG_MAPS, { metadata: { name: 'a', namespace: 'ns' } });
    cluster.api.put(CONFIG_MAPS, { metadata: { name: 'a', namespace: 'other' } });
    cluster.api.put(PODS, { metadata: { name: 'p', namespace: 'ns' } });
    await cluster.settle();
    await remove('ns');
    await cluster.settle();
    expect(find('ns')).toBeUndefined();
    expect(cluster.api.all(CONFIG_MAPS).map((object) => object.metadata.namespace)).toEqual(['other']);
    expect(cluster.pods('ns')).toEqual([]);
  });

  it('waits for pods before it touches anything else, and says what remains', async () => {
    putNamespace('ns');
    cluster.api.put(CONFIG_MAPS, { metadata: { name: 'a', namespace: 'ns' } });
    cluster.api.put(PODS, { metadata: { name: 'p', namespace: 'ns', finalizers: ['test/hold'] } });
    await cluster.settle();
    await remove('ns');
    await cluster.settle();
    expect(cluster.api.all(CONFIG_MAPS)).toHaveLength(1);
    expect(conditions('ns')).toEqual({
      NamespaceDeletionDiscoveryFailure: 'False ResourcesDiscovered: All resources successfully discovered',
      NamespaceDeletionGroupVersionParsingFailure: 'False ParsedGroupVersions: All legacy kube types successfully parsed',
      NamespaceDeletionContentFailure: 'False ContentDeleted: All content successfully deleted, may be waiting on finalization',
      NamespaceContentRemaining: 'True SomeResourcesRemain: Some resources are remaining: pods. has 1 resource instances',
      NamespaceFinalizersRemaining:
        'True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: test/hold in 1 resource instances',
    });
    cluster.api.remove(PODS, 'ns', 'p');
    await cluster.clock.advance(1000);
    await cluster.settle();
    expect(find('ns')).toBeUndefined();
    expect(cluster.api.all(CONFIG_MAPS)).toHaveLength(0);
  });

  it('says why content could not be deleted and goes on trying', async () => {
    putNamespace('ns');
    cluster.api.put(SECRETS, { metadata: { name: 's', namespace: 'ns' } });
    let refuse = true;
    cluster.api.before = (request) => {
      if (refuse && request.method === 'DELETE' && request.path.includes('/secrets'))
        throw new StatusError(403, 'Forbidden', 'secrets is forbidden: no');
    };
    await cluster.settle();
    await remove('ns');
    await cluster.settle();
    expect(conditions('ns').NamespaceDeletionContentFailure).toBe(
      'True ContentDeletionFailed: Failed to delete all resource types, 1 remaining: secrets is forbidden: no',
    );
    refuse = false;
    await cluster.clock.advance(1000);
    await cluster.settle();
    expect(find('ns')).toBeUndefined();
  });

  it('finishes a deletion that began while it was not running', async () => {
    cluster.api.put(NAMESPACES, {
      metadata: { name: 'old', deletionTimestamp: '2026-01-01T00:00:00Z' },
      spec: { finalizers: ['kubernetes'] },
      status: { phase: 'Terminating' },
    });
    await cluster.settle();
    expect(find('old')).toBeUndefined();
  });
});

describe('service account controller', () => {
  it('keeps the default account in every active namespace', async () => {
    putNamespace('a');
    cluster.run('service-account-controller', runServiceAccountController);
    await cluster.settle();
    putNamespace('b');
    await cluster.settle();
    expect(cluster.api.all(SERVICE_ACCOUNTS).map((account) => `${account.metadata.namespace}/${account.metadata.name}`)).toEqual([
      'a/default',
      'b/default',
    ]);
    cluster.api.remove(SERVICE_ACCOUNTS, 'a', 'default');
    await cluster.settle();
    expect(cluster.api.find(SERVICE_ACCOUNTS, 'a', 'default')).toBeDefined();
    await remove('b');
    cluster.api.remove(SERVICE_ACCOUNTS, 'b', 'default');
    await cluster.settle();
    expect(cluster.api.find(SERVICE_ACCOUNTS, 'b', 'default')).toBeUndefined();
  });
});

describe('root CA publisher', () => {
  it('publishes the bundle everywhere and restores what was changed or deleted', async () => {
    putNamespace('a');
    cluster.run('root-ca-cert-publisher', (deps, signal) => runRootCaPublisher({ ...deps, caBundle: 'PEM' }, signal));
    await cluster.settle();
    const current = () => cluster.api.find(CONFIG_MAPS, 'a', 'kube-root-ca.crt');
    expect(current()?.data).toEqual({ 'ca.crt': 'PEM' });
    expect(current()?.metadata.annotations?.['kubernetes.io/description']).toContain('Contains a CA bundle');
    cluster.api.put(CONFIG_MAPS, {
      ...current(),
      metadata: { ...current()?.metadata, labels: { mine: 'yes' } },
      data: { 'ca.crt': 'forged', more: 'x' },
    });
    await cluster.settle();
    expect(current()?.data).toEqual({ 'ca.crt': 'PEM' });
    expect(current()?.metadata.labels).toEqual({ mine: 'yes' });
    cluster.api.remove(CONFIG_MAPS, 'a', 'kube-root-ca.crt');
    await cluster.settle();
    expect(current()?.data).toEqual({ 'ca.crt': 'PEM' });
  });
});
