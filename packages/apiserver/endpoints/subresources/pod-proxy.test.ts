import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import type { NodeApi } from '@coffer/api/node/node-api';
import { echoNode } from '@coffer/api/testing/echo-node';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTestApi, type TestApi } from '../../testing/test-api.ts';

const pods = '/api/v1/namespaces/ns/pods';
let api: TestApi;
let server: Server;
const asked: number[] = [];

function answer(request: IncomingMessage, response: ServerResponse): void {
  if (request.url === '/page') {
    response.writeHead(200, { 'content-type': 'text/html' });
    response.end(`<p title="a>b"><a class=x href="/one?a=1">é</a><img src='two.png'><a href="https://example.org/">/three</a>`);
    return;
  }
  if (request.url === '/away') {
    response.writeHead(302, { location: '/there' }).end();
    return;
  }
  const chunks: Buffer[] = [];
  request.on('data', (chunk: Buffer) => chunks.push(chunk));
  request.on('end', () => {
    const seen = { method: request.method, url: request.url, headers: request.headers, body: Buffer.concat(chunks).toString('utf8') };
    response.writeHead(request.method === 'POST' ? 201 : 200, { 'x-own': 'yes' }).end(JSON.stringify(seen));
  });
}

/** Every port but 81 is the server's. */
const node: NodeApi = {
  ...echoNode,
  portForward: async () => async (port, stream) => {
    asked.push(port);
    if (port === 81) throw new Error('connection refused');
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const sending = (async () => {
      for await (const chunk of stream.input) socket.write(chunk);
      socket.end();
    })();
    for await (const chunk of socket) await stream.output.write(chunk as Buffer);
    stream.end();
    await sending;
  },
};

beforeAll(async () => {
  server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  api = await openTestApi({ nodeApiFor: () => node });
  const containers = [{ name: 'c', image: 'i', ports: [{ containerPort: 8080 }] }];
  await api.request('POST', pods, { metadata: { name: 'p' }, spec: { nodeName: 'n', containers } });
  await api.request('POST', pods, { metadata: { name: 'plain' }, spec: { nodeName: 'n', containers: [{ name: 'c', image: 'i' }] } });
  await api.request('POST', pods, { metadata: { name: 'nowhere' }, spec: { containers } });
});
afterAll(async () => {
  await api.close();
  server.close();
});

const ask = (method: string, path: string, body?: string, headers: Record<string, string> = {}) =>
  api.request(method, `${pods}/${path}`, body, { headers });

describe('the proxy to services', () => {
  const services = '/api/v1/namespaces/ns/services';
  const web = (path: string, method = 'GET') => api.request(method, `${services}/${path}`);

  beforeAll(async () => {
    const ports = [
      { name: 'http', port: 80 },
      { name: 'other', port: 90 },
    ];
    await api.request('POST', services, { metadata: { name: 'web' }, spec: { selector: { a: 'b' }, ports } });
    await api.request('POST', services, { metadata: { name: 'bare' }, spec: { ports: [{ port: 80 }] } });
    await api.request('POST', services, { metadata: { name: 'one' }, spec: { ports: [{ port: 80 }] } });
    const uid = (await api.request('GET', `${pods}/p`)).json as { metadata: { uid: string } };
    const endpoint = (name: string, ready: boolean, id = uid.metadata.uid) => ({
      addresses: ['10.0.0.1'],
      conditions: { ready },
      targetRef: { kind: 'Pod', namespace: 'ns', name, uid: id },
    });
    const slice = (service: string, names: readonly (readonly [string, number])[], endpoints: readonly object[]) =>
      api.request('POST', '/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices', {
        metadata: { name: `${service}-1`, labels: { 'kubernetes.io/service-name': service } },
        addressType: 'IPv4',
        ports: names.map(([name, port]) => ({ name, port })),
        endpoints,
      });
    const all = [
      ['http', 8080],
      ['other', 9090],
    ] as const;
    await slice('web', all, [endpoint('plain', false), endpoint('plain', true, 'another'), endpoint('p', true)]);
    await slice('one', [['', 8088]], [endpoint('p', true)]);
  });

  it('finds the port by name or number', async () => {
    asked.length = 0;
    for (const path of ['web:http/proxy/', 'web:90/proxy/', 'http:web:other/proxy/a', 'one/proxy/', 'one:80/proxy/']) {
      expect((await web(path)).status).toBe(200);
    }
    expect(asked).toEqual([8080, 9090, 9090, 8088, 8088]);
    expect((await web('one/proxy', 'GET')).status).toBe(301);
  });

  it.each([
    ['web/proxy/', 503, 'no endpoints available for service "web"'],
    ['web:none/proxy/', 503, 'no endpoints available for service "web:none"'],
    ['web:70/proxy/', 503, 'no service port 70 found for service "web"'],
    ['none/proxy/', 404, 'endpoints "none" not found'],
    ['none:80/proxy/', 404, 'services "none" not found'],
    ['http:bare:80/proxy/', 503, 'no endpoints available for service "bare"'],
    ['ftp:web:80/proxy/', 400, 'invalid service request "ftp:web:80"'],
  ])('answers for itself what cannot be passed on: %s', async (path, status, message) => {
    const got = await web(path);
    expect([got.status, (got.json as { message: string }).message]).toEqual([status, message]);
  });
});

