import type { HttpRequest } from '@coffer/base/http/handler';
import { describe, expect, it } from 'vitest';
import { type RequestContext, WarningList } from '../request/context.ts';
import { parseRequestInfo } from '../request/parse-request-info.ts';
import { attributesOf, forbiddenFor } from './request-attributes.ts';

function context(method: string, url: string): RequestContext {
  const [path = '', search = ''] = url.split('?');
  const query = new URLSearchParams(search);
  return {
    http: { method, url } as unknown as HttpRequest,
    auditId: '',
    receivedAtMs: 0,
    info: parseRequestInfo(method, path, query),
    query,
    user: { name: 'jane', groups: [] },
    warnings: new WarningList(),
    auditAnnotations: new Map(),
  };
}

const secrets = '/api/v1/namespaces/ns/secrets';

describe('attributesOf', () => {
  it.each([
    ['GET', `${secrets}?fieldSelector=metadata.name%3Done`, 'list', 'one'],
    ['GET', `${secrets}?fieldSelector=metadata.name%3Done&watch=1`, 'watch', 'one'],
    ['GET', `${secrets}?fieldSelector=type%3DOpaque,metadata.name%3D%3Done`, 'list', 'one'],
    ['GET', `${secrets}?fieldSelector=metadata.name!%3Done`, 'list', ''],
    ['GET', `${secrets}?fieldSelector=metadata.name%3D..`, 'list', ''],
    ['GET', `${secrets}?fieldSelector=metadata.name%3Da%252Fb`, 'list', ''],
    ['GET', `${secrets}?fieldSelector=%3D%3D`, 'list', ''],
    ['DELETE', `${secrets}?fieldSelector=metadata.name%3Done`, 'deletecollection', ''],
    ['GET', `${secrets}/two?fieldSelector=metadata.name%3Done`, 'get', 'two'],
    ['GET', '/api/v1/watch/namespaces/ns/secrets/one', 'watch', 'one'],
  ])('%s %s is %s of %j', (method, url, verb, name) => {
    expect(attributesOf(context(method, url))).toMatchObject({ verb, name, resource: 'secrets', namespace: 'ns' });
  });
});

describe('forbiddenFor', () => {
  it('is safe to show in a browser, but for the reason', () => {
    const attributes = { ...attributesOf(context('GET', '/<script>')), user: { name: 'a&b', groups: [] } };
    expect(forbiddenFor(attributes, 'a < b').message).toBe('forbidden: User "a&amp;b" cannot get path "/&lt;script&gt;": a < b');
  });
});
