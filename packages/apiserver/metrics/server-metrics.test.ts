import type { HttpResponse, StreamSink } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import { createServerMetrics } from './server-metrics.ts';

const metrics = createServerMetrics({
  inFlight: () => ({ readOnly: 1, mutating: 0 }),
  objectCounts: () => [
    ['', 'pods', 3],
    ['apps', 'deployments', 2],
  ],
  storeSizeBytes: async () => 4096,
  rbacIndexDelaySeconds: async () => 0,
  isServed: (group, _version, resource) => group === '' && resource === 'pods',
});

function request(method: string, url: string, response: HttpResponse, contentType = '', annotation = ''): Promise<HttpResponse> {
  const [path = '', query = ''] = url.split('?');
  const search = new URLSearchParams(query);
  const context: RequestContext = {
    http: {
      method,
      url,
      headers: { 'content-type': contentType },
      readBody: async () => new Uint8Array(),
      signal: new AbortController().signal,
      peer: { address: '127.0.0.1' },
    },
    auditId: '',
    receivedAtMs: 0,
    info: parseRequestInfo(method, path, search),
    query: search,
    user: { name: '', groups: [] },
    warnings: new WarningList(),
    auditAnnotations: new Map(annotation === '' ? [] : [[annotation, 'true']]),
  };
  return Promise.resolve(metrics.filter(context, async () => response));
}

const ok: HttpResponse = { kind: 'full', status: 200, headers: {}, body: 'ok' };
const sink: StreamSink = {
  write: () => true,
  drained: async () => {},
  bufferedBytes: 0,
  flush() {},
  signal: new AbortController().signal,
};

/** The lines of a metric that have these labels. */
async function lines(name: string, ...labels: readonly string[]): Promise<string[]> {
  const { body } = await metrics.render();
  return body.split('\n').filter((line) => line.startsWith(`${name}{`) && labels.every((label) => line.includes(label)));
}

describe('apiserver_request_total', () => {
  const cases = [
    { method: 'POST', url: '/api/v1/namespaces/n/pods?dryRun=All', labels: ['verb="POST"', 'scope="resource"', 'dry_run="All"'] },
    { method: 'PUT', url: '/api/v1/namespaces/n/pods/p', labels: ['verb="PUT"', 'scope="resource"', 'dry_run=""'] },
    { method: 'DELETE', url: '/api/v1/namespaces/n/pods', labels: ['verb="DELETE"', 'scope="namespace"'] },
    { method: 'GET', url: '/api/v1/pods', labels: ['verb="LIST"', 'scope="cluster"'] },
    { method: 'HEAD', url: '/api/v1/namespaces/n/pods/h', labels: ['verb="GET"', 'scope="resource"'] },
    { method: 'PATCH', url: '/api/v1/namespaces/n/pods/p', type: 'application/merge-patch+json', labels: ['verb="PATCH"'] },
    { method: 'PATCH', url: '/api/v1/namespaces/n/pods/p', type: 'application/apply-patch+yaml', labels: ['verb="APPLY"'] },
    { method: 'GET', url: '/api/v1/namespaces/n/pods/p/log', labels: ['verb="CONNECT"', 'subresource="log"'] },
    { method: 'GET', url: '/readyz/etcd', labels: ['verb="GET"', 'subresource="/readyz"', 'scope=""', 'component=""'] },
    { method: 'GET', url: '/openapi/v3/apis/apps/v1', labels: ['subresource="openapi/v3"'] },
    { method: 'GET', url: '/api/v1/names-of-clients', labels: ['verb="other"', 'resource=""'] },
  ];
  for (const { method, url, type, labels } of cases) {
    it(`${method} ${url} ${type ?? ''}`, async () => {
      await request(method, url, ok, type);
      expect(await lines('apiserver_request_total', ...labels, 'code="200"')).toHaveLength(1);
    });
  }
});

it('counts a stream when it ends, with its bytes', async () => {
  let end: () => void = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const run = async (to: StreamSink) => {
    to.write('12345');
    await ended;
  };
  const watch = await request('GET', '/api/v1/namespaces/n/pods?watch=1', { kind: 'stream', status: 200, headers: {}, run });
  const list = await request('GET', '/api/v1/namespaces/n/pods', { kind: 'stream', status: 200, headers: {}, run });
  if (watch.kind !== 'stream' || list.kind !== 'stream') throw new Error('not streams');
  const running = [watch.run(sink), list.run(sink)];
  const open = ['verb="WATCH"', 'resource="pods"', 'scope="namespace"'];
  expect(await lines('apiserver_longrunning_requests', ...open)).toHaveLength(1);
  expect(await lines('apiserver_request_total', 'verb="WATCH"')).toEqual([]);
  end();
  await Promise.all(running);
  expect(await lines('apiserver_longrunning_requests', ...open)).toEqual([]);
  expect(await lines('apiserver_request_total', 'verb="WATCH"', 'code="200"')).toHaveLength(1);
  expect(await lines('apiserver_response_sizes_sum', 'verb="LIST"', 'scope="namespace"')).toEqual([expect.stringMatching(/ 5$/)]);
});

it('names what was asked for although it is going away', async () => {
  const name = 'apiserver_requested_deprecated_apis';
  expect(await lines(name)).toEqual([]);
  for (const url of ['/api/v1/pods', '/api/v1/namespaces/n/pods']) await request('GET', url, ok, '', 'k8s.io/deprecated');
  expect(await lines(name)).toEqual([`${name}{group="",version="v1",resource="pods",subresource="",removed_release=""} 1`]);
});

it('shows what is stored', async () => {
  metrics.countWatchEvents('apps', 'v1', 'deployments', 7);
  expect(await lines('apiserver_resource_objects', 'group="apps"', 'resource="deployments"')).toEqual([expect.stringMatching(/ 2$/)]);
  expect(await lines('apiserver_storage_objects', 'resource="deployments.apps"')).toEqual([expect.stringMatching(/ 2$/)]);
  expect(await lines('apiserver_storage_size_bytes')).toEqual(['apiserver_storage_size_bytes{storage_cluster_id="etcd-0"} 4096']);
  expect(await lines('apiserver_watch_events_total', 'resource="deployments"')).toEqual([expect.stringMatching(/ 7$/)]);
});
