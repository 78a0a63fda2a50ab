import { builtInCatalog } from '@coffer/api/catalog/catalog';
import { StatusError } from '@coffer/api/errors/status-error';
import type { HttpRequest } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import { discoveryEndpoint, openApiEndpoint } from './discovery-endpoints.ts';

const discovery = discoveryEndpoint(builtInCatalog(), '127.0.0.1:6443');
const openApi = openApiEndpoint(builtInCatalog());

async function ask(path: string, headers: Readonly<Record<string, string>> = {}, method = 'GET') {
  const query = new URLSearchParams(path.split('?')[1]);
  const http = { method, url: path, headers } as unknown as HttpRequest;
  const context = {
    http,
    query,
    info: parseRequestInfo(method, path.split('?')[0] ?? '', query),
    receivedAtMs: Date.UTC(2026, 0, 1),
    warnings: new WarningList(),
  } as unknown as RequestContext;
  const response = await (path.startsWith('/openapi') ? openApi : discovery)(context);
  if (response?.kind !== 'full') throw new Error(`no answer to ${path}`);
  const { status, headers: answered, body } = response;
  return { status, headers: answered, text: String(body) };
}

describe('discovery', () => {
  it('is negotiated like any object', async () => {
    const plain = await ask('/apis/apps', { accept: 'application/json' });
    expect(plain.text).toBe(
      '{"kind":"APIGroup","apiVersion":"v1","name":"apps","versions":[{"groupVersion":"apps/v1","version":"v1"}],"preferredVersion":{"groupVersion":"apps/v1","version":"v1"}}\n',
    );
    expect((await ask('/apis/apps', { accept: 'application/vnd.kubernetes.protobuf,application/json' })).text).toBe(plain.text);
    const yaml = await ask('/apis/apps', { accept: 'application/yaml' });
    expect(yaml.headers['content-type']).toBe('application/yaml');
    expect(yaml.text).toMatch(/^apiVersion: v1\nkind: APIGroup\nname: apps\n/);
    expect((await ask('/api', { 'user-agent': 'curl/8' })).text).toMatch(/^\{\n {2}"kind": "APIVersions",/);
    await expect(ask('/api', { accept: 'application/vnd.kubernetes.protobuf' })).rejects.toMatchObject({
      code: 406,
      message: 'only the following media types are accepted: application/json, application/yaml',
    });
    await expect(ask('/apis', { accept: 'text/html' })).rejects.toBeInstanceOf(StatusError);
  });

  it('comes in one piece for clients that ask for it, and in the old form for those that cannot have theirs', async () => {
    const wanted = (version: string) => `application/json;g=apidiscovery.k8s.io;v=${version};as=APIGroupDiscoveryList`;
    const whole = await ask('/apis', { accept: `${wanted('v2')},application/json` });
    expect(whole.headers['content-type']).toBe(wanted('v2'));
    expect(JSON.parse(whole.text).kind).toBe('APIGroupDiscoveryList');
    const { etag } = whole.headers;
    expect(whole.headers).toMatchObject({ etag: expect.stringMatching(/^"[0-9A-F]{128}"$/), 'cache-control': 'public', vary: 'Accept' });
    const unchanged = await ask('/apis', { accept: wanted('v2'), 'if-none-match': String(etag) });
    expect([unchanged.status, unchanged.text]).toEqual([304, '']);
    expect((await ask('/api', { accept: wanted('v2'), 'if-none-match': String(etag) })).status).toBe(200);
    const old = await ask('/apis', { accept: `${wanted('v9')},application/json` });
    expect(JSON.parse(old.text).kind).toBe('APIGroupList');
    expect((await ask('/apis', {}, 'POST')).status).toBe(405);
  });
});

describe('/openapi/v2', () => {
  it('says that the answer depends on both what is accepted and how it is packed', async () => {
    const { headers } = await ask('/openapi/v2', { accept: 'application/json', 'accept-encoding': 'gzip' });
    expect(headers).toMatchObject({ 'content-encoding': 'gzip', vary: 'Accept, Accept-Encoding' });
  });

  it('comes as what the client likes best, or not at all', async () => {
    const protobuf = 'application/com.github.proto-openapi.spec.v2@v1.0+protobuf';
    const answers: unknown[] = [];
    for (const accept of ['', 'text/html, application/json;q=0.1', `application/json;q=0.1,${protobuf}`, 'application/yaml']) {
      const { status, headers } = await ask('/openapi/v2', { accept });
      answers.push([status, headers['content-type']]);
    }
    const json = [200, 'application/json'];
    expect(answers).toEqual([json, json, [200, protobuf.replace('@', '.')], [406, undefined]]);
    expect((await ask('/openapi/v2')).headers.etag).toMatch(/^"[0-9A-F]{128}"$/);
  });
});

describe('/openapi/v3', () => {
  it('may be kept for a year when it was asked for by its hash', async () => {
    const { serverRelativeURL } = JSON.parse((await ask('/openapi/v3')).text).paths['apis/policy/v1'];
    const { headers } = await ask(serverRelativeURL);
    expect(headers).toMatchObject({ 'cache-control': 'public, immutable', expires: 'Fri, 01 Jan 2027 00:00:00 GMT' });
    expect(headers.etag).toBe(`"${serverRelativeURL.split('=')[1]}"`);
    expect((await ask(serverRelativeURL, { accept: 'application/yaml' })).status).toBe(406);
  });
});
