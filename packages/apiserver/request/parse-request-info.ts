import type { RequestInfo } from './request-info.ts';

/**
 * Derives RequestInfo from method, decoded path and query, as kube-apiserver does: never fails, never looks at headers or body.
 * What it cannot place is a non-resource request; whether a resource exists is decided later.
 */
export function parseRequestInfo(method: string, path: string, query: URLSearchParams): RequestInfo {
  const parts = splitPath(path);
  const prefix = parts[0];
  if (parts.length < 3 || (prefix !== 'api' && prefix !== 'apis') || (prefix === 'apis' && parts.length < 4)) {
    return nonResource(method, path);
  }
  let at = 1;
  const group = prefix === 'apis' ? (parts[at++] ?? '') : '';
  const version = parts[at++] ?? '';

  let verb = verbOfMethod(method);
  const special = parts[at] ?? '';
  if (special === 'watch' || special === 'proxy') {
    if (parts.length - at < 2) return nonResource(method, path);
    verb = special;
    at++;
  }

  let namespace = '';
  if (parts[at] === 'namespaces' && parts.length > at + 1) {
    namespace = parts[at + 1] ?? '';
    const next = parts[at + 2];
    if (next !== undefined && next !== 'status' && next !== 'finalize') at += 2;
  }
  const resource = parts[at] ?? '';
  const name = parts[at + 1] ?? '';
  const subresource = verb === 'proxy' ? '' : (parts[at + 2] ?? '');

  if (name === '' && verb === 'get') {
    verb = isTrue(query.get('watch')) ? 'watch' : 'list';
  } else if (name === '' && verb === 'delete') {
    verb = 'deletecollection';
  }
  return { isResourceRequest: true, verb, apiPrefix: prefix, group, version, namespace, resource, subresource, name, path };
}

function nonResource(method: string, path: string): RequestInfo {
  return {
    isResourceRequest: false,
    verb: method.toLowerCase(),
    apiPrefix: '',
    group: '',
    version: '',
    namespace: '',
    resource: '',
    subresource: '',
    name: '',
    path,
  };
}

function verbOfMethod(method: string): string {
  switch (method) {
    case 'POST':
      return 'create';
    case 'GET':
    case 'HEAD':
      return 'get';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return 'delete';
    default:
      return '';
  }
}

/** Segments between slashes; leading and trailing slashes do not count. */
export function splitPath(path: string): string[] {
  let start = 0;
  let end = path.length;
  while (start < end && path.charCodeAt(start) === 47) start++;
  while (end > start && path.charCodeAt(end - 1) === 47) end--;
  return start === end ? [] : path.slice(start, end).split('/');
}

/** A boolean query parameter: absent, `false` and `0` mean no; everything else, the empty string included, means yes. */
export function isTrue(value: string | null): boolean {
  return value !== null && value !== '0' && value.toLowerCase() !== 'false';
}
