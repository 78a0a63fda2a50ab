import type { UserInfo } from '@coffer/base/http/handler';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { nodeRestrictionPlugin } from '../../admission/node/node-restriction.ts';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';
import type { Attributes } from '../authorizer.ts';
import { nodeAuthorizer } from './node-authorizer.ts';
import { NodeGraph } from './node-graph.ts';

const kubelet = (name: string): UserInfo => ({ name: `system:node:${name}`, groups: ['system:nodes', 'system:authenticated'] });

let api: TestApi;
let restricted: TestApi;
let graph: NodeGraph;

const pod = (name: string, node: string, secret: string) => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name },
  spec: {
    nodeName: node,
    serviceAccountName: 'default',
    containers: [{ name: 'c', image: 'i', envFrom: [{ secretRef: { name: secret } }, { configMapRef: { name: `${secret}-config` } }] }],
  },
});

beforeAll(async () => {
  api = await openTestApi();
  graph = new NodeGraph(podsOf(api), (error) => expect.unreachable(error.message));
  for (const [name, node, secret] of [
    ['one', 'n1', 's1'],
    ['two', 'n2', 's2'],
  ] as const) {
    expect((await api.request('POST', '/api/v1/namespaces/ns/pods', pod(name, node, secret))).status).toBe(201);
  }
});
afterAll(async () => {
  graph.close();
  await api.close();
  await restricted?.close();
});

function podsOf(from: TestApi) {
  const store = from.stores.get('pods');
  if (!store) throw new Error('no pods');
  return store;
}

function decide(node: string, fields: Partial<Attributes>): string {
  const decision = nodeAuthorizer(graph).authorize({
    user: kubelet(node),
    verb: 'get',
    isResourceRequest: true,
    group: '',
    version: 'v1',
    resource: '',
    subresource: '',
    namespace: 'ns',
    name: '',
    path: '',
    ...fields,
  });
  if (decision instanceof Promise) throw new Error('decisions are synchronous');
  return decision.decision === 'allow' ? 'allow' : decision.reason;
}

const unrelated = "no relationship found between node 'n1' and this object";

describe('nodeAuthorizer', () => {
  it.each<[string, Partial<Attributes>, string]>([
    ['its pod’s Secret', { resource: 'secrets', name: 's1' }, 'allow'],
    ['its pod’s Secret by watch', { resource: 'secrets', name: 's1', verb: 'watch' }, 'allow'],
    ['its pod’s ConfigMap', { resource: 'configmaps', name: 's1-config' }, 'allow'],
    ['another node’s Secret', { resource: 'secrets', name: 's2' }, unrelated],
    ['a Secret nobody uses', { resource: 'secrets', name: 'other' }, unrelated],
    ['all Secrets', { resource: 'secrets', verb: 'list' }, 'No Object name found'],
    ['Secrets of all namespaces', { resource: 'secrets', verb: 'list', namespace: '' }, 'can only read namespaced object of this type'],
    ['writing a Secret', { resource: 'secrets', name: 's1', verb: 'update' }, 'can only read resources of this type'],
    ['its pod', { resource: 'pods', name: 'one' }, 'allow'],
    ['another node’s pod', { resource: 'pods', name: 'two' }, unrelated],
    ['its pods', { resource: 'pods', verb: 'list', namespace: '', fieldSelector: 'spec.nodeName=n1' }, 'allow'],
    [
      'another node’s pods',
      { resource: 'pods', verb: 'list', fieldSelector: 'spec.nodeName=n2' },
      'can only list/watch pods with spec.nodeName field selector',
    ],
    ['exec', { resource: 'pods', subresource: 'exec', name: 'one', verb: 'create' }, ''],
    ['its node', { resource: 'nodes', name: 'n1', namespace: '' }, 'allow'],
    ['another node', { resource: 'nodes', name: 'n2', namespace: '' }, "node 'n1' cannot read 'n2', only its own Node object"],
    ['all nodes', { resource: 'nodes', verb: 'list', namespace: '' }, "node 'n1' cannot read all nodes, only its own Node object"],
    ['a token of its pod’s account', { resource: 'serviceaccounts', subresource: 'token', name: 'default', verb: 'create' }, 'allow'],
    ['a token of another account', { resource: 'serviceaccounts', subresource: 'token', name: 'other', verb: 'create' }, unrelated],
    ['services', { resource: 'services', verb: 'list', namespace: '' }, 'allow'],
    ['its lease', { group: 'coordination.k8s.io', resource: 'leases', name: 'n1', namespace: 'kube-node-lease', verb: 'update' }, 'allow'],
    [
      'another lease',
      { group: 'coordination.k8s.io', resource: 'leases', name: 'n2', namespace: 'kube-node-lease' },
      'can only access node lease with the same name as the requesting node',
    ],
    ['roles', { group: 'rbac.authorization.k8s.io', resource: 'roles', name: 'r' }, ''],
  ])('%s', (_what, fields, expected) => {
    expect(decide('n1', fields)).toBe(expected);
  });

  it('forgets what a pod needed as soon as the pod is gone', async () => {
    expect((await api.request('POST', '/api/v1/namespaces/ns/pods', pod('gone', 'n1', 'short'))).status).toBe(201);
    expect(decide('n1', { resource: 'secrets', name: 'short' })).toBe('allow');
    await api.request('DELETE', '/api/v1/namespaces/ns/pods/gone?gracePeriodSeconds=0');
    expect(decide('n1', { resource: 'secrets', name: 'short' })).toBe(unrelated);
  });

  it('has no opinion about users that are no kubelets', () => {
    expect(decide('n1', { user: { name: 'system:node:n1', groups: [] }, resource: 'secrets', name: 's1' })).toBe('');
  });
});