describe('the proxy to nodes', () => {
  const nodes = (path: string, method = 'GET', body?: string) =>
    api.request(method, `/api/v1/nodes/${path}`, body, { headers: { authorization: 'secret', 'x-mine': 'yes' } });

  beforeAll(async () => {
    await api.request('POST', '/api/v1/nodes', { metadata: { name: 'n' } });
    const status = { daemonEndpoints: { kubeletEndpoint: { Port: 4000 } } };
    await api.request('POST', '/api/v1/nodes', { metadata: { name: 'own' }, status });
  });

  it('asks the kubelet, whatever the method, by its name with or without the port', async () => {
    for (const name of ['n', 'n:10250', 'https:n:', 'own:4000']) {
      const got = await nodes(`${name}/proxy/pods?a=%20b`);
      const seen = got.json as { readonly headers: Readonly<Record<string, string>> };
      expect([got.status, seen]).toMatchObject([200, { method: 'GET', path: '/pods?a=%20b' }]);
      expect([seen.headers['x-mine'], seen.headers.authorization, got.headers.connection]).toEqual(['yes', undefined, undefined]);
    }
    expect(await nodes('n/proxy/run', 'POST', 'text')).toMatchObject({ status: 201, json: { method: 'POST', path: '/run', body: 'text' } });
  });

  it('leads to the root of the kubelet with a slash', async () => {
    expect(await nodes('n/proxy?a=b')).toMatchObject({ status: 301, headers: { location: '/api/v1/nodes/n/proxy/?a=b' } });
  });

  it.each([
    ['none/proxy/pods', 404, 'nodes "none" not found'],
    ['ftp:n:80/proxy/pods', 400, 'invalid node request "ftp:n:80"'],
    ['n:22/proxy/', 400, 'the proxy reaches the kubelet of node "n" at port 10250, not port 22'],
    ['own:10250/proxy/', 400, 'the proxy reaches the kubelet of node "own" at port 4000, not port 10250'],
  ])('answers for itself what cannot be passed on: %s', async (path, status, message) => {
    const got = await nodes(path);
    expect([got.status, (got.json as { message: string }).message]).toEqual([status, message]);
  });
});

describe('the proxy to pods', () => {
  it('leads the links of a page through itself', async () => {
    const got = await ask('GET', 'p/proxy/page');
    expect(got.headers['content-length']).toBeUndefined();
    const link = `${pods}/p/proxy/one?a=1`;
    expect(got.text).toBe(`<p title="a>b"><a class=x href="${link}">é</a><img src='two.png'><a href="https://example.org/">/three</a>`);
  });

  it.each(['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])('passes a %s on as it is', async (method) => {
    const body = method === 'GET' ? undefined : 'some text';
    const got = await ask(method, 'p/proxy/a//b%2Fc?x=1&x=%20', body, { 'content-type': 'text/plain', 'x-mine': 'yes' });
    expect(got).toMatchObject({ status: method === 'POST' ? 201 : 200, headers: { 'x-own': 'yes' } });
    expect(got.json).toMatchObject({ method, url: '/a//b%2Fc?x=1&x=%20', body: body ?? '', headers: { 'x-mine': 'yes' } });
  });

  it('keeps to itself who calls', async () => {
    const caller = { authorization: 'Bearer secret', 'x-remote-user': 'me', 'x-remote-extra-a': 'b', 'impersonate-user': 'you' };
    const got = await ask('GET', 'p/proxy/', undefined, { ...caller, accept: 'text/plain', te: 'trailers' });
    const { headers } = got.json as { headers: Record<string, string> };
    expect(Object.keys(headers).filter((name) => name in caller || name === 'te')).toEqual([]);
    expect(headers.accept).toBe('text/plain');
  });

  it('takes the port from the name, from the pod, or the usual one', async () => {
    asked.length = 0;
    for (const name of ['p:70', 'http:p:71', 'p:', 'p', 'plain', 'http:plain:'])
      expect((await ask('GET', `${name}/proxy/`)).status).toBe(200);
    expect(asked).toEqual([70, 71, 8080, 8080, 80, 80]);
  });

  it('leads to the slash, and redirects of the pod through itself', async () => {
    expect(await ask('GET', 'p/proxy?a=b')).toMatchObject({ status: 301, headers: { location: `${pods}/p/proxy/?a=b` } });
    expect((await ask('POST', 'p/proxy?a=b')).status).toBe(201);
    expect(await ask('GET', 'p/proxy/away')).toMatchObject({ status: 302, headers: { location: `${pods}/p/proxy/there` } });
  });

  it.each([
    ['p:81/proxy/', 503, 'error trying to reach service: connection refused'],
    ['none/proxy/', 404, 'pods "none" not found'],
    ['nowhere/proxy/', 400, 'pod nowhere does not have a host assigned'],
    ['ftp:p:80/proxy/', 400, 'invalid pod request "ftp:p:80"'],
    ['p:http/proxy/', 400, 'invalid pod request "p:http"'],
  ])('answers for itself what cannot be passed on: %s', async (path, status, message) => {
    const got = await ask('GET', path);
    expect([got.status, (got.json as { message: string }).message]).toEqual([status, message]);
  });
});
