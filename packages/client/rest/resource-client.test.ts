import { StatusError, serviceUnavailable, tooManyRequests } from '@coffer/api/errors/status-error';
import { FakeClock } from '@coffer/base/time/fake-clock';
import { beforeEach, describe, expect, it } from 'vitest';
import { discoverResources } from '../discovery/discover-resources.ts';
import { settle } from '../testing/eventually.ts';
import { FakeApi } from '../testing/fake-api.ts';
import type { Transport, TransportRequest } from '../transport/transport.ts';
import { ApiClient } from './api-client.ts';
import { lineBatches } from './lines.ts';
import { CONFIG_MAPS, DEPLOYMENTS, NODES } from './well-known.ts';

let clock: FakeClock;
let api: FakeApi;
let client: ApiClient;

beforeEach(() => {
  clock = new FakeClock();
  api = new FakeApi(clock);
  client = new ApiClient({ transport: api.transport(), clock });
});

/** Answers everything with one answer and keeps what was asked. */
function recording(status: number, body: string, headers: Record<string, string> = {}) {
  const requests: TransportRequest[] = [];
  const transport: Transport = {
    request: async (request) => {
      requests.push(request);
      return { status, headers, body: Buffer.from(body) };
    },
    stream: () => Promise.reject(new Error('not here')),
    close: () => undefined,
  };
  return { requests, client: new ApiClient({ transport, clock }) };
}

describe('ResourceClient', () => {
  it('asks for paths and options as the API has them', async () => {
    const { requests, client: recorded } = recording(200, '{}');
    const deployments = recorded.resource(DEPLOYMENTS);
    await deployments.get('a b', { namespace: 'n/s' });
    await deployments.list({
      labelSelector: 'a in (b)',
      limit: 5,
      continue: 'tok',
      resourceVersion: '0',
      resourceVersionMatch: 'NotOlderThan',
    });
    await deployments.create({ metadata: { name: 'd', namespace: 'ns' } }, { dryRun: true, fieldManager: 'me', fieldValidation: 'Strict' });
    await deployments.updateStatus({ metadata: { name: 'd', namespace: 'ns' } });
    await deployments.patch('d', 'strategic', { a: 1 }, { namespace: 'ns', subresource: 'scale' });
    await deployments.apply('d', { b: 2 }, { namespace: 'ns', fieldManager: 'me', force: true });
    await deployments.delete('d', { namespace: 'ns', body: { propagationPolicy: 'Orphan' } });
    await deployments.deleteCollection({ namespace: 'ns', labelSelector: 'x' });
    await recorded.resource(NODES).get('n', { namespace: 'ignored', metadataOnly: true });
    const base = '/apis/apps/v1';
    expect(requests.map((request) => `${request.method} ${request.path}`)).toEqual([
      `GET ${base}/namespaces/n%2Fs/deployments/a%20b`,
      `GET ${base}/deployments?labelSelector=a%20in%20(b)&limit=5&continue=tok&resourceVersion=0&resourceVersionMatch=NotOlderThan`,
      `POST ${base}/namespaces/ns/deployments?dryRun=All&fieldManager=me&fieldValidation=Strict`,
      `PUT ${base}/namespaces/ns/deployments/d/status`,
      `PATCH ${base}/namespaces/ns/deployments/d/scale`,
      `PATCH ${base}/namespaces/ns/deployments/d?fieldManager=me&force=true`,
      `DELETE ${base}/namespaces/ns/deployments/d`,
      `DELETE ${base}/namespaces/ns/deployments?labelSelector=x`,
      'GET /api/v1/nodes/n',
    ]);
    expect(requests[4]?.headers).toMatchObject({ 'content-type': 'application/strategic-merge-patch+json' });
    expect(requests[5]?.headers).toMatchObject({ 'content-type': 'application/apply-patch+yaml' });
    expect(requests[6]?.body).toBe('{"kind":"DeleteOptions","apiVersion":"v1","propagationPolicy":"Orphan"}');
    expect(requests[8]?.headers).toMatchObject({ accept: 'application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1' });
  });

  it('throws what the server reported', async () => {
    const error = await client
      .resource(CONFIG_MAPS)
      .get('none', { namespace: 'ns' })
      .catch((e: unknown) => e);
    expect(error).toBeInstanceOf(StatusError);
    expect((error as StatusError).status).toMatchObject({
      code: 404,
      reason: 'NotFound',
      message: 'configmaps "none" not found',
      details: { kind: 'configmaps', name: 'none' },
    });
  });

  it('makes an error of answers that are no Status', async () => {
    await expect(recording(502, '<html>bad gateway</html>').client.resource(NODES).list()).rejects.toMatchObject({
      message: '<html>bad gateway</html>',
      code: 502,
    });
    await expect(recording(404, '').client.resource(NODES).list()).rejects.toMatchObject({
      reason: 'NotFound',
      message: 'the server could not find the requested resource',
    });
  });

  it('comes again when the server asks for it, but not for ever', async () => {
    let refusals = 2;
    api.before = () => {
      if (refusals-- > 0) throw tooManyRequests('busy', 1);
    };
    const list = client.resource(NODES).list();
    await settle(2);
    await clock.advance(1000);
    await clock.advance(1000);
    expect((await list).items).toEqual([]);
    refusals = 1;
    api.before = () => {
      if (refusals-- > 0) throw serviceUnavailable('no time to wait for was given');
    };
    await expect(client.resource(NODES).list()).rejects.toMatchObject({ code: 503 });
    const patient = new ApiClient({ transport: api.transport(), clock, maxRetries: 0 });
    api.before = () => {
      throw tooManyRequests('busy', 1);
    };
    await expect(patient.resource(NODES).list()).rejects.toMatchObject({ code: 429 });
  });

  it('reads all pages and gives items their kind', async () => {
    for (let i = 0; i < 5; i++) api.put(CONFIG_MAPS, { metadata: { name: `c${i}`, namespace: 'ns' } });
    const all = await client.resource(CONFIG_MAPS).listAll({ namespace: 'ns', limit: 2 });
    expect(all.items.map((item) => item.metadata?.name)).toEqual(['c0', 'c1', 'c2', 'c3', 'c4']);
    expect(all.resourceVersion).toBe(api.revision);
    const { client: bare } = recording(
      200,
      '{"kind":"ConfigMapList","apiVersion":"v1","metadata":{"resourceVersion":"7"},"items":[{"metadata":{"name":"x"}}]}',
    );
    expect((await bare.resource(CONFIG_MAPS).list()).items).toEqual([{ metadata: { name: 'x' }, apiVersion: 'v1', kind: 'ConfigMap' }]);
  });

  it('throws the error a watch ends with', async () => {
    api.put(CONFIG_MAPS, { metadata: { name: 'c', namespace: 'ns' } });
    api.compact();
    const watch = client.resource(CONFIG_MAPS).watch({ resourceVersion: '1' });
    await expect(watch.next()).rejects.toMatchObject({ code: 410, reason: 'Expired' });
  });
});

