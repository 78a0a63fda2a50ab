import { describe, expect, it } from 'vitest';
import { parseRequestInfo } from './parse-request-info.ts';

function parse(method: string, url: string) {
  const [path = '', query = ''] = url.split('?');
  return parseRequestInfo(method, path, new URLSearchParams(query));
}

describe('parseRequestInfo', () => {
  const resources = [
    ['GET', '/api/v1/namespaces', 'list', '', 'namespaces', '', ''],
    ['GET', '/api/v1/namespaces/other', 'get', 'other', 'namespaces', 'other', ''],
    ['GET', '/api/v1/namespaces/other/pods', 'list', 'other', 'pods', '', ''],
    ['GET', '/api/v1/namespaces/other/pods/foo', 'get', 'other', 'pods', 'foo', ''],
    ['HEAD', '/api/v1/namespaces/other/pods/foo', 'get', 'other', 'pods', 'foo', ''],
    ['GET', '/api/v1/pods', 'list', '', 'pods', '', ''],
    ['GET', '/api/v1/nodes/foo', 'get', '', 'nodes', 'foo', ''],
    ['PUT', '/api/v1/namespaces/x/status', 'update', 'x', 'namespaces', 'x', 'status'],
    ['PUT', '/api/v1/namespaces/x/finalize', 'update', 'x', 'namespaces', 'x', 'finalize'],
    ['GET', '/api/v1/namespaces/x/pods/foo/log', 'get', 'x', 'pods', 'foo', 'log'],
    ['POST', '/api/v1/namespaces/x/pods/foo/exec', 'create', 'x', 'pods', 'foo', 'exec'],
    ['GET', '/api/v1/watch/pods', 'watch', '', 'pods', '', ''],
    ['GET', '/api/v1/watch/namespaces/x/pods/foo', 'watch', 'x', 'pods', 'foo', ''],
    ['GET', '/api/v1/namespaces/x/pods?watch=1', 'watch', 'x', 'pods', '', ''],
    ['GET', '/api/v1/namespaces/x/pods?watch=false', 'list', 'x', 'pods', '', ''],
    ['GET', '/api/v1/namespaces/x/pods?watch', 'watch', 'x', 'pods', '', ''],
    ['GET', '/api/v1/namespaces/x/pods/foo?watch=1', 'get', 'x', 'pods', 'foo', ''],
    ['DELETE', '/api/v1/namespaces/x/pods', 'deletecollection', 'x', 'pods', '', ''],
    ['DELETE', '/api/v1/namespaces/x/pods/foo', 'delete', 'x', 'pods', 'foo', ''],
    ['PATCH', '/api/v1/namespaces/x/pods/foo', 'patch', 'x', 'pods', 'foo', ''],
    ['POST', '/api/v1/namespaces/x/pods/', 'create', 'x', 'pods', '', ''],
  ] as const;

  it.each(resources)('%s %s is %s', (method, url, verb, namespace, resource, name, subresource) => {
    expect(parse(method, url)).toMatchObject({
      isResourceRequest: true,
      group: '',
      version: 'v1',
      verb,
      namespace,
      resource,
      name,
      subresource,
    });
  });

  it('knows the group of /apis paths', () => {
    const info = parse('GET', '/apis/apps/v1/namespaces/x/deployments/d/scale');
    expect(info).toMatchObject({
      apiPrefix: 'apis',
      group: 'apps',
      version: 'v1',
      resource: 'deployments',
      name: 'd',
      subresource: 'scale',
    });
  });

  it.each(['/', '/api', '/api/v1', '/apis', '/apis/apps', '/apis/apps/v1', '/healthz', '/other/v1/pods', '/api/v1/watch'])(
    '%s is not about a resource',
    (path) => {
      expect(parse('GET', path)).toMatchObject({ isResourceRequest: false, verb: 'get', path });
    },
  );

  it('leaves the name of a list empty, whatever its field selector says', () => {
    expect(parse('GET', '/api/v1/namespaces/x/secrets?fieldSelector=metadata.name%3Da').name).toBe('');
  });
});
