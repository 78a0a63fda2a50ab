import { afterAll, beforeAll, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';
import { createEvaluator } from './evaluate.ts';
import { type ExistingPodsDeps, existingPodWarnings } from './existing-pods.ts';
import { parsePolicy } from './policy.ts';

let api: TestApi;
const { policy } = parsePolicy({ 'pod-security.kubernetes.io/enforce': 'baseline' });

beforeAll(async () => {
  api = await openTestApi();
  for (const [name, owner] of [
    ['a', 'one'],
    ['b', 'one'],
    ['c', 'two'],
  ]) {
    const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'ReplicaSet', name: owner, uid: owner, controller: true }];
    const securityContext = { privileged: owner === 'two' };
    const spec = { containers: [{ name: 'c', image: 'i', securityContext }], hostNetwork: owner === 'one' };
    await api.request('POST', '/api/v1/namespaces/ns/pods', { metadata: { name, ownerReferences }, spec });
  }
});
afterAll(() => api.close());

/** Every look at the clock takes that long. */
function warnings(stepMs: number): Promise<string[]> {
  let nowMs = 0;
  const deps: ExistingPodsDeps = {
    pods: {
      list: (options) => api.stores.get('pods')?.list(options) ?? { items: [], revision: 0, continueAfter: undefined, remaining: 0 },
    },
    evaluator: createEvaluator(),
    clock: {
      now() {
        nowMs += stepMs;
        return nowMs;
      },
    },
  };
  return existingPodWarnings(deps, 'ns', policy.enforce);
}

const heading = 'existing pods in namespace "ns" violate the new PodSecurity enforce level "baseline:latest"';

it('groups pods by what they violate', async () => {
  expect(await warnings(0)).toEqual([heading, 'a (and 1 other pod): host namespaces', 'c: privileged']);
});

it('looks at one pod of each owner first, and says so when it has no time for the others', async () => {
  expect(await warnings(500)).toEqual([
    'new PodSecurity enforce level only checked against the first 2 of 3 existing pods',
    heading,
    'a: host namespaces',
    'c: privileged',
  ]);
});
