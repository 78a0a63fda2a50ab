import { silentLogger } from '@coffer/base/log/logger';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { DEPLOYMENTS, NAMESPACES, NODES, PODS } from '@coffer/client/rest/well-known';
import { settle } from '@coffer/client/testing/eventually';
import { FakeApi } from '@coffer/client/testing/fake-api';
import { describe, expect, it } from 'vitest';
import { startControllers, startScheduler } from './start-controllers.ts';

function setUp() {
  const clock = new FakeClock();
  const api = new FakeApi(clock);
  const stop = new AbortController();
  const environment = { transportFor: (identity: { name: string }) => api.transport(identity.name), clock, logger: silentLogger };
  return { clock, api, stop, environment };
}

describe('startControllers', () => {
  it('brings a deployment to life and removes it again, each loop under its own name', async () => {
    const { api, stop, environment } = setUp();
    const loops = startControllers({ ...environment, caBundle: 'PEM' }, stop.signal);
    const scheduler = startScheduler(environment, stop.signal);
    api.put(NAMESPACES, { metadata: { name: 'default' }, spec: { finalizers: ['kubernetes'] }, status: { phase: 'Active' } });
    api.put(NODES, { metadata: { name: 'n1' }, status: { allocatable: { pods: '10' }, conditions: [{ type: 'Ready', status: 'True' }] } });
    api.put(DEPLOYMENTS, {
      metadata: { name: 'web', namespace: 'default' },
      spec: {
        replicas: 3,
        selector: { matchLabels: { app: 'web' } },
        template: { metadata: { labels: { app: 'web' } }, spec: { containers: [] } },
      },
    });
    await settle(100);
    expect(api.all(PODS).map((pod) => (pod.spec as { nodeName?: string }).nodeName)).toEqual(['n1', 'n1', 'n1']);
    api.remove(DEPLOYMENTS, 'default', 'web');
    await settle(100);
    expect(api.all(PODS)).toEqual([]);
    const users = new Set(api.requests.map((request) => request.user));
    expect(users).toContain('system:kube-scheduler');
    expect(users).toContain('system:serviceaccount:kube-system:deployment-controller');
    expect([...users].every((user) => user === 'system:kube-scheduler' || user.startsWith('system:serviceaccount:kube-system:'))).toBe(
      true,
    );
    stop.abort(new Error('done'));
    await Promise.all([loops.stopped, scheduler.stopped]);
    expect(api.openWatches).toBe(0);
  });

  it('starts a loop again that failed', async () => {
    const { api, clock, stop } = setUp();
    let broken = true;
    const environment = {
      transportFor: (identity: { name: string }) => {
        if (broken && identity.name.endsWith(':namespace-controller')) throw new Error('broken');
        return api.transport(identity.name);
      },
      clock,
      logger: silentLogger,
    };
    const loops = startControllers({ ...environment, caBundle: 'PEM' }, stop.signal);
    await settle();
    broken = false;
    await clock.advance(1000);
    await settle();
    expect(api.requests.some((request) => request.user.endsWith(':namespace-controller'))).toBe(true);
    stop.abort(new Error('done'));
    await loops.stopped;
  });
});