describe('nodeRestrictionPlugin', () => {
  beforeAll(async () => {
    const late: { api?: TestApi } = {};
    const store = (prefix: string) => {
      const found = late.api?.stores.get(prefix);
      if (!found) throw new Error(`no store for ${prefix}`);
      return found;
    };
    restricted = await openTestApi({
      plugins: [
        nodeRestrictionPlugin({
          get pods() {
            return store('pods');
          },
          get nodes() {
            return store('minions');
          },
        }),
      ],
    });
    late.api = restricted;
    for (const node of ['n1', 'n2']) {
      await restricted.request('POST', '/api/v1/nodes', { apiVersion: 'v1', kind: 'Node', metadata: { name: node } });
    }
    await restricted.request('POST', '/api/v1/namespaces/ns/pods', pod('one', 'n1', 's'));
    await restricted.request('POST', '/api/v1/namespaces/ns/pods', pod('two', 'n2', 's'));
  });

  const as = (node: string) => ({ user: kubelet(node) });
  const messageOf = async (method: string, path: string, body?: unknown, contentType?: string) => {
    const options = contentType === undefined ? as('n1') : { ...as('n1'), contentType };
    const { status, json } = await restricted.request(method, path, body, options);
    return status < 300 ? 'ok' : `${status} ${json.message}`;
  };
  const merge = 'application/merge-patch+json';

  it('keeps a kubelet to its own node', async () => {
    expect(await messageOf('PATCH', '/api/v1/nodes/n2/status', { status: { phase: 'x' } }, merge)).toBe(
      '403 nodes "n2" is forbidden: node "n1" is not allowed to modify node "n2"',
    );
    expect(await messageOf('PATCH', '/api/v1/nodes/n1', { metadata: { labels: { 'node-restriction.kubernetes.io/x': '1' } } }, merge)).toBe(
      '403 nodes "n1" is forbidden: is not allowed to modify labels: node-restriction.kubernetes.io/x',
    );
    expect(
      await messageOf('PATCH', '/api/v1/nodes/n1', { metadata: { labels: { 'kubernetes.io/hostname': 'h', team: 'a' } } }, merge),
    ).toBe('ok');
    expect(await messageOf('PATCH', '/api/v1/nodes/n1', { spec: { taints: [{ key: 'k', effect: 'NoSchedule' }] } }, merge)).toBe(
      '403 nodes "n1" is forbidden: node "n1" is not allowed to modify taints',
    );
  });

  it('keeps a kubelet to its own pods', async () => {
    const status = { status: { phase: 'Running' } };
    expect(await messageOf('PATCH', '/api/v1/namespaces/ns/pods/one/status', status, merge)).toBe('ok');
    expect(await messageOf('PATCH', '/api/v1/namespaces/ns/pods/two/status', status, merge)).toBe(
      '403 pods "two" is forbidden: node "n1" can only update pod status for pods with spec.nodeName set to itself',
    );
    expect(await messageOf('DELETE', '/api/v1/namespaces/ns/pods/two')).toBe(
      '403 pods "two" is forbidden: node "n1" can only delete pods with spec.nodeName set to itself',
    );
    expect(await messageOf('POST', '/api/v1/namespaces/ns/pods', pod('mine', 'n1', 's'))).toBe(
      '403 pods "mine" is forbidden: pod does not have "kubernetes.io/config.mirror" annotation, node "n1" can only create mirror pods',
    );
  });

  it('gives tokens only for pods on the node', async () => {
    const uid = restricted.stores.get('pods')?.get('ns', 'two')?.uid;
    const token = (ref: object | undefined) => ({
      apiVersion: 'authentication.k8s.io/v1',
      kind: 'TokenRequest',
      spec: ref ? { boundObjectRef: ref } : {},
    });
    const path = '/api/v1/namespaces/ns/serviceaccounts/default/token';
    expect(await messageOf('POST', path, token(undefined))).toBe(
      '403 serviceaccounts "default" is forbidden: node requested token not bound to a pod',
    );
    expect(await messageOf('POST', path, token({ apiVersion: 'v1', kind: 'Pod', name: 'two' }))).toBe(
      '403 serviceaccounts "default" is forbidden: node requested token with a pod binding without a uid',
    );
    expect(await messageOf('POST', path, token({ apiVersion: 'v1', kind: 'Pod', name: 'two', uid }))).toBe(
      '403 serviceaccounts "default" is forbidden: node requested token bound to a pod scheduled on a different node',
    );
  });
});
