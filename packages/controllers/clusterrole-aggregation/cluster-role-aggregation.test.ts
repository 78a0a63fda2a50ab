import { CLUSTER_ROLES } from '@coffer/client/rest/well-known';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { TestCluster } from '../testing/test-cluster.ts';
import { runClusterRoleAggregation } from './cluster-role-aggregation.ts';

let cluster: TestCluster;

beforeEach(() => {
  cluster = new TestCluster();
  cluster.run('clusterrole-aggregation-controller', runClusterRoleAggregation);
});

afterEach(() => cluster.stop());

const rule = (resource: string) => ({ apiGroups: [''], resources: [resource], verbs: ['get'] });

function put(name: string, labels: Record<string, string>, rules: object[], selectors?: Record<string, string>[]): void {
  const aggregationRule =
    selectors === undefined ? {} : { aggregationRule: { clusterRoleSelectors: selectors.map((matchLabels) => ({ matchLabels })) } };
  cluster.api.put(CLUSTER_ROLES, { metadata: { name, labels }, rules, ...aggregationRule });
}

const rulesOf = (name: string) => cluster.api.find(CLUSTER_ROLES, '', name)?.rules;

describe('cluster role aggregation', () => {
  it('joins the rules of matching roles in order, each once, and follows their changes', async () => {
    put('all', { to: 'all' }, [], [{ to: 'all' }, { also: 'yes' }]);
    put('b', { to: 'all', also: 'yes' }, [rule('pods')]);
    put('a', { to: 'all' }, [rule('nodes'), rule('pods')]);
    put('c', { also: 'yes' }, [rule('secrets')]);
    await cluster.settle();
    expect(rulesOf('all')).toEqual([rule('nodes'), rule('pods'), rule('secrets')]);
    cluster.api.remove(CLUSTER_ROLES, '', 'a');
    put('c', {}, [rule('secrets')]);
    await cluster.settle();
    expect(rulesOf('all')).toEqual([rule('pods')]);
    expect(rulesOf('b')).toEqual([rule('pods')]);
  });

  it('aggregates what is aggregated itself, and then rests', async () => {
    put('edit', { to: 'admin' }, [], [{ to: 'edit' }]);
    put('admin', {}, [rule('stale')], [{ to: 'admin' }]);
    put('source', { to: 'edit' }, [rule('configmaps')]);
    await cluster.settle();
    expect(rulesOf('admin')).toEqual([rule('configmaps')]);
    const revision = cluster.api.revision;
    await cluster.settle();
    expect(cluster.api.revision).toBe(revision);
  });
});