describe('lineBatches', () => {
  it('puts lines together however they were cut', async () => {
    const bytes = Buffer.from('{"a":"é"}\n{"b":2}\n\n{"c":3}');
    for (let size = 1; size <= bytes.length; size++) {
      const chunks = (async function* () {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      })();
      const lines: string[] = [];
      for await (const batch of lineBatches(chunks)) lines.push(...batch);
      expect(lines).toEqual(['{"a":"é"}', '{"b":2}', '{"c":3}']);
    }
  });
});

describe('discoverResources', () => {
  it('reads one document per group version, and reports what it cannot read', async () => {
    api.before = (request) => {
      if (request.path === '/apis/discovery.k8s.io/v1') throw serviceUnavailable('away');
    };
    const { resources, failures } = await discoverResources(client);
    expect(resources.find((resource) => resource.resource === 'deployments')).toMatchObject({
      group: 'apps',
      version: 'v1',
      kind: 'Deployment',
      namespaced: true,
    });
    expect(resources.find((resource) => resource.resource === 'nodes')).toMatchObject({ group: '', namespaced: false });
    expect(failures.map((failure) => failure.groupVersion)).toEqual(['discovery.k8s.io/v1']);
  });

  it('reads the aggregated document', async () => {
    const item = (name: string, resources: object[]) => ({ metadata: { name }, versions: [{ version: 'v1', resources }] });
    const document = {
      kind: 'APIGroupDiscoveryList',
      items: [
        item('apps', [
          {
            resource: 'deployments',
            responseKind: { kind: 'Deployment' },
            scope: 'Namespaced',
            verbs: ['list'],
            subresources: [{ subresource: 'scale' }],
          },
        ]),
      ],
    };
    const { resources } = await discoverResources(recording(200, JSON.stringify(document)).client);
    expect(resources).toEqual([
      { group: 'apps', version: 'v1', resource: 'deployments', kind: 'Deployment', namespaced: true, verbs: ['list'] },
    ]);
  });
});
